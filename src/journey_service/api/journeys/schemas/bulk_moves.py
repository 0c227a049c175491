"""Request and response schemas of bulk moves."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, Field

from journey_service.api.journeys.schemas.bulk_selection import CustomerSelection
from journey_service.api.journeys.schemas.transitions import TransitionCreate
from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.operations.records import Job as StoredJob
from journey_service.services.customers.bulk_moves import BulkMove

_EXAMPLE: Final[dict[str, Any]] = {
    "to_stage": "vip",
    "notes": "Has agreed on monthly appointments",
    "pin_until": None,
    "run_actions": None,
    "customer_ids": [4711, 4712],
    "dry_run": False,
}


class BulkMoveRequest(TransitionCreate, CustomerSelection):
    """A manual move of many customers: those in `customer_ids`, or those at risk that match `filter`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    def to_move(self) -> BulkMove:
        """Converts the move."""
        return BulkMove(self.to_stage, self.notes, self.performed_by, self.pin_until, self.run_actions)


class MoveCounts(ResponseModel):
    """Numbers of customers by what happens for them."""

    moved: int = Field(ge=0, description="The customer moves", examples=[61])
    with_actions: int = Field(
        ge=0, description="Of those who move: the actions of the stage are carried out", examples=[58]
    )
    in_stage: int = Field(ge=0, description="Nothing, because the customer is in the stage", examples=[12])
    erased: int = Field(ge=0, description="Nothing, because the customer was erased", examples=[0])


class BulkMoves(ResponseModel):
    """The result of a dry run, or the job of a bulk move."""

    dry_run: bool = Field(description="Whether nothing was changed", examples=[False])
    counts: MoveCounts | None = Field(
        description="Customers by what would happen for them; null unless `dry_run` is true. The job has these counts"
        " of what has happened"
    )
    job: Job | None = Field(description="The job that moves the customers; null if `dry_run` is true")

    @classmethod
    def of_dry_run(cls, counts: Mapping[str, int]) -> "BulkMoves":
        """Builds the response to a dry run."""
        return cls(dry_run=True, counts=MoveCounts.model_validate(counts), job=None)

    @classmethod
    def of_job(cls, job: StoredJob) -> "BulkMoves":
        """Builds the response with the job of a bulk move."""
        return cls(dry_run=False, counts=None, job=Job.of(job))
