"""Random sequences of operations, sent to all chosen services in step: nobody can tell them apart (GEN-14).

`pytest contract_tests/stateful --sequences N` sends more of them; `--hypothesis-seed` replays a run.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from stateful.attachments import Attachments
from stateful.outputs import Outputs
from stateful.repeats import Repeats
from stateful.siblings import Siblings
from targets import given_token

SEQUENCES: Final = 50
"""How many, where no command line can say it: the option is known in a run of this folder alone."""

STEPS: Final = 12


class ServicesInStep(Attachments, Outputs, Repeats):
    """All that any client may do."""


@pytest.mark.clause(
    "GEN-14",
    "GEN-6",
    "GEN-9",
    "GEN-10",
    "GEN-13",
    "USR-2",
    "USR-4",
    "USR-5",
    "DOC-3",
    "DOC-4",
    "DOC-5",
    "DOC-6",
    "DOC-8",
    "FIL-1",
    "FIL-2",
    "BG-1",
    "EXP-1",
    "EXP-2",
    "EVT-1",
    "EVT-2",
    "EVT-3",
)
def test_random_sequences_are_answered_alike_by_all_services(
    urls: Mapping[str, str], pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    given = pytestconfig.getoption("--hypothesis-seed")
    chosen = int(given) if given is not None else secrets.randbits(32)
    record_property("seed", chosen)
    with Siblings(urls, given_token(pytestconfig)) as siblings:
        machine = type("Machine", (ServicesInStep,), {"siblings": siblings})
        bounds = settings(
            max_examples=pytestconfig.getoption("--sequences", SEQUENCES),
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        try:
            run_state_machine_as_test(seed(chosen)(machine), settings=bounds)
        except BaseException as error:
            error.add_note(f"replay with --hypothesis-seed={chosen}")
            raise
