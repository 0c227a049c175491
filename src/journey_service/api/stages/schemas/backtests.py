"""Back-tests of a draft map over the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from journey_service.api.schema_fields import Instant, ResponseModel
from journey_service.api.stages.schemas.stage_maps import DraftIn, FindingOut
from journey_service.domain.events.event import MAX_ID
from journey_service.domain.operations.records import Job
from journey_service.services.stages.backtests import MAX_LAPSE_DAYS, MAX_NAMED_CUSTOMERS, BacktestParameters


class BacktestIn(DraftIn):
    """A draft to be tried on the past."""

    since: Instant = Field(alias="from", examples=["2025-01-01T00:00:00Z"])
    until: Instant = Field(alias="to", description="the first instant after the range")
    lapse_days: int | None = Field(
        default=None,
        strict=True,
        ge=1,
        le=MAX_LAPSE_DAYS,
        description="days without a visit after which a customer is lost; by default those of the worst risk stage",
    )
    customer_ids: list[Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]] = Field(
        default_factory=list, max_length=MAX_NAMED_CUSTOMERS, description="whose moves are told one by one"
    )

    @property
    def span(self) -> BacktestParameters:
        """The past that is asked about."""
        return BacktestParameters(self.since, self.until, self.lapse_days, self.customer_ids)


class MoveOut(ResponseModel):
    """A move that would have been made."""

    from_stage: str
    to_stage: str
    at: datetime
    trigger_event: str


class SampledMoveOut(MoveOut):
    """A move that would have been made, and whose."""

    customer_id: int


class MovesOut(ResponseModel):
    """How often customers would have moved from one stage to another."""

    from_stage: str
    to_stage: str
    moves: int
    customers: int


class AlarmsOut(ResponseModel):
    """Moves from progress into a risk stage, by what became of them."""

    raised: int
    confirmed: int = Field(description="the customer stayed away for `lapse_days`")
    late: int = Field(description="of the confirmed: raised when the customer was lost already")
    returned: int = Field(description="false alarms: the customer came back sooner, without help")
    open: int = Field(description="neither is known yet")


class LapsesOut(ResponseModel):
    """Customers who stayed away for `lapse_days`."""

    total: int
    alarmed: int = Field(description="an alarm had been raised before")
    at_risk_already: int = Field(description="none could be raised: they had never left a risk stage")


class LeadTimeOut(ResponseModel):
    """Days from alarm to lapse, to a tenth."""

    median: float | None
    p90: float | None
    mean: float | None


class MedianOut(ResponseModel):
    """Days, to a tenth."""

    median: float | None


class FiguresOut(ResponseModel):
    """How one map would have done."""

    customers_moved: int
    moves: int
    matrix: list[MovesOut]
    months: dict[str, dict[str, int]] = Field(description="moves by local month and stage entered")
    stages: dict[str, int] = Field(description="customers by stage at the end of the range")
    alarms: AlarmsOut
    lapses: LapsesOut
    precision: float | None = Field(description="confirmed / (confirmed + returned)")
    recall: float | None = Field(description="lapses alarmed / lapses")
    lead_time_days: LeadTimeOut
    return_days: MedianOut = Field(description="how soon those came back who raised a false alarm")


class DraftFiguresOut(FiguresOut):
    """How the draft would have done, with the first customers of each kind of move."""

    samples: list[SampledMoveOut]


class BothOut(ResponseModel):
    """Moves under both maps."""

    draft: list[MoveOut]
    present: list[MoveOut]


class LeftOffOut(ResponseModel):
    """How many earlier moves are not told."""

    draft: int
    present: int


class NamedOut(ResponseModel):
    """One customer's moves up to the end of the range, the newest 200 under each map."""

    customer_id: int
    opened_at: datetime | None
    moves: BothOut
    left_off: LeftOffOut


class TrialOut(ResponseModel):
    """What a back-test has found: the draft beside the map that was in force when it was asked for."""

    since: datetime = Field(serialization_alias="from")
    until: datetime = Field(serialization_alias="to")
    as_of: datetime = Field(description="what is known ends here")
    timezone: str
    lapse_days: int
    map_version: int
    customers: int
    draft: DraftFiguresOut
    present: FiguresOut
    named: list[NamedOut]
    warnings: list[FindingOut]

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> "TrialOut":
        """Show what a back-test has found."""
        told = {**result, "since": result["from"], "until": result["to"]}
        return cls.model_validate({name: told[name] for name in cls.model_fields})


class BacktestOut(ResponseModel):
    """A back-test and how far it is; `result` once it is done."""

    job_id: int
    status: Literal["queued", "running", "done", "failed"]
    done: int = Field(description="customers replayed so far")
    total: int | None
    error: str | None
    result: TrialOut | None

    @classmethod
    def of(cls, job: Job) -> "BacktestOut":
        """Show a back-test."""
        return cls(
            job_id=job.id,
            status=job.status,  # type: ignore[arg-type]  # the table's own check
            done=job.done,
            total=job.total,
            error=job.error,
            result=TrialOut.of(job.result) if job.status == "done" and job.result is not None else None,
        )
