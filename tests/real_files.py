"""Shares of the files of real data, for quick runs."""

import gzip
from pathlib import Path

from profiles import QUICK, active

SHARE = 16
"""A quick run reads one of this many customers."""


def is_sampled() -> bool:
    """Returns whether this run reads a share of the customers."""
    return active() == QUICK


def sampled(file: Path, folder: Path) -> Path:
    """Returns a file of one of SHARE customers, written to a folder; in a thorough run the file itself."""
    if not is_sampled():
        return file
    with gzip.open(file, "rt") as stream:
        header, *lines = stream.readlines()
    column = header.split(",").index("customer_id")
    chosen = [line for line in lines if int(line.split(",")[column]) % SHARE == 0]
    short = folder / f"some-{file.name}"
    short.write_bytes(gzip.compress("".join([header, *chosen]).encode()))
    return short
