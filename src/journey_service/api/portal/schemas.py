"""Schemas of the responses for the guide's own components."""

from collections.abc import Mapping
from datetime import date

from pydantic import ConfigDict, Field

from journey_service.api.analytics.schemas.churn_predictions import RetentionAction
from journey_service.api.analytics.schemas.reports import counts_of
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.schema_fields import AnyCustomerId, Id, NextCursor, ResponseModel, Timestamp
from journey_service.domain.analytics.flows import acyclic_flows
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.analytics.drilldown import AtRisk, RiskList
from journey_service.services.analytics.overview import Portal
from journey_service.services.journeys.view import JourneyView


class PortalJourney(ResponseModel):
    """The head of the guide's timeline."""

    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    color: str | None = Field(description="Colour of the stage, as #RRGGBB; null: none", examples=["#2563EB"])
    icon: str | None = Field(description="Icon of the stage; null: none", examples=["star"])
    stage_entered_at: Timestamp = Field(description="When the customer entered the stage")
    days_in_current_stage: int = Field(ge=0, description="Whole days in the current stage", examples=[12])
    lifetime_value: float = Field(description="Lifetime value in the company's currency", examples=[349.9])
    total_appointments: int = Field(ge=0, description="Completed appointments", examples=[5])
    risk_score: float = Field(ge=0, le=1, description="Risk score, 0 to 1", examples=[0.18])
    engagement_score: float = Field(ge=0, le=1, description="Engagement score, 0 to 1", examples=[0.62])
    created_at: Timestamp = Field(description="When the journey began")


class PortalTransition(ResponseModel):
    """An entry of the guide's timeline."""

    id: Id = Field(description="Id of the transition")
    from_stage: str | None = Field(
        description="Key of the stage before; never null here", examples=["customer"]
    )
    to_stage: str = Field(description="Key of the stage after", examples=["regular"])
    to_stage_name: str = Field(description="Name of the stage after", examples=["Regular Customer"])
    transitioned_at: Timestamp = Field(description="When the customer moved")
    trigger_type: str = Field(description="What caused the transition", examples=["event"])
    trigger_event: str | None = Field(
        description="Event type, or schedule, that caused it; null: neither",
        examples=["appointment_completed"],
    )
    performed_by: int | None = Field(
        description="Id, in the caller's system, of the person who moved the customer; null: none",
        examples=[None],
    )
    notes: str | None = Field(description="Notes of the transition; null: none", examples=[None])


class PortalTimeline(ResponseModel):
    """The data of the guide's `CustomerJourneyTimeline`."""

    journey: PortalJourney = Field(description="The journey now")
    transitions: list[PortalTransition] = Field(
        description="The latest transitions, newest first, without the opening one"
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
                color=None if stage is None else stage.color,
                icon=None if stage is None else stage.icon,
            ),
            transitions=[
                PortalTransition(
                    id=entry.id,
                    from_stage=entry.transition.from_stage,
                    to_stage=entry.transition.to_stage,
                    to_stage_name=_stage_name(stages, entry.transition.to_stage),
                    transitioned_at=entry.transition.transitioned_at,
                    trigger_type=entry.transition.trigger_type.value,
                    trigger_event=entry.transition.trigger_event,
                    performed_by=entry.transition.performed_by,
                    notes=entry.transition.notes,
                )
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
    percentage: float = Field(ge=0, description="Percent of the customers of the first step", examples=[62.5])
    conversionRate: float = Field(  # noqa: N815  # the name that the component reads
        ge=0, description="Percent of the customers who reached the next step", examples=[41.7]
    )


class PortalFlow(ResponseModel):
    """A link of the guide's Sankey diagram. A flow to a lower stage ends in a node of its own."""

    model_config = ConfigDict(frozen=True, validate_by_alias=True)

    source: str = Field(alias="from", description="Name of the stage before", examples=["Customer"])
    target: str = Field(
        alias="to",
        description="Name of the stage after; with ` (return)` if it is a lower one",
        examples=["Regular Customer"],
    )
    count: int = Field(ge=0, description="Transitions in the period", examples=[48])


class PortalStageTime(ResponseModel):
    """A bar of the guide's chart of times; zeros if no stage visit ended in the period."""

    stage: str = Field(description="Name of the stage", examples=["Regular Customer"])
    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    avg_days: float = Field(ge=0, description="Mean days of the ended stage visits", examples=[21.4])
    median_days: float = Field(ge=0, description="Median days of the ended stage visits", examples=[17])
    p90_days: float = Field(ge=0, description="90th percentile of the days", examples=[44.5])
    open_count: int = Field(ge=0, description="Customers in the stage now", examples=[120])


class PortalAnalytics(ResponseModel):
    """The data of the guide's `JourneyAnalytics`."""

    total_customers: int = Field(ge=0, description="All customers now", examples=[1_250])
    at_risk_count: int = Field(ge=0, description="Customers in the mildest risk stage now", examples=[85])
    at_risk_percentage: float = Field(ge=0, le=100, description="The same in percent of all", examples=[6.8])
    vip_count: int = Field(ge=0, description="Customers in the highest progress stage now", examples=[40])
    vip_percentage: float = Field(ge=0, le=100, description="The same in percent of all", examples=[3.2])
    avg_lifetime_value: float = Field(
        description="Mean lifetime value of all customers in the company's currency", examples=[349.9]
    )
    funnel_data: list[PortalFunnelStep] = Field(description="Steps of the funnel in the period")
    transitions: list[PortalFlow] = Field(description="Flows in the period, without opening transitions")
    stage_times: list[PortalStageTime] = Field(description="Times in stages in the period")

    @classmethod
    def of(cls, portal: Portal) -> "PortalAnalytics":
        """Returns the data of the dashboard."""
        flows = acyclic_flows(portal.flows.query.stage_map, portal.flows.flows)
        return cls.model_validate(
            {
                **counts_of(portal.overview),
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

    id: AnyCustomerId = Field(description="Id of the customer")
    name: str | None = Field(description="Name of the customer; null: unknown", examples=["Ada Keller"])
    email: str | None = Field(description="Email address; null: unknown", examples=["ada@reader.example"])
    risk_score: float = Field(ge=0, le=1, description="Risk score, 0 to 1", examples=[0.78])
    days_inactive: int | None = Field(
        ge=0, description="Whole days since the last appointment; null: there was none", examples=[74]
    )
    lifetime_value: float = Field(description="Lifetime value in the company's currency", examples=[349.9])
    predicted_churn_date: date | None = Field(
        description="Local date on which the customer is expected to leave; null: unknown",
        examples=["2026-04-12"],
    )
    retention_actions: list[RetentionAction] = Field(description="Actions that the guide recommends")
    recommended_actions: list[str] = Field(
        description="The same in short: `call`, `offer`, `email`", examples=[["call", "offer"]]
    )

    @classmethod
    def of(cls, customer: AtRisk) -> "PortalRiskCustomer":
        """Returns a row of the dashboard."""
        found = customer.found
        return cls(
            id=found.customer_id,
            name=found.name,
            email=found.email,
            risk_score=found.risk / 100,
            days_inactive=customer.days_inactive,
            lifetime_value=float(found.lifetime_value),
            predicted_churn_date=customer.predicted_churn_date,
            retention_actions=[RetentionAction.of(action) for action in customer.actions],
            recommended_actions=[action.short for action in customer.actions],
        )


class PortalRiskPage(ResponseModel):
    """The data of the guide's `CustomerRiskDashboard`."""

    items: list[PortalRiskCustomer] = Field(description="The customers of the page")
    next_cursor: NextCursor
    total: int = Field(ge=0, description="Customers on all pages", examples=[85])

    @classmethod
    def of(cls, page: RiskList, limit: int, next_cursor: str | None) -> "PortalRiskPage":
        """Returns a page of the dashboard."""
        items = [PortalRiskCustomer.of(customer) for customer in page.customers[:limit]]
        return cls(items=items, next_cursor=next_cursor, total=page.total)
