"""Response schemas of the customers and stage visits behind a metric. Names are the only personal data in them."""

from pydantic import Field

from journey_service.api.schema_fields import (
    AnyCustomerId,
    Currency,
    CustomerName,
    CustomerRef,
    NextCursor,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import records
from journey_service.domain.journeys.relationship import Motion
from journey_service.services.analytics.drilldown import DrilldownPage, VisitPage


def stage_name(context: CompanyContext, key: str) -> str:
    """Returns the company's name of a stage; the key of an unknown stage."""
    stage = context.rulebook.stage_map.by_key.get(key)
    return key if stage is None else stage.name


class DrilldownCustomer(ResponseModel):
    """A customer behind a metric, in the current state."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
    customer_name: CustomerName
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    stage_entered_at: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-15T10:00:00Z"]
    )
    risk_score: float = Field(ge=0, le=1, description="Stored risk score, 0 to 1", examples=[0.2])
    lifetime_value: float = Field(description="Lifetime value, in `currency`", examples=[349.9])
    moves: int = Field(
        ge=0,
        description="Number of transitions or actions of the customer that the metric counts; 1 if it counts customers",
        examples=[1],
    )
    merged_into: AnyCustomerId | None = Field(
        description="Id of the customer that this one has been merged into; null if it was not merged. Its stage is"
        " `merged`",
        examples=[None],
    )

    @classmethod
    def of(
        cls, context: CompanyContext, customer: records.DrilldownCustomer, *, is_named: bool
    ) -> "DrilldownCustomer":
        """Returns the schema of a customer."""
        return cls(
            customer_id=customer.customer_id,
            customer_ref=customer.customer_ref if is_named else None,
            customer_name=customer.name if is_named else None,
            current_stage=customer.current_stage,
            stage_name=stage_name(context, customer.current_stage),
            stage_entered_at=customer.stage_entered_at,
            risk_score=customer.risk / 100,
            lifetime_value=float(customer.lifetime_value),
            moves=customer.moves,
            merged_into=customer.merged_into,
        )


class DrilldownCustomerPage(ResponseModel):
    """A page of the customers behind a metric. All pages together hold exactly those that the metric counts."""

    as_of: Timestamp = Field(description="Time as of which the page was read")
    currency: Currency
    items: list[DrilldownCustomer] = Field(description="The customers of the page, by id")
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, page: DrilldownPage, limit: int, next_cursor: str | None, *, is_named: bool
    ) -> "DrilldownCustomerPage":
        """Returns the schema of a page."""
        return cls(
            as_of=page.context.now,
            currency=page.context.company.currency,
            items=[
                DrilldownCustomer.of(page.context, customer, is_named=is_named)
                for customer in page.customers[:limit]
            ],
            next_cursor=next_cursor,
        )


class StageVisit(ResponseModel):
    """The time of a customer in a stage, from one transition to the next."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
    customer_name: CustomerName
    seq: int = Field(ge=1, description="`seq` of the transition that began the visit", examples=[3])
    entered_at: Timestamp = Field(description="When the visit began", examples=["2025-09-02T09:00:00Z"])
    left_at: Timestamp | None = Field(
        description="When the visit ended; null if it is open", examples=["2026-01-15T10:00:00Z"]
    )
    to_stage: str | None = Field(
        description="Key of the stage that the customer moved to; null if the visit is open",
        examples=["regular"],
    )
    motion: Motion | None = Field(
        description="Kind of the transition that ended the visit. `entry`: to a higher progress stage; `down`: to a"
        " lower one, by a manual move; `lapse`: into a risk stage; `return`: from a risk stage to a progress stage;"
        " `remap`: out of an archived stage, or out of the map by a merge. Null if the visit is open",
        examples=["entry"],
    )
    merged_into: AnyCustomerId | None = Field(
        description="Id of the customer that this one has been merged into; null if it was not merged",
        examples=[None],
    )

    @classmethod
    def of(cls, visit: records.StageVisit, *, is_named: bool) -> "StageVisit":
        """Returns the schema of a stage visit."""
        return cls(
            customer_id=visit.customer_id,
            customer_ref=visit.customer_ref if is_named else None,
            customer_name=visit.name if is_named else None,
            seq=visit.seq,
            entered_at=visit.entered_at,
            left_at=visit.left_at,
            to_stage=visit.to_stage,
            motion=visit.motion,
            merged_into=visit.merged_into,
        )


class StageVisitPage(ResponseModel):
    """A page of stage visits. All pages together hold exactly those that the metric counts."""

    as_of: Timestamp = Field(description="Time as of which the page was read")
    items: list[StageVisit] = Field(description="The visits of the page, by `customer_id` and `seq`")
    next_cursor: NextCursor

    @classmethod
    def of(cls, page: VisitPage, limit: int, next_cursor: str | None, *, is_named: bool) -> "StageVisitPage":
        """Returns the schema of a page."""
        items = [StageVisit.of(visit, is_named=is_named) for visit in page.visits[:limit]]
        return cls(as_of=page.context.now, items=items, next_cursor=next_cursor)
