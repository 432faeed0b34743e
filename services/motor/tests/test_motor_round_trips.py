"""Round trips: what the layer says of itself, what the README says, and what went over the wire."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from assay.stand.relay import Relay, open_relay
from motor_service.database import Database, UnitOfWork, open_database
from shared.errors import EmailTaken, NotFound, PreconditionFailed, TransferConflict, UnknownOwner
from shared.rules import clock
from shared.rules.filters import Condition
from shared.schemas.documents import DocumentChange, DocumentListing, DocumentRecord
from shared.schemas.users import UserChange, UserListing, UserRecord
from shared.settings import Settings
from shared.trips import Trips, current_trips

_README = Path(__file__).parent.parent / "README.md"
_ROW = re.compile(r"^\| (\d) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile("`(.+?)`")
# more than the server answers at once where it is not told how many
_PAGE, _MANY = 201, 250
_NOBODY = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_NUMBERS = count()
_NOW = clock.now()
_RENAMED = UserChange(_NOW, name="Grace", name_key="grace")
_RETITLED = DocumentChange(_NOW, title="Two", title_key="two", title_words=["two"])
_OTHER_VERSION = frozenset({9})


class Scene:
    """Many users and many documents of the first, all at version 1."""

    def __init__(
        self, new_user: Callable[[str], UserRecord], new_document: Callable[..., DocumentRecord]
    ) -> None:
        self._new_user, self._new_document = new_user, new_document
        self.stored_users = self.users(_MANY)
        self.owner, self.other, *_ = self.stored_users
        self.stored_documents = self.documents(_MANY)
        self.document = self.stored_documents[0]

    async def store(self, work: UnitOfWork) -> None:
        await work.users.create_many(self.stored_users)
        await work.documents.create_many(self.stored_documents)

    def users(self, count: int) -> list[UserRecord]:
        return [self._new_user(f"ada{next(_NUMBERS)}") for _ in range(count)]

    def documents(self, count: int) -> list[DocumentRecord]:
        return [self._new_document(self.owner, "The cat", ["pet"], n=1) for _ in range(count)]

    @property
    def ownerless(self) -> DocumentRecord:
        return self._new_document(self._new_user("nobody"), "The cat")

    @property
    def listing(self) -> DocumentListing:
        return DocumentListing(
            sort="title",
            descending=True,
            after=("zz", _NOBODY),
            owner_id=self.owner.id,
            tags=tuple(self.document.tags),
            where=(Condition(("n",), "ge", 0),),
            words=(self.document.title_words[0],),
            limit=_PAGE,
        )


Step = Callable[[Scene, UnitOfWork], Awaitable[object]]


async def taken(scene: Scene, work: UnitOfWork) -> None:
    with pytest.raises(EmailTaken) as raised:
        await work.users.create_many([*scene.users(1), *scene.stored_users])
    assert raised.value.places == tuple(range(1, _MANY + 1))


async def ownerless(scene: Scene, work: UnitOfWork) -> None:
    with pytest.raises(UnknownOwner) as raised:
        await work.documents.create_many([*scene.documents(1), scene.ownerless])
    assert raised.value.places == (1,)


async def repeated(scene: Scene, work: UnitOfWork) -> None:
    await refused(EmailTaken, work.users.create_many(scene.users(1) * 2))


async def refused(kind: type[Exception], step: Awaitable[object]) -> None:
    with pytest.raises(kind):
        await step


async def found(rows: Awaitable[Sequence[object]]) -> None:
    assert len(await rows) == _PAGE


def retaken(scene: Scene, work: UnitOfWork) -> Awaitable[object]:
    change = UserChange(_NOW, email=scene.other.email, email_key=scene.other.email_key)
    return refused(EmailTaken, work.users.update(scene.owner.id, change, None))


def transfer(scene: Scene, work: UnitOfWork, to: UUID, *more: UUID) -> Awaitable[int]:
    ids = [*(document.id for document in scene.stored_documents), *more]
    return work.documents.transfer(ids, scene.owner.id, to, _NOW)


USERS = UserListing(sort="name", descending=False, after=("a", _NOBODY), prefix="ad", limit=_PAGE)
STEPS: dict[str, Step] = {
    "users.create": lambda scene, work: work.users.create(*scene.users(1)),
    "users.create of a taken e-mail": lambda scene, work: refused(EmailTaken, work.users.create(scene.owner)),
    "users.create_many": lambda scene, work: work.users.create_many(scene.users(_MANY)),
    "users.create_many of taken e-mails": taken,
    "users.create_many of repeated e-mails": repeated,
    "users.get": lambda scene, work: work.users.get(scene.owner.id),
    "users.list": lambda _, work: found(work.users.list(USERS)),
    "users.update": lambda scene, work: work.users.update(scene.owner.id, _RENAMED, frozenset({1})),
    "users.update of nothing": lambda scene, work: work.users.update(scene.owner.id, UserChange(_NOW), None),
    "users.update to the same": lambda scene, work: work.users.update(
        scene.owner.id, UserChange(_NOW, name=scene.owner.name, name_key=scene.owner.name_key), None
    ),
    "users.update to a taken e-mail": retaken,
    "users.update of another version": lambda scene, work: refused(
        PreconditionFailed, work.users.update(scene.owner.id, _RENAMED, _OTHER_VERSION)
    ),
    "users.delete": lambda scene, work: work.users.delete(scene.owner.id, None),
    "users.delete of another version": lambda scene, work: refused(
        PreconditionFailed, work.users.delete(scene.owner.id, _OTHER_VERSION)
    ),
    "users.delete of nobody": lambda _, work: refused(NotFound, work.users.delete(_NOBODY, None)),
    "documents.create": lambda scene, work: work.documents.create(*scene.documents(1)),
    "documents.create for nobody": lambda scene, work: refused(
        UnknownOwner, work.documents.create(scene.ownerless)
    ),
    "documents.create_many": lambda scene, work: work.documents.create_many(scene.documents(_MANY)),
    "documents.create_many for nobody": ownerless,
    "documents.get": lambda scene, work: work.documents.get(scene.document.id),
    "documents.get_with_owner": lambda scene, work: work.documents.get_with_owner(scene.document.id),
    "documents.list": lambda scene, work: found(work.documents.list(scene.listing)),
    "documents.list_with_owners": lambda scene, work: found(work.documents.list_with_owners(scene.listing)),
    "documents.count": lambda scene, work: work.documents.count(scene.owner.id),
    "documents.latest": lambda scene, work: found(work.documents.latest(scene.owner.id, _PAGE)),
    "documents.update": lambda scene, work: work.documents.update(
        scene.document.id, _RETITLED, frozenset({1})
    ),
    "documents.update of nothing": lambda scene, work: work.documents.update(
        scene.document.id, DocumentChange(_NOW), None
    ),
    "documents.update to the same": lambda scene, work: work.documents.update(
        scene.document.id, DocumentChange(_NOW, tags=scene.document.tags), None
    ),
    "documents.update of another version": lambda scene, work: refused(
        PreconditionFailed, work.documents.update(scene.document.id, _RETITLED, _OTHER_VERSION)
    ),
    "documents.delete": lambda scene, work: work.documents.delete(scene.document.id, None),
    "documents.delete of another version": lambda scene, work: refused(
        PreconditionFailed, work.documents.delete(scene.document.id, _OTHER_VERSION)
    ),
    "documents.transfer": lambda scene, work: transfer(scene, work, scene.other.id),
    "documents.transfer to the same owner": lambda scene, work: transfer(scene, work, scene.owner.id),
    "documents.transfer to nobody": lambda scene, work: refused(
        TransferConflict, transfer(scene, work, _NOBODY)
    ),
    "documents.transfer of too many": lambda scene, work: refused(
        TransferConflict, transfer(scene, work, scene.other.id, _NOBODY)
    ),
    "dashboard.totals": lambda _, work: work.dashboard.totals(),
    "dashboard.documents_per_day": lambda _, work: work.dashboard.documents_per_day(_NOW),
    "dashboard.top_tags": lambda _, work: work.dashboard.top_tags(10),
    "dashboard.top_owners": lambda _, work: work.dashboard.top_owners(10),
}


@pytest.fixture(scope="module")
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    async with open_relay(settings.mongodb_url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def relayed(settings: Settings, relay: Relay) -> AsyncIterator[Database]:
    async with open_database(settings.model_copy(update={"mongodb_url": relay.url})) as opened:
        yield opened


def promised() -> dict[str, int]:
    """The table of the README, by operation."""
    return {
        name: int(trips)
        for trips, names in _ROW.findall(_README.read_text("utf-8"))
        for name in _NAME.findall(names)
    }


def test_the_readme_tells_of_every_operation() -> None:
    assert sorted(promised()) == sorted(STEPS)


@pytest.mark.parametrize("operation", STEPS)
async def test_an_operation_takes_the_round_trips_that_it_tells(
    relayed: Database,
    relay: Relay,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
    operation: str,
) -> None:
    scene, counted = Scene(new_user, new_document), Trips()
    async with relayed.unit_of_work() as work:
        await scene.store(work)
    before = relay.round_trips
    token = current_trips.set(counted)
    async with relayed.unit_of_work() as work:
        await STEPS[operation](scene, work)
    current_trips.reset(token)
    assert (relay.round_trips - before, counted.count) == (promised()[operation],) * 2
