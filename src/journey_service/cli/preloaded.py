"""`python -m journey_service.cli.preloaded COMMAND ...`: a `journey` command that waits for its environment.

It imports the application if COMMAND is `api`, reads the environment as a JSON object from standard input, and runs
COMMAND. `journey up` starts the API this way while it creates the database.
"""

import importlib
import json
import os
import sys

from journey_service.cli import app


def main() -> None:
    """Runs the command; exits without running it if standard input ends first."""
    if sys.argv[1] == "api":
        importlib.import_module("journey_service.main")
    if text := sys.stdin.read():
        os.environ.update(json.loads(text))
        app()


if __name__ == "__main__":
    main()
