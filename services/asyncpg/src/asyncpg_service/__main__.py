from shared.serve import run

from asyncpg_service import service

run(service)
