"""Request and response schemas of bulk actions."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from journey_service.api.actions.schemas.actions import ActionRequest
from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import (
    SEARCHED_WORDS,
    CustomerId,
    RequestModel,
    ResponseModel,
    SingleLineText,
    StageKey,
    Text,
)
from journey_service.domain.actions.bulk import BulkFate
from journey_service.domain.analytics import records
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.operations.records import Job as StoredJob
from journey_service.services.actions.bulk_actions import (
    MAX_MATCHING_CUSTOMERS,
    MAX_NAMED_CUSTOMERS,
    BulkRequest,
)

_MAX_STAGES: Final = 50
_EXAMPLE: Final[dict[str, Any]] = {
    "type": "offer",
    "note": "We would like to see you again.",
    "offer": {"title": "10% off your next visit", "code": "HELLO10", "valid_days": 30},
    "filter": {"stage": ["at_risk"], "days_min": 90, "value_min": 500},
    "dry_run": False,
}


class RiskFilter(RequestModel):
    """Filter of customers at risk, with the meaning of the parameters of `GET /portal/customers/at-risk`."""

    stage: list[StageKey] | None = Field(
        default=None,
        max_length=_MAX_STAGES,
        description="Only customers in a stage with one of these keys; null, omitted or empty: all stages",
        examples=[["at_risk"]],
    )
    owner: SingleLineText | None = Field(
        default=None, description="Only customers of this owner; null or omitted: all", examples=["ben"]
    )
    days_min: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=records.MAX_FILTER_DAYS,
        description="Only customers whose last appointment was at least this many days of 24 hours ago; null or"
        " omitted: all",
        examples=[90],
    )
    value_min: float | None = Field(
        default=None,
        ge=-records.MAX_FILTER_VALUE,
        le=records.MAX_FILTER_VALUE,
        allow_inf_nan=False,
        description="Only customers with at least this lifetime value, in the company's currency; null or omitted: all",
        examples=[500],
    )
    q: Annotated[Text, Field(max_length=records.MAX_FILTER_TEXT_LENGTH)] | None = Field(
        default=None,
        description=f"{SEARCHED_WORDS}. Null, omitted or empty: all",
        examples=["grace"],
    )

    def to_domain(self) -> records.RiskFilter:
        """Converts the filter."""
        value_min = None if self.value_min is None else Decimal(str(self.value_min))
        return records.RiskFilter(self.stage or (), self.owner, self.days_min, value_min, self.q or None)


class BulkActionRequest(ActionRequest):
    """A manual action for many customers: those in `customer_ids`, or those at risk that match `filter`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    customer_ids: list[CustomerId] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAMED_CUSTOMERS,
        description="Ids of the customers. Each must be known or erased; null or omitted: those that match"
        " `filter`",
        examples=[[4711, 4712]],
    )
    filter: RiskFilter | None = Field(
        default=None,
        description="Filter of the customers at risk, which determines the customers when the request is accepted; an"
        f" empty filter matches all of them. It must match at most {MAX_MATCHING_CUSTOMERS:,} customers. Null or"
        " omitted: those in `customer_ids`",
    )
    include_booked: bool = Field(
        default=False,
        strict=True,
        description="Whether to include customers with an open booking; they are left out by default, because they are"
        " about to come",
        examples=[False],
    )
    dry_run: bool = Field(
        default=False,
        strict=True,
        description="Whether to return only what would happen; nothing is changed, and the key is not used up",
        examples=[False],
    )

    def to_bulk(self) -> BulkRequest:
        """Converts the request. Raises InvalidInputError."""
        action = self.to_domain(None)
        if (self.customer_ids is None) == (self.filter is None):
            raise InvalidInputError.at("", "must contain either customer_ids or filter")
        filter_ = None if self.filter is None else self.filter.to_domain()
        return BulkRequest(action, self.customer_ids, filter_, self.include_booked)


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
