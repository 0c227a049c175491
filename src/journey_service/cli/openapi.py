"""`openapi`: prints the OpenAPI document."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from journey_service.main import create_app
from journey_service.settings import placeholder_settings


def openapi(
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None,
) -> None:
    """Print the OpenAPI document of the API, or write it to a file."""
    document = create_app(placeholder_settings()).openapi()  # independent of the settings
    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
