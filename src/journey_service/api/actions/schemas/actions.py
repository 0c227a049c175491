"""Request and response schemas of actions: the delivery log and manual actions."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from journey_service.api.schema_fields import (
    AnyCustomerId,
    Id,
    NextCursor,
    Note,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Timestamp,
)
from journey_service.domain.actions import action as domain
from journey_service.domain.actions.action import ActionState, EndReason
from journey_service.domain.actions.parsing import MAX_DAYS
from journey_service.domain.actions.records import DeliveryLogRow, StoredAttempt
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import KEY
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.services.actions.delivery_log import ActionView

_DUE_AT: Final = "2026-03-02T12:00:00Z"
_AT: Final = "2026-03-01T12:00:00Z"
ACTION_ID: Final = "018f6f5e-7a3c-7cc0-98a1-3f1f0b8f2a10"
"""Example of an action's id."""

Days = Annotated[int, Field(strict=True, le=MAX_DAYS)]


_OFFER_REQUEST: Final[dict[str, Any]] = {
    "type": "offer",
    "template": "personal_offer",
    "note": "We would like to see you again.",
    "offer": {"title": "10% off your next visit", "code": "HELLO10", "valid_days": 30},
}


class Offer(RequestModel):
    """A special offer to a customer."""

    title: SingleLineText | None = Field(
        default=None, description="Title; null: none", examples=["10% off your next visit"]
    )
    description: SingleLineText | None = Field(
        default=None, description="Terms in one line; null: none", examples=["Valid for all treatments"]
    )
    code: SingleLineText | None = Field(
        default=None, description="Code that the customer presents; null: none", examples=["HELLO10"]
    )
    valid_days: Annotated[Days, Field(ge=1)] | None = Field(
        default=None, description="Days of validity from the day it is sent; null: unlimited", examples=[30]
    )


class ActionRequest(RequestModel):
    """A manual action for a customer. A field that has no meaning for the type is refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OFFER_REQUEST]})

    type: Literal["call", "email", "offer"] = Field(
        description="`call`: a task for a person; `email`, `offer`: a message to the customer",
        examples=["offer"],
    )
    template: Annotated[str, Field(pattern=f"^{KEY.pattern}$")] | None = Field(
        default=None,
        description="Email, offer: key of the template; null or omitted: the built-in template",
        examples=["personal_offer"],
    )
    title: SingleLineText | None = Field(
        default=None,
        description="Call: title of the task; null or omitted: a standard title",
        examples=["Call about the new opening hours"],
    )
    assignee: SingleLineText | None = Field(
        default=None, description="Call: who makes the call; null or omitted: unassigned", examples=["ada"]
    )
    due_days: Annotated[Days, Field(ge=0)] | None = Field(
        default=None, description="Call: days until the task is due; null or omitted: 1", examples=[2]
    )
    note: Note | None = Field(
        default=None,
        description="Note for the caller, or text for the customer where the template shows it; null: none",
        examples=["We would like to see you again."],
    )
    offer: Offer | None = Field(
        default=None, description="Offer: what is offered; null or omitted: only the template's text"
    )

    def to_domain(self, request_key: str | None) -> domain.ManualActionRequest:
        """Converts the request. Raises InvalidInputError for fields that have no meaning for the type."""
        errors = [
            FieldError(f"/{name}", f"has no meaning for the type {self.type}")
            for name, types in _TYPES_BY_FIELD.items()
            if getattr(self, name) is not None and self.type not in types
        ]
        if errors:
            raise InvalidInputError(errors)
        offer = {} if self.offer is None else self.offer.model_dump(exclude_none=True)
        return domain.ManualActionRequest(
            Channel(self.type),
            template=self.template,
            title=self.title,
            assignee=self.assignee,
            due_days=self.due_days,
            offer=tuple(offer.items()),
            note=self.note,
            request_key=request_key,
        )


_TYPES_BY_FIELD: Final = {
    "template": ("email", "offer"),
    "title": ("call",),
    "assignee": ("call",),
    "due_days": ("call",),
    "offer": ("offer",),
}


class Action(ResponseModel):
    """An action and its delivery. Times are the company's, except `next_attempt_at` and `created_at`."""

    id: str = Field(description="UUID of the action", examples=[ACTION_ID])
    customer_id: AnyCustomerId = Field(description="Id of the customer; negative: erased")
    channel: Channel = Field(
        description="How the action is carried out; `webhook`: an outbound event for an endpoint",
        examples=["email"],
    )
    name: str = Field(
        description="Name of the stage's action, `personal_...` for a manual action, or type of the outbound event",
        examples=["send_vip_benefits_email"],
    )
    step: int = Field(description="Index of the step within the action, from 0", examples=[0])
    stage: str = Field(
        description="Key of the customer's stage when the action was planned", examples=["vip"]
    )
    transition_seq: int | None = Field(
        description="`seq` of the transition that caused it; null: a manual action or an outbound event",
        examples=[4],
    )
    state: ActionState = Field(
        description="`pending`: planned; `leased`: being delivered; `done`; `cancelled`: see `reason`; `dead`:"
        " delivery has failed for good and needs attention",
        examples=["done"],
    )
    reason: EndReason | None = Field(description="Why it was cancelled; null: it was not", examples=[None])
    template: str | None = Field(
        description="Key of the template; null for channels without templates", examples=["vip_benefits"]
    )
    offer: Offer | None = Field(description="What is offered; null: nothing", examples=[None])
    note: str | None = Field(description="Note of a manual action; null: none", examples=[None])
    actor: str | None = Field(
        description="Who requested a manual action; null for all others", examples=[None]
    )
    campaign_id: Id | None = Field(description="Campaign that it belongs to; null: none", examples=[None])
    endpoint_id: Id | None = Field(
        description="Endpoint of an outbound event; null for all others", examples=[None]
    )
    task_id: Id | None = Field(description="Task that it became; null: none", examples=[None])
    planned_at: Timestamp = Field(description="When it was first to happen", examples=[_AT])
    due_at: Timestamp = Field(
        description="When it is to happen; later than `planned_at` after quiet hours or a cap", examples=[_AT]
    )
    finished_at: Timestamp | None = Field(
        description="When it was done or cancelled; null: not yet", examples=[_AT]
    )
    next_attempt_at: Timestamp | None = Field(
        description="Earliest next attempt, in real time; null unless `pending`, or in simulated time",
        examples=[None],
    )
    attempts: int = Field(description="Delivery attempts since the last manual retry", examples=[1])
    last_status: int | None = Field(
        description="Status of the last response, HTTP or SMTP; null: none", examples=[200]
    )
    last_error: str | None = Field(description="Error of the last attempt; null: none", examples=[None])
    created_at: Timestamp = Field(description="When it was written, in real time", examples=[_AT])

    @classmethod
    def of(cls, row: DeliveryLogRow) -> "Action":
        """Builds the response from a row of the delivery log."""
        return cls.model_validate(_to_values(row))


class DeliveryAttempt(ResponseModel):
    """A delivery attempt. Times are in real time."""

    number: int = Field(description="Number of the attempt, from 1", examples=[1])
    started_at: Timestamp = Field(description="Start of the attempt", examples=[_AT])
    ended_at: Timestamp = Field(description="End of the attempt", examples=["2026-03-01T12:00:01Z"])
    outcome: Literal["done", "failed", "refused"] = Field(
        description="`failed`: it may succeed later; `refused`: it never will", examples=["done"]
    )
    status: int | None = Field(description="Status of the response, HTTP or SMTP; null: none", examples=[200])
    response: str | None = Field(description="Start of the response; null: none", examples=["ok"])

    @classmethod
    def of(cls, attempt: StoredAttempt) -> "DeliveryAttempt":
        """Builds the response from a stored attempt."""
        return cls.model_validate(attempt, from_attributes=True)


class ActionDetail(Action):
    """An action with all its delivery attempts."""

    log: list[DeliveryAttempt] = Field(description="Delivery attempts, oldest first")

    @classmethod
    def of_view(cls, view: ActionView) -> "ActionDetail":
        """Builds the response from an action and its attempts."""
        return cls.model_validate(
            {**_to_values(view.action), "log": [DeliveryAttempt.of(attempt) for attempt in view.attempts]}
        )


class ActionPage(ResponseModel):
    """A page of actions, newest first."""

    items: list[Action] = Field(description="The actions of this page")
    next_cursor: NextCursor


def _to_values(row: DeliveryLogRow) -> dict[str, object]:
    return {
        **{name: getattr(row, name) for name in Action.model_fields if hasattr(row, name)},
        "step": row.number,
        "template": row.step.template,
        "offer": dict(row.step.offer) or None,
        "next_attempt_at": row.ready_at if row.state == "pending" else None,
    }
