"""Companies as they are stored."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Company:
    """A tenant. `clock_at` stands still for a company with a test clock, and is None for every other.

    `map_version` is the stage map in force, `adopted_version` the one that every customer has gone over to.
    `next_nightly_run_at` is when the next nightly run falls due. `scored_at` is the instant as of which all stored
    scores were last known to hold: those written later hold since then.
    """

    id: int
    name: str
    timezone: str
    currency: str
    clock_at: datetime | None
    map_version: int
    created_at: datetime
    adopted_version: int = 1
    next_nightly_run_at: datetime | None = None
    scored_at: datetime | None = None
    delivers: bool = False
    """Whether what falls due by a test clock leaves the house."""
    rollup_version: int = 0
    """The version of the map by which stages are counted as reached; 0: they are to be counted anew."""


@dataclass(frozen=True, slots=True)
class CompanyRecord:
    """What a company is founded with, beside its rules."""

    name: str
    timezone: str
    currency: str
    clock_at: datetime | None = None
    delivers: bool = False
