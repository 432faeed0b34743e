"""Tests of `shared` and of `docker` are named by their folder, which pytest would take for the package."""

import docker  # noqa: F401 - the library, so that the package is there first
import shared.registry  # noqa: F401
