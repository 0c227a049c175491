"""What stages do on entry, over the wire."""

from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from journey_service.api.schema_fields import RequestModel, ResponseModel
from journey_service.domain.actions.parsing import (
    LONGEST_DAYS,
    LONGEST_TEXT,
    MOST_ACTIONS,
    MOST_ASSIGNEES,
    MOST_STEPS,
    actions_to_json,
)
from journey_service.domain.actions.stage_actions import HUMAN_TASK_CHANNELS, TEMPLATED_CHANNELS, Channel
from journey_service.services.actions.stage_actions import StageActions

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
_DAYS: Final = {"type": "integer", "minimum": 0, "maximum": LONGEST_DAYS}
_STEP: Final = {
    "type": "object",
    "required": ["channel"],
    "properties": {
        "channel": {"enum": [channel for channel in Channel if channel is not Channel.WEBHOOK]},
        "delay_days": {**_DAYS, "default": 0, "description": "after the entry, at the same local time"},
        "delay_hours": {"type": "integer", "minimum": 0, "maximum": 23, "default": 0},
        "template": {
            **_TEXT,
            "description": f"what is written, on the channels {', '.join(TEMPLATED_CHANNELS)}",
        },
        "title": {**_TEXT, "description": f"of the task, on the channels {', '.join(HUMAN_TASK_CHANNELS)}"},
        "assignees": {
            "type": "array",
            "maxItems": MOST_ASSIGNEES,
            "items": _TEXT,
            "description": "of whom one is picked for each customer: for tasks, calls and assignments",
        },
        "due_days": {**_DAYS, "description": "how long there is time for the task"},
        "offer": {
            "type": "object",
            "properties": {
                "title": _TEXT,
                "description": _TEXT,
                "code": _TEXT,
                "valid_days": {**_DAYS, "minimum": 1},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
_ACTIONS: Final = {
    "type": "array",
    "maxItems": MOST_ACTIONS,
    "items": {
        "type": "object",
        "required": ["name", "steps"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$"},
            "campaign": {
                "type": "boolean",
                "default": False,
                "description": "runs once at a time for a customer, and ends with the stage",
            },
            "steps": {"type": "array", "minItems": 1, "maxItems": MOST_STEPS, "items": _STEP},
        },
        "additionalProperties": False,
    },
}
_EXAMPLE: Final = [
    {"name": "send_welcome_email", "steps": [{"channel": "email", "template": "welcome"}]},
    {
        "name": "call_back",
        "steps": [{"channel": "call", "delay_days": 3, "title": "How was it?", "assignees": ["ada", "ben"]}],
    },
]


class StageActionsIn(RequestModel):
    """What entering a stage is to do."""

    # Read by the domain, which knows the place of every fault; what is said here is for those who write them.
    actions: Annotated[Any, WithJsonSchema({**_ACTIONS, "examples": [_EXAMPLE]})]


class StageActionsOut(ResponseModel):
    """What entering a stage does. The actions can be sent back as they are."""

    stage: str
    actions: Annotated[list[dict[str, Any]], WithJsonSchema(_ACTIONS)]
    is_default: bool = Field(description="whether this is so because the company has said nothing else")

    @classmethod
    def of(cls, view: StageActions) -> "StageActionsOut":
        """Show what a stage does."""
        return cls(stage=view.stage_key, actions=actions_to_json(view.actions), is_default=view.is_default)
