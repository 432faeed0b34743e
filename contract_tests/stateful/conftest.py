"""Options of the random sequences."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("contract").addoption(
        "--sequences", type=int, default=100, metavar="N", help="how many random sequences to send"
    )
