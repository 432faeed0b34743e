"""How a collection is declared: what its rows must be."""

from typing import Any

from pymongo.errors import OperationFailure

from motor_service.statements import Database

Fields = dict[str, Any]

_NAMESPACE_EXISTS = 48

ID: Fields = {"bsonType": "binData"}
BYTES: Fields = {"bsonType": "binData"}
TEXT: Fields = {"bsonType": "string"}
TEXTS: Fields = {"bsonType": "array", "items": TEXT}
MOMENT: Fields = {"bsonType": "date"}
OBJECT: Fields = {"bsonType": "object"}
COUNT: Fields = {"bsonType": ["int", "long"], "minimum": 0}


def or_null(field: Fields) -> Fields:
    return {**field, "bsonType": [field["bsonType"], "null"]}


async def declare(database: Database, name: str, fields: Fields, optional: Fields | None = None) -> None:
    """Sets what rows must have and may have; a collection that is there gets it too."""
    schema = {
        "bsonType": "object",
        "required": list(fields),
        "properties": {**fields, **(optional or {})},
        "additionalProperties": False,
    }
    try:
        await database.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    await database.command("collMod", name, validator={"$jsonSchema": schema}, validationLevel="strict")
