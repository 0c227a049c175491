"""Figures over the wire."""

from datetime import date, datetime

from pydantic import Field

from journey_service.api.analytics.schemas.distribution import StageCountOut
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.analytics.aggregates import stage_labels
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.analytics.automation import Automation
from journey_service.services.analytics.cohorts import Cohorts
from journey_service.services.analytics.funnels import CohortFunnel, Flows, Funnel
from journey_service.services.analytics.overview import Overview, RiskDistribution
from journey_service.services.analytics.query_context import QueryContext
from journey_service.services.analytics.time_in_stage import Conversions, TimeInStage


def _framed(query: QueryContext) -> dict[str, datetime | date]:
    return {"as_of": query.as_of, "from": query.days.first, "to": query.days.last}


class FramedOut(ResponseModel):
    """What every figure over a range is told with: when, and of which local days, both included."""

    as_of: datetime
    first: date = Field(alias="from")
    last: date = Field(alias="to")


class OverviewRowOut(ResponseModel):
    """The overview as one row: counts as of now, and what happened in the range.

    `at_risk_count` are the customers in the mildest risk stage, `vip_count` those in the highest progress stage;
    percentages are of all customers. `moves` are without openings; `lapses` lead into risk, `returns` out of it.
    """

    total_customers: int
    at_risk_count: int
    at_risk_percentage: float
    vip_count: int
    vip_percentage: float
    avg_lifetime_value: float
    currency: str
    new_customers: int
    moves: int
    lapses: int
    returns: int
    revenue: float


class OverviewOut(FramedOut, OverviewRowOut):
    """How a company's customers stand, and what happened."""

    stages: list[StageCountOut]

    @classmethod
    def of(cls, overview: Overview) -> "OverviewOut":
        """Show an overview."""
        return cls.model_validate(
            {
                **_framed(overview.query),
                **counts_of(overview),
                "currency": overview.query.currency,
                "new_customers": overview.opened,
                "moves": overview.moves,
                "lapses": overview.lapses,
                "returns": overview.returns,
                "revenue": overview.revenue_cents / 100,
                "stages": [stage_count(stage, customers) for stage, customers in overview.stages],
            }
        )


def counts_of(overview: Overview) -> dict[str, int | float]:
    """The figures as of now that the guide's dashboard shows too."""
    return {
        "total_customers": overview.total,
        "at_risk_count": overview.at_risk,
        "at_risk_percentage": float(overview.at_risk_percentage),
        "vip_count": overview.vips,
        "vip_percentage": float(overview.vip_percentage),
        "avg_lifetime_value": overview.average_cents / 100,
    }


def stage_count(stage: Stage, customers: int) -> StageCountOut:
    """How many customers are in a stage."""
    return StageCountOut(stage_key=stage.key, stage_name=stage.name, customers=customers)


class StepOut(ResponseModel):
    """Customers with an entry to a stage, or to a later one, in the range.

    `percentage` is of the first stage, `conversion_rate` to the next one. `returned` are the ways back into the stage
    out of risk, which are no entries. With mode=cohort: those who came so far within their window, what became of
    them (`converted` came further, `pending` still may, `dropped` did not), and no `returned`.
    """

    stage_key: str
    stage_name: str
    customers: int
    percentage: float
    conversion_rate: float
    returned: int | None = None
    converted: int | None = None
    pending: int | None = None
    dropped: int | None = None


class FunnelOut(FramedOut):
    """The funnel of progress stages."""

    mode: str
    window_days: int | None
    items: list[StepOut]

    @classmethod
    def of(cls, funnel: Funnel | CohortFunnel) -> "FunnelOut":
        """Show a funnel."""
        is_cohort = isinstance(funnel, CohortFunnel)
        return cls.model_validate(
            {
                **_framed(funnel.query),
                "mode": "cohort" if is_cohort else "reached",
                "window_days": funnel.window_days if isinstance(funnel, CohortFunnel) else None,
                "items": [
                    {**step._asdict(), "stage_key": step.stage.key, "stage_name": step.stage.name}
                    for step in funnel.steps
                ],
            }
        )


class FlowOut(ResponseModel):
    """Moves from one stage to another, and the distinct customers who made them."""

    from_stage: str
    from_name: str
    to_stage: str
    to_name: str
    moves: int
    customers: int


class FlowsOut(FramedOut):
    """Moves between stages, without openings."""

    items: list[FlowOut]

    @classmethod
    def of(cls, flows: Flows) -> "FlowsOut":
        """Show flows."""
        names = stage_labels(flows.query.stage_map)
        items = [
            FlowOut(
                **flow._asdict(),
                from_name=names.get(flow.from_stage, flow.from_stage),
                to_name=names.get(flow.to_stage, flow.to_stage),
            )
            for flow in flows.flows
        ]
        return cls.model_validate({**_framed(flows.query), "items": items})


class StageTimeOut(ResponseModel):
    """Days of the visits of a stage that ended in the range (null: none did); apart, of those that go on now."""

    stage_key: str
    stage_name: str
    visits: int
    avg_days: float | None
    median_days: float | None
    p90_days: float | None
    open_count: int
    open_avg_days: float | None


class TimeInStageOut(FramedOut):
    """Time in stages."""

    items: list[StageTimeOut]

    @classmethod
    def of(cls, times: TimeInStage) -> "TimeInStageOut":
        """Show time in stages."""
        items = [
            {"stage_key": each.stage.key, "stage_name": each.stage.name, **each._asdict()}
            for each in times.stages
        ]
        return cls.model_validate({**_framed(times.query), "items": items})


class ConversionOut(ResponseModel):
    """Visits of a stage that ended in the range; `converted` by an entry (of a risk stage: by a return)."""

    stage_key: str
    stage_name: str
    visits: int
    converted: int
    conversion_rate: float | None


class ConversionsOut(FramedOut):
    """How visits ended."""

    items: list[ConversionOut]

    @classmethod
    def of(cls, conversions: Conversions) -> "ConversionsOut":
        """Show how visits ended."""
        items = [
            ConversionOut(
                stage_key=each.stage.key,
                stage_name=each.stage.name,
                visits=each.visits,
                converted=each.converted,
                conversion_rate=None if each.rate is None else float(each.rate),
            )
            for each in conversions.stages
        ]
        return cls.model_validate({**_framed(conversions.query), "items": items})


class BandOut(ResponseModel):
    """Customers whose stored risk lies in a band, both ends included."""

    band: str
    risk_min: float
    risk_max: float
    customers: int


class RisksOut(ResponseModel):
    """Customers by stored risk, as of now."""

    as_of: datetime
    total: int
    items: list[BandOut]

    @classmethod
    def of(cls, risks: RiskDistribution) -> "RisksOut":
        """Show a distribution of risk."""
        return cls(
            as_of=risks.as_of,
            total=sum(customers for _, customers in risks.bands),
            items=[
                BandOut(
                    band=band.name, risk_min=band.low / 100, risk_max=band.high / 100, customers=customers
                )
                for band, customers in risks.bands
            ],
        )


class CohortRowOut(ResponseModel):
    """Of `size` customers who first came in `cohort`, those who came in the month so many later."""

    cohort: str
    size: int
    month: int
    customers: int
    percentage: float


class CohortsOut(FramedOut):
    """Retention by the month of the first visit, month by month up to the present one.

    Cohorts are those of whole months that the range touches.
    """

    items: list[CohortRowOut]

    @classmethod
    def of(cls, cohorts: Cohorts) -> "CohortsOut":
        """Show retention."""
        return cls.model_validate(
            {
                **_framed(cohorts.query),
                "items": [
                    {
                        "cohort": f"{cohort.month // 12:04}-{cohort.month % 12 + 1:02}",
                        "size": cohort.came[0],
                        "month": later,
                        "customers": customers,
                        "percentage": percentage,
                    }
                    for cohort in cohorts.cohorts
                    for later, (customers, percentage) in enumerate(
                        zip(cohort.came, cohort.percentages, strict=True)
                    )
                ],
            }
        )


class AutomatedOut(ResponseModel):
    """What has become of the actions of one name; `success_rate` is done of done and dead, in percent."""

    name: str
    done: int
    dead: int
    cancelled: int
    pending: int
    success_rate: float | None


class AutomationOut(FramedOut):
    """What has become of the actions planned in the range."""

    success_rate: float | None
    items: list[AutomatedOut]

    @classmethod
    def of(cls, automation: Automation) -> "AutomationOut":
        """Show what has become of actions."""
        items = [
            AutomatedOut(
                name=each.name,
                done=each.done,
                dead=each.dead,
                cancelled=each.cancelled,
                pending=each.pending,
                success_rate=None if each.rate is None else float(each.rate),
            )
            for each in automation.actions
        ]
        return cls.model_validate(
            {**_framed(automation.query), "success_rate": automation.rate, "items": items}
        )
