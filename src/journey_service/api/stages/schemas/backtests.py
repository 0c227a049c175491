"""Request and response schemas of back-tests of a draft of the stage map."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from journey_service.api.customer_names import with_names
from journey_service.api.operations.schemas.jobs import JobStatus
from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerName,
    CustomerRef,
    Id,
    Instant,
    NamedCustomers,
    ResponseModel,
    Timestamp,
)
from journey_service.api.stages.schemas.stage_maps import LintFinding, StageMapDraft
from journey_service.domain.operations.records import Job
from journey_service.services.customers.names import CustomerNames
from journey_service.services.stages.backtests import MAX_LAPSE_DAYS, MAX_NAMED_CUSTOMERS, BacktestParameters


class BacktestRequest(StageMapDraft):
    """A draft of the stage map and the past range to replay it on."""

    since: Instant = Field(
        alias="from", description="Start of the range, inclusive", examples=["2025-01-01T00:00:00Z"]
    )
    until: Instant = Field(
        alias="to",
        description="End of the range, exclusive; at most 10 years after `from`, not in the future",
        examples=["2026-01-01T00:00:00Z"],
    )
    lapse_days: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=MAX_LAPSE_DAYS,
        description="Days without an appointment after which a customer counts as lost; null or omitted: the days in"
        " the rule of the last risk stage of the current map that has such a rule, or 180 if none has",
        examples=[180],
    )
    customer_ids: NamedCustomers = Field(
        default_factory=list,
        max_length=MAX_NAMED_CUSTOMERS,
        description="Customers whose moves are listed in `listed_customers`, each by id or by `ref:` and the"
        " `customer_ref`",
        examples=[[4712]],
    )

    def to_parameters(self, customer_ids: Sequence[int]) -> BacktestParameters:
        """Returns the past range, as the service takes it."""
        return BacktestParameters(self.since, self.until, self.lapse_days, list(customer_ids))


class BacktestMove(ResponseModel):
    """A move that the map would have made."""

    from_stage: str = Field(description="Key of the stage that the customer left", examples=["customer"])
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["at_risk"])
    at: Timestamp = Field(description="When the move would have happened", examples=["2025-06-12T09:00:00Z"])
    trigger_event: str = Field(
        description="Event type or trigger that would have caused the move",
        examples=["days_since_last_appointment"],
    )


class BacktestSampleMove(BacktestMove):
    """A move that the map would have made, with its customer."""

    customer_id: AnyCustomerId = Field(
        description="Id of the customer; negative for an erased customer", examples=[4712]
    )
    customer_ref: CustomerRef
    customer_name: CustomerName


class BacktestFlow(ResponseModel):
    """Moves from one stage to another."""

    from_stage: str = Field(description="Key of the stage that the customer left", examples=["customer"])
    to_stage: str = Field(description="Key of the stage that the customer entered", examples=["at_risk"])
    moves: int = Field(ge=0, description="Number of moves", examples=[30])
    customers: int = Field(ge=0, description="Number of distinct customers who made the moves", examples=[28])


class BacktestAlarms(ResponseModel):
    """Alarms (moves from a progress stage into a risk stage) by their outcome."""

    raised: int = Field(ge=0, description="Number of all alarms", examples=[30])
    confirmed: int = Field(
        ge=0,
        description="Number of alarms after which the customer stayed away for `lapse_days`",
        examples=[20],
    )
    late: int = Field(
        ge=0,
        description="Number of alarms of `confirmed` that were raised after `lapse_days` had passed",
        examples=[1],
    )
    returned: int = Field(
        ge=0,
        description="Number of false alarms: the customer came back before `lapse_days` had passed",
        examples=[8],
    )
    open: int = Field(ge=0, description="Number of alarms whose outcome is unknown", examples=[2])


class BacktestLapses(ResponseModel):
    """Lapses by whether an alarm preceded. In a lapse, a customer stayed away for `lapse_days`."""

    total: int = Field(ge=0, description="Number of all lapses", examples=[25])
    alarmed: int = Field(ge=0, description="Number of lapses before which an alarm was raised", examples=[19])
    already_at_risk: int = Field(
        ge=0,
        description="Number of lapses without a possible alarm, because the customer had never left a risk stage",
        examples=[2],
    )


class LeadTimeDays(ResponseModel):
    """Days from alarm to lapse, with one decimal."""

    median: float | None = Field(ge=0, description="Median; null if there are none", examples=[89.5])
    p90: float | None = Field(ge=0, description="90th percentile; null if there are none", examples=[120])
    mean: float | None = Field(ge=0, description="Mean; null if there are none", examples=[91.2])


class ReturnDays(ResponseModel):
    """Days from a false alarm to the next appointment, with one decimal."""

    median: float | None = Field(ge=0, description="Median; null if there are none", examples=[12.5])


class BacktestMetrics(ResponseModel):
    """What one map would have done in the range."""

    customers_moved: int = Field(
        ge=0, description="Number of customers who would have moved at least once", examples=[210]
    )
    moves: int = Field(ge=0, description="Number of moves", examples=[340])
    matrix: list[BacktestFlow] = Field(description="Moves by pair of stages, by the `order` of the stages")
    months: dict[str, dict[str, int]] = Field(
        description="Number of moves by local month, then by key of the stage that was entered",
        examples=[{"2025-06": {"at_risk": 4}}],
    )
    stages: dict[str, int] = Field(
        description="Number of customers at the end of the range, by key of their stage",
        examples=[{"vip": 40}],
    )
    alarms: BacktestAlarms = Field(description="Alarms by outcome")
    lapses: BacktestLapses = Field(description="Lapses, by whether an alarm preceded")
    precision: float | None = Field(
        ge=0,
        le=1,
        description="`confirmed` / (`confirmed` + `returned`) of `alarms`, 0 to 1; null if both are 0",
        examples=[0.7143],
    )
    recall: float | None = Field(
        ge=0,
        le=1,
        description="`alarmed` / `total` of `lapses`, 0 to 1; null if there are no lapses",
        examples=[0.76],
    )
    lead_time_days: LeadTimeDays = Field(description="Days from a confirmed alarm to the lapse")
    return_days: ReturnDays = Field(description="Days from a false alarm to the next appointment")


class BacktestDraftMetrics(BacktestMetrics):
    """What the draft would have done in the range."""

    samples: list[BacktestSampleMove] = Field(description="The first five moves of each pair of stages")


class BacktestMoveLists(ResponseModel):
    """Moves of one customer under both maps, the newest 200 of each."""

    draft: list[BacktestMove] = Field(description="Moves under the draft")
    current: list[BacktestMove] = Field(description="Moves under the current map")


class BacktestOmittedMoves(ResponseModel):
    """Number of earlier moves that are not listed."""

    draft: int = Field(ge=0, description="Number of moves under the draft", examples=[0])
    current: int = Field(ge=0, description="Number of moves under the current map", examples=[0])


class BacktestCustomer(ResponseModel):
    """The moves of a customer that the request named."""

    customer_id: AnyCustomerId = Field(
        description="Id of the customer; negative for an erased customer", examples=[4712]
    )
    customer_ref: CustomerRef
    customer_name: CustomerName
    opened_at: Timestamp | None = Field(
        description="When the journey began; null if it began after the range",
        examples=["2025-02-01T09:00:00Z"],
    )
    moves: BacktestMoveLists = Field(description="Moves up to the end of the range, oldest first")
    omitted: BacktestOmittedMoves = Field(description="Earlier moves that are not listed")


class BacktestResult(ResponseModel):
    """The draft compared with the stage map that was current when the back-test was requested."""

    since: Timestamp = Field(
        alias="from",
        description="Start of the range, inclusive",
        examples=["2025-01-01T00:00:00Z"],
    )
    until: Timestamp = Field(
        alias="to", description="End of the range, exclusive", examples=["2026-01-01T00:00:00Z"]
    )
    as_of: Timestamp = Field(
        description="Time of the request; later appointments are not taken into account",
        examples=["2026-03-01T12:00:00Z"],
    )
    timezone: str = Field(description="IANA time zone of months and days", examples=["Europe/Berlin"])
    lapse_days: int = Field(
        ge=1, description="Days without an appointment after which a customer counted as lost", examples=[180]
    )
    map_version: int = Field(ge=1, description="Version of the current stage map", examples=[3])
    customers: int = Field(ge=0, description="Number of customers whose events were replayed", examples=[340])
    draft: BacktestDraftMetrics = Field(description="Metrics of the draft")
    current: BacktestMetrics = Field(description="Metrics of the current map")
    listed_customers: list[BacktestCustomer] = Field(
        description="Moves of the customers in `customer_ids`, by id"
    )
    warnings: list[LintFinding] = Field(description="Warnings of the linter about the draft", examples=[[]])

    @classmethod
    def of(cls, result: Mapping[str, Any], names: Mapping[int, CustomerNames]) -> "BacktestResult":
        """Builds the response from the result of a back-test job, and the names of its customers."""
        return cls.model_validate(with_names(result, names))


class Backtest(ResponseModel):
    """A back-test job and its result."""

    job_id: Id = Field(description="Id of the job, for `GET /stage-backtests/{job_id}`")
    status: JobStatus = Field(
        description="Status of the job. `queued`: no worker has started it. `running`: a worker runs it. `done`: it has"
        " succeeded. `failed`: it has failed, see `error`",
        examples=["done"],
    )
    done: int = Field(ge=0, description="Number of customers whose events are replayed", examples=[340])
    total: int | None = Field(
        ge=0,
        description="Number of customers whose events are to be replayed; null while it is unknown",
        examples=[340],
    )
    error: str | None = Field(
        description="Why the job failed; null unless `status` is `failed`", examples=[None]
    )
    result: BacktestResult | None = Field(description="The comparison; null unless `status` is `done`")

    @classmethod
    def of(cls, job: Job, names: Mapping[int, CustomerNames]) -> "Backtest":
        """Builds the response from a job, and the names of the customers in its result."""
        return cls(
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            result=BacktestResult.of(job.result, names)
            if job.status == "done" and job.result is not None
            else None,
        )
