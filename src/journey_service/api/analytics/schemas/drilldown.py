"""Who is behind a figure, over the wire. Names are left to whoever may read customers."""

from datetime import date, datetime

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.churn import RetentionAction
from journey_service.domain.analytics.records import DrilldownCustomer, StageVisit
from journey_service.services.analytics.drilldown import AtRisk, DrilldownPage, RiskList, VisitPage


def stage_name(context: CompanyContext, key: str) -> str:
    """What a company calls a stage."""
    stage = context.rulebook.stage_map.by_key.get(key)
    return key if stage is None else stage.name


class CountedOut(ResponseModel):
    """A customer who has been counted, as they stand now.

    `moves` is how often they did what was counted, or, of actions, how many of these there are.
    """

    customer_id: int
    current_stage: str
    stage_name: str
    stage_entered_at: datetime
    risk_score: float
    lifetime_value: float
    moves: int

    @classmethod
    def of(cls, context: CompanyContext, customer: DrilldownCustomer) -> "CountedOut":
        """Show a customer."""
        return cls(
            customer_id=customer.customer_id,
            current_stage=customer.current_stage,
            stage_name=stage_name(context, customer.current_stage),
            stage_entered_at=customer.stage_entered_at,
            risk_score=customer.risk / 100,
            lifetime_value=float(customer.lifetime_value),
            moves=customer.moves,
        )


class CountedPageOut(ResponseModel):
    """A page of customers by id: all pages together are exactly those counted."""

    as_of: datetime
    currency: str
    items: list[CountedOut]
    next_cursor: str | None

    @classmethod
    def of(cls, page: DrilldownPage, limit: int, next_cursor: str | None) -> "CountedPageOut":
        """Show a page."""
        items = [CountedOut.of(page.context, customer) for customer in page.customers[:limit]]
        return cls(
            as_of=page.context.now,
            currency=page.context.company.currency,
            items=items,
            next_cursor=next_cursor,
        )


class VisitOut(ResponseModel):
    """One stay in a stage; `seq` is that of the move it began with. One that goes on has not been left."""

    customer_id: int
    seq: int
    entered_at: datetime
    left_at: datetime | None
    to_stage: str | None
    motion: str | None

    @classmethod
    def of(cls, visit: StageVisit) -> "VisitOut":
        """Show a visit."""
        return cls(
            customer_id=visit.customer_id,
            seq=visit.seq,
            entered_at=visit.entered_at,
            left_at=visit.left_at,
            to_stage=visit.to_stage,
            motion=None if visit.motion is None else visit.motion.value,
        )


class VisitPageOut(ResponseModel):
    """A page of visits by customer: all pages together are exactly those counted."""

    as_of: datetime
    items: list[VisitOut]
    next_cursor: str | None

    @classmethod
    def of(cls, page: VisitPage, limit: int, next_cursor: str | None) -> "VisitPageOut":
        """Show a page."""
        items = [VisitOut.of(visit) for visit in page.visits[:limit]]
        return cls(as_of=page.context.now, items=items, next_cursor=next_cursor)


class RetentionActionOut(ResponseModel):
    """What the guide advises to do about a customer at risk."""

    type: str
    priority: str
    description: str

    @classmethod
    def of(cls, action: RetentionAction) -> "RetentionActionOut":
        """Show an advice."""
        return cls(type=action.type, priority=action.priority, description=action.description)


class ChurnRowOut(ResponseModel):
    """A customer whose stored risk is above 0.7 and who has not churned, as one row.

    `predicted_churn_date` is when the present stay ends if it lasts as long as those of others before they churned from
    this stage, never before today; `sample_size` is how many there were, and without any there is no date.
    """

    customer_id: int
    current_stage: str
    stage_name: str
    stage_entered_at: datetime
    risk_score: float
    days_inactive: int | None
    lifetime_value: float
    predicted_churn_date: date | None
    sample_size: int


class ChurnOut(ChurnRowOut):
    """The same, with what to do about it."""

    retention_actions: list[RetentionActionOut]

    @classmethod
    def of(cls, context: CompanyContext, customer: AtRisk) -> "ChurnOut":
        """Show a customer at risk."""
        found = customer.found
        return cls(
            customer_id=found.customer_id,
            current_stage=found.current_stage,
            stage_name=stage_name(context, found.current_stage),
            stage_entered_at=found.stage_entered_at,
            risk_score=found.risk / 100,
            days_inactive=customer.days_inactive,
            lifetime_value=float(found.lifetime_value),
            predicted_churn_date=customer.predicted_churn_date,
            sample_size=customer.sample,
            retention_actions=[RetentionActionOut.of(action) for action in customer.actions],
        )


class ChurnPageOut(ResponseModel):
    """A page of customers at risk, the riskiest first."""

    as_of: datetime
    currency: str
    items: list[ChurnOut]
    next_cursor: str | None

    @classmethod
    def of(cls, page: RiskList, limit: int, next_cursor: str | None) -> "ChurnPageOut":
        """Show a page."""
        return cls(
            as_of=page.context.now,
            currency=page.context.company.currency,
            items=[ChurnOut.of(page.context, customer) for customer in page.customers[:limit]],
            next_cursor=next_cursor,
        )
