"""Parsing of stage actions from JSON, with the position of every error, and their serialization."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    TEMPLATED_CHANNELS,
    ActionStep,
    Channel,
    DelayFrom,
    Repeat,
    StageAction,
)
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value

MAX_ACTIONS: Final = 20
MAX_STEPS: Final = 20
MAX_ASSIGNEES: Final = 100
MAX_DAYS: Final = 365
"""Largest number of days of a delay, of a task's deadline, and of an offer's validity."""
MAX_TEXT_LENGTH: Final = 255
"""Characters of a title, an assignee, a template key, and a text of an offer."""
_MAX_HOURS: Final = 23
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_STAGE_CHANNELS: Final = tuple(channel for channel in Channel if channel is not Channel.WEBHOOK)
_STEP_FIELDS: Final = (
    "channel",
    "delay_days",
    "delay_hours",
    "template",
    "title",
    "assignees",
    "due_days",
    "offer",
    "delay_from",
    "every_days",
)
_OFFER_FIELDS: Final = ("title", "description", "code", "valid_days")


def parse_actions(raw: object, pointer: str = "/actions") -> tuple[StageAction, ...]:
    """Parses the actions of one stage.

    Raises InvalidInputError with every error.
    """
    errors: list[FieldError] = []
    if not isinstance(raw, list) or len(raw) > MAX_ACTIONS:
        raise InvalidInputError.at(pointer, f"must be a list of at most {MAX_ACTIONS} actions")
    parsed = [_parse_action(each, f"{pointer}/{index}", errors) for index, each in enumerate(raw)]
    names: set[str] = set()
    for index, action in enumerate(parsed):
        if action is not None and action.name in names:
            errors.append(
                FieldError(f"{pointer}/{index}/name", "is already used by another action of the stage")
            )
        names.add(action.name if action is not None else "")
    campaigns = [index for index, action in enumerate(parsed) if action is not None and action.is_campaign]
    errors += [
        FieldError(f"{pointer}/{index}/campaign", "must be false: a stage has at most one campaign")
        for index in campaigns[1:]
    ]
    if errors:
        raise InvalidInputError(errors)
    return tuple(action for action in parsed if action is not None)


def actions_to_json(actions: Sequence[StageAction]) -> list[dict[str, object]]:
    """Returns actions as the JSON that `parse_actions` accepts."""
    return [
        {
            "name": action.name,
            "campaign": action.is_campaign,
            **({} if action.repeat is None else {"repeat": action.repeat.value}),
            "steps": [step_to_json(step) for step in action.steps],
        }
        for action in actions
    ]


def step_to_json(step: ActionStep) -> dict[str, object]:
    """Returns a step as JSON, without empty fields."""
    required: dict[str, object] = {"channel": step.channel.value, "delay_days": step.day}
    optional: dict[str, object] = {
        "delay_hours": step.hours,
        "template": step.template,
        "title": step.title,
        "assignees": list(step.assignees),
        "due_days": step.due_days,
        "offer": dict(step.offer),
        "delay_from": None if step.delay_from is DelayFrom.ENTRY else step.delay_from.value,
        "every_days": step.every_days,
    }
    # A task that is due on the same day has `due_days` 0, which is not empty.
    return required | {
        name: value for name, value in optional.items() if value or (value == 0 and name == "due_days")
    }


def step_from_json(raw: Mapping[str, object]) -> ActionStep:
    """Parses a step that was stored as JSON. Raises InvalidInputError."""
    errors: list[FieldError] = []
    step = _parse_step(raw, "", errors)
    if step is None or errors:
        raise InvalidInputError(errors)
    return step


def _parse_action(raw: object, pointer: str, errors: list[FieldError]) -> StageAction | None:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        return None
    before = len(errors)
    _check_fields(raw, ("name", "campaign", "repeat", "steps"), pointer, errors)
    name = _parse_action_name(raw.get("name"), f"{pointer}/name", errors)
    is_campaign = raw.get("campaign", False)
    if not isinstance(is_campaign, bool):
        errors.append(FieldError(f"{pointer}/campaign", "must be true or false"))
    repeat = _parse_choice(raw, "repeat", tuple(Repeat), pointer, errors)
    steps = _parse_steps(raw.get("steps"), f"{pointer}/steps", errors)
    if len(errors) > before:
        return None
    if any(step.every_days is not None for step in steps):
        errors += _recurrence_errors(pointer, steps, repeat, is_campaign=bool(is_campaign))
    errors += [
        FieldError(f"{pointer}/steps/{index + 1}", "must not be due before the previous step")
        for index, (earlier, later) in enumerate(pairwise(steps))
        if (later.day, later.hours) < (earlier.day, earlier.hours)
    ]
    repeats = None if repeat is None else Repeat(repeat)
    return StageAction(name, steps, is_campaign=bool(is_campaign), repeat=repeats)


def _parse_action_name(name: object, pointer: str, errors: list[FieldError]) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = "must be 1 to 64 lowercase letters, digits and underscores, starting with a letter"
        errors.append(FieldError(pointer, message))
        return ""
    if name.startswith("personal_"):
        message = "must not start with 'personal_', which is reserved for manual actions"
        errors.append(FieldError(pointer, message))
    return name


def _parse_steps(raw: object, pointer: str, errors: list[FieldError]) -> tuple[ActionStep, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_STEPS:
        errors.append(FieldError(pointer, f"must be a list of 1 to {MAX_STEPS} steps"))
        return ()
    parsed = [_parse_step(step, f"{pointer}/{index}", errors) for index, step in enumerate(raw)]
    return tuple(step for step in parsed if step is not None)


def _recurrence_errors(
    pointer: str, steps: Sequence[ActionStep], repeat: str | None, *, is_campaign: bool
) -> list[FieldError]:
    """Returns the errors of an action that recurs."""
    errors = []
    if len(steps) > 1:
        errors.append(FieldError(f"{pointer}/steps", "must have one step only, because the action recurs"))
    if is_campaign:
        errors.append(FieldError(f"{pointer}/campaign", "must be false, because the action recurs"))
    if repeat == Repeat.ONCE:
        errors.append(FieldError(f"{pointer}/repeat", "must be 'every' or null, because the action recurs"))
    return errors


def _parse_step(raw: object, pointer: str, errors: list[FieldError]) -> ActionStep | None:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        return None
    before = len(errors)
    _check_fields(raw, _STEP_FIELDS, pointer, errors)
    name = raw.get("channel")
    if name not in _STAGE_CHANNELS:
        message = f"must be one of {', '.join(_STAGE_CHANNELS)}; got {quote_value(name)}"
        errors.append(FieldError(f"{pointer}/channel", message))
        return None
    channel = Channel(name)
    delay_from = _parse_choice(raw, "delay_from", tuple(DelayFrom), pointer, errors)
    reader = _StepReader(raw, pointer, errors)
    step = ActionStep(
        channel=channel,
        day=reader.number("delay_days", 0, MAX_DAYS) or 0,
        hours=reader.number("delay_hours", 0, _MAX_HOURS) or 0,
        template=reader.text("template", _channel_problem(channel, TEMPLATED_CHANNELS)),
        title=reader.text("title", _channel_problem(channel, HUMAN_TASK_CHANNELS)),
        assignees=reader.texts(
            "assignees", _channel_problem(channel, (*HUMAN_TASK_CHANNELS, Channel.ASSIGNMENT))
        ),
        due_days=reader.number("due_days", 0, MAX_DAYS, _channel_problem(channel, HUMAN_TASK_CHANNELS)),
        offer=reader.offer(_channel_problem(channel, (Channel.OFFER,))),
        delay_from=DelayFrom.ENTRY if delay_from is None else DelayFrom(delay_from),
        every_days=reader.number("every_days", 1, MAX_DAYS),
    )
    _check_required(step, pointer, errors)
    return step if len(errors) == before else None


def _check_required(step: ActionStep, pointer: str, errors: list[FieldError]) -> None:
    """Adds errors for fields that the channel of a step requires."""
    if step.channel in TEMPLATED_CHANNELS and step.template is None:
        errors.append(FieldError(f"{pointer}/template", f"is required on the channel {step.channel.value}"))
    if step.channel is Channel.ASSIGNMENT and not step.assignees:
        errors.append(FieldError(f"{pointer}/assignees", "must contain at least one assignee"))


def _parse_choice(
    raw: Mapping[str, object],
    name: str,
    allowed: Sequence[str],
    pointer: str,
    errors: list[FieldError],
) -> str | None:
    value = raw.get(name)
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    errors.append(
        FieldError(
            f"{pointer}/{name}", f"must be one of {', '.join(allowed)}, or null; got {quote_value(value)}"
        )
    )
    return None


def _channel_problem(channel: Channel, channels: Sequence[Channel]) -> str | None:
    """Returns the error message of a field on a channel other than `channels`; None on one of them."""
    return None if channel in channels else f"is not allowed on the channel {channel.value}"


class _StepReader:
    """Parses the fields of one step, and collects its errors."""

    def __init__(self, raw: Mapping[str, object], pointer: str, errors: list[FieldError]) -> None:
        self._raw = raw
        self._pointer = pointer
        self._errors = errors

    def number(self, name: str, low: int, high: int, problem: str | None = None) -> int | None:
        value = self._get(name, problem)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._add_error(name, f"must be a whole number from {low} to {high}")
            return None
        return value

    def text(self, name: str, problem: str | None = None) -> str | None:
        value = self._get(name, problem)
        return None if value is None else self._checked(name, value)

    def texts(self, name: str, problem: str | None = None) -> tuple[str, ...]:
        value = self._get(name, problem)
        if value is None or value == []:
            return ()
        if not isinstance(value, list) or len(value) > MAX_ASSIGNEES:
            self._add_error(name, f"must be a list of at most {MAX_ASSIGNEES} texts")
            return ()
        parsed = [self._checked(f"{name}/{index}", each) for index, each in enumerate(value)]
        return tuple(text for text in parsed if text is not None)

    def offer(self, problem: str | None) -> tuple[tuple[str, str | int], ...]:
        value = self._get("offer", problem)
        if value is None:
            return ()
        if not isinstance(value, Mapping):
            self._add_error("offer", "must be an object")
            return ()
        _check_fields(value, _OFFER_FIELDS, f"{self._pointer}/offer", self._errors)
        inner = _StepReader(value, f"{self._pointer}/offer", self._errors)
        texts = [(name, inner.text(name)) for name in _OFFER_FIELDS if name != "valid_days"]
        days = inner.number("valid_days", 1, MAX_DAYS)
        values: list[tuple[str, str | int]] = [(name, text) for name, text in texts if text is not None]
        return tuple(values if days is None else [*values, ("valid_days", days)])

    def _get(self, name: str, problem: str | None) -> object:
        value = self._raw.get(name)
        if value is not None and value != [] and problem is not None:
            self._add_error(name, problem)
            return None
        return value

    def _checked(self, name: str, value: object) -> str | None:
        if (
            not isinstance(value, str)
            or not 1 <= len(value.strip()) <= len(value) <= MAX_TEXT_LENGTH
            or _CONTROL_CHARACTERS.search(value)
        ):
            self._add_error(name, f"must be a text of 1 to {MAX_TEXT_LENGTH} characters on one line")
            return None
        return value

    def _add_error(self, name: str, message: str) -> None:
        self._errors.append(FieldError(f"{self._pointer}/{name}", message))


def _check_fields(
    raw: Mapping[str, object], known: Sequence[str], pointer: str, errors: list[FieldError]
) -> None:
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not a known field")
        for name in raw
        if name not in known
    ]
