import pytest
from rendering import FOLDERS, Rendered, render


@pytest.fixture(params=FOLDERS)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return render(request.param)


@pytest.fixture(params=FOLDERS[1:])
def overlay(request: pytest.FixtureRequest) -> Rendered:
    """What runs: the base by itself names no service."""
    return render(request.param)
