"""File names in `Content-Disposition`: as clients send them in forms (RFC 7578), and as they get them back
(RFC 6266). A name is text that is shown; nothing here or elsewhere makes a path of it."""

import re
from urllib.parse import quote

# a backslash stands for itself, but before a quote or another one: browsers escape none, other clients both
_PARAMETER = re.compile(
    r';[ \t]*(name|filename)=(?:"((?:[^"\\]|\\["\\]|\\(?!["\\]))*\\?)"|([^";\s]+))[ \t]*(?=;|$)',
    re.IGNORECASE,
)
_ESCAPED = re.compile(r'\\(["\\])')
_NOT_PLAIN = re.compile(r'[^ -~]|["%/\\]')
_ATTR_CHAR = "!#$&+-.^_`|~"
"""What stands for itself in an extended value (RFC 8187), beside letters and digits."""


def sent_names(disposition: str) -> tuple[str | None, str | None]:
    r"""The `name` and the `filename` of a part, exactly as sent: no cutting of folders, no decoding of
    percent signs, as nobody can tell what they meant. `filename*` is none of a form's (RFC 7578, 4.2).

    >>> sent_names('form-data; name="file"; filename="a \\"b\\".txt"')
    ('file', 'a "b".txt')
    >>> sent_names(r'form-data; name=file; filename="C:\temp\x"'), sent_names("attachment; filename=x")
    (('file', 'C:\\temp\\x'), (None, None))
    """
    kind, _, _ = disposition.partition(";")
    found: dict[str, str] = {}
    if kind.strip(" \t").lower() == "form-data":
        for parameter in _PARAMETER.finditer(disposition):
            name, quoted, bare = parameter.groups()
            found.setdefault(name.lower(), bare if quoted is None else _ESCAPED.sub(r"\1", quoted))
    return found.get("name"), found.get("filename")


def content_disposition(file_name: str) -> str:
    r"""The header that offers a download under the name. `filename` is for clients that know no `filename*`.

    >>> print(content_disposition("caf\u00e9.txt"))
    attachment; filename="caf_.txt"; filename*=UTF-8''caf%C3%A9.txt
    """
    plain = _NOT_PLAIN.sub("_", file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe=_ATTR_CHAR)}"
