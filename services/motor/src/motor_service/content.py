"""JSON contents as they are stored.

Keys are sorted at every level, so that equality by value is one comparison of the server. A key that starts
with `$` is stored with `~` before it: the driver makes a DBRef of an object with `$ref` and `$id`, and loses
a part of some. A path of a filter has neither sign, so it reads stored keys as they are.
"""

from typing import Any

from bson.int64 import Int64

_MARKED = ("$", "~")


def stored(value: Any) -> Any:
    """
    >>> stored({"b": [{"$ref": 1}], "a": 2, "~": 3})
    {'a': 2, 'b': [{'~$ref': 1}], '~~': 3}
    """
    kind = type(value)
    if kind is dict:
        return {
            f"~{name}" if name.startswith(_MARKED) else name: stored(value[name]) for name in sorted(value)
        }
    if kind is list:
        return [stored(member) for member in value]
    return value


def restored(value: Any) -> Any:
    """What `stored` was given, but for the order of keys.

    >>> restored({"a": Int64(2), "b": [{"~$ref": 1}], "~~": 3})
    {'a': 2, 'b': [{'$ref': 1}], '~': 3}
    """
    kind = type(value)
    if kind is dict:
        return {
            name[1:] if name.startswith("~") else name: restored(member) for name, member in value.items()
        }
    if kind is list:
        return [restored(member) for member in value]
    if kind is Int64:
        return int(value)
    return value
