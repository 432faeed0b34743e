"""The activity of users, on Tortoise ORM."""

from collections.abc import Sequence

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient

from shared import ports
from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.pages import Newest
from tortoise_service.models import ActivityRow, to_activity
from tortoise_service.statements import newest

# the lock is the one that the foreign key would take, but taken first: a user who is just going is waited
# for and then left out, where the foreign key would refuse the whole set
_INSERT_MANY = """
    INSERT INTO activity (id, user_id, action, detail, created_at)
    SELECT new.id, new.user_id, new.action, new.detail, new.created_at
    FROM jsonb_populate_recordset(NULL::activity, $1) AS new JOIN users ON users.id = new.user_id
    FOR KEY SHARE OF users
    ON CONFLICT (id) DO NOTHING
"""


class Activity(ports.activity.Activity):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        rows = [
            {
                "id": entry.id,
                "user_id": entry.user_id,
                "action": entry.action,
                "detail": orjson.Fragment(entry.detail_json),
                "created_at": entry.created_at,
            }
            for entry in entries
        ]
        await self._client.execute_query(_INSERT_MANY, [orjson.dumps(rows).decode()])

    async def list(self, listing: Newest) -> Sequence[Entry]:
        rows = newest(ActivityRow.filter(user_id=listing.of), listing)
        return [to_activity(row) for row in await rows.using_db(self._client)]
