"""Schemas of the responses for the guide's own components."""

from collections.abc import Mapping
from datetime import date

from pydantic import ConfigDict, Field

from journey_service.api.analytics.schemas.churn_predictions import (
    CHURN_PROBABILITY,
    EXPECTED_LOSS,
    RETENTION_EXAMPLE,
    RetentionAction,
)
from journey_service.api.analytics.schemas.reports import counts_of
from journey_service.api.journeys.schemas.contact import (
    CustomerCampaign,
    CustomerReach,
    CustomerTask,
    Owner,
    contact_fields,
)
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.journeys.schemas.predictions import outlook_fields
from journey_service.api.schema_fields import (
    AnyCustomerId,
    Currency,
    Id,
    NextCursor,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.analytics.flows import acyclic_flows
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.journeys.relationship import TriggerType
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.analytics.overview import Portal
from journey_service.services.analytics.risk_list import AtRisk, RiskPage
from journey_service.services.journeys.view import JourneyView


class PortalJourney(ResponseModel):
    """The head of the guide's timeline."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    color: str | None = Field(
        description="Color of the stage, as `#RRGGBB`; null if it has none", examples=["#10B981"]
    )
    icon: str | None = Field(description="Icon of the stage; null if it has none", examples=["star"])
    stage_entered_at: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-15T10:00:00Z"]
    )
    days_in_current_stage: int = Field(
        ge=0, description="Whole days of 24 hours since `stage_entered_at`", examples=[45]
    )
    lifetime_value: float = Field(description="Lifetime value in `currency`", examples=[349.9])
    currency: Currency
    total_appointments: int = Field(ge=0, description="Completed appointments", examples=[5])
    risk_score: float = Field(ge=0, le=1, description="Risk score, 0 to 1", examples=[0.2])
    engagement_score: float = Field(ge=0, le=1, description="Engagement score, 0 to 1", examples=[0.79])
    created_at: Timestamp = Field(description="When the journey began", examples=["2025-08-20T08:12:00Z"])


class PortalTransition(ResponseModel):
    """An entry of the guide's timeline."""

    id: Id = Field(description="Id of the transition", examples=[9001])
    from_stage: str | None = Field(
        description="Key of the stage that the customer left; never null, because the first transition is not listed",
        examples=["customer"],
    )
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["regular"])
    to_stage_name: str = Field(
        description="Name of the stage that the customer entered", examples=["Regular Customer"]
    )
    transitioned_at: Timestamp = Field(
        description="When the transition took effect", examples=["2026-01-15T10:00:00Z"]
    )
    trigger_type: TriggerType = Field(
        description="What caused the transition. `manual`: a person; `automatic`: a rule; `system`: the service itself",
        examples=["automatic"],
    )
    trigger_event: str | None = Field(
        description="Event type or trigger that caused the transition; null if `trigger_type` is `manual`",
        examples=["appointment_count"],
    )
    performed_by: int | None = Field(
        ge=0,
        le=MAX_ID,
        description="Id, in the caller's system, of the person who made a manual move; null if it is unknown, and for"
        " other transitions",
        examples=[None],
    )
    notes: str | None = Field(
        description="Reason that was given for a manual move; null if there is none", examples=[None]
    )


def _transition(entry: TransitionRecord, to_stage_name: str) -> PortalTransition:
    transition = entry.transition
    return PortalTransition(
        id=entry.id,
        from_stage=transition.from_stage,
        to_stage=transition.to_stage,
        to_stage_name=to_stage_name,
        transitioned_at=transition.transitioned_at,
        trigger_type=transition.trigger_type,
        trigger_event=transition.trigger_event,
        performed_by=transition.performed_by,
        notes=transition.notes,
    )


class PortalTimeline(ResponseModel):
    """The data of the guide's `CustomerJourneyTimeline`."""

    journey: PortalJourney = Field(description="The journey in its current state")
    transitions: list[PortalTransition] = Field(
        description="The latest transitions, newest first, except the first one of the journey"
    )

    @classmethod
    def of(cls, view: JourneyView, entries: list[TransitionRecord]) -> "PortalTimeline":
        """Returns the timeline of a journey."""
        stages = view.context.rulebook.stage_map.by_key
        stage = stages.get(view.stored.relationship.current_stage)
        journey = Journey.of(view).model_dump()
        return cls(
            journey=PortalJourney(
                **{name: journey[name] for name in PortalJourney.model_fields if name in journey},
                currency=view.context.company.currency,
                color=None if stage is None else stage.color,
                icon=None if stage is None else stage.icon,
            ),
            transitions=[
                _transition(entry, _stage_name(stages, entry.transition.to_stage))
                for entry in entries
                if entry.transition.from_stage is not None
            ],
        )


def _stage_name(stages: Mapping[str, Stage], key: str) -> str:
    stage = stages.get(key)
    return key if stage is None else stage.name


class PortalFunnelStep(ResponseModel):
    """A step of the guide's funnel."""

    stage: str = Field(description="Name of the stage", examples=["Regular Customer"])
    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    customers: int = Field(ge=0, description="Customers who reached the stage in the period", examples=[120])
    percentage: float = Field(
        ge=0,
        le=100,
        description="`customers` in percent of the `customers` of the first step, 0 to 100",
        examples=[62.5],
    )
    conversionRate: float = Field(  # noqa: N815  # the name that the component reads
        ge=0,
        le=100,
        description="Percentage of `customers` who reached the next step, 0 to 100",
        examples=[41.7],
    )


class PortalFlow(ResponseModel):
    """A link of the guide's Sankey diagram. A flow to a stage with a lower `order` ends in a separate node."""

    model_config = ConfigDict(frozen=True, validate_by_alias=True)

    source: str = Field(
        alias="from", description="Name of the stage that the customers left", examples=["Customer"]
    )
    target: str = Field(
        alias="to",
        description="Name of the stage that the customers entered, followed by ` (return)` if its `order` is lower",
        examples=["Regular Customer"],
    )
    count: int = Field(ge=0, description="Number of transitions in the period", examples=[48])


class PortalStageTime(ResponseModel):
    """A bar of the guide's chart of times. Days are 0 if no stage visit ended in the period."""

    stage: str = Field(description="Name of the stage", examples=["Regular Customer"])
    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    avg_days: float = Field(
        ge=0, description="Mean days of the stage visits that ended in the period", examples=[21.4]
    )
    median_days: float = Field(
        ge=0, description="Median days of the stage visits that ended in the period", examples=[17]
    )
    p90_days: float = Field(
        ge=0,
        description="90th percentile of the days of the stage visits that ended in the period",
        examples=[44.5],
    )
    open_count: int = Field(ge=0, description="Customers in the stage now", examples=[120])


class PortalAnalytics(ResponseModel):
    """The data of the guide's `JourneyAnalytics`."""

    total_customers: int = Field(ge=0, description="All customers now", examples=[1_250])
    at_risk_count: int = Field(ge=0, description="Customers in the first risk stage now", examples=[85])
    at_risk_percentage: float = Field(
        ge=0, le=100, description="`at_risk_count` in percent of `total_customers`, 0 to 100", examples=[6.8]
    )
    vip_count: int = Field(ge=0, description="Customers in the last progress stage now", examples=[40])
    vip_percentage: float = Field(
        ge=0, le=100, description="`vip_count` in percent of `total_customers`, 0 to 100", examples=[3.2]
    )
    avg_lifetime_value: float = Field(
        description="Mean lifetime value of all customers now, in `currency`; 0 if there are none",
        examples=[349.9],
    )
    currency: Currency
    funnel_data: list[PortalFunnelStep] = Field(description="Steps of the funnel in the period")
    transitions: list[PortalFlow] = Field(
        description="Flows in the period, without the first transition of each journey"
    )
    stage_times: list[PortalStageTime] = Field(
        description="Durations of the stage visits that ended in the period"
    )

    @classmethod
    def of(cls, portal: Portal) -> "PortalAnalytics":
        """Returns the data of the dashboard."""
        flows = acyclic_flows(portal.flows.query.stage_map, portal.flows.flows)
        return cls.model_validate(
            {
                **counts_of(portal.overview),
                "currency": portal.overview.query.currency,
                "funnel_data": [
                    {
                        "stage": step.stage.name,
                        "stage_key": step.stage.key,
                        "customers": step.customers,
                        "percentage": step.percentage,
                        "conversionRate": step.conversion_rate,
                    }
                    for step in portal.funnel.steps
                ],
                "transitions": [
                    {"from": source, "to": target, "count": count} for source, target, count in flows
                ],
                "stage_times": [
                    {
                        "stage": each.stage.name,
                        "stage_key": each.stage.key,
                        "avg_days": each.avg_days or 0,
                        "median_days": each.median_days or 0,
                        "p90_days": each.p90_days or 0,
                        "open_count": each.open_count,
                    }
                    for each in portal.times.stages
                ],
            }
        )


class PortalRiskCustomer(ResponseModel):
    """A row of the guide's risk dashboard."""

    id: AnyCustomerId = Field(
        description="Id of the customer; negative for an erased customer", examples=[4712]
    )
    name: str | None = Field(
        description="Name of the customer; null if it is unknown", examples=["Grace Hopper"]
    )
    email: str | None = Field(
        description="Email address; null if it is unknown", examples=["grace@customers.example"]
    )
    stage_key: str = Field(description="Key of the current stage", examples=["at_risk"])
    risk_score: float = Field(ge=0, le=1, description="Stored risk score, 0 to 1", examples=[0.8])
    days_inactive: int | None = Field(
        ge=0,
        description="Whole days of 24 hours since the last appointment; null if there was none",
        examples=[139],
    )
    next_booking_at: Timestamp | None = Field(
        description="Time of the earliest appointment that is booked and has no outcome; null if there is none",
        examples=[None],
    )
    lifetime_value: float = Field(description="Lifetime value in `currency` of the page", examples=[349.9])
    predicted_churn_date: date | None = Field(
        description="Local day on which the customer is expected to enter the last risk stage; null if it is unknown",
        examples=["2026-04-12"],
    )
    churn_probability: float | None = CHURN_PROBABILITY
    expected_loss: float | None = EXPECTED_LOSS
    retention_actions: list[RetentionAction] = Field(
        description="Actions that the guide recommends, highest priority first", examples=[RETENTION_EXAMPLE]
    )
    recommended_actions: list[str] = Field(
        description="Short names of `retention_actions`: `call`, `offer`, `email`",
        examples=[["offer", "email"]],
    )
    owner: Owner
    reach: CustomerReach
    open_task: CustomerTask
    running_campaign: CustomerCampaign

    @classmethod
    def of(cls, customer: AtRisk) -> "PortalRiskCustomer":
        """Returns a row of the dashboard."""
        found = customer.found
        reach, task, campaign = contact_fields(customer.actions, customer.reach)
        return cls(
            id=found.customer_id,
            name=found.name,
            email=found.email,
            stage_key=found.current_stage,
            risk_score=found.risk / 100,
            days_inactive=customer.days_inactive,
            next_booking_at=customer.next_booking_at,
            lifetime_value=float(found.lifetime_value),
            predicted_churn_date=customer.predicted_churn_date,
            churn_probability=outlook_fields(customer.outlook)["churn_probability"],
            expected_loss=customer.expected_loss,
            retention_actions=[RetentionAction.of(action) for action in customer.recommended],
            recommended_actions=[action.short for action in customer.recommended],
            owner=found.owner,
            reach=reach,
            open_task=task,
            running_campaign=campaign,
        )


class PortalRiskPage(ResponseModel):
    """The data of the guide's `CustomerRiskDashboard`."""

    items: list[PortalRiskCustomer] = Field(description="The customers of the page")
    next_cursor: NextCursor
    total: int = Field(ge=0, description="Customers on all pages", examples=[85])
    currency: Currency

    @classmethod
    def of(cls, page: RiskPage, limit: int, next_cursor: str | None) -> "PortalRiskPage":
        """Returns a page of the dashboard."""
        items = [PortalRiskCustomer.of(customer) for customer in page.customers[:limit]]
        return cls(
            items=items, next_cursor=next_cursor, total=page.total, currency=page.context.company.currency
        )
