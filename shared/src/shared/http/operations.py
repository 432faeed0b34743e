"""The routes that tell of the service itself (OPS)."""

import asyncio
from importlib.metadata import version

import orjson
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import TypeAdapter

from shared.errors import Unavailable
from shared.http.answers import Answers
from shared.http.call import Answer, Call
from shared.http.description import describe
from shared.http.routing import Routes
from shared.schemas.operations import Health, Info, Versioned

CONTRACT_VERSION = "1.0"
READY_WITHIN = 1.0
"""Seconds in which the database must answer."""

router = Routes("operations")

_INFO = TypeAdapter(Info)
_HEALTHY = b'{"status":"ok"}'


@router.get("/livez", Answers(200, Health))
async def get_liveness(call: Call) -> Answer:
    """OPS-1: no look at the database."""
    return Answer(200, _HEALTHY)


@router.get("/readyz", Answers(200, Health))
async def get_readiness(call: Call) -> Answer:
    """OPS-1"""
    # a ping to a frozen server cannot be cancelled in time: it is left to its own time-outs
    ping = asyncio.ensure_future(call.backend.ping())
    done, _ = await asyncio.wait({ping}, timeout=READY_WITHIN)
    if not done:
        ping.add_done_callback(lambda late: late.cancelled() or late.exception())
        raise Unavailable
    ping.result()
    return Answer(200, _HEALTHY)


@router.get("/info", Answers(200, Info))
async def get_info(call: Call) -> Answer:
    """OPS-2"""
    service = call.state.service
    database = Versioned(service.database, call.state.database_version)
    info = Info(service.name, Versioned(service.layer, version(service.layer)), database, CONTRACT_VERSION)
    return Answer(200, _INFO.dump_json(info))


@router.get("/metrics", Answers(200, None, media_types=("text/plain",)))
async def get_metrics(call: Call) -> Answer:
    """OPS-3"""
    return Answer(200, call.state.metrics.exposed(), [(b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())])


@router.get("/openapi.json", Answers(200, None))
async def get_description(call: Call) -> Answer:
    """OPS-6"""
    return Answer(200, orjson.dumps(describe(call.scope["app"])))
