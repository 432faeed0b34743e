"""Workloads of the user's own: the files that are shipped, what is refused, and how the keys are spread."""

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import orjson
import pytest

from assay.measure.connection import Asked
from assay.measure.dataset import Rows
from assay.measure.mix import ranks, shape
from assay.measure.scenarios import Scenario, Target
from assay.measure.workload import load
from assay.stand import StandError

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = Rows([f"u{number}" for number in range(1_000)], [f"d{number}" for number in range(5_000)])
LEAST = 'name = "mine"\ntitle = "Mine"\n'
READS = '[[operation]]\nkind = "documents.get"\nweight = 1\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text)
    return file


def asked(scenario: Scenario, count: int, lane: int = 0) -> list[bytes | Asked]:
    source = scenario.source(Target("host", ROWS, lane), seed=5)
    return [source() for _ in range(count)]


def wire(request: bytes | Asked) -> bytes:
    return request if isinstance(request, bytes) else request.wire


def kind(request: bytes | Asked) -> str:
    method, path = wire(request).split(b" ")[:2]
    return f"{method.decode()} {re.split(rb'[?]|/d[0-9]', path)[0].decode()}"


@pytest.mark.parametrize(
    ("letter", "shares", "writes"),
    [
        ("a", {"GET /documents": 0.5, "PATCH /documents": 0.5}, True),
        ("b", {"GET /documents": 0.95, "PATCH /documents": 0.05}, True),
        ("c", {"GET /documents": 1.0}, False),
        ("d", {"GET /documents": 0.95, "POST /documents": 0.05}, True),
        ("e", {"GET /documents": 0.95, "POST /documents": 0.05}, True),
        # of two operations, three requests
        ("f", {"GET /documents": 2 / 3, "PATCH /documents": 1 / 3}, True),
    ],
)
def test_an_example_is_the_mix_of_its_letter(letter: str, shares: dict[str, float], writes: bool) -> None:
    workload = load(EXAMPLES / f"ycsb_{letter}.toml")
    scenario = workload.scenario()
    assert scenario.name == f"workload ycsb-{letter}"
    assert scenario.writes is writes
    assert scenario.look is (shape if writes else None)
    assert workload.rows.content_bytes == (1_000, 1_000)
    found = Counter(map(kind, asked(scenario, 4_000)))
    assert set(found) == set(shares)
    assert all(found[name] / 4_000 == pytest.approx(share, abs=0.03) for name, share in shares.items())


def test_every_example_is_tested() -> None:
    assert {file.name for file in EXAMPLES.glob("*.toml")} == {f"ycsb_{letter}.toml" for letter in "abcdef"}


@pytest.mark.parametrize("letter", "abcdef")
def test_arms_get_the_same_kinds_in_the_same_order(letter: str) -> None:
    scenario = load(EXAMPLES / f"ycsb_{letter}.toml").scenario()
    first, second = (list(map(kind, asked(scenario, 500, lane))) for lane in (0, 1))
    assert first == second


@pytest.mark.parametrize("theta", [0.0, 0.5, 0.99, 1.5])
def test_ranks_are_spread_as_zipf_says(theta: float) -> None:
    """Pearson's chi-square: as far from the expected counts as chance brings it, and no further."""
    count, draws = 200, 100_000
    seen = np.bincount(list(islice(ranks(count, theta, Random(11)), draws)), minlength=count)
    weights = 1 / np.arange(1, count + 1) ** theta
    expected = draws * weights / weights.sum()
    distance = float(((seen - expected) ** 2 / expected).sum())
    assert distance < count + 5 * (2 * count) ** 0.5


def test_reads_and_updates_have_the_same_hot_rows_whatever_the_seed() -> None:
    scenario = load(EXAMPLES / "ycsb_a.toml").scenario()
    hot: dict[str, str] = {}
    for number, method in enumerate(("GET", "PATCH")):
        source = scenario.source(Target("host", ROWS, 0), seed=number)
        seen: Counter[str] = Counter()
        for request in (source() for _ in range(4_000)):
            if isinstance(request, Asked):  # answered at once, so that its row is free again
                request.on_answer(200, b'HTTP/1.1 200 OK\r\netag: "2"', b"")
            words = wire(request).decode().split(" ")
            if words[0] == method:
                seen[words[1]] += 1
        hot[method], times = seen.most_common(1)[0]
        assert times > 0.05 * sum(seen.values())
    assert hot["GET"] == hot["PATCH"]


def test_a_row_is_not_written_again_before_its_answer_came_and_then_with_its_etag() -> None:
    source = load(EXAMPLES / "ycsb_a.toml").scenario().source(Target("host", ROWS, 2), seed=1)
    patches = [request for request in (source() for _ in range(800)) if isinstance(request, Asked)]
    paths = [request.wire.split(b" ")[1] for request in patches]
    assert len(set(paths)) == len(paths)
    assert set(paths) <= {b"/documents/" + row.encode() for row in ROWS.lane(2)}
    for request in patches:
        request.on_answer(200, b'HTTP/1.1 200 OK\r\nETag: "7"\r\nx: y', b"")
    later = [request.wire for request in (source() for _ in range(400)) if isinstance(request, Asked)]
    known = [one for one in later if one.split(b" ")[1] in paths]
    assert known
    assert all(b'if-match: "7"' in one for one in known)


def test_a_row_whose_etag_was_wrong_is_left_alone() -> None:
    source = load(EXAMPLES / "ycsb_a.toml").scenario().source(Target("host", ROWS, 0), seed=1)
    stale, seen = b"", 0
    for request in (source() for _ in range(2_000)):
        if not isinstance(request, Asked):
            continue
        path = request.wire.split(b" ")[1]
        stale = stale or path
        seen += path == stale
        request.on_answer(412 if path == stale else 200, b'HTTP/1.1 200 OK\r\netag: "2"', b"")
    assert seen == 1


def test_a_write_back_goes_by_what_was_read() -> None:
    source = load(EXAMPLES / "ycsb_f.toml").scenario().source(Target("host", ROWS, 0), seed=1)
    read: dict[bytes, int] = {}
    written_back = 0
    for number in range(600):
        request = source()
        if not isinstance(request, Asked):
            continue
        method, path = request.wire.split(b" ")[:2]
        if method == b"GET":
            read[path] = number
            body = orjson.dumps({"content": {"size": number}})
            request.on_answer(200, b'HTTP/1.1 200 OK\r\netag: "%d"' % number, body)
        else:
            sent = orjson.loads(request.wire.partition(b"\r\n\r\n")[2])
            assert sent == {"content": {"size": read[path] + 1}}
            assert b'if-match: "%d"' % read[path] in request.wire
            request.on_answer(200, b'HTTP/1.1 200 OK\r\netag: "1000"', b"")
            written_back += 1
    assert written_back > 100


def test_the_latest_are_read_most_and_are_those_that_were_made() -> None:
    source = load(EXAMPLES / "ycsb_d.toml").scenario().source(Target("host", ROWS, 0), seed=1)
    read: Counter[bytes] = Counter()
    for number in range(4_000):
        request = source()
        if isinstance(request, Asked):
            request.on_answer(201, b"HTTP/1.1 201 Created", orjson.dumps({"id": f"new{number}"}))
        else:
            read[request.split(b" ")[1]] += 1
    new = sum(times for path, times in read.items() if path.startswith(b"/documents/new"))
    assert new > 0.4 * read.total()


def test_shapes_are_alike_where_only_values_differ() -> None:
    one = {"id": "x", "version": 1, "content": {"score": 1.5, "ok": True, "none": None}, "tags": ["a"]}
    other = {"id": "y", "version": 9, "content": {"score": 2, "ok": False, "none": None}, "tags": ["b", "c"]}
    assert shape(one) == shape(other)
    assert shape(one) != shape({**one, "version": "1"})
    assert shape(one) != shape({name: value for name, value in one.items() if name != "tags"})
    assert shape({"items": [one], "next_cursor": "x"}) == shape({"items": [other] * 2, "next_cursor": None})


def test_what_is_left_out_has_its_usual_value(tmp_path: Path) -> None:
    workload = load(written(tmp_path, LEAST + READS))
    assert (workload.rows.users, workload.rows.documents, workload.rows.content_bytes) == (
        10_000,
        50_000,
        None,
    )
    assert (workload.keys.exponent, workload.load.connections, workload.load.think_ms) == (0.0, 16, 0.0)
    ranged = load(written(tmp_path, f"{LEAST}[rows]\ncontent_bytes = [300, 900]\n{READS}"))
    assert ranged.rows.content_bytes == (300, 900)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name =", r"mine\.toml: is no TOML: Invalid value \(at end of document\)\.$"),
        (READS, r"mine\.toml: name: is missing\.$"),
        (LEAST, r"mine\.toml: operation: is missing\.$"),
        (LEAST + "operation = []", r"operation: List should have at least 1 item"),
        (
            LEAST + "[row]\n" + READS,
            r"row: there is no such key; write name, title, rows, keys, load, operation",
        ),
        (
            LEAST + "[keys]\nskw = 1\n" + READS,
            r"keys\.skw: there is no such key; write skew, theta\.$",
        ),
        (
            LEAST + '[keys]\nskew = "hot"\n' + READS,
            r"keys\.skew: should be 'uniform', 'zipf' or 'latest', not 'hot'\.$",
        ),
        (LEAST + "[keys]\ntheta = 0.5\n" + READS, r'keys: theta is for skew = "zipf" or "latest"\.$'),
        (
            LEAST + '[[operation]]\nkind = "documents.read"\nweight = 1',
            r"operation\.1\.kind: should be 'users\.get',",
        ),
        (
            LEAST + READS + '[[operation]]\nkind = "users.get"\nweight = 0',
            r"operation\.2\.weight: should be greater than 0, not 0\.$",
        ),
        (LEAST + READS + READS, r"mine\.toml: every kind of operation may stand there once\.$"),
        (
            LEAST + "[rows]\nusers = 10\n" + READS,
            r"rows\.users: should be greater than or equal to 1000, not 10",
        ),
        (LEAST + '[rows]\nusers = "10"\n' + READS, r"rows\.users: should be a valid integer, not '10'\.$"),
        (
            LEAST + "[rows]\ncontent_bytes = 5\n" + READS,
            r"rows\.content_bytes\.1: should be greater than or equal",
        ),
        (
            LEAST + "[rows]\ncontent_bytes = [900, 300]\n" + READS,
            r"rows: content_bytes must be \[least, largest\]",
        ),
        (
            LEAST + "[rows]\ndocuments = 1000\n[load]\nconnections = 64\n[[operation]]\n"
            'kind = "documents.patch"\nweight = 1',
            r"rows\.documents must be 2560 at least, so that 64 connections find a row to update\.$",
        ),
        (
            LEAST + "[load]\nthink_ms = -1\n" + READS,
            r"load\.think_ms: should be greater than or equal to 0, not -1",
        ),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_key(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(StandError, match=line) as refused:
        load(written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StandError, match=r"none\.toml: cannot be read: No such file or directory\.$"):
        load(tmp_path / "none.toml")
