"""What the guide's own components draw."""

from collections.abc import Mapping
from datetime import date, datetime

from pydantic import Field

from journey_service.api.analytics.schemas.drilldown import RetentionActionOut
from journey_service.api.analytics.schemas.reports import counts_of
from journey_service.api.journeys.schemas.journeys import Journey
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.analytics.flows import acyclic_flows
from journey_service.domain.journeys.records import TransitionRecord
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.analytics.drilldown import AtRisk, RiskList
from journey_service.services.analytics.overview import Portal
from journey_service.services.journeys.view import JourneyView


class PortalJourneyOut(ResponseModel):
    """The head of the guide's timeline."""

    customer_id: int
    current_stage: str
    stage_name: str
    color: str | None
    icon: str | None
    stage_entered_at: datetime
    days_in_current_stage: int
    lifetime_value: float
    total_appointments: int
    risk_score: float
    engagement_score: float
    created_at: datetime


class PortalTransitionOut(ResponseModel):
    """One entry of the guide's timeline."""

    id: int
    from_stage: str | None
    to_stage: str
    to_stage_name: str
    transitioned_at: datetime
    trigger_type: str
    trigger_event: str | None
    performed_by: int | None
    notes: str | None


class PortalTimelineOut(ResponseModel):
    """What the guide's `CustomerJourneyTimeline` draws, newest first, without the opening."""

    journey: PortalJourneyOut
    transitions: list[PortalTransitionOut]

    @classmethod
    def of(cls, view: JourneyView, entries: list[TransitionRecord]) -> "PortalTimelineOut":
        """Show a timeline."""
        stages = view.context.rulebook.stage_map.by_key
        stage = stages.get(view.stored.relationship.current_stage)
        journey = Journey.of(view).model_dump()
        return cls(
            journey=PortalJourneyOut(
                **{name: journey[name] for name in PortalJourneyOut.model_fields if name in journey},
                color=None if stage is None else stage.color,
                icon=None if stage is None else stage.icon,
            ),
            transitions=[
                PortalTransitionOut(
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


class PortalStepOut(ResponseModel):
    """One step of the guide's funnel."""

    stage: str
    stage_key: str
    customers: int
    percentage: float
    conversionRate: float  # noqa: N815  # what the component reads


class PortalFlowOut(ResponseModel):
    """One link of the guide's Sankey diagram; one to a lower stage ends in a node of its own."""

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    count: int


class PortalTimeOut(ResponseModel):
    """One bar of the guide's chart of times; without a visit that ended, zeros."""

    stage: str
    stage_key: str
    avg_days: float
    median_days: float
    p90_days: float
    open_count: int


class PortalAnalyticsOut(ResponseModel):
    """What the guide's `JourneyAnalytics` draws."""

    total_customers: int
    at_risk_count: int
    at_risk_percentage: float
    vip_count: int
    vip_percentage: float
    avg_lifetime_value: float
    funnel_data: list[PortalStepOut]
    transitions: list[PortalFlowOut]
    stage_times: list[PortalTimeOut]

    @classmethod
    def of(cls, portal: Portal) -> "PortalAnalyticsOut":
        """Show a dashboard."""
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


class PortalAtRiskOut(ResponseModel):
    """One row of the guide's risk dashboard."""

    id: int
    name: str | None
    email: str | None
    risk_score: float
    days_inactive: int | None
    lifetime_value: float
    predicted_churn_date: date | None
    retention_actions: list[RetentionActionOut]
    recommended_actions: list[str]

    @classmethod
    def of(cls, customer: AtRisk) -> "PortalAtRiskOut":
        """Show a row."""
        found = customer.found
        return cls(
            id=found.customer_id,
            name=found.name,
            email=found.email,
            risk_score=found.risk / 100,
            days_inactive=customer.days_inactive,
            lifetime_value=float(found.lifetime_value),
            predicted_churn_date=customer.predicted_churn_date,
            retention_actions=[RetentionActionOut.of(action) for action in customer.actions],
            recommended_actions=[action.short for action in customer.actions],
        )


class PortalRiskOut(ResponseModel):
    """What the guide's `CustomerRiskDashboard` draws."""

    items: list[PortalAtRiskOut]
    next_cursor: str | None
    total: int

    @classmethod
    def of(cls, page: RiskList, limit: int, next_cursor: str | None) -> "PortalRiskOut":
        """Show a page."""
        items = [PortalAtRiskOut.of(customer) for customer in page.customers[:limit]]
        return cls(items=items, next_cursor=next_cursor, total=page.total)
