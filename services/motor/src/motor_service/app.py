"""The uvicorn target."""

from motor_service import service
from shared.http.app import create_app

app = create_app(service)
