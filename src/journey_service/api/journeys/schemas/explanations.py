"""Response schemas of explanations: each fact with an English sentence."""

from datetime import tzinfo
from typing import Literal

from pydantic import Field

from journey_service.api.journeys.schemas.journeys import SuppressedMove
from journey_service.api.schema_fields import AnyCustomerId, CustomerRef, ResponseModel, Timestamp
from journey_service.domain.companies.currencies import Currency
from journey_service.domain.events.event import EventType
from journey_service.domain.journeys import relationship as domain
from journey_service.domain.journeys.explanation import forecast, paths, sentences
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.relationship import TriggerType
from journey_service.services.journeys import explanations

_DUE_AT = "2026-05-31T09:30:00Z"


class ConditionExplanation(ResponseModel):
    """A condition that was evaluated for the last transition."""

    stage: str = Field(description="Key of the stage that the rule belongs to", examples=["regular"])
    trigger: str = Field(description="Trigger of the rule", examples=["appointment_count"])
    condition: str | None = Field(
        description="Operator and number that the value is compared with; null if the rule has no conditions",
        examples=[">=3"],
    )
    value: float | int | None = Field(
        description="Value that was compared; null if it is unknown", examples=[3]
    )
    held: bool = Field(
        description="Whether the value met the condition; without conditions, whether the rule held",
        examples=[True],
    )
    sentence: str = Field(
        description="The condition and its result in words",
        examples=["3 completed appointments (required: at least 3)"],
    )


class EntryExplanation(ResponseModel):
    """The transition that led into the current stage, as it was recorded."""

    sentence: str = Field(
        description="The transition in words",
        examples=["regular since 2026-01-15: 3 completed appointments (required: at least 3)"],
    )
    trigger_type: TriggerType = Field(
        description="What caused the transition. `manual`: a person; `automatic`: a rule; `system`: the service itself",
        examples=["automatic"],
    )
    trigger_event: str | None = Field(
        description="Event type or trigger that caused the transition; null if `trigger_type` is `manual`",
        examples=["appointment_count"],
    )
    map_version: int = Field(
        ge=1, description="Version of the stage map that decided the transition", examples=[3]
    )
    transition: int = Field(
        ge=1, description="Number of the transition in the journey: its `seq`", examples=[4]
    )
    details: list[ConditionExplanation] = Field(
        description="Every condition that was evaluated for the transition, held or not"
    )

    @classmethod
    def of(cls, last: domain.Transition, zone: tzinfo) -> "EntryExplanation":
        """Builds the response from the last transition."""
        return cls(
            sentence=sentences.entry(last, zone),
            trigger_type=last.trigger_type,
            trigger_event=last.trigger_event,
            map_version=last.map_version,
            transition=last.seq,
            details=[
                ConditionExplanation(
                    stage=reason.stage,
                    trigger=rule.trigger,
                    condition=None if condition is None else condition.condition,
                    value=None if condition is None else condition.value,
                    held=rule.held if condition is None else condition.held,
                    sentence=sentences.condition_sentence(rule, condition),
                )
                for reason in last.reasons
                for rule in reason.rules
                for condition in rule.conditions or (None,)
            ],
        )


class SuppressedMoveExplanation(SuppressedMove):
    """A move that the pin has suppressed."""

    sentence: str = Field(
        description="The move in words",
        examples=["at_risk was due on 2026-05-31 and is suppressed by the pin"],
    )


class PinExplanation(ResponseModel):
    """The pin that keeps the customer in the stage."""

    until: Timestamp = Field(description="Time until which the pin lasts", examples=["2026-07-01T00:00:00Z"])
    sentence: str = Field(description="The pin in words", examples=["pinned to vip until 2026-07-01"])
    suppressed: list[SuppressedMoveExplanation] = Field(description="Moves that the pin has suppressed")

    @classmethod
    def of(cls, outlook: forecast.Forecast, zone: tzinfo) -> "PinExplanation | None":
        """Builds the response from a forecast; None without a pin."""
        if outlook.pin_until is None:
            return None
        return cls(
            until=outlook.pin_until,
            sentence=sentences.pin(outlook, outlook.pin_until, zone),
            suppressed=[
                SuppressedMoveExplanation(
                    to_stage=move.to_stage,
                    at=move.at,
                    trigger_event=move.trigger_event,
                    sentence=sentences.suppressed_move(move, zone),
                )
                for move in outlook.suppressed
            ],
        )


class BookingPauseExplanation(ResponseModel):
    """The open booking that pauses moves to risk stages."""

    booking_at: Timestamp = Field(description="Time of the appointment", examples=["2026-06-20T09:30:00Z"])
    until: Timestamp | None = Field(
        description="When the pause ends if the booking and the next ones have no outcome; null if it does not end",
        examples=["2026-06-21T09:30:00Z"],
    )
    sentence: str = Field(description="The pause in words", examples=["paused by the booking of 20 June"])

    @classmethod
    def of(cls, outlook: forecast.Forecast, zone: tzinfo) -> "BookingPauseExplanation | None":
        """Builds the response from a forecast; None without a pause."""
        if outlook.paused_by is None:
            return None
        sentence = sentences.booking_pause(outlook, outlook.paused_by, zone)
        return cls(booking_at=outlook.paused_by, until=outlook.pause_ends, sentence=sentence)


class DueMove(ResponseModel):
    """A move that the rules call for now. It is suppressed by the pin, or will be written shortly."""

    to_stage: str = Field(
        description="Key of the stage that the customer would move to", examples=["at_risk"]
    )
    trigger_event: str | None = Field(
        description="Event type or trigger that calls for the move; null if the cause is that the customer's stage is"
        " archived",
        examples=["days_since_last_appointment"],
    )
    due_at: Timestamp | None = Field(
        description="When the move was due; null if it has no due time",
        examples=["2026-05-31T11:00:00Z"],
    )
    is_suppressed: bool = Field(description="Whether a pin suppresses the move", examples=[False])
    sentence: str = Field(
        description="The move in words",
        examples=["at_risk has been due since 2026-05-31 and will be recorded shortly"],
    )

    @classmethod
    def of(cls, move: forecast.DueMove, zone: tzinfo) -> "DueMove":
        """Builds the response from a due move of the forecast."""
        return cls(**move._asdict(), sentence=sentences.due_move(move, zone))


class UpcomingMove(ResponseModel):
    """A move that will happen unless an event changes the customer's facts."""

    to_stage: str = Field(description="Key of the stage that the customer will move to", examples=["at_risk"])
    at: Timestamp = Field(description="When the move will happen", examples=[_DUE_AT])
    trigger_event: str | None = Field(
        description="Trigger that causes the move; null if the cause is that the customer's stage is archived",
        examples=["days_since_last_appointment"],
    )
    unless: Literal["appointment_completed"] | None = Field(
        description="Type of an event that would prevent the move if it occurred now; null if there is none",
        examples=["appointment_completed"],
    )
    sentence: str = Field(
        description="The move in words", examples=["at_risk on 2026-05-31 unless there is an appointment"]
    )

    @classmethod
    def of(cls, move: forecast.UpcomingMove, outlook: forecast.Forecast, zone: tzinfo) -> "UpcomingMove":
        """Builds the response from an upcoming move of the forecast."""
        return cls(
            to_stage=move.to_stage,
            at=move.at,
            trigger_event=move.trigger_event,
            unless="appointment_completed" if move.is_averted else None,
            sentence=sentences.upcoming_move(move, outlook, zone),
        )


class RequiredEvents(ResponseModel):
    """The smallest number of equal events that would make a rule hold."""

    event: EventType = Field(description="Type of the events", examples=["appointment_completed"])
    times: int = Field(ge=1, description="Number of events", examples=[1])
    total_amount: float | None = Field(
        ge=0,
        description="Amount of each event, in the company's currency; null if any amount will do",
        examples=[650.1],
    )
    call_duration: int | None = Field(
        ge=0, description="Duration of each call in seconds; null if any duration will do", examples=[None]
    )

    @classmethod
    def of(cls, need: paths.RequiredEvents, currency: Currency) -> "RequiredEvents":
        """Builds the response from required events of the domain, with amounts in the currency."""
        return cls(
            event=need.event,
            times=need.times,
            total_amount=None if need.amount_cents is None else need.amount_cents / currency.units,
            call_duration=need.call_duration,
        )


class StagePath(ResponseModel):
    """A rule that could move the customer, and what is missing for it."""

    to_stage: str = Field(description="Key of the stage that the rule belongs to", examples=["vip"])
    direction: Literal["progress", "risk", "return"] = Field(
        description="Direction of the move. `progress`: to a progress stage; `risk`: into a risk stage; `return`: out"
        " of a risk stage",
        examples=["progress"],
    )
    trigger: str = Field(description="Trigger of the rule", examples=["lifetime_value"])
    condition: str | None = Field(
        description="Operator and number that the value is compared with; null if the rule has no conditions",
        examples=[">=1000"],
    )
    value: float | int | None = Field(
        description="Current value, in the unit `unit`; null if it is unknown", examples=[349.9]
    )
    missing: float | int | None = Field(
        description="Difference between `value` and the required value, in the unit `unit`; null if there is none or"
        " it cannot be measured",
        examples=[650.1],
    )
    unit: paths.PathUnit | None = Field(
        description="Unit of `value` and `missing`. `money`: the company's currency; `appointments`, `days`,"
        " `seconds`: their number; `ratio`: 1 is the customer's usual gap; `probability`, `score`, `rate`: 0 to 1."
        " Null if the rule has no conditions",
        examples=["money"],
    )
    needs: RequiredEvents | None = Field(
        description="Events that would make the rule hold; null if no events would: see `at`"
    )
    at: Timestamp | None = Field(
        description="When the rule will hold by the passing of time; null if it never will", examples=[None]
    )
    leads_to: str | None = Field(
        description="Key of the stage that the customer would be in once the rule holds; it differs from `to_stage` if"
        " another rule takes precedence. Null if it was not computed",
        examples=["vip"],
    )
    sentence: str = Field(
        description="What is missing, in words", examples=["EUR 650.10 more needed for vip"]
    )

    @classmethod
    def of(
        cls, path: paths.RulePath, outlook: forecast.Forecast, zone: tzinfo, currency: Currency
    ) -> "StagePath":
        """Builds the response from a path of the forecast."""
        return cls(
            to_stage=path.to_stage,
            direction=path.step.value,
            trigger=path.trigger,
            condition=sentences.conditions_text(path),
            value=path.value,
            missing=path.missing,
            unit=path.unit,
            needs=None if path.needs is None else RequiredEvents.of(path.needs, currency),
            at=path.at,
            leads_to=path.leads_to,
            sentence=sentences.rule_path(path, outlook, zone, currency.code),
        )


class Explanation(ResponseModel):
    """Why a customer is in a stage and what would move the customer. Dates in sentences are local dates."""

    as_of: Timestamp = Field(
        description="Time as of which everything was computed", examples=["2026-03-01T12:00:00Z"]
    )
    customer_id: AnyCustomerId = Field(description="Id of the customer; negative: erased")
    customer_ref: CustomerRef
    current_stage: str = Field(description="Key of the current stage", examples=["regular"])
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])
    since: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-15T10:00:00Z"]
    )
    days_in_stage: int = Field(ge=0, description="Whole days of 24 hours since `since`", examples=[45])
    why: EntryExplanation = Field(description="The transition that led into `current_stage`")
    pin: PinExplanation | None = Field(
        description="The pin that keeps the customer in `current_stage`; null if there is none",
        examples=[None],
    )
    risk_pause: BookingPauseExplanation | None = Field(
        description="The open booking that pauses moves to risk stages; null if there is none",
        examples=[None],
    )
    due_move: DueMove | None = Field(
        description="A move that the rules call for now; null if there is none", examples=[None]
    )
    upcoming: list[UpcomingMove] = Field(
        description="The next moves by the passing of time, in order; at most five, up to `searched_until`"
    )
    searched_until: Timestamp = Field(
        description="End of the range of time that was searched for `upcoming`",
        examples=["2036-03-01T12:00:00Z"],
    )
    paths: list[StagePath] = Field(description="Every rule that can move the customer, and what it requires")

    @classmethod
    def of(cls, explanation: explanations.JourneyExplanation) -> "Explanation":
        """Builds the response from an explanation of the service."""
        context, relationship, outlook = explanation.context, explanation.relationship, explanation.forecast
        zone = context.company.zone
        stage = context.rulebook.stage_map.by_key.get(relationship.current_stage)
        return cls(
            as_of=outlook.as_of,
            customer_id=relationship.customer_id,
            customer_ref=explanation.customer_ref,
            current_stage=relationship.current_stage,
            stage_name=relationship.current_stage if stage is None else stage.name,
            since=relationship.stage_entered_at,
            days_in_stage=days_since(relationship.stage_entered_at, outlook.as_of),
            why=EntryExplanation.of(explanation.last, zone),
            pin=PinExplanation.of(outlook, zone),
            risk_pause=BookingPauseExplanation.of(outlook, zone),
            due_move=None if outlook.due_move is None else DueMove.of(outlook.due_move, zone),
            upcoming=[UpcomingMove.of(move, outlook, zone) for move in outlook.upcoming],
            searched_until=outlook.searched_until,
            paths=[
                StagePath.of(path, outlook, zone, context.rulebook.policy.currency) for path in outlook.paths
            ],
        )
