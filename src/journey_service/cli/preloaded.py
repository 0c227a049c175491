"""`python -m journey_service.cli.preloaded COMMAND ...`: a `journey` command that waits for its environment.

It imports the modules that COMMAND needs, reads the environment as a JSON object from standard input, and runs COMMAND.
`journey up` starts the API this way while it creates the database.
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from journey_service.cli import app

_MODULES: Final[Mapping[str, str]] = {"api": "journey_service.main", "worker": "journey_service.worker.main"}


def main() -> None:
    """Runs the command; exits without running it if standard input ends first."""
    if (module := _MODULES.get(sys.argv[1])) is not None:
        importlib.import_module(module)
    if text := sys.stdin.read():
        os.environ.update(json.loads(text))
        app()


if __name__ == "__main__":
    main()
