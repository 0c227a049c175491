"""Companies as they are stored."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from journey_service.domain.calendar import FormerZone, zone_of


@dataclass(frozen=True, slots=True)
class Company:
    """A tenant. `clock_at` is the time of its test clock; None: the company runs in real time.

    `map_version` is the stage map in force, `migrated_version` the version that all customers have been migrated to.
    `next_nightly_run_at` is when the next nightly run is due. `scored_at` is the instant as of which all stored
    scores were last verified or recomputed; a score written later has its own `scored_at`.
    """

    id: int
    name: str
    timezone: str
    currency: str
    clock_at: datetime | None
    map_version: int
    created_at: datetime
    migrated_version: int = 1
    next_nightly_run_at: datetime | None = None
    scored_at: datetime | None = None
    delivers_messages: bool = False
    """Whether actions that fall due by the test clock are really delivered."""
    rollup_version: int = 0
    """Version of the map whose stages the rollups count; 0: the rollups must be rebuilt."""
    former_zones: tuple[FormerZone, ...] = ()
    """Time zones before `timezone` was corrected, in order: local days of their time keep them."""

    @property
    def zone(self) -> tzinfo:
        """The time zone by which local days and times count, with the former ones for the past."""
        return zone_of(self.timezone, self.former_zones)


@dataclass(frozen=True, slots=True)
class CompanyRecord:
    """Fields of a new company, without its stage map and policy."""

    name: str
    timezone: str
    currency: str
    clock_at: datetime | None = None
    delivers_messages: bool = False
