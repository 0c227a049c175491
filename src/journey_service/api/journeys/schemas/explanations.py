"""Explanations over the wire: what the engine found, each with a sentence."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from journey_service.api.journeys.schemas.journeys import SuppressedOut
from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.journeys.explanation import sentences as wording
from journey_service.domain.journeys.explanation.forecast import DueMove, Forecast, UpcomingMove
from journey_service.domain.journeys.explanation.paths import Path, RequiredEvents, Unit
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.relationship import Transition
from journey_service.services.journeys.explanations import Explanation


class DetailOut(ResponseModel):
    """A condition that was looked at; of a rule without any, `condition` is null."""

    stage: str
    trigger: str
    condition: str | None
    value: float | int | None = Field(description="what it saw; null: unknown")
    held: bool
    sentence: str


class WhyOut(ResponseModel):
    """The move that led into the stage, from what was noted at the time."""

    sentence: str = Field(
        examples=["regular since 2026-12-13: 3 completed appointments, 3 or more were asked"]
    )
    trigger_type: str
    trigger_event: str | None
    map_version: int
    transition: int = Field(description="its seq in the customer's history")
    details: list[DetailOut]

    @classmethod
    def of(cls, last: Transition, zone: ZoneInfo) -> "WhyOut":
        """Tell why."""
        return cls(
            sentence=wording.entry(last, zone),
            trigger_type=last.trigger_type.value,
            trigger_event=last.trigger_event,
            map_version=last.map_version,
            transition=last.seq,
            details=[
                DetailOut(
                    stage=reason.stage,
                    trigger=rule.trigger,
                    condition=None if seen is None else seen.condition,
                    value=None if seen is None else seen.value,
                    held=rule.held if seen is None else seen.held,
                    sentence=wording.condition_sentence(rule, seen),
                )
                for reason in last.reasons
                for rule in reason.rules
                for seen in rule.conditions or (None,)
            ],
        )


class HeldBackOut(SuppressedOut):
    """A move that the pin has held back."""

    sentence: str


class PinOut(ResponseModel):
    """The pin that holds the customer."""

    until: datetime
    sentence: str
    suppressed: list[HeldBackOut]

    @classmethod
    def of(cls, outlook: Forecast, zone: ZoneInfo) -> "PinOut | None":
        """Tell of the pin, if one holds."""
        if outlook.pin_until is None:
            return None
        return cls(
            until=outlook.pin_until,
            sentence=wording.pin(outlook, outlook.pin_until, zone),
            suppressed=[
                HeldBackOut(
                    to_stage=move.to_stage,
                    at=move.at,
                    trigger_event=move.trigger_event,
                    sentence=wording.suppressed_move(move, zone),
                )
                for move in outlook.suppressed
            ],
        )


class WantedOut(ResponseModel):
    """What the rules want already: held back by the pin, or due and not yet written."""

    to_stage: str
    trigger_event: str | None
    due_at: datetime | None = Field(description="null if nothing is scheduled for it")
    is_suppressed: bool
    sentence: str

    @classmethod
    def of(cls, move: DueMove, zone: ZoneInfo) -> "WantedOut":
        """Tell of a move that is wanted."""
        return cls(**move._asdict(), sentence=wording.due_move(move, zone))


class ComingOut(ResponseModel):
    """A move that follows if nothing happens."""

    to_stage: str
    at: datetime
    trigger_event: str | None
    unless: Literal["appointment_completed"] | None = Field(
        description="what would keep it from being made at that instant, if it happened now"
    )
    sentence: str = Field(examples=["at_risk on 2027-03-14 unless there is an appointment"])

    @classmethod
    def of(cls, move: UpcomingMove, outlook: Forecast, zone: ZoneInfo) -> "ComingOut":
        """Tell of a move to come."""
        return cls(
            to_stage=move.to_stage,
            at=move.at,
            trigger_event=move.trigger_event,
            unless="appointment_completed" if move.is_averted else None,
            sentence=wording.upcoming_move(move, outlook, zone),
        )


class NeedOut(ResponseModel):
    """The least that would have to happen; null is what does not matter."""

    event: str
    times: int
    total_amount: float | None = Field(description="of each event")
    call_duration: int | None = Field(description="in seconds")

    @classmethod
    def of(cls, need: RequiredEvents) -> "NeedOut":
        """Tell what is needed."""
        return cls(
            event=need.event.value,
            times=need.times,
            total_amount=None if need.amount_cents is None else need.amount_cents / 100,
            call_duration=need.call_duration,
        )


class PathOut(ResponseModel):
    """One rule that could move the customer, and what it misses. `value` and `missing` are in `unit`."""

    to_stage: str
    family: Literal["progress", "risk", "return"]
    trigger: str
    condition: str | None
    value: float | int | None = Field(description="what the condition sees now; null: unknown")
    missing: float | int | None
    unit: Unit | None
    needs: NeedOut | None
    at: datetime | None = Field(description="when the rule holds if nothing happens")
    leads_to: str | None = Field(
        description="the stage the customer then is in, by what is needed or at that instant; null: not tried"
    )
    sentence: str = Field(examples=["120.00 more for vip"])

    @classmethod
    def of(cls, path: Path, outlook: Forecast, zone: ZoneInfo) -> "PathOut":
        """Tell what a rule misses."""
        return cls(
            to_stage=path.to_stage,
            family=path.step.value,
            trigger=path.trigger,
            condition=wording.conditions_text(path),
            value=path.value,
            missing=path.missing,
            unit=path.unit,
            needs=None if path.needs is None else NeedOut.of(path.needs),
            at=path.at,
            leads_to=path.leads_to,
            sentence=wording.rule_path(path, outlook, zone),
        )


class ExplanationOut(ResponseModel):
    """Why a customer is where they are, and what would move them. Days in sentences are the company's own."""

    as_of: datetime
    customer_id: int
    current_stage: str
    stage_name: str
    since: datetime
    days_in_stage: int
    why: WhyOut
    pin: PinOut | None
    wanted_now: WantedOut | None
    upcoming: list[ComingOut] = Field(description="in order; at most five, up to `looked_until`")
    looked_until: datetime
    paths: list[PathOut]

    @classmethod
    def of(cls, explanation: Explanation) -> "ExplanationOut":
        """Put an explanation into words."""
        context, relationship, outlook = explanation.context, explanation.relationship, explanation.outlook
        zone = ZoneInfo(context.company.timezone)
        stage = context.rulebook.stage_map.by_key.get(relationship.current_stage)
        return cls(
            as_of=outlook.as_of,
            customer_id=relationship.customer_id,
            current_stage=relationship.current_stage,
            stage_name=relationship.current_stage if stage is None else stage.name,
            since=relationship.stage_entered_at,
            days_in_stage=days_since(relationship.stage_entered_at, outlook.as_of),
            why=WhyOut.of(explanation.last, zone),
            pin=PinOut.of(outlook, zone),
            wanted_now=None if outlook.due_move is None else WantedOut.of(outlook.due_move, zone),
            upcoming=[ComingOut.of(move, outlook, zone) for move in outlook.upcoming],
            looked_until=outlook.looked_until,
            paths=[PathOut.of(path, outlook, zone) for path in outlook.paths],
        )
