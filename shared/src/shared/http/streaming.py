"""Sends bodies while they are made."""

import asyncio
import logging

from starlette.types import Receive, Send

from shared.http.call import Call, Streamed

_log = logging.getLogger("assay.http")


async def send_stream(call: Call, answer: Streamed, send: Send) -> None:
    """The rest of a started answer. Where it cannot be made, or the client stops reading it for
    `stall_timeout` seconds, the connection is closed without the end that a whole body has."""
    chunks = answer.chunks
    if chunks is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    sending = asyncio.ensure_future(_pass_on(answer, call.state.settings.stall_timeout, send))
    leaving = asyncio.ensure_future(_hung_up(call.receive))
    cutting = asyncio.ensure_future(answer.cut.wait())
    try:
        await asyncio.wait({sending, leaving, cutting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving, cutting):
            task.cancel()
        await asyncio.wait({sending, leaving, cutting})
        await chunks.aclose()
    if not sending.cancelled() and (error := sending.exception()) is not None:
        _log.warning("request %s was broken off: %r", call.request_id.decode(), error)


async def _pass_on(answer: Streamed, stall_timeout: float, send: Send) -> None:
    assert answer.chunks is not None
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    async for chunk in answer.chunks:
        async with asyncio.timeout(stall_timeout):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    async with asyncio.timeout(stall_timeout):
        await send({"type": "http.response.body", "body": b""})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
