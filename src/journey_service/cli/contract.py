"""`openapi`: the API's contract, written down."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from journey_service.main import create_app
from journey_service.settings import Settings

# The contract is the same wherever the service runs, so it needs no place to run.
_NOWHERE = Settings.model_validate({"DATABASE_URL": "postgresql://nowhere", "JOURNEY_KEY_PEPPER": "-" * 16})


def openapi(
    out: Annotated[Path | None, typer.Option(help="Write it there instead of printing it.")] = None,
) -> None:
    """Write the API's contract."""
    document = create_app(_NOWHERE).openapi()

    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")
