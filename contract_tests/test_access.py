"""Who may do what, with a secret and without one (SEC-1, SEC-2)."""

import asyncio
import base64
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from socket import AF_INET
from typing import Any, Final

import jwt
import psutil
import pytest
from api import Api
from builders import new_user, unique_word
from expectations import Json, expect_problem, expect_user
from talkers import Talker, connected, open_socket
from targets import Target

from assay.stand import Stand

SECRET: Final = "a secret of the tests, long enough to sign with"
OTHER: Final = "another secret, which is just as long as the first"
LOOPBACK_ONLY: Final = ("0.0.0.0", "::", "192.0.2.1")
NOBODY: Final = "01890000-0000-7000-8000-000000000000"


def _token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A valid token, one claim changed by keyword; None leaves it out."""
    given = {"sub": "ada", "scope": "read write", "exp": int(time.time()) + 3_600, **claims}
    kept = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(kept, secret, algorithm)


def _bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {_token(**claims)}"}


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _signed(header: str, payload: str) -> str:
    signature = hmac.digest(SECRET.encode(), f"{header}.{payload}".encode(), "sha256")
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


CLAIMS: Final = {"sub": "ada", "scope": "read write", "exp": 4_000_000_000}
HEADER: Final = _part({"alg": "HS256", "typ": "JWT"})

REFUSED: Final[dict[str, str]] = {
    "no scheme": _token(),
    "another scheme": f"Basic {_token()}",
    "the scheme alone": "Bearer",
    "no token at all": "Bearer x",
    "two tokens": f"Bearer {_token()}, Bearer {_token()}",
    "expired": f"Bearer {_token(exp=int(time.time()) - 1)}",
    "no expiry": f"Bearer {_token(exp=None)}",
    "an expiry in words": f"Bearer {_signed(HEADER, _part({**CLAIMS, 'exp': 'never'}))}",
    "an endless expiry": f"Bearer {_signed(HEADER, _part({**CLAIMS, 'exp': float('inf')}))}",
    "no subject": f"Bearer {_token(sub=None)}",
    "a number as subject": f"Bearer {_signed(HEADER, _part({**CLAIMS, 'sub': 5}))}",
    "another secret": f"Bearer {_token(secret=OTHER)}",
    "another algorithm": f"Bearer {_token(secret=SECRET * 2, algorithm='HS512')}",
    "alg none": f"Bearer {_part({'alg': 'none', 'typ': 'JWT'})}.{_part(CLAIMS)}.",
    "alg None, signed": f"Bearer {_signed(_part({'alg': 'None'}), _part(CLAIMS))}",
    "a broken signature": f"Bearer {_token()[:-4]}AAAA",
    "no signature": f"Bearer {_token().rpartition('.')[0]}.",
    "claims that are no object": f"Bearer {_signed(HEADER, _part(['ada']))}",
    "a header without bottom": f"Bearer {_part({'alg': [[]]})[:8]}{'W1tb' * 1000}.x.y",
    "a huge token": f"Bearer {'x' * 20_000}",
    "a huge claim": f"Bearer {_token(more='x' * 9_000)}",
    "letters of no alphabet": "Bearer \xe9\xff.\xe9.\xe9",
}


@pytest.fixture(scope="module")
async def guarded(target: Target, second_stand: Stand | None) -> AsyncIterator[Api]:
    """A service with a secret."""
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL has secrets that are not ours")
    environment = {"AUTH_SECRET": SECRET}
    running = await second_stand.start_service(target.service, name="guarded", environment=environment)
    async with Api(target.name, running.url) as client:
        yield client
        assert list(client.misfits) == []
    await running.stop()


def _expect_unauthorized(response: Any) -> None:
    expect_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/info", "/openapi.json"])
async def test_what_runs_a_service_needs_no_token(guarded: Api, path: str) -> None:
    assert (await guarded.get(path)).status_code == 200
    assert (await guarded.get(path, headers={"Authorization": "Bearer x"})).status_code == 200


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users"),
        ("HEAD", "/users"),
        ("POST", "/users"),
        ("GET", "/documents"),
        ("GET", "/dashboard"),
        ("GET", "/events"),
        ("GET", "/metrics"),
        ("GET", "/users/export?format=csv"),
        ("POST", f"/users/{NOBODY}/actions"),
        ("GET", "/nothing"),
        ("DELETE", "/users"),
        ("PATCH", "/users/x"),
        ("GET", "/livez/"),
        ("GET", "//livez"),
    ],
)
async def test_without_a_token_everything_else_is_unauthorized(guarded: Api, method: str, path: str) -> None:
    response = await guarded.request(method, path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.clause("SEC-1", "GEN-4")
@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_good_token_is_unauthorized(guarded: Api, authorization: str) -> None:
    headers = {"Authorization": authorization.encode("latin-1")}
    _expect_unauthorized(await guarded.get("/users", headers=headers))


@pytest.mark.clause("SEC-1", "GEN-4", "GEN-13")
@pytest.mark.parametrize("subject", ["\ud800", "a\x00b"], ids=["half a pair", "NUL"])
async def test_a_subject_that_no_database_holds_is_no_subject(guarded: Api, subject: str) -> None:
    headers = _bearer(sub=subject) | {"Idempotency-Key": unique_word()}
    _expect_unauthorized(await guarded.post("/users", json=new_user(), headers=headers))


@pytest.mark.clause("SEC-1")
async def test_two_authorization_headers_are_none(guarded: Api) -> None:
    headers = [("Authorization", f"Bearer {_token()}"), ("Authorization", f"Bearer {_token()}")]
    _expect_unauthorized(await guarded.get("/users", headers=headers))


@pytest.mark.clause("SEC-1")
async def test_a_token_is_no_longer_valid_when_it_expires(guarded: Api) -> None:
    headers = _bearer(exp=int(time.time()) + 3)
    assert (await guarded.get("/users", headers=headers)).status_code == 200
    await asyncio.sleep(3.2)
    _expect_unauthorized(await guarded.get("/users", headers=headers))


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_token_reads_and_writes(guarded: Api, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {_token()}"}
    user = expect_user(await guarded.post("/users", json=new_user(), headers=headers), 201)
    expect_user(await guarded.get(f"/users/{user['id']}", headers=headers))


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize("scope", ["write", "", None, "reader", "READ", "read,write", ["read", "write"]])
async def test_reading_needs_the_scope_read(guarded: Api, scope: Any) -> None:
    for path in ("/users", "/metrics", f"/users/{NOBODY}"):
        response = await guarded.get(path, headers=_bearer(scope=scope))
        expect_problem(response, 403, "forbidden")


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize("scope", ["read", "", None, "read writer"])
async def test_writing_needs_the_scope_write(guarded: Api, scope: Any) -> None:
    headers = _bearer(scope=scope)
    expect_problem(await guarded.post("/users", json=new_user(), headers=headers), 403, "forbidden")
    expect_problem(await guarded.delete(f"/users/{NOBODY}", headers=headers), 403, "forbidden")


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize("scope", ["read", "read other", "write read"])
async def test_one_scope_is_enough_to_read_and_others_do_no_harm(guarded: Api, scope: str) -> None:
    assert (await guarded.get("/users", headers=_bearer(scope=scope))).status_code == 200


ORDER: Final[dict[str, tuple[str, str, Json, int]]] = {
    "404 before 403": ("GET", "/nothing", {}, 404),
    "405 before 403": ("DELETE", "/users", {}, 405),
    "415 before 403": ("POST", "/users", {"content": b"{}"}, 415),
    "400 before 403": (
        "POST",
        "/users",
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        400,
    ),
    "422 before 403": ("POST", "/users", {"json": {}}, 422),
    "403 before the missing row": ("GET", f"/users/{NOBODY}", {}, 403),
}


@pytest.mark.clause("SEC-1")
@pytest.mark.parametrize(("method", "path", "options", "status"), ORDER.values(), ids=ORDER.keys())
async def test_access_is_checked_in_the_contracts_order(
    guarded: Api, method: str, path: str, options: Json, status: int
) -> None:
    headers = {**options.get("headers", {}), **_bearer(scope="")}
    response = await guarded.request(method, path, **{**options, "headers": headers})
    assert response.status_code == status, response.text


@pytest.mark.clause("SEC-1", "GEN-13")
async def test_an_idempotency_key_belongs_to_its_subject(guarded: Api) -> None:
    key, body = {"Idempotency-Key": unique_word()}, new_user()
    first = await guarded.post("/users", json=body, headers={**_bearer(), **key})
    again = await guarded.post("/users", json=body, headers={**_bearer(), **key})
    other = await guarded.post("/users", json=body, headers={**_bearer(sub="eve"), **key})
    assert (first.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    expect_problem(other, 409, "email-taken")


def _run(target: Target, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    assert target.service is not None
    command = [sys.executable, "-m", target.service.module, *arguments]
    own = {name: value for name, value in os.environ.items() if name != "AUTH_SECRET"}
    return subprocess.run(
        command, env=own | environment, capture_output=True, text=True, timeout=20, check=False
    )


async def _expect_refusal(named: str, target: Target, *arguments: str, **environment: str) -> None:
    ended = await asyncio.to_thread(_run, target, *arguments, **environment)
    assert ended.returncode == 2, ended
    (line,) = ended.stderr.splitlines()
    assert named in line


@pytest.fixture
def runnable(target: Target) -> Target:
    """A backend whose program is here."""
    if target.url is not None or target.service is None:
        pytest.skip("what runs behind a URL is not ours to start")
    return target


@pytest.mark.clause("SEC-2")
@pytest.mark.parametrize("host", LOOPBACK_ONLY)
async def test_without_a_secret_only_loopback_is_served(runnable: Target, host: str) -> None:
    await _expect_refusal("AUTH_SECRET", runnable, "serve", "--host", host, "--port", "9")


@pytest.mark.clause("SEC-1", "SEC-2")
async def test_a_short_secret_is_refused(runnable: Target) -> None:
    await _expect_refusal("AUTH_SECRET", runnable, "serve", AUTH_SECRET="x" * 31)


@pytest.mark.clause("SEC-2")
async def test_with_a_secret_any_address_is_served(runnable: Target, own_stand: Stand) -> None:
    assert runnable.service is not None
    command = [sys.executable, "-m", runnable.service.module, "serve", "--host", "0.0.0.0"]
    environment = {**own_stand.databases.url_for(runnable.service), "AUTH_SECRET": SECRET}
    running = await own_stand.start_process("open", command, environment)
    async with Api(runnable.name, running.url) as client:
        _expect_unauthorized(await client.get("/users"))
    await running.stop()


@pytest.mark.clause("SEC-2")
async def test_without_a_secret_only_loopback_is_served_under_a_server_of_ones_own(
    runnable: Target, own_stand: Stand
) -> None:
    assert runnable.service is not None
    command = [sys.executable, "-m", "uvicorn", f"{runnable.service.module}.app:app", "--host", "0.0.0.0"]
    environment = own_stand.databases.url_for(runnable.service)
    running = await own_stand.start_process("exposed", command, environment)
    exposed = running.url.replace("127.0.0.1", _address_of_this_machine())
    async with Api(runnable.name, running.url) as near, Api(runnable.name, exposed) as far:
        assert (await near.get("/users")).status_code == 200
        _expect_unauthorized(await far.get("/users"))
        assert (await far.get("/livez")).status_code == 200
        async with connected(near) as talker:
            assert talker.id
        async with open_socket(far) as socket:
            assert await Talker(socket).closed() == 1008
    await running.stop()


def _address_of_this_machine() -> str:
    found = [one.address for card in psutil.net_if_addrs().values() for one in card if one.family == AF_INET]
    others = [address for address in found if not address.startswith("127.")]
    if not others:
        pytest.skip("the machine has no other address")
    return others[0]
