"""CPU time until each command of `journey` has started: the time of its `--help`. `python bench/commands.py [RUNS]`.

Prints the median of RUNS (5 by default) runs of each command, user and system time of the whole process.
"""

import os
import subprocess
import sys
from statistics import median

from results import record

from journey_service import cli

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
GROUPS = {"keys": cli._KEYS, "erasures": cli._ERASURES}
COMMANDS = [
    *([name] for name in cli._COMMANDS),
    *([group, name] for group, entries in GROUPS.items() for name in entries),
]


def cpu_seconds(arguments: list[str]) -> float:
    """Runs a command and returns the CPU time of its process."""
    before = os.times()
    subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "journey_service.cli", *arguments, "--help"],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Prints a line for each command, the slowest last."""
    found = {
        " ".join(command) or "journey": median(cpu_seconds(command) for _ in range(RUNS))
        for command in [[], *COMMANDS]
    }
    for name, seconds in sorted(found.items(), key=lambda each: each[1]):
        print(f"{name:<24} {seconds:6.2f} s of CPU")
    record("commands", found)


if __name__ == "__main__":
    main()
