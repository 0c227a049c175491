"""CPU time until each command of `journey` has started: the time of its `--help`. `python bench/commands.py [RUNS]`.

Prints the median of RUNS (5 by default) runs of each command, user and system time of the whole process, and that of
Python itself.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

from results import record

from journey_service import cli

GROUPS = {"keys": cli._KEYS, "erasures": cli._ERASURES}
COMMANDS = [
    *([name] for name in cli._COMMANDS),
    *([group, name] for group, entries in GROUPS.items() for name in entries),
]


def cpu_seconds(arguments: list[str]) -> float:
    """Runs Python with arguments and returns the CPU time of its process."""
    before = os.times()
    subprocess.run(  # noqa: S603  # our own program
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Prints a line for each command, the slowest last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=5)
    parser.add_argument("--only", help="measure this command only, such as 'keys list'")
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    found = {
        name: median(cpu_seconds(arguments) for _ in range(chosen.runs))
        for name, arguments in {
            "(python -c pass)": ["-c", "pass"],
            **{
                " ".join(command) or "journey": ["-m", "journey_service.cli", *command, "--help"]
                for command in [[], *COMMANDS]
            },
        }.items()
        if chosen.only in (None, name)
    }
    for name, seconds in sorted(found.items(), key=lambda each: each[1]):
        print(f"{name:<24} {seconds:6.2f} s of CPU")
    if chosen.record:
        record("commands", found)


if __name__ == "__main__":
    main()
