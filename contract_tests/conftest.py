"""The frame of the suite: options, the stand, the clause marker, one worker per backend, the conformance."""

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

# the suite is no package: its modules are found beside this file, in xdist's workers too
sys.path.insert(0, str(Path(__file__).parent))

import clauses
from api import Api
from conformance import Run
from distribution import OneWorkerPerBackend
from reporting import Reporting, clauses_of, target_of
from service_log import ServiceLog
from targets import QUIET_DASHBOARD_TTL, StandThread, Target, check_answers, chosen_targets, given_token

from assay.stand import Database, RunningService, Stand, StandOptions, open_stand

HERE: Final = Path(__file__).parent
PARITY: Final = HERE / "parity"

TARGETS: Final = pytest.StashKey[list[Target]]()
STAND: Final = pytest.StashKey[StandThread]()
LOGS: Final = pytest.StashKey[dict[str, Path]]()
RUN: Final = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract")
    group.addoption("--service", action="append", default=[], metavar="NAME", help="test it (repeatable)")
    group.addoption(
        "--api-url", action="append", default=[], metavar="NAME=URL", help="test what runs there (repeatable)"
    )
    group.addoption(
        "--token",
        metavar="TOKEN",
        help="send it with every request; CONTRACT_TOKEN in the environment does too",
    )
    group.addoption("--docker", action="store_true", help="run the databases in containers")
    group.addoption(
        "--conformance", default="conformance.json", metavar="FILE", help="where the outcome is written"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """As many workers as backends, unless the command line says how many."""
    options = config.option
    undecided = options.numprocesses is None and not options.usepdb and not options.collectonly
    if _worker_input(config) is not None or not undecided:
        return
    targets = chosen_targets(config)
    if len(targets) > 1:
        options.numprocesses = len(targets)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "clause(*ids): the clauses of CONTRACT.md that the test proves")
    config.addinivalue_line("markers", "last: runs after all other tests of its backend")
    config.stash[TARGETS] = chosen_targets(config)
    config.stash[RUN] = Run(backends=[target.name for target in config.stash[TARGETS]])
    given = frozenset(target.name for target in config.stash[TARGETS] if target.url is not None)
    told = _worker_input(config)
    logs = {} if told is None else {name: Path(log) for name, log in told["logs"].items()}
    config.stash[LOGS] = logs
    config.pluginmanager.register(ServiceLog(logs), "contract-service-log")
    config.pluginmanager.register(Reporting(config, config.stash[RUN], HERE, given), "contract-reporting")


# -- the stand


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Starts the stand before any worker; the workers get its URLs in their input."""
    config = session.config
    if _worker_input(config) is not None or config.option.collectonly:
        return
    targets = config.stash[TARGETS]
    check_answers(targets, given_token(config))
    if config.option.dist != "no":
        _services(config)


def pytest_configure_node(node: Any) -> None:
    running = _services(node.config)
    node.workerinput["urls"] = {name: service.url for name, service in running.items()}
    node.workerinput["logs"] = {name: str(log) for name, log in node.config.stash[LOGS].items()}


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneWorkerPerBackend:
    return OneWorkerPerBackend(config, log, [target.name for target in config.stash[TARGETS]])


def _services(config: pytest.Config) -> Mapping[str, RunningService]:
    """The services of the stand, by backend; starts it if it does not run yet."""
    targets = config.stash[TARGETS]
    wanted = [target.service for target in targets if target.url is None and target.service is not None]
    if not wanted:
        return {}
    if STAND not in config.stash:
        # the services inherit it; GEN-7 is proved on the answers
        os.environ["SERVER_TIMING"] = "1"
        options = StandOptions(docker=config.getoption("--docker"), durable=False)
        config.stash[STAND] = StandThread(wanted, options)
        config.stash[STAND].start()
    running = config.stash[STAND].services()
    config.stash[LOGS].update({name: service.log for name, service in running.items()})
    return running


def pytest_unconfigure(config: pytest.Config) -> None:
    if STAND in config.stash:
        config.stash[STAND].stop()


# -- collecting


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if HERE in metafunc.definition.path.parents:
        _check_clauses(metafunc.definition)
    if "target" in metafunc.fixturenames:
        targets = metafunc.config.stash[TARGETS]
        names = [target.name for target in targets]
        metafunc.parametrize("target", targets, ids=names, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    are_given = all(target.url is not None for target in config.stash[TARGETS])
    for item in items:
        if HERE in item.path.parents:
            _apply_gaps(item)
        if are_given and PARITY in item.path.parents and target_of(item) is None:
            item.add_marker(pytest.mark.skip(reason="the run is about what runs behind URLs"))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def _check_clauses(item: pytest.Item) -> None:
    proved = clauses_of(item)
    # what holds the repository to its own promises proves no clause
    if not proved and PARITY not in item.path.parents:
        pytest.fail(f"{item.nodeid}: say which clauses it proves: @pytest.mark.clause(…)", pytrace=False)
    if unknown := set(proved) - set(clauses.written()):
        pytest.fail(f"{item.nodeid}: no such clauses in CONTRACT.md: {sorted(unknown)}", pytrace=False)


def _apply_gaps(item: pytest.Item) -> None:
    target = target_of(item)
    gaps = target.gaps if target else {}
    reasons = [gaps[clause] for clause in clauses_of(item) if clause in gaps]
    if reasons:
        item.add_marker(pytest.mark.xfail(reason="; ".join(reasons), strict=True))


# -- the fixtures


@pytest.fixture(scope="session")
def urls(pytestconfig: pytest.Config) -> Mapping[str, str]:
    """Base URLs of all chosen backends by name."""
    given = {target.name: target.url for target in pytestconfig.stash[TARGETS] if target.url is not None}
    told = _worker_input(pytestconfig)
    if told is not None:
        return {**given, **told["urls"]}
    return given | {name: service.url for name, service in _services(pytestconfig).items()}


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The backend that a test is run for."""
    chosen = request.param
    assert isinstance(chosen, Target)
    return chosen


@pytest.fixture(scope="session")
async def apis(pytestconfig: pytest.Config, urls: Mapping[str, str]) -> AsyncIterator[Mapping[str, Api]]:
    """Clients of all chosen backends by name."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(_counted(pytestconfig, name, url))
            for name, url in urls.items()
        }


@pytest.fixture(scope="session")
async def api(pytestconfig: pytest.Config, urls: Mapping[str, str], target: Target) -> AsyncIterator[Api]:
    """The client of the backend that a test is run for."""
    async with _counted(pytestconfig, target.name, urls[target.name]) as client:
        yield client


@pytest.fixture(scope="session")
async def second_stand(pytestconfig: pytest.Config, target: Target) -> AsyncIterator[Stand | None]:
    """Like the run's stand, but durable, and for this backend's tests alone; None if only a URL is known."""
    if target.url is not None or target.service is None:
        yield None
        return
    options = StandOptions(docker=pytestconfig.getoption("--docker"))
    async with open_stand([target.service], options) as stand:
        yield stand


@pytest.fixture
def own_stand(second_stand: Stand | None) -> Stand:
    """A durable stand whose processes a test may kill, if it starts them again."""
    if second_stand is None:
        pytest.skip("what runs behind a URL is not ours to stop")
    return second_stand


@pytest.fixture
async def mortal(own_stand: Stand, target: Target) -> AsyncIterator[Database]:
    """The backend's server, which a test may kill: it runs again for the next, whatever became of this."""
    assert target.service is not None
    database = own_stand.databases.of(target.service)
    if not database.is_ours:
        pytest.skip("the database is not ours to kill")
    yield database
    await database.start()


@pytest.fixture(scope="session")
async def quiet_api(
    pytestconfig: pytest.Config, api: Api, target: Target, second_stand: Stand | None
) -> AsyncIterator[Api]:
    """A service whose database no other test writes to meanwhile."""
    if second_stand is None or target.service is None:
        yield api
        return
    environment = {"DASHBOARD_TTL": str(QUIET_DASHBOARD_TTL)}
    running = await second_stand.start_service(target.service, name="quiet", environment=environment)
    async with _counted(pytestconfig, target.name, running.url) as quiet:
        yield quiet


@asynccontextmanager
async def _counted(config: pytest.Config, name: str, url: str) -> AsyncIterator[Api]:
    """A client whose answers count for the backend in the end."""
    async with Api(name, url, given_token(config)) as client:
        yield client
    config.stash[RUN].count(name, client.answers)


def _worker_input(config: pytest.Config) -> Mapping[str, Any] | None:
    """What xdist gave this worker; None in the process that started the workers, or if there are none."""
    given: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    return given
