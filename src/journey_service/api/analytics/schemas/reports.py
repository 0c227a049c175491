"""Response schemas of reports over a range of days: overview, funnel, flows, time in stage, conversion rates."""

from typing import Literal

from pydantic import Field

from journey_service.api.analytics.schemas.dates import RangedReport, range_values
from journey_service.api.analytics.schemas.distribution import STAGE_COUNTS_EXAMPLE, StageCount
from journey_service.api.schema_fields import Currency, ResponseModel
from journey_service.domain.analytics.aggregates import stage_labels
from journey_service.services.analytics import funnels, overview, time_in_stage

FunnelMode = Literal["reached", "cohort"]


class Overview(RangedReport):
    """The customers of a company now, and what happened in the range."""

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
    new_customers: int = Field(ge=0, description="Journeys that began in the range", examples=[64])
    moves: int = Field(
        ge=0,
        description="Transitions in the range, except the first transition of each journey",
        examples=[212],
    )
    lapses: int = Field(ge=0, description="Transitions into a risk stage in the range", examples=[31])
    returns: int = Field(ge=0, description="Transitions out of a risk stage in the range", examples=[9])
    revenue: float = Field(description="Revenue of the range, in `currency`", examples=[18_420.5])
    stages: list[StageCount] = Field(
        description="Customers by stage now, including empty stages", examples=[STAGE_COUNTS_EXAMPLE]
    )

    @classmethod
    def of(cls, found: overview.OverviewReport) -> "Overview":
        """Returns the schema of an overview."""
        return cls.model_validate(
            {
                **range_values(found.query),
                **counts_of(found),
                "currency": found.query.currency,
                "new_customers": found.opened,
                "moves": found.moves,
                "lapses": found.lapses,
                "returns": found.returns,
                "revenue": float(found.revenue),
                "stages": [StageCount.of(stage, customers) for stage, customers in found.stages],
            }
        )


def counts_of(found: overview.OverviewReport) -> dict[str, int | float]:
    """Returns the current counts of an overview, which the guide's dashboard shows too."""
    return {
        "total_customers": found.total,
        "at_risk_count": found.at_risk,
        "at_risk_percentage": float(found.at_risk_percentage),
        "vip_count": found.vips,
        "vip_percentage": float(found.vip_percentage),
        "avg_lifetime_value": float(found.average_lifetime_value),
    }


class FunnelStage(ResponseModel):
    """A stage of the funnel and the customers who reached it or a later one."""

    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    stage_name: str = Field(description="Name of the stage", examples=["Regular Customer"])
    customers: int = Field(
        ge=0,
        description="Distinct customers who entered this stage or a later one in the range; if `mode` is `cohort`,"
        " within the window of each customer",
        examples=[120],
    )
    percentage: float = Field(
        ge=0,
        le=100,
        description="`customers` in percent of the `customers` of the first progress stage, 0 to 100",
        examples=[62.5],
    )
    conversion_rate: float = Field(
        ge=0,
        le=100,
        description="Percentage of `customers` who reached the next progress stage, 0 to 100",
        examples=[41.7],
    )
    returned: int | None = Field(
        default=None,
        ge=0,
        description="Transitions from risk stages back into the stage, which do not count as entries; null if `mode`"
        " is `cohort`",
        examples=[4],
    )
    converted: int | None = Field(
        default=None,
        ge=0,
        description="Customers of the cohort who reached a later stage; null if `mode` is `reached`",
        examples=[None],
    )
    pending: int | None = Field(
        default=None,
        ge=0,
        description="Customers of the cohort who have not reached a later stage, and whose window has not ended; null"
        " if `mode` is `reached`",
        examples=[None],
    )
    dropped: int | None = Field(
        default=None,
        ge=0,
        description="Customers of the cohort who did not reach a later stage before their window ended; null if `mode`"
        " is `reached`",
        examples=[None],
    )


class Funnel(RangedReport):
    """The funnel of the progress stages."""

    mode: FunnelMode = Field(
        description="`reached`: customers who entered a stage in the range. `cohort`: customers whose journey began in"
        " the range, each followed for `window_days`",
        examples=["reached"],
    )
    window_days: int | None = Field(
        ge=1,
        description="Days of 24 hours for which each customer is followed; null if `mode` is `reached`",
        examples=[None],
    )
    items: list[FunnelStage] = Field(description="The progress stages in their order")

    @classmethod
    def of(cls, funnel: funnels.FunnelReport | funnels.CohortFunnel) -> "Funnel":
        """Returns the schema of a funnel."""
        is_cohort = isinstance(funnel, funnels.CohortFunnel)
        return cls.model_validate(
            {
                **range_values(funnel.query),
                "mode": "cohort" if is_cohort else "reached",
                "window_days": funnel.window_days if isinstance(funnel, funnels.CohortFunnel) else None,
                "items": [
                    {**step._asdict(), "stage_key": step.stage.key, "stage_name": step.stage.name}
                    for step in funnel.steps
                ],
            }
        )


class Flow(ResponseModel):
    """The transitions from one stage to another."""

    from_stage: str = Field(description="Key of the stage that the customers left", examples=["customer"])
    from_name: str = Field(description="Name of the stage that the customers left", examples=["Customer"])
    to_stage: str = Field(description="Key of the stage that the customers entered", examples=["regular"])
    to_name: str = Field(
        description="Name of the stage that the customers entered", examples=["Regular Customer"]
    )
    moves: int = Field(
        ge=0, description="Transitions from `from_stage` to `to_stage` in the range", examples=[48]
    )
    customers: int = Field(ge=0, description="Distinct customers who made the transitions", examples=[46])


class Flows(RangedReport):
    """The transitions between stages, except the first transition of each journey."""

    items: list[Flow] = Field(description="Pairs of stages with at least one transition")

    @classmethod
    def of(cls, flows: funnels.FlowReport) -> "Flows":
        """Returns the schema of flows."""
        names = stage_labels(flows.query.stage_map)
        items = [
            Flow(
                **flow._asdict(),
                from_name=names.get(flow.from_stage, flow.from_stage),
                to_name=names.get(flow.to_stage, flow.to_stage),
            )
            for flow in flows.flows
        ]
        return cls.model_validate({**range_values(flows.query), "items": items})


class StageTime(ResponseModel):
    """The durations of the visits of a stage, in days of 24 hours with one decimal."""

    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    stage_name: str = Field(description="Name of the stage", examples=["Regular Customer"])
    visits: int = Field(ge=0, description="Visits that ended in the range", examples=[52])
    avg_days: float | None = Field(
        ge=0, description="Mean days of the ended visits; null if none ended", examples=[21.4]
    )
    median_days: float | None = Field(
        ge=0, description="Median days of the ended visits; null if none ended", examples=[17.0]
    )
    p90_days: float | None = Field(
        ge=0,
        description="90th percentile of the days of the ended visits; null if none ended",
        examples=[44.5],
    )
    open_count: int = Field(ge=0, description="Visits that are open now", examples=[120])
    open_avg_days: float | None = Field(
        ge=0, description="Mean days of the open visits up to now; null if none is open", examples=[12.3]
    )


class TimeInStage(RangedReport):
    """How long customers stay in each stage."""

    items: list[StageTime] = Field(description="The stages")

    @classmethod
    def of(cls, times: time_in_stage.TimeInStageReport) -> "TimeInStage":
        """Returns the schema of times in stages."""
        items = [
            {"stage_key": each.stage.key, "stage_name": each.stage.name, **each._asdict()}
            for each in times.stages
        ]
        return cls.model_validate({**range_values(times.query), "items": items})


class ConversionRate(ResponseModel):
    """The percentage of the visits of a stage that ended with a conversion.

    A conversion is a move to a progress stage with a higher `order`; for a risk stage, a move to any progress stage.
    """

    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    stage_name: str = Field(description="Name of the stage", examples=["Regular Customer"])
    visits: int = Field(ge=0, description="Visits that ended in the range", examples=[52])
    converted: int = Field(
        ge=0,
        description="Visits that ended with a conversion",
        examples=[31],
    )
    conversion_rate: float | None = Field(
        ge=0,
        le=100,
        description="`converted` in percent of `visits`, 0 to 100; null if none ended",
        examples=[59.6],
    )


class ConversionRates(RangedReport):
    """How the visits of each stage ended."""

    items: list[ConversionRate] = Field(description="The stages")

    @classmethod
    def of(cls, conversions: time_in_stage.Conversions) -> "ConversionRates":
        """Returns the schema of conversion rates."""
        items = [
            ConversionRate(
                stage_key=each.stage.key,
                stage_name=each.stage.name,
                visits=each.visits,
                converted=each.converted,
                conversion_rate=None if each.rate is None else float(each.rate),
            )
            for each in conversions.stages
        ]
        return cls.model_validate({**range_values(conversions.query), "items": items})
