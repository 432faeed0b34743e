"""What a PostgreSQL database looks like to its catalog: comparable facts, without the tools' own tables."""

from collections.abc import Mapping
from typing import Final

import asyncpg

BOOKKEEPING: Final = ("alembic_version", "tortoise_migrations", "schema_migrations")
"""Tables in which the layers' migration tools note what they did."""

FACTS: Final[Mapping[str, str]] = {
    "tables": """
        SELECT c.relname || ' ' || c.relkind::text || ' ' || c.relpersistence::text
        FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            AND NOT c.relname = ANY ($1) AND NOT EXISTS (
                SELECT FROM pg_depend AS d JOIN pg_class AS o ON o.oid = d.refobjid
                WHERE d.objid = c.oid AND o.relname = ANY ($1))
    """,
    "columns": """
        SELECT concat_ws(' ', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
            'COLLATE ' || l.collname, CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'IDENTITY ' || nullif(a.attidentity::text, ''),
            'GENERATED ' || nullif(a.attgenerated::text, ''))
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
            AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relname = ANY ($1)
    """,
    "constraints": """
        SELECT c.relname || ' ' || pg_get_constraintdef(k.oid)
        FROM pg_constraint AS k
        JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY ($1) AND k.contype <> 'n'
    """,
    "indexes": """
        SELECT replace(pg_get_indexdef(i.indexrelid), quote_ident(n.relname), '…')
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indrelid
        JOIN pg_class AS n ON n.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relname = ANY ($1)
    """,
    "triggers": """
        SELECT pg_get_triggerdef(t.oid)
        FROM pg_trigger AS t
        JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND NOT c.relname = ANY ($1)
    """,
    "functions": """
        SELECT regexp_replace(pg_get_functiondef(p.oid), '\\s+', ' ', 'g')
        FROM pg_proc AS p
        WHERE p.pronamespace = 'public'::regnamespace AND $1::text[] IS NOT NULL
    """,
}
"""The queries by what they tell; `$1` are the tables to leave out. Names of constraints and indexes are the
tools' own, so only what they say is compared."""

Schema = Mapping[str, list[str]]


async def read_schema(url: str) -> Schema:
    """The facts of the database at a URL, each kind sorted."""
    connection = await asyncpg.connect(url)
    try:
        return {
            kind: sorted([str(row[0]) for row in await connection.fetch(query, BOOKKEEPING)])
            for kind, query in FACTS.items()
        }
    finally:
        await connection.close()
