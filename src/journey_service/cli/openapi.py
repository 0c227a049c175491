"""`openapi`: the API's contract, written down."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from journey_service.main import create_app
from journey_service.settings import nowhere


def openapi(
    out: Annotated[Path | None, typer.Option(help="Write it there instead of printing it.")] = None,
) -> None:
    """Write the API's contract."""
    document = create_app(nowhere()).openapi()  # the same wherever the service runs
    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
