"""Request and response schemas of bulk actions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ConfigDict, Field

from journey_service.api.actions.schemas.actions import ActionRequest
from journey_service.api.journeys.schemas.bulk_selection import CustomerSelection
from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.actions.bulk import BulkFate
from journey_service.domain.operations.records import Job as StoredJob
from journey_service.services.actions.bulk_actions import BulkRequest

_EXAMPLE: Final[dict[str, Any]] = {
    "type": "offer",
    "note": "We would like to see you again.",
    "offer": {"title": "10% off your next visit", "code": "HELLO10", "valid_days": 30},
    "filter": {"stage": ["at_risk"], "days_min": 90, "value_min": 500},
    "dry_run": False,
}


class BulkActionRequest(ActionRequest, CustomerSelection):
    """A manual action for many customers: those in `customer_ids`, or those at risk that match `filter`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    include_booked: bool = Field(
        default=False,
        strict=True,
        description="Whether to include customers with an open booking; they are left out by default, because they are"
        " about to come",
        examples=[False],
    )

    def to_bulk(self, customer_ids: Sequence[int] | None) -> BulkRequest:
        """Converts the request for the customers with these ids. Raises InvalidInputError."""
        action, selection = self.to_domain(None), self.to_selection(customer_ids)
        return BulkRequest(action, selection.customer_ids, selection.filter_, self.include_booked)


class BulkCounts(ResponseModel):
    """Numbers of customers by what happens for them."""

    ok: int = Field(
        ge=0,
        description="The action is carried out, if necessary after the quiet hours, unless it is cancelled when it is"
        " due",
        examples=[61],
    )
    no_consent: int = Field(ge=0, description="Cancelled, because consent is missing", examples=[12])
    no_address: int = Field(ge=0, description="Cancelled, because the address is unknown", examples=[4])
    capped: int = Field(ge=0, description="Cancelled, because the frequency cap is reached", examples=[3])
    has_booking: int = Field(
        ge=0,
        description="No action, because the customer has an open booking and `include_booked` is false",
        examples=[2],
    )
    already_open: int = Field(
        ge=0,
        description="No action, because a call task is open, or the same manual action is still to be carried out",
        examples=[5],
    )
    erased: int = Field(ge=0, description="No action, because the customer was erased", examples=[0])


class BulkActions(ResponseModel):
    """The result of a dry run, or the job of a bulk action."""

    dry_run: bool = Field(description="Whether nothing was changed", examples=[False])
    counts: BulkCounts | None = Field(
        description="Customers by what would happen for them; null unless `dry_run` is true. The job has these counts"
        " of what has happened"
    )
    job: Job | None = Field(description="The job that requests the actions; null if `dry_run` is true")

    @classmethod
    def of_dry_run(cls, counts: Mapping[BulkFate, int]) -> "BulkActions":
        """Builds the response to a dry run."""
        return cls(
            dry_run=True,
            counts=BulkCounts.model_validate({fate.value: number for fate, number in counts.items()}),
            job=None,
        )

    @classmethod
    def of_job(cls, job: StoredJob) -> "BulkActions":
        """Builds the response with the job of a bulk action."""
        return cls(dry_run=False, counts=None, job=Job.of(job))
