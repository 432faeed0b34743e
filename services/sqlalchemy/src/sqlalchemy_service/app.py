"""The uvicorn target."""

from shared.http.app import create_app
from sqlalchemy_service import service

app = create_app(service)
