from motor_service import service
from shared.serve import run

run(service)
