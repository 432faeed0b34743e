"""Every manifest against the schema of its kind, unknown fields refused."""

from typing import Literal

import kubernetes_validate
import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from rendering import Rendered

import docker

OLDEST, NEWEST = "1.34", "1.37"
"""The oldest where a sleep before the end needs no feature gate, and the newest whose schemas are here."""


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class _Parent(_Fields):
    name: str
    namespace: str


class _Path(_Fields):
    type: Literal["PathPrefix"]
    value: str = Field(pattern=r"^/")


class _Match(_Fields):
    path: _Path


class _NewPath(_Fields):
    type: Literal["ReplacePrefixMatch"]
    replace_prefix_match: str = Field(max_length=1024)


class _Rewrite(_Fields):
    path: _NewPath


class _Filter(_Fields):
    type: Literal["URLRewrite"]
    url_rewrite: _Rewrite


class _Timeouts(_Fields):
    request: str = Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")


class _Backend(_Fields):
    name: str
    port: int = Field(ge=1, le=65535)


class _Rule(_Fields):
    matches: list[_Match] = Field(min_length=1, max_length=64)
    filters: list[_Filter] = Field(max_length=16)
    timeouts: _Timeouts
    backend_refs: list[_Backend] = Field(max_length=16)


class _RouteSpec(_Fields):
    parent_refs: list[_Parent] = Field(max_length=32)
    hostnames: list[str] = Field(max_length=16)
    rules: list[_Rule] = Field(min_length=1, max_length=16)


class _Metadata(_Fields):
    name: str
    labels: dict[str, str]


class _Route(_Fields):
    """The fields of Gateway API v1 that the route here uses. The schema of the whole is not on the package
    index: a cluster that has it checks more (`kubectl apply --dry-run=server`)."""

    api_version: Literal["gateway.networking.k8s.io/v1"]
    kind: Literal["HTTPRoute"]
    metadata: _Metadata
    spec: _RouteSpec


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_fits_the_schema_of_its_kind(rendered: Rendered, version: str) -> None:
    assert rendered
    for manifest in rendered:
        if manifest["kind"] == "HTTPRoute":
            _Route.model_validate(manifest)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_is_none_is_refused(rendered: Rendered) -> None:
    for manifest in rendered:
        if manifest["kind"] in {"ConfigMap", "HTTPRoute"}:
            continue
        wrong = manifest | {"spec": manifest["spec"] | {"terminationGrace": 1}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_the_folder_of_these_rules_does_not_hide_the_library_of_the_same_name() -> None:
    assert callable(docker.from_env)
