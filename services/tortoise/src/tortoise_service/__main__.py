from shared.serve import run
from tortoise_service import service

run(service)
