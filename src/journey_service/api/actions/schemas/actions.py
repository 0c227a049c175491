"""The log of deliveries over the wire, and what people ask for about a customer."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from journey_service.api.schema_fields import Note, RequestModel, ResponseModel, SingleLineText
from journey_service.domain.actions.action import ManualActionRequest
from journey_service.domain.actions.parsing import LONGEST_DAYS
from journey_service.domain.actions.records import Attempt, DeliveryLogRow
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import KEY
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.services.actions.delivery_log import ActionView

ActionState = Literal["pending", "leased", "done", "cancelled", "dead"]

Days = Annotated[int, Field(strict=True, le=LONGEST_DAYS)]


class OfferIn(RequestModel):
    """What is offered to a customer."""

    title: SingleLineText | None = Field(default=None, examples=["10% off your next visit"])
    description: SingleLineText | None = None
    code: SingleLineText | None = Field(default=None, examples=["HELLO10"])
    valid_days: Annotated[Days, Field(ge=1)] | None = Field(
        default=None, description="until when: so many days from the day it is sent on"
    )


class ActionIn(RequestModel):
    """What a person asks for about a customer. Each type takes only what means something for it."""

    type: Literal["call", "email", "offer"]
    template: Annotated[str, Field(pattern=f"^{KEY.pattern}$")] | None = Field(
        default=None, description="emails and offers: in which words; left out, the service's own"
    )
    title: SingleLineText | None = Field(default=None, description="calls: what the task is called")
    assignee: SingleLineText | None = Field(default=None, description="calls: whose the task is")
    due_days: Annotated[Days, Field(ge=0)] | None = Field(
        default=None, description="calls: by when; left out, tomorrow"
    )
    note: Note | None = Field(
        default=None, description="for whoever calls, or for the customer, where the template shows it"
    )
    offer: OfferIn | None = Field(default=None, description="offers: what is offered")

    def as_wish(self, request_key: str | None) -> ManualActionRequest:
        """What is asked for. Raises InvalidInputError for what means nothing for the type."""
        faults = [
            FieldError(f"/{name}", f"means nothing for the type {self.type}")
            for name, types in _MEANING.items()
            if getattr(self, name) is not None and self.type not in types
        ]
        if faults:
            raise InvalidInputError(faults)
        offer = {} if self.offer is None else self.offer.model_dump(exclude_none=True)
        return ManualActionRequest(
            Channel(self.type),
            template=self.template,
            title=self.title,
            assignee=self.assignee,
            due_days=self.due_days,
            offer=tuple(offer.items()),
            note=self.note,
            request_key=request_key,
        )


_MEANING: Final = {
    "template": ("email", "offer"),
    "title": ("call",),
    "assignee": ("call",),
    "due_days": ("call",),
    "offer": ("offer",),
}


class ActionOut(ResponseModel):
    """Something done or sent, or not, and why. Instants are the company's but for `next_attempt_at`, `created_at`."""

    id: str
    customer_id: int
    channel: Channel
    name: str = Field(
        description="the stage's action, `personal_...` where a person asked, or the type of news",
        examples=["send_welcome_email"],
    )
    step: int = Field(description="which of its action's steps, from 0")
    stage: str = Field(description="the stage the customer was in")
    transition_seq: int | None = Field(description="of the move that called for it")
    state: ActionState = Field(description="`leased`: under way; `dead`: somebody has to look at it")
    reason: str | None = Field(description="why it was cancelled", examples=["no_consent"])
    template: str | None
    offer: dict[str, Any] | None
    note: str | None
    actor: str | None = Field(description="who asked for it, if a person did")
    campaign_id: int | None
    endpoint_id: int | None
    task_id: int | None = Field(description="the task it became")
    planned_at: datetime
    due_at: datetime
    finished_at: datetime | None
    next_attempt_at: datetime | None = Field(description="when a worker takes it at the earliest")
    attempts: int = Field(description="so many were made, since it was last tried again by hand")
    last_status: int | None = Field(description="what the other side answered", examples=[503])
    last_error: str | None
    created_at: datetime

    @classmethod
    def of(cls, action: DeliveryLogRow) -> "ActionOut":
        """Show an action."""
        return cls(**_shown(action))


class AttemptOut(ResponseModel):
    """One attempt, in real time."""

    number: int
    begun_at: datetime
    ended_at: datetime
    outcome: Literal["done", "failed", "refused"]
    status: int | None
    answer: str | None

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptOut":
        """Show an attempt."""
        return cls.model_validate(attempt, from_attributes=True)


class ActionDetailOut(ActionOut):
    """An action with every attempt, the first one first."""

    log: list[AttemptOut]

    @classmethod
    def of_view(cls, view: ActionView) -> "ActionDetailOut":
        """Show an action with its attempts."""
        return cls(**_shown(view.action), log=[AttemptOut.of(attempt) for attempt in view.attempts])


class ActionsOut(ResponseModel):
    """A page of actions, newest first."""

    items: list[ActionOut]
    next_cursor: str | None


def _shown(action: DeliveryLogRow) -> dict[str, Any]:
    same = (
        *(
            "id",
            "customer_id",
            "channel",
            "name",
            "stage",
            "transition_seq",
            "state",
            "reason",
            "note",
            "actor",
        ),
        *("campaign_id", "endpoint_id", "task_id", "planned_at", "due_at", "finished_at", "attempts"),
        *("last_status", "last_error", "created_at"),
    )
    return {
        **{name: getattr(action, name) for name in same},
        "step": action.number,
        "template": action.step.template,
        "offer": dict(action.step.offer) or None,
        "next_attempt_at": action.ready_at if action.state == "pending" else None,
    }
