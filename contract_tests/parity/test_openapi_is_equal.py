"""Every backend publishes the same API description (OPS-6)."""

from collections.abc import Mapping
from typing import Any

import pytest
from api import Api


async def description(api: Api) -> dict[str, Any]:
    """The service's OpenAPI document."""
    answer = await api.get("/openapi.json")
    assert answer.status_code == 200
    document = answer.json()
    assert isinstance(document, dict)
    return document


@pytest.mark.clause("OPS-6")
async def test_the_description_is_that_of_the_other_backends_but_for_its_info(
    api: Api, apis: Mapping[str, Api]
) -> None:
    mine = await description(api)
    first = await description(next(iter(apis.values())))
    assert {**mine, "info": None} == {**first, "info": None}


@pytest.mark.clause("OPS-6", "GEN-4")
async def test_every_operation_names_its_answers_and_a_problem_for_each_refusal(api: Api) -> None:
    paths = (await description(api))["paths"]
    answers = [
        (f"{method} {path} {status}", answer)
        for path, item in paths.items()
        for method, operation in item.items()
        for status, answer in operation["responses"].items()
        if status[0] in "45"
    ]
    wrong = [
        place for place, answer in answers if set(answer.get("content", ())) != {"application/problem+json"}
    ]
    assert answers
    assert wrong == []
