"""What a service's process holds for all requests, from its start to its stop."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from shared.http.access import Access
from shared.http.cached import CachedBody
from shared.http.metrics import Metrics, open_metrics
from shared.ports.backend import Backend
from shared.registry import Service
from shared.rules.cursors import Cursors
from shared.rules.event_ids import EventIds
from shared.settings import Settings
from shared.work.activity import ActivityBuffer, open_activity
from shared.work.feed import Feed, open_feed
from shared.work.files import Files, open_files
from shared.work.mail import Mailer, open_mailer
from shared.work.rooms import Rooms, open_rooms
from shared.work.stopping import Stopping, noticing_stop
from shared.work.sweep import sweeping


@dataclass(slots=True)
class State:
    """`stopping` is set when the process is told to stop: streams then end by themselves. `cpu` has one
    thread: work that holds the interpreter is no faster in several, and would starve the event loop."""

    service: Service
    settings: Settings
    backend: Backend
    cursors: Cursors
    access: Access | None
    database_version: str
    dashboard: CachedBody
    stopping: Stopping
    cpu: ThreadPoolExecutor
    cpu_turn: asyncio.Lock
    files: Files
    activity: ActivityBuffer
    mailer: Mailer | None
    feed: Feed
    rooms: Rooms
    metrics: Metrics


@asynccontextmanager
async def open_state(service: Service, settings: Settings) -> AsyncIterator[State]:
    """What is opened last is closed first: streams end, what is buffered is written, then the pools close."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stopping = stack.enter_context(noticing_stop(settings.shutdown_grace))
        backend = await enter(service.open_backend(settings))
        cpu = ThreadPoolExecutor(1, "cpu")
        stack.callback(cpu.shutdown, wait=False, cancel_futures=True)
        files = await enter(open_files(settings, service.name, await backend.secret("files")))
        closing = 2 * settings.pool_timeout
        activity = await enter(open_activity(backend, stopping, closing))
        mailer = await enter(open_mailer(backend, settings, stopping, closing))
        feed = await enter(
            open_feed(backend, EventIds(await backend.secret("events")), settings.announce_seconds)
        )
        rooms = await enter(open_rooms(backend, feed, settings.client_lease))
        await enter(sweeping(backend, files, settings))
        stack.callback(stopping.set)
        yield State(
            service=service,
            settings=settings,
            backend=backend,
            cursors=Cursors(await _cursor_secret(backend, settings)),
            access=Access(settings.auth_secret.get_secret_value()) if settings.auth_secret else None,
            database_version=await backend.database_version(),
            dashboard=CachedBody(settings.dashboard_ttl),
            stopping=stopping,
            cpu=cpu,
            cpu_turn=asyncio.Lock(),
            files=files,
            activity=activity,
            mailer=mailer,
            feed=feed,
            rooms=rooms,
            metrics=await enter(open_metrics(backend, activity, mailer, feed, rooms)),
        )


async def _cursor_secret(backend: Backend, settings: Settings) -> bytes:
    given = settings.cursor_secret or settings.auth_secret
    return given.get_secret_value().encode() if given else await backend.secret("cursor")
