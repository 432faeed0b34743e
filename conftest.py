"""Tests of `shared` are named by their folder, which pytest would take for the package of that name."""

import shared.registry  # noqa: F401 - so that the package is there first
