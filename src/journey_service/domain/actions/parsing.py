"""What a company has a stage do on entry: read from JSON with the place of every fault, and written as it is read."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    TEMPLATED_CHANNELS,
    ActionStep,
    Channel,
    StageAction,
)
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value

MAX_ACTIONS: Final = 20
MAX_STEPS: Final = 20
MAX_ASSIGNEES: Final = 100
MAX_DAYS: Final = 365
MAX_TEXT_LENGTH: Final = 255
_HOURS: Final = 23
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_CHOICE: Final = tuple(channel for channel in Channel if channel is not Channel.WEBHOOK)
_STEP: Final = ("channel", "delay_days", "delay_hours", "template", "title", "assignees", "due_days", "offer")
_OFFER: Final = ("title", "description", "code", "valid_days")


def parse_actions(raw: object, pointer: str = "/actions") -> tuple[StageAction, ...]:
    """Read the actions of one stage. Raises InvalidInputError with the place of every fault."""
    faults: list[FieldError] = []
    if not isinstance(raw, list) or len(raw) > MAX_ACTIONS:
        raise InvalidInputError.at(pointer, f"must be a list of at most {MAX_ACTIONS} actions")
    read = [_parse_action(each, f"{pointer}/{place}", faults) for place, each in enumerate(raw)]
    names: set[str] = set()
    for place, action in enumerate(read):
        if action is not None and action.name in names:
            faults.append(FieldError(f"{pointer}/{place}/name", "is the name of another action of the stage"))
        names.add(action.name if action is not None else "")
    campaigns = [place for place, action in enumerate(read) if action is not None and action.is_campaign]
    faults += [
        FieldError(f"{pointer}/{place}/campaign", "is the second campaign of the stage")
        for place in campaigns[1:]
    ]
    if faults:
        raise InvalidInputError(faults)
    return tuple(action for action in read if action is not None)


def actions_to_json(actions: Sequence[StageAction]) -> list[dict[str, object]]:
    """Write actions as the JSON that `parse_actions` reads."""
    return [
        {
            "name": action.name,
            "campaign": action.is_campaign,
            "steps": [step_to_json(step) for step in action.steps],
        }
        for action in actions
    ]


def step_to_json(step: ActionStep) -> dict[str, object]:
    """Write a step, with only what it has."""
    told: dict[str, object] = {"channel": step.channel.value, "delay_days": step.day}
    optional: dict[str, object] = {
        "delay_hours": step.hours,
        "template": step.template,
        "title": step.title,
        "assignees": list(step.assignees),
        "due_days": step.due_days,
        "offer": dict(step.offer),
    }
    # No days to do something are no less said than some.
    return told | {
        name: value for name, value in optional.items() if value or (value == 0 and name == "due_days")
    }


def step_from_json(raw: Mapping[str, object]) -> ActionStep:
    """The step that was written as JSON."""
    faults: list[FieldError] = []
    step = _parse_step(raw, "", faults)
    if step is None or faults:
        raise InvalidInputError(faults)
    return step


def _parse_action(raw: object, pointer: str, faults: list[FieldError]) -> StageAction | None:
    if not isinstance(raw, Mapping):
        faults.append(FieldError(pointer, "must be an object"))
        return None
    before = len(faults)
    _unknown(raw, ("name", "campaign", "steps"), pointer, faults)
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(
            FieldError(
                f"{pointer}/name", "must be 1 to 64 small letters, digits and underscores, a letter first"
            )
        )
    elif name.startswith("personal_"):
        faults.append(FieldError(f"{pointer}/name", "must not begin as what people ask for by hand does"))
    is_campaign = raw.get("campaign", False)
    if not isinstance(is_campaign, bool):
        faults.append(FieldError(f"{pointer}/campaign", "must be true or false"))
    steps = raw.get("steps")
    read: list[ActionStep | None] = []
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        faults.append(FieldError(f"{pointer}/steps", f"must be a list of 1 to {MAX_STEPS} steps"))
    else:
        read = [_parse_step(step, f"{pointer}/steps/{place}", faults) for place, step in enumerate(steps)]
    if len(faults) > before:
        return None
    ordered = tuple(step for step in read if step is not None)
    for place, (earlier, later) in enumerate(pairwise(ordered)):
        if (later.day, later.hours) < (earlier.day, earlier.hours):
            faults.append(
                FieldError(f"{pointer}/steps/{place + 1}", "must not be due before the step above it")
            )
    return StageAction(str(name), ordered, is_campaign=bool(is_campaign))


def _parse_step(raw: object, pointer: str, faults: list[FieldError]) -> ActionStep | None:
    if not isinstance(raw, Mapping):
        faults.append(FieldError(pointer, "must be an object"))
        return None
    before = len(faults)
    _unknown(raw, _STEP, pointer, faults)
    told = raw.get("channel")
    if told not in _CHOICE:
        faults.append(
            FieldError(f"{pointer}/channel", f"{quote_value(told)} is not one of {', '.join(_CHOICE)}")
        )
        return None
    channel = Channel(told)
    reader = _StepReader(raw, pointer, faults)
    step = ActionStep(
        channel=channel,
        day=reader.number("delay_days", 0, MAX_DAYS) or 0,
        hours=reader.number("delay_hours", 0, _HOURS) or 0,
        template=reader.text("template", _fits(channel, TEMPLATED_CHANNELS)),
        title=reader.text("title", _fits(channel, HUMAN_TASK_CHANNELS)),
        assignees=reader.texts("assignees", _fits(channel, (*HUMAN_TASK_CHANNELS, Channel.ASSIGNMENT))),
        due_days=reader.number("due_days", 0, MAX_DAYS, _fits(channel, HUMAN_TASK_CHANNELS)),
        offer=reader.offer(_fits(channel, (Channel.OFFER,))),
    )
    if channel in TEMPLATED_CHANNELS and step.template is None:
        faults.append(FieldError(f"{pointer}/template", f"is required on the channel {channel.value}"))
    if channel is Channel.ASSIGNMENT and not step.assignees:
        faults.append(FieldError(f"{pointer}/assignees", "must name somebody to assign the customer to"))
    return step if len(faults) == before else None


def _fits(channel: Channel, channels: Sequence[Channel]) -> str | None:
    """What is wrong with telling something on a channel, if anything is."""
    return None if channel in channels else f"means nothing on the channel {channel.value}"


class _StepReader:
    """Collects the values and faults of one step."""

    def __init__(self, raw: Mapping[str, object], pointer: str, faults: list[FieldError]) -> None:
        self._raw = raw
        self._pointer = pointer
        self._faults = faults

    def number(self, name: str, low: int, high: int, unfit: str | None = None) -> int | None:
        value = self._get(name, unfit)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._fault(name, f"must be a whole number from {low} to {high}")
            return None
        return value

    def text(self, name: str, unfit: str | None = None) -> str | None:
        value = self._get(name, unfit)
        return None if value is None else self._checked(name, value)

    def texts(self, name: str, unfit: str | None = None) -> tuple[str, ...]:
        value = self._get(name, unfit)
        if value is None or value == []:
            return ()
        if not isinstance(value, list) or len(value) > MAX_ASSIGNEES:
            self._fault(name, f"must be a list of at most {MAX_ASSIGNEES} texts")
            return ()
        read = [self._checked(f"{name}/{place}", each) for place, each in enumerate(value)]
        return tuple(text for text in read if text is not None)

    def offer(self, unfit: str | None) -> tuple[tuple[str, str | int], ...]:
        value = self._get("offer", unfit)
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self._fault("offer", "must be an object")
            return ()
        _unknown(value, _OFFER, f"{self._pointer}/offer", self._faults)
        inner = _StepReader(value, f"{self._pointer}/offer", self._faults)
        words = [(name, inner.text(name)) for name in _OFFER if name != "valid_days"]
        days = inner.number("valid_days", 1, MAX_DAYS)
        told: list[tuple[str, str | int]] = [(name, text) for name, text in words if text is not None]
        return tuple(told if days is None else [*told, ("valid_days", days)])

    def _get(self, name: str, unfit: str | None) -> object:
        value = self._raw.get(name)
        if value is not None and value != [] and unfit is not None:
            self._fault(name, unfit)
            return None
        return value

    def _checked(self, name: str, value: object) -> str | None:
        if (
            not isinstance(value, str)
            or not 1 <= len(value.strip()) <= len(value) <= MAX_TEXT_LENGTH
            or _UNSEEN.search(value)
        ):
            self._fault(name, f"must be a text of 1 to {MAX_TEXT_LENGTH} characters on one line")
            return None
        return value

    def _fault(self, name: str, message: str) -> None:
        self._faults.append(FieldError(f"{self._pointer}/{name}", message))


def _unknown(raw: Mapping[str, object], known: Sequence[str], pointer: str, faults: list[FieldError]) -> None:
    faults += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not known here")
        for name in raw
        if name not in known
    ]
