"""Kinds of requests by their cost: expensive ones need slots of their company."""

from enum import Enum
from typing import Final


class WorkKind(Enum):
    """Kind of work of a request. Requests of the kind `SINGLE` read or change single things and need no slot."""

    SINGLE = "single"
    ANALYTICS = "analytics"
    BATCH = "batch"
    SIMULATION = "simulation"

    @property
    def slots(self) -> int:
        """Number of slots that a request holds; a company has four with a pool of ten connections."""
        return _SLOTS[self]


# By what one request costs: a report uses the database, a batch and a simulation the process as well.
_SLOTS: Final = {WorkKind.SINGLE: 0, WorkKind.ANALYTICS: 1, WorkKind.BATCH: 2, WorkKind.SIMULATION: 4}
