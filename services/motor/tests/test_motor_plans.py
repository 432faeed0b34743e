"""The list queries walk their indexes: a page neither scans a collection nor sorts what it found, and reads
no more rows than it answers."""

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest

from motor_service.database import Database
from shared.rules.filters import parse
from shared.schemas.documents import DocumentListing, DocumentRecord, DocumentSort
from shared.schemas.users import UserListing, UserRecord, UserSort

Rows = Any
Records = tuple[Sequence[UserRecord], Sequence[DocumentRecord]]

USERS, OWNERS, DOCUMENTS, PAGE = 1_000, 20, 1_000, 11


@pytest.fixture(scope="module")
def records(new_user: Callable[[str], UserRecord], new_document: Callable[..., DocumentRecord]) -> Records:
    users = [new_user(f"user{place:04}") for place in range(USERS)]
    documents = [
        new_document(users[place % OWNERS], f"title {place:04}", ["all", f"few{place % 50}"], place=place)
        for place in range(DOCUMENTS)
    ]
    return users, documents


@pytest.fixture
async def filled(database: Database, rows: Rows, records: Records) -> Database:
    if not await rows.documents.count_documents({}):
        async with database.unit_of_work() as work:
            await work.users.create_many(records[0])
            await work.documents.create_many(records[1])
    return database


async def plan_of(rows: Rows, query: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
    """How many rows a query answers, and how the server says it ran."""
    await rows.command("profile", 2)
    answered = len(await query())
    await rows.command("profile", 0)
    [profiled] = await rows["system.profile"].find({"appName": "assay-motor"}).to_list()
    await rows.drop_collection("system.profile")
    return answered, profiled


def assert_walks(answered: int, plan: dict[str, Any], index: str) -> None:
    assert answered == PAGE
    assert index in plan["planSummary"]
    assert not plan.get("hasSortStage")
    assert plan["docsExamined"] <= 2 * PAGE


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("continued", [False, True])
@pytest.mark.parametrize(
    ("sort", "of_owner"), [*((sort, False) for sort in get_args(DocumentSort)), ("created_at", True)]
)
async def test_a_page_of_documents(
    filled: Database,
    rows: Rows,
    records: Records,
    *,
    sort: DocumentSort,
    of_owner: bool,
    continued: bool,
    descending: bool,
) -> None:
    users, documents = records
    middle = documents[DOCUMENTS // 2]
    key = middle.title_key if sort == "title" else middle.created_at
    listing = DocumentListing(
        sort=sort,
        descending=descending,
        after=(key, middle.id) if continued else None,
        owner_id=users[0].id if of_owner else None,
        tags=(),
        where=(),
        words=(),
        limit=PAGE,
    )
    async with filled.reader() as reader:
        answered, plan = await plan_of(rows, lambda: reader.documents.list(listing))
        assert_walks(answered, plan, {"title": "title_key"}.get(sort, sort))
        answered, plan = await plan_of(rows, lambda: reader.documents.list_with_owners(listing))
        assert answered == PAGE
        assert "COLLSCAN" not in plan["planSummary"]


@pytest.mark.parametrize(
    ("filters", "index"), [({"tags": ("few7",)}, "tags"), ({"words": ("title", "0123")}, "title_words")]
)
async def test_tags_and_words_are_found_by_their_index(
    filled: Database, rows: Rows, filters: dict[str, Any], index: str
) -> None:
    nothing: dict[str, Any] = {"after": None, "owner_id": None, "tags": (), "words": ()}
    listing = DocumentListing(
        sort="created_at", descending=True, where=(parse("place:ge:0"),), limit=PAGE, **{**nothing, **filters}
    )
    async with filled.reader() as reader:
        answered, plan = await plan_of(rows, lambda: reader.documents.list(listing))
    assert answered
    assert f"{{ {index}: 1" in plan["planSummary"]
    assert not plan.get("hasSortStage")


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", get_args(UserSort))
async def test_a_page_of_users(
    filled: Database, rows: Rows, records: Records, *, sort: UserSort, descending: bool
) -> None:
    edge = records[0][-1 if descending else 0]
    key = {"created_at": edge.created_at, "name": edge.name_key, "email": edge.email_key}[sort]
    listing = UserListing(sort=sort, descending=descending, after=(key, edge.id), prefix=None, limit=PAGE)
    async with filled.reader() as reader:
        answered, plan = await plan_of(rows, lambda: reader.users.list(listing))
    assert_walks(answered, plan, {"name": "name_key", "email": "email_key"}.get(sort, sort))


async def test_users_are_found_by_the_start_of_their_name_or_email(filled: Database, rows: Rows) -> None:
    listing = UserListing(sort="created_at", descending=False, after=None, prefix="user012", limit=PAGE)
    async with filled.reader() as reader:
        answered, plan = await plan_of(rows, lambda: reader.users.list(listing))
    assert answered == 10
    assert "name_key" in plan["planSummary"]
    assert "email_key" in plan["planSummary"]
