"""Request and response schemas of actions: the delivery log and manual actions."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerRef,
    Id,
    NextCursor,
    Note,
    RequestModel,
    ResponseModel,
    SingleLineText,
    Timestamp,
    Total,
    TotalEstimate,
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
_ENTERED_AT: Final = "2026-01-15T10:00:00Z"
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
        default=None, description="Title; null or omitted: none", examples=["10% off your next visit"]
    )
    description: SingleLineText | None = Field(
        default=None,
        description="Terms in one line; null or omitted: none",
        examples=["Valid for all treatments"],
    )
    code: SingleLineText | None = Field(
        default=None,
        description="Code that the customer presents; null or omitted: none",
        examples=["HELLO10"],
    )
    valid_days: Annotated[Days, Field(ge=1)] | None = Field(
        default=None,
        description="Days for which the offer is valid, from the day on which it is sent; null or omitted: unlimited",
        examples=[30],
    )


class ActionRequest(RequestModel):
    """A manual action for a customer. A field that has no meaning for the type is refused."""

    model_config = ConfigDict(json_schema_extra={"examples": [_OFFER_REQUEST]})

    type: Literal["call", "email", "offer"] = Field(
        description="`call`: a task to call the customer; `email`: an email to the customer; `offer`: a special offer"
        " to the customer",
        examples=["offer"],
    )
    template: Annotated[str, Field(pattern=f"^{KEY.pattern}$")] | None = Field(
        default=None,
        description="For `email` and `offer`: key of the template; null or omitted: the built-in template"
        " `personal_email` or `personal_offer`",
        examples=["personal_offer"],
    )
    title: SingleLineText | None = Field(
        default=None,
        description="For `call`: title of the task; null or omitted: `Call this customer`",
        examples=["Call about the new opening hours"],
    )
    assignee: SingleLineText | None = Field(
        default=None,
        description="For `call`: employee who makes the call; null or omitted: unassigned",
        examples=["ada"],
    )
    due_days: Annotated[Days, Field(ge=0)] | None = Field(
        default=None, description="For `call`: days until the task is due; null or omitted: 1", examples=[2]
    )
    note: Note | None = Field(
        default=None,
        description="For `call`: note for the employee. For `email` and `offer`: text for the customer, if the template"
        " contains `note`. Null or omitted: none",
        examples=["We would like to see you again."],
    )
    offer: Offer | None = Field(
        default=None,
        description="For `offer`: terms of the offer; null or omitted: only the text of the template",
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
    """An action and its delivery."""

    id: str = Field(description="UUID of the action", examples=[ACTION_ID])
    customer_id: AnyCustomerId = Field(description="Id of the customer; negative for an erased customer")
    customer_ref: CustomerRef
    customer_name: str | None = Field(
        description="Name of the customer; null if it is unknown or erased", examples=["Ada Lovelace"]
    )
    channel: Channel = Field(
        description="How the action is carried out; `webhook`: as an outbound event for a webhook endpoint",
        examples=["email"],
    )
    name: str = Field(
        description="Name of the action in the actions of the stage; `personal_call`, `personal_email` or"
        " `personal_offer` for a manual action; type of the event for an outbound event",
        examples=["send_loyalty_email"],
    )
    step: int = Field(ge=0, description="Index of the step within the action, from 0", examples=[0])
    stage: str = Field(
        description="Key of the customer's stage when the action was planned", examples=["regular"]
    )
    transition_seq: int | None = Field(
        ge=1,
        description="`seq` of the transition that caused the action; null for a manual action or an outbound event",
        examples=[4],
    )
    state: ActionState = Field(
        description="`pending`: planned; `leased`: being delivered; `done`: carried out; `cancelled`: not carried out,"
        " see `reason`, and for `no_address` can be retried manually; `dead`: delivery has failed permanently and can"
        " be retried manually",
        examples=["done"],
    )
    reason: EndReason | None = Field(
        description="Why the action was cancelled, or `awaiting_address` while a `pending` action waits for an address;"
        " null otherwise",
        examples=[None],
    )
    template: str | None = Field(
        description="Key of the template; null for channels without templates", examples=["loyalty"]
    )
    offer: Offer | None = Field(
        description="Terms of a special offer; null if there are none", examples=[None]
    )
    note: str | None = Field(description="Note of a manual action; null if there is none", examples=[None])
    actor: str | None = Field(
        description="Credential that requested a manual action: `key:<id>` or `user:<subject>`; null for other actions",
        examples=[None],
    )
    campaign_id: Id | None = Field(
        description="Id of the campaign that the action belongs to; null if there is none", examples=[None]
    )
    endpoint_id: Id | None = Field(
        description="Id of the webhook endpoint of an outbound event; null for other actions", examples=[None]
    )
    task_id: Id | None = Field(
        description="Id of the task that the action created; null if there is none", examples=[None]
    )
    planned_at: Timestamp = Field(
        description="Time for which the action was planned; for an action that waited for an address, when it could go"
        " on",
        examples=[_ENTERED_AT],
    )
    due_at: Timestamp = Field(
        description="When the action is due; later than `planned_at` if quiet hours, a pause or a frequency cap"
        " postponed it; while it waits for an address, the end of the wait",
        examples=[_ENTERED_AT],
    )
    finished_at: Timestamp | None = Field(
        description="When the action was done or cancelled; null if it is neither", examples=[_ENTERED_AT]
    )
    next_attempt_at: Timestamp | None = Field(
        description="Earliest time of the next attempt, in real time; null unless `state` is `pending`, and for an"
        " action that is due by a test clock",
        examples=[None],
    )
    attempts: int = Field(
        ge=0, description="Number of delivery attempts since the last manual retry", examples=[1]
    )
    last_status: int | None = Field(
        description="HTTP or SMTP status of the last response; null if there was none", examples=[200]
    )
    last_error: str | None = Field(
        description="Error of the last attempt; null if it did not fail", examples=[None]
    )
    created_at: Timestamp = Field(
        description="When the action was written, in real time", examples=[_ENTERED_AT]
    )

    @classmethod
    def of(cls, row: DeliveryLogRow) -> "Action":
        """Builds the response from a row of the delivery log."""
        return cls.model_validate(_to_values(row))


class DeliveryAttempt(ResponseModel):
    """A delivery attempt."""

    number: int = Field(ge=1, description="Number of the attempt, from 1", examples=[1])
    started_at: Timestamp = Field(
        description="When the attempt started, in real time", examples=[_ENTERED_AT]
    )
    ended_at: Timestamp = Field(
        description="When the attempt ended, in real time", examples=["2026-01-15T10:00:01Z"]
    )
    outcome: Literal["done", "failed", "refused"] = Field(
        description="`done`: the action was delivered; `failed`: a later attempt may succeed; `refused`: no later"
        " attempt can succeed",
        examples=["done"],
    )
    status: int | None = Field(
        description="HTTP or SMTP status of the response; null if there was none", examples=[200]
    )
    response: str | None = Field(
        description="Beginning of the response; null if there was none", examples=["ok"]
    )

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
    total: Total
    total_estimate: TotalEstimate


def _to_values(row: DeliveryLogRow) -> dict[str, object]:
    return {
        **{name: getattr(row, name) for name in Action.model_fields if hasattr(row, name)},
        "step": row.number,
        "template": row.step.template,
        "offer": dict(row.step.offer) or None,
        "next_attempt_at": row.ready_at if row.state == "pending" else None,
    }
