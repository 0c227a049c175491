"""`python -m journey_service.cli`."""

from journey_service.cli import app

app()
