"""Parts of queries: order, the place after which a page starts, conditions on contents."""

from collections.abc import Sequence
from typing import Any

from motor_service.models import Row
from shared.rules.filters import Condition, Scalar

_ORDERS = {"lt": "$lt", "le": "$lte", "gt": "$gt", "ge": "$gte"}


def in_order(keys: Sequence[str], *, descending: bool) -> list[tuple[str, int]]:
    return [(key, -1 if descending else 1) for key in keys]


def beyond(keys: Sequence[str], place: Sequence[Any], *, descending: bool) -> list[Row]:
    """The rows after a place in the order of the keys, as alternatives of which each is a range of an index:
    further in the first key, or equal in it and further in the next."""
    further = "$lt" if descending else "$gt"
    return [
        {**dict(zip(keys[:depth], place[:depth], strict=True)), key: {further: place[depth]}}
        for depth, key in enumerate(keys)
    ]


def any_of_all(filters: Row, alternatives: Sequence[Row]) -> Row:
    """The filters with any of the alternatives: they stand in each, where the planner finds the index of
    both."""
    return {"$or": [{**filters, **alternative} for alternative in alternatives]}


def condition(asked: Condition) -> Row:
    """As an aggregation expression: in a plain filter a path leads into arrays too."""
    member = _member(asked.path)
    match asked.operator, asked.value:
        case "exists", found:
            return {("$ne" if found else "$eq"): [{"$type": member}, "missing"]}
        case "eq", value:
            return {"$eq": [member, {"$literal": value}]}
        case "ne", value:
            return {"$ne": [member, {"$literal": value}]}
        case order, value:
            return _ordered(member, _ORDERS[order], value)


def _ordered(member: Any, order: str, value: Scalar) -> Row:
    is_comparable = (
        {"$eq": [{"$type": "$$member"}, "string"]} if isinstance(value, str) else {"$isNumber": "$$member"}
    )
    compared = {order: ["$$member", {"$literal": value}]}
    return {"$let": {"vars": {"member": member}, "in": {"$and": [is_comparable, compared]}}}


def _member(path: Sequence[str]) -> Any:
    """The value at the path through objects alone, missing where any of them is missing or something else."""
    found: Any = "$content"
    for name in path:
        in_object = {"$getField": {"field": {"$literal": name}, "input": "$$outer"}}
        is_object = {"$eq": [{"$type": "$$outer"}, "object"]}
        found = {"$let": {"vars": {"outer": found}, "in": {"$cond": [is_object, in_object, "$$REMOVE"]}}}
    return found
