"""What goes over the wire: built from domain values by `of`, read by pydantic."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events import MAX_ID, EventType, JsonValue
from journey_service.domain.facts import days_since
from journey_service.domain.intake import check_json, parse_instant
from journey_service.domain.relationship import StageReason, SuppressedMove
from journey_service.domain.rules import rules_to_json
from journey_service.domain.scoring import Explanation
from journey_service.domain.stages import Stage, StageMap
from journey_service.repositories.companies import Desk
from journey_service.repositories.imports import Import, LineFault
from journey_service.repositories.keys import StoredKey
from journey_service.repositories.transitions import Entry
from journey_service.services.credentials import NewKey
from journey_service.services.customers import Customer
from journey_service.services.desk import View
from journey_service.services.ingest import Outcome
from journey_service.services.journeys import Evaluation, Moved, Scores

CHANNELS = ("email", "sms", "call", "offer")
Consent = Literal["granted", "withdrawn", "unknown"]
Channel = Literal["email", "sms", "call", "offer"]


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL")
    return value


def _free_json(value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
    fault = None if value is None else check_json(value)
    if fault is not None:
        raise ValueError(fault)
    return value


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-03-01T09:30:00Z")  # noqa: TRY004  # pydantic wants it
    try:
        return parse_instant(value, "")
    except InvalidInputError as error:
        raise ValueError(error.faults[0].message) from error


Text = Annotated[str, AfterValidator(_no_nul)]
Instant = Annotated[
    AwareDatetime, BeforeValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
FreeJson = Annotated[dict[str, Any] | None, AfterValidator(_free_json)]


class In(BaseModel):
    """A body: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


class EventDataIn(In):
    """What an event says beyond that it happened."""

    call_duration: int | None = Field(default=None, ge=0, le=2**31 - 1, description="seconds")
    total_amount: float | None = Field(
        default=None,
        ge=0,
        le=999_999_999.99,
        description="money, at most two decimals; missing is 0",
        examples=[49.9],
    )
    booking_id: Text | None = Field(default=None, min_length=1, max_length=255)
    scheduled_for: Instant | None = None
    metadata: FreeJson = Field(default=None, description="anything, up to 8 KiB and 20 levels")


class EventIn(In):
    """Something that happened to a customer, told once under the sender's own id."""

    id: Text = Field(min_length=1, max_length=255, examples=["appt-1001-completed"])
    source: Text = Field(min_length=1, max_length=255, examples=["booking"])
    type: EventType = Field(examples=["appointment_completed"])
    customer_id: int = Field(ge=0, le=MAX_ID, examples=[4711])
    occurred_at: Instant = Field(examples=["2026-03-01T09:30:00Z"])
    data: EventDataIn | None = None


class CloudEventIn(BaseModel):
    """A CloudEvents 1.0 message in structured mode. Extension attributes are allowed."""

    model_config = ConfigDict(extra="allow", frozen=True)

    specversion: Literal["1.0"]
    id: Text = Field(min_length=1, max_length=255)
    source: Text = Field(min_length=1, max_length=255)
    type: EventType
    subject: str = Field(description="the customer's id", pattern=r"^\d{1,19}$", examples=["4711"])
    time: Instant
    datacontenttype: str = "application/json"
    data: EventDataIn | None = None


class CustomerIn(In):
    """A profile. What is left out is unknown; a channel left out of `consents` stays as it is."""

    name: Text | None = Field(default=None, max_length=255, examples=["Ada Lovelace"])
    email: Text | None = Field(default=None, max_length=320, examples=["ada@example.com"])
    phone: Text | None = Field(default=None, max_length=64, examples=["+49 30 1234567"])
    consents: dict[Channel, Consent] = Field(default_factory=dict, examples=[{"email": "granted"}])


class ManualMoveIn(In):
    """A move by hand."""

    to_stage: Text = Field(min_length=1, max_length=50, examples=["vip"])
    notes: Text | None = Field(default=None, max_length=10_000)
    performed_by: int | None = Field(
        default=None, ge=0, le=MAX_ID, description="the user's id, if a person is known"
    )
    pin_until: Instant | None = Field(default=None, description="hold the customer in the stage until then")


class PinIn(In):
    """How long a customer is held in the present stage."""

    pin_until: Instant


class AnnotationIn(In):
    """Notes and metadata of a journey; what is left out stays as it is."""

    notes: Text | None = Field(default=None, max_length=10_000)
    metadata: FreeJson = None


class CompanyIn(In):
    """A company to be founded."""

    id: int | None = Field(default=None, ge=1, le=MAX_ID, description="left out, one is given")
    name: Text = Field(min_length=1, max_length=255, examples=["Salon Lumière"])
    timezone: Text = Field(default="UTC", max_length=64, examples=["Europe/Berlin"])
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$", examples=["EUR"])
    test_clock: Instant | None = Field(
        default=None, description="the company's time stands still there until it is advanced"
    )
    policy: dict[str, Any] = Field(default_factory=dict, description="what differs from the default policy")
    stages: list[dict[str, Any]] | None = Field(
        default=None, description="the stage map; left out, the seven defaults"
    )


class KeyIn(In):
    """An API key to be made."""

    name: Text = Field(min_length=1, max_length=255, examples=["booking system"])
    scopes: list[str] = Field(min_length=1, max_length=20, examples=[["events:write"]])
    expires_at: Instant | None = None


class SuppressedOut(Out):
    """A move the rules wanted while a pin held the customer."""

    to_stage: str
    at: datetime
    trigger_event: str

    @classmethod
    def of(cls, move: SuppressedMove) -> "SuppressedOut":
        """Show a suppressed move."""
        return cls(to_stage=move.to_stage, at=move.at, trigger_event=move.trigger_event)


class JourneyOut(Out):
    """Where a customer stands. Scores are from 0 to 1, as of `scored_at`."""

    customer_id: int
    current_stage: str
    stage_name: str
    stage_entered_at: datetime
    days_in_current_stage: int
    previous_stage: str | None
    version: int
    pin_until: datetime | None
    suppressed: list[SuppressedOut]
    lifetime_value: float
    total_appointments: int
    total_missed: int
    first_appointment_at: datetime | None
    last_appointment_at: datetime | None
    last_event_at: datetime | None
    risk_score: float
    engagement_score: float
    scored_at: datetime
    next_evaluation_at: datetime | None
    map_version: int
    notes: str | None
    metadata: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime | None

    @classmethod
    def of(cls, view: View) -> "JourneyOut":
        """Show a customer's journey."""
        standing, relationship = view.standing, view.standing.relationship
        facts = relationship.facts
        stage = view.desk.rulebook.stage_map.by_key.get(relationship.current_stage)
        return cls.model_construct(
            customer_id=relationship.customer_id,
            current_stage=relationship.current_stage,
            stage_name=relationship.current_stage if stage is None else stage.name,
            stage_entered_at=relationship.stage_entered_at,
            days_in_current_stage=days_since(relationship.stage_entered_at, view.as_of),
            previous_stage=relationship.previous_stage,
            version=relationship.version,
            pin_until=relationship.pin_until,
            # What an earlier pin held back is history: it is shown while one holds.
            suppressed=[
                SuppressedOut.of(move)
                for move in (relationship.pin_memory.suppressed if relationship.pin_until else ())
            ],
            lifetime_value=facts.lifetime_cents(view.desk.rulebook.policy) / 100,
            total_appointments=facts.total_appointments,
            total_missed=facts.total_missed,
            first_appointment_at=facts.first_appointment_at,
            last_appointment_at=facts.last_appointment_at,
            last_event_at=facts.last_event_at,
            risk_score=view.risk / 100,
            engagement_score=view.engagement / 100,
            scored_at=view.as_of,
            next_evaluation_at=relationship.next_evaluation_at,
            map_version=view.desk.company.map_version,
            notes=standing.notes,
            metadata=standing.metadata,
            created_at=standing.created_at or relationship.stage_entered_at,
            updated_at=standing.updated_at,
        )


class ConditionOut(Out):
    """A condition, the value it saw (null: unknown), and its answer."""

    field: str
    condition: str
    value: float | int | None
    held: bool


class RuleOut(Out):
    """A rule and its answer."""

    trigger: str
    held: bool
    conditions: list[ConditionOut]


class ReasonOut(Out):
    """A stage that was looked at."""

    stage: str
    kind: str
    held: bool
    rules: list[RuleOut]

    @classmethod
    def of(cls, reason: StageReason) -> "ReasonOut":
        """Show a reason."""
        return cls.model_construct(
            stage=reason.stage,
            kind=reason.kind,
            held=reason.held,
            rules=[
                RuleOut.model_construct(
                    trigger=rule.trigger,
                    held=rule.held,
                    conditions=[
                        ConditionOut.model_construct(**condition._asdict()) for condition in rule.conditions
                    ],
                )
                for rule in reason.rules
            ],
        )


class TransitionOut(Out):
    """One row of a journey's ledger. `id` is null in a dry run."""

    id: int | None
    seq: int
    from_stage: str | None
    to_stage: str
    transitioned_at: datetime
    recorded_at: datetime
    trigger_type: str
    trigger_event: str | None
    actor: str | None
    performed_by: int | None
    notes: str | None
    reasons: list[ReasonOut]
    map_version: int

    @classmethod
    def of(cls, entry: Entry) -> "TransitionOut":
        """Show a ledger entry."""
        move = entry.transition
        return cls.model_construct(
            id=entry.id or None,
            seq=move.seq,
            from_stage=move.from_stage,
            to_stage=move.to_stage,
            transitioned_at=move.transitioned_at,
            recorded_at=entry.recorded_at,
            trigger_type=move.trigger_type.value,
            trigger_event=move.trigger_event,
            actor=move.actor,
            performed_by=move.performed_by,
            notes=move.notes,
            reasons=[ReasonOut.of(reason) for reason in move.reasons],
            map_version=move.map_version,
        )


class EventOut(Out):
    """What became of an event: the move it caused, if any, and the journey now."""

    status: Literal["applied", "duplicate", "ignored_erased"]
    journey: JourneyOut | None
    transition: TransitionOut | None

    @classmethod
    def of(cls, outcome: Outcome) -> "EventOut":
        """Show an outcome."""
        return cls.model_construct(
            status=outcome.status.value,
            journey=JourneyOut.of(outcome.view),
            transition=None if outcome.entry is None else TransitionOut.of(outcome.entry),
        )


class ResultOut(Out):
    """What became of one event of a batch; `problem` when it could not be applied."""

    index: int
    status: Literal["applied", "duplicate", "ignored_erased", "refused"]
    journey: JourneyOut | None = None
    transition: TransitionOut | None = None
    problem: dict[str, Any] | None = None


class BatchOut(Out):
    """One result per event, in the order they were sent."""

    results: list[ResultOut]


class TransitionsOut(Out):
    """A page of a journey's ledger, newest first."""

    items: list[TransitionOut]
    next_cursor: str | None


class FactorOut(Out):
    """A part of a score; the contributions add up to it."""

    name: str
    value: float | int | None
    threshold: float | int | None
    weight: float
    contribution: float


class ScoreOut(Out):
    """A score from 0 to 1 and what it is made of."""

    score: float
    factors: list[FactorOut]

    @classmethod
    def of(cls, explanation: Explanation) -> "ScoreOut":
        """Show a score."""
        return cls(
            score=explanation.score / 100,
            factors=[
                FactorOut(
                    name=factor.name,
                    value=None if factor.value is None else _number(factor.value),
                    threshold=None if factor.threshold is None else _number(factor.threshold),
                    weight=float(factor.weight),
                    contribution=factor.contribution / 100,
                )
                for factor in explanation.factors
            ],
        )


class ScoresOut(Out):
    """Both scores of a customer, explained."""

    as_of: datetime
    engagement: ScoreOut
    risk: ScoreOut

    @classmethod
    def of(cls, scores: Scores) -> "ScoresOut":
        """Show scores."""
        return cls(
            as_of=scores.as_of, engagement=ScoreOut.of(scores.engagement), risk=ScoreOut.of(scores.risk)
        )


class ConsentOut(Out):
    """Whether a customer may be contacted over a channel, since when, and who said so."""

    status: Consent
    at: datetime | None = None
    source: str | None = None


class CustomerOut(Out):
    """A customer and the journey."""

    customer_id: int
    name: str | None
    email: str | None
    phone: str | None
    consents: dict[str, ConsentOut]
    created_at: datetime
    updated_at: datetime
    journey: JourneyOut

    @classmethod
    def of(cls, customer: Customer) -> "CustomerOut":
        """Show a customer."""
        profile = customer.profile
        return cls(
            customer_id=profile.customer_id,
            name=profile.name,
            email=profile.email,
            phone=profile.phone,
            consents={
                channel: ConsentOut.model_validate(profile.consents.get(channel, {"status": "unknown"}))
                for channel in CHANNELS
            },
            created_at=profile.created_at,
            updated_at=profile.updated_at,
            journey=JourneyOut.of(customer.view),
        )


class CustomersOut(Out):
    """A page of customers. Their scores are the stored ones."""

    items: list[CustomerOut]
    next_cursor: str | None


class PinnedOut(Out):
    """That a move by hand was pinned, because the rules would have undone it at once."""

    until: datetime
    reason: str


class MovedOut(Out):
    """A move by hand."""

    transition: TransitionOut
    journey: JourneyOut
    pinned: PinnedOut | None

    @classmethod
    def of(cls, moved: Moved) -> "MovedOut":
        """Show a move by hand."""
        pinned = None
        if moved.pinned_until is not None:
            reason = "The rules would have undone this move at once, so the customer is held in the stage until then."
            pinned = PinnedOut(until=moved.pinned_until, reason=reason)
        return cls(transition=TransitionOut.of(moved.entry), journey=JourneyOut.of(moved.view), pinned=pinned)


class EvaluationOut(Out):
    """What evaluating did, or in a dry run would do, in order; and why the customer is where they are now."""

    status: Literal["moved", "stayed", "suppressed"]
    dry_run: bool
    transitions: list[TransitionOut]
    suppressed_to: str | None
    reasons: list[ReasonOut]
    journey: JourneyOut

    @classmethod
    def of(cls, evaluation: Evaluation) -> "EvaluationOut":
        """Show an evaluation."""
        held = "suppressed" if evaluation.suppressed_to is not None else "stayed"
        return cls(
            status="moved" if evaluation.moves else "suppressed" if held == "suppressed" else "stayed",
            dry_run=evaluation.is_dry_run,
            transitions=[TransitionOut.of(entry) for entry in evaluation.moves],
            suppressed_to=evaluation.suppressed_to,
            reasons=[ReasonOut.of(reason) for reason in evaluation.reasons],
            journey=JourneyOut.of(evaluation.view),
        )


class StageOut(Out):
    """A stage of the company's map."""

    key: str
    name: str
    description: str | None
    color: str | None
    icon: str | None
    order: int
    kind: str
    auto_rules: dict[str, Any] | None
    retention_days: int | None
    is_active: bool

    @classmethod
    def of(cls, stage: Stage, rules: dict[str, object] | None) -> "StageOut":
        """Show a stage."""
        return cls(
            key=stage.key,
            name=stage.name,
            description=stage.description,
            color=stage.color,
            icon=stage.icon,
            order=stage.order,
            kind=stage.kind.value,
            auto_rules=rules,
            retention_days=stage.retention_days,
            is_active=stage.is_active,
        )


class StagesOut(Out):
    """The company's stage map, in order."""

    version: int
    stages: list[StageOut]
    warnings: list[str]

    @classmethod
    def of(cls, stage_map: StageMap) -> "StagesOut":
        """Show a stage map."""
        return cls(
            version=stage_map.version,
            stages=[StageOut.of(stage, rules_to_json(stage.rules)) for stage in stage_map.stages],
            warnings=list(stage_map.warnings),
        )


class CompanyOut(Out):
    """A company."""

    id: int
    name: str
    timezone: str
    currency: str
    test_clock: datetime | None
    map_version: int
    created_at: datetime


class FoundedOut(CompanyOut):
    """A company just founded, with its stage map."""

    stages: StagesOut

    @classmethod
    def of(cls, desk: Desk) -> "FoundedOut":
        """Show a new company."""
        company = desk.company
        return cls(
            id=company.id,
            name=company.name,
            timezone=company.timezone,
            currency=company.currency,
            test_clock=company.clock_at,
            map_version=company.map_version,
            created_at=company.created_at,
            stages=StagesOut.of(desk.rulebook.stage_map),
        )


class CompaniesOut(Out):
    """A page of companies."""

    items: list[CompanyOut]
    next_cursor: str | None


class KeyOut(Out):
    """An API key, without its secret."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: StoredKey) -> "KeyOut":
        """Show a key."""
        return cls(
            id=key.key_id,
            name=key.name,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )


class NewKeyOut(KeyOut):
    """An API key just made: `secret` is shown this once."""

    secret: str

    @classmethod
    def of_new(cls, new: NewKey) -> "NewKeyOut":
        """Show a new key."""
        return cls(**KeyOut.of(new.key).model_dump(), secret=new.token)


class KeysOut(Out):
    """A page of API keys."""

    items: list[KeyOut]
    next_cursor: str | None


class ImportOut(Out):
    """An import and how far it is."""

    id: int
    job_id: int
    status: Literal["reading", "queued", "running", "done", "failed"]
    until: datetime | None = Field(description="the instant journeys are brought to; null: the company's now")
    lines: int = Field(description="lines read, the header included")
    total: int = Field(description="lines that were understood")
    done: int = Field(description="lines decided so far")
    applied: int
    duplicates: int
    late: int = Field(description="of the applied: told after something later, decided as of now")
    later: int = Field(description="lines beyond `until`, left for another time")
    failed: int = Field(description="faulty lines; see the errors")
    transitions: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> "ImportOut":
        """Show an import."""
        return cls(
            id=found.id,
            job_id=found.id,
            status=found.status,  # type: ignore[arg-type]  # the table's own check
            until=found.until,
            lines=found.lines,
            total=found.staged,
            done=found.done,
            applied=found.applied,
            duplicates=found.duplicates,
            late=found.late,
            later=found.later,
            failed=found.failed_lines,
            transitions=found.transitions,
            error=found.error,
            created_at=found.created_at,
            finished_at=found.finished_at,
        )


class ImportsOut(Out):
    """A page of imports, newest first."""

    items: list[ImportOut]
    next_cursor: str | None


class LineFaultOut(Out):
    """What was wrong with a line."""

    line: int
    pointer: str
    detail: str

    @classmethod
    def of(cls, fault: LineFault) -> "LineFaultOut":
        """Show a fault."""
        return cls(line=fault.line, pointer=fault.pointer, detail=fault.message)


class LineFaultsOut(Out):
    """A page of faulty lines."""

    items: list[LineFaultOut]
    next_cursor: str | None


class PortalJourneyOut(Out):
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


class PortalTransitionOut(Out):
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


class PortalTimelineOut(Out):
    """What the guide's `CustomerJourneyTimeline` draws, newest first, without the opening."""

    journey: PortalJourneyOut
    transitions: list[PortalTransitionOut]

    @classmethod
    def of(cls, view: View, entries: list[Entry]) -> "PortalTimelineOut":
        """Show a timeline."""
        stages = view.desk.rulebook.stage_map.by_key
        stage = stages.get(view.standing.relationship.current_stage)
        journey = JourneyOut.of(view).model_dump()
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


def _number(value: Any) -> float | int:  # noqa: ANN401  # Decimal or int
    return value if isinstance(value, int) else float(value)
