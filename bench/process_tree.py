"""Processor time and memory of a process with all its descendants (Linux only)."""

import os
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Returns a process and its descendants."""
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text("ascii").split()]
    return found


def processor_seconds(pid: int) -> float:
    """Returns the processor time of a process and its descendants up to now, with that of ended children."""
    ticks = 0
    for each in descendants(pid):
        fields = Path(f"/proc/{each}/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int:
    """Returns the memory of a process and its descendants; pages that several share count once (PSS)."""
    found = 0
    for each in descendants(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text("ascii").splitlines()
        found += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found * 1_024
