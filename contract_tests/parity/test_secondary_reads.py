"""MONGODB_URL may send reads to secondaries; what has to be true at one server does not go there."""

from typing import Final

import pytest
from api import Api
from builders import make_document, make_user, new_user

from assay.stand import StandOptions, open_stand
from shared.registry import services

ASKED: Final = "readPreference=secondaryPreferred"


@pytest.mark.clause("DOC-1", "GEN-13")
async def test_transactions_read_from_the_primary() -> None:
    (motor,) = services("motor")
    async with open_stand([motor], StandOptions(durable=False), serving=False) as stand:
        url = stand.databases.url_for(motor)["MONGODB_URL"]
        separator = "&" if "?" in url else "?"
        running = await stand.start_service(motor, environment={"MONGODB_URL": f"{url}{separator}{ASKED}"})
        async with Api(motor.name, running.url) as api:
            await make_document(api, await make_user(api))
            keyed = await api.post("/users", json=new_user(), headers={"Idempotency-Key": "k"})
            assert keyed.status_code == 201
