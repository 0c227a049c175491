"""Request and response schemas of the actions of stages."""

from typing import Annotated, Any, Literal

from pydantic import Field

from journey_service.api.actions.schemas.actions import Offer
from journey_service.api.schema_fields import RequestModel, ResponseModel, described_by
from journey_service.domain.actions.delivery import describe_closed_channel
from journey_service.domain.actions.parsing import (
    MAX_ACTIONS,
    MAX_ASSIGNEES,
    MAX_DAYS,
    MAX_STEPS,
    MAX_TEXT_LENGTH,
    actions_to_json,
)
from journey_service.services.actions import stage_actions

_Line = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_LENGTH)]

_EXAMPLE: list[dict[str, Any]] = [
    {
        "name": "send_welcome_email",
        "campaign": False,
        "repeat": "once",
        "steps": [{"channel": "email", "template": "welcome"}],
    },
    {
        "name": "call_back",
        "campaign": False,
        "repeat": "every",
        "steps": [
            {
                "channel": "call",
                "delay_days": 3,
                "title": "Ask how it was",
                "assignees": ["ada", "ben"],
                "due_days": 2,
            }
        ],
    },
]


class ActionStep(RequestModel):
    """A step of an action. A field that does not apply to the channel is refused."""

    channel: Literal["email", "sms", "call", "offer", "crm", "task", "assignment", "notice"] = Field(
        description="How the step is carried out. `email`, `sms`, `offer`: as a message from a template; `call`,"
        " `task`: by creating a task; `assignment`: by setting the customer's owner; `crm`: by a webhook message to"
        " the company's CRM; `notice`: by an email to the owner of the customer, if that is an email address, else to"
        " the `account_manager_email` of the settings; without either, the step is left out",
        examples=["call"],
    )
    delay_days: int = Field(
        default=0,
        ge=0,
        le=MAX_DAYS,
        description="Local days after the stage is entered, at the same time of day",
        examples=[3],
    )
    delay_from: Literal["entry", "appointment"] | None = Field(
        default=None,
        description="What the delay is counted from. `entry`: the entry into the stage; `appointment`: the customer's"
        " last completed appointment before it, but the step is due no earlier than the entry. Null or omitted:"
        " `entry`",
        examples=["entry"],
    )
    every_days: int | None = Field(
        default=None,
        ge=1,
        le=MAX_DAYS,
        description="Days after which the step is due again, at the same local time, as long as the customer is in the"
        " stage; only for the single step of an action. Null or omitted: it does not recur",
        examples=[90],
    )
    delay_hours: int = Field(
        default=0, ge=0, le=23, description="Hours that are added to `delay_days`", examples=[0]
    )
    template: _Line | None = Field(
        default=None,
        description="For `email`, `sms`, `offer` and `notice`, where it is required: key of the template; null or"
        " omitted for other channels",
        examples=["welcome"],
    )
    title: _Line | None = Field(
        default=None,
        description="For `call` and `task`: title of the task; null or omitted: a title that names the action",
        examples=["Ask how it was"],
    )
    assignees: list[_Line] = Field(
        default_factory=list,
        max_length=MAX_ASSIGNEES,
        description="For `call`, `task` and `assignment`, where it is required: employees; the service assigns"
        " each customer to one of them",
        examples=[["ada", "ben"]],
    )
    due_days: int | None = Field(
        default=None,
        ge=0,
        le=MAX_DAYS,
        description="For `call` and `task`: days until the task is due; null or omitted: 1",
        examples=[2],
    )
    offer: Offer | None = Field(
        default=None,
        description="For `offer`: terms of the offer; null or omitted: only the text of the template",
    )


class StageAction(RequestModel):
    """A named action of a stage: one or more steps."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,63}$",
        description="Name of the action, unique within the stage; it must not begin with `personal_`",
        examples=["call_back"],
    )
    campaign: bool = Field(
        default=False,
        description="Whether the action is a campaign. A customer has at most one running campaign, which ends when the"
        " customer leaves the stage. A stage has at most one campaign",
        examples=[False],
    )
    repeat: Literal["once", "every"] | None = Field(
        default=None,
        description="How often the action runs for a customer. `once`: a step that is done is not run again; `every`:"
        " on every entry into the stage. Null or omitted: `once` in a progress stage, unless the action recurs;"
        " `every` in a risk stage",
        examples=["once"],
    )
    steps: list[ActionStep] = Field(
        min_length=1, max_length=MAX_STEPS, description="Steps in the order of their delays"
    )


_Actions = Annotated[
    list[StageAction],
    Field(
        max_length=MAX_ACTIONS,
        description="Actions of the stage; empty if there are none",
        examples=[_EXAMPLE],
    ),
]


class StageActionsUpdate(RequestModel):
    """The actions that entering a stage triggers."""

    actions: Annotated[Any, described_by(_Actions)] = Field(
        description="Actions of the stage; empty if there are none", examples=[_EXAMPLE]
    )


class ChannelWarning(ResponseModel):
    """A channel of the actions without a receiver: its steps are cancelled as `no_channel`."""

    channel: Literal["email", "sms", "offer", "crm", "notice"] = Field(
        description="The channel", examples=["sms"]
    )
    message: str = Field(
        description="What is missing, in a sentence",
        examples=["no enabled webhook endpoint receives action.sms"],
    )


class StageActions(ResponseModel):
    """The actions that entering a stage triggers. `actions` can be sent back unchanged."""

    stage: str = Field(description="Key of the stage", examples=["vip"])
    actions: _Actions
    is_default: bool = Field(
        description="Whether `actions` are the default actions, because the company has not set its own",
        examples=[False],
    )
    warnings: list[ChannelWarning] = Field(
        description="Channels of `actions` without a receiver", examples=[[]]
    )

    @classmethod
    def of(cls, view: stage_actions.StoredStageActions) -> "StageActions":
        """Builds the response from the stage's actions."""
        return cls.model_validate(
            {
                "stage": view.stage_key,
                "actions": actions_to_json(view.actions),
                "is_default": view.is_default,
                "warnings": [
                    {"channel": channel.value, "message": describe_closed_channel(channel)}
                    for channel in view.closed_channels
                ],
            }
        )
