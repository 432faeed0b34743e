from shared.serve import run
from sqlalchemy_service import service

run(service)
