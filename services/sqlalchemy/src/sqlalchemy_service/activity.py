"""The activity of users on SQLAlchemy."""

from collections.abc import Sequence

from sqlalchemy import DateTime, Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.pages import Newest
from sqlalchemy_service.models import ACTIVITY, ENTRIES, USERS, WRITTEN, ActivityRow
from sqlalchemy_service.statements import newest

_NEW = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("user_ids", type_=ARRAY(Uuid)),
        bindparam("actions", type_=ARRAY(Text)),
        bindparam("details", type_=ARRAY(WRITTEN)),
        bindparam("moments", type_=ARRAY(DateTime(timezone=True))),
    )
    .table_valued("id", "user_id", "action", "detail", "created_at")
    .render_derived(name="new")
)
# the lock is the one that the foreign key would take, but taken first: a user who is just going is waited for
# and then left out, where the foreign key would refuse the whole set
_INSERT_MANY = (
    insert(ENTRIES)
    .from_select(
        ["id", "user_id", "action", "detail", "created_at"],
        select(*_NEW.c)
        .join_from(_NEW, USERS, USERS.c.id == _NEW.c.user_id)
        .with_for_update(read=True, key_share=True, of=USERS),
    )
    .on_conflict_do_nothing(index_elements=["id"])
)


class Activity(ports.activity.Activity):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        await self._session.execute(
            _INSERT_MANY,
            {
                "ids": [entry.id for entry in entries],
                "user_ids": [entry.user_id for entry in entries],
                "actions": [entry.action for entry in entries],
                "details": [entry.detail_json for entry in entries],
                "moments": [entry.created_at for entry in entries],
            },
        )

    async def list(self, listing: Newest) -> Sequence[Entry]:
        page = newest(ACTIVITY, ActivityRow, ActivityRow.user_id, listing)
        return (await self._session.scalars(page)).all()
