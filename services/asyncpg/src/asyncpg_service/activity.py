"""The activity of users, on asyncpg."""

from collections.abc import Sequence

from asyncpg_service.models import ACTIVITY, Connection, to_activity
from asyncpg_service.statements import Arguments, newest_page
from shared import ports
from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.pages import Newest

# the lock is the one that the foreign key would take, but taken first: a user who is just going is waited
# for and then left out, where the foreign key would refuse the whole set
_INSERT_MANY = f"""
    INSERT INTO activity ({ACTIVITY})
    SELECT new.id, new.user_id, new.action, new.detail, new.created_at
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::timestamptz[])
            AS new (id, user_id, action, detail, created_at)
        JOIN users ON users.id = new.user_id
    FOR KEY SHARE OF users
    ON CONFLICT (id) DO NOTHING
"""


class Activity(ports.activity.Activity):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        await self._conn.execute(
            _INSERT_MANY,
            [entry.id for entry in entries],
            [entry.user_id for entry in entries],
            [entry.action for entry in entries],
            [entry.detail_json for entry in entries],
            [entry.created_at for entry in entries],
        )

    async def list(self, listing: Newest) -> Sequence[Entry]:
        arguments = Arguments()
        statement = f"SELECT {ACTIVITY} FROM activity {newest_page('user_id', listing, arguments)}"
        return [to_activity(row) for row in await self._conn.fetch(statement, *arguments)]
