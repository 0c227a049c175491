"""Stages and the map they form: the seven defaults, kinds, validation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.stages.icons import StageIcon
from journey_service.domain.stages.rules import Rule, parse_rules, rules_to_json

_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)
_ICONS: Final = tuple(StageIcon)
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)
_NAME_LENGTH: Final = 255
_DESCRIPTION_LENGTH: Final = 2000
_MAX_RETENTION_DAYS: Final = 3650
_FEWEST, _MOST = 2, 20
_MOST_RULES: Final = 100
_COMFORTABLE: Final = range(5, 9)
INACTIVITY: Final = "days_since_last_appointment"


class StageKind(StrEnum):
    """Whether being in a stage is progress, or a risk of losing the customer."""

    PROGRESS = "progress"
    RISK = "risk"


@dataclass(frozen=True)
class Stage:
    """One stage of a company's map.

    `order` ranks progress and severity alike; `remapped_to` names the stage an archived one counts as.
    """

    key: str
    name: str
    order: int
    kind: StageKind
    rules: tuple[Rule, ...] = ()
    description: str | None = None
    color: str | None = None
    icon: str | None = None
    retention_days: int | None = None
    is_active: bool = True
    remapped_to: str | None = None


@dataclass(frozen=True)
class StageMap:
    """A company's stages under one version, in order. Immutable: a change is another version."""

    version: int
    stages: tuple[Stage, ...]
    compiled_stages: dict[tuple[str, str | None], Any] = field(
        default_factory=dict, compare=False, repr=False
    )
    """The engine's memory of what it has worked out for this map."""

    @cached_property
    def by_key(self) -> Mapping[str, Stage]:
        """Every stage, archived ones too."""
        return {stage.key: stage for stage in self.stages}

    @cached_property
    def active(self) -> tuple[Stage, ...]:
        """The stages in use, in order."""
        return tuple(stage for stage in self.stages if stage.is_active)

    @cached_property
    def progress(self) -> tuple[Stage, ...]:
        """Active progress stages, lowest first."""
        return tuple(stage for stage in self.active if stage.kind is StageKind.PROGRESS)

    @cached_property
    def progress_descending(self) -> tuple[Stage, ...]:
        """Active progress stages, highest first."""
        return self.progress[::-1]

    @cached_property
    def risk_descending(self) -> tuple[Stage, ...]:
        """Active risk stages, most severe first."""
        return tuple(stage for stage in reversed(self.active) if stage.kind is StageKind.RISK)

    @cached_property
    def mildest_risk(self) -> Stage | None:
        """The risk stage of lowest order: the one whose inactivity rule `retention_days` adjusts."""
        return self.risk_descending[-1] if self.risk_descending else None

    @property
    def start(self) -> Stage:
        """Where a journey opens: the lowest active progress stage."""
        return self.progress[0]

    def find(self, key: str | None) -> Stage | None:
        """The stage a key stands for today: an archived one is followed to what it was remapped to."""
        seen = set()
        while key is not None and key not in seen:
            seen.add(key)
            stage = self.by_key.get(key)
            if stage is None or stage.is_active:
                return stage
            key = stage.remapped_to
        return None

    def successor(self, key: str) -> Stage | None:
        """Where a customer found in an archived stage goes; None for a stage in use, or one nobody knows.

        One that leads nowhere was empty when it was archived: whoever was on their way into it goes to the
        nearest stage of its kind, a lower one first, or else to the highest progress stage.
        """
        stage = self.by_key.get(key)
        if stage is None or stage.is_active:
            return None
        found = self.find(key)
        if found is not None:
            return found
        alike = [other for other in self.active if other.kind is stage.kind] or self.progress
        lower = [other for other in alike if other.order <= stage.order]
        return lower[-1] if lower else alike[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but seldom wise."""
        if len(self.active) in _COMFORTABLE:
            return ()
        return (f"{len(self.active)} active stages; between 5 and 8 are easiest to work with",)


DEFAULT_STAGES: Final[Sequence[Mapping[str, object]]] = (
    {
        "key": "prospect",
        "name": "Prospect",
        "description": "Initial contact or inquiry",
        "color": "#94A3B8",
        "icon": "user-plus",
        "order": 1,
        "kind": "progress",
        "auto_rules": {"trigger": "call_received", "conditions": {}},
    },
    {
        "key": "lead",
        "name": "Lead",
        "description": "Qualified interest expressed",
        "color": "#60A5FA",
        "icon": "phone",
        "order": 2,
        "kind": "progress",
        "auto_rules": {
            "any": [
                {"trigger": "appointment_requested", "conditions": {"call_duration": ">60"}},
                {"trigger": "call_received", "conditions": {"call_duration": ">60"}},
            ]
        },
    },
    {
        "key": "customer",
        "name": "Customer",
        "description": "First appointment completed",
        "color": "#34D399",
        "icon": "check-circle",
        "order": 3,
        "kind": "progress",
        "auto_rules": {"trigger": "appointment_completed", "conditions": {}},
    },
    {
        "key": "regular",
        "name": "Regular Customer",
        "description": "Multiple appointments completed",
        "color": "#10B981",
        "icon": "star",
        "order": 4,
        "kind": "progress",
        "auto_rules": {"trigger": "appointment_count", "conditions": {"count": ">=3"}},
    },
    {
        "key": "vip",
        "name": "VIP Customer",
        "description": "High-value loyal customer",
        "color": "#8B5CF6",
        "icon": "crown",
        "order": 5,
        "kind": "progress",
        "auto_rules": {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}},
    },
    {
        "key": "at_risk",
        "name": "At Risk",
        "description": "No recent activity",
        "color": "#F59E0B",
        "icon": "exclamation-triangle",
        "order": 6,
        "kind": "risk",
        "auto_rules": {
            "any": [
                {"trigger": "days_since_last_appointment", "conditions": {"days": ">90"}},
                {"trigger": "risk_score", "conditions": {"score": ">0.7"}},
            ]
        },
    },
    {
        "key": "churned",
        "name": "Churned",
        "description": "Lost customer",
        "color": "#EF4444",
        "icon": "x-circle",
        "order": 7,
        "kind": "risk",
        "auto_rules": {"trigger": "days_since_last_appointment", "conditions": {"days": ">180"}},
    },
)

_KNOWN: Final = {
    "key",
    "name",
    "description",
    "color",
    "icon",
    "order",
    "kind",
    "auto_rules",
    "retention_days",
    "is_active",
    "remapped_to",
}


def parse_stage_map(raw: object, *, version: int, pointer: str = "") -> StageMap:
    """Read a list of stages from JSON.

    Raises InvalidInputError with the place of every fault.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidInputError.at(pointer, "must be a list of stages")
    errors: list[FieldError] = []
    places: dict[str, str] = {}
    stages: list[Stage] = []
    for index, item in enumerate(raw):
        place = f"{pointer}/{index}"
        stage = _parse_stage(item, place, errors)
        if stage is None:
            continue
        if stage.key in places:
            errors.append(FieldError(f"{place}/key", f"{stage.key!r} is used twice"))
            continue
        places[stage.key] = place
        stages.append(stage)
    stage_map = StageMap(version, tuple(sorted(stages, key=lambda stage: stage.order)))
    if not errors:
        _check_together(stage_map, places, pointer, errors)
    if errors:
        raise InvalidInputError(errors)
    return stage_map


def stage_map_to_json(stage_map: StageMap) -> list[dict[str, object]]:
    """Write a map in the form `parse_stage_map` reads, in order."""
    return [
        {
            "key": stage.key,
            "name": stage.name,
            "description": stage.description,
            "color": stage.color,
            "icon": stage.icon,
            "order": stage.order,
            "kind": stage.kind.value,
            "auto_rules": rules_to_json(stage.rules),
            "retention_days": stage.retention_days,
            "is_active": stage.is_active,
            "remapped_to": stage.remapped_to,
        }
        for stage in stage_map.stages
    ]


def _parse_stage(raw: object, pointer: str, errors: list[FieldError]) -> Stage | None:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        return None
    before = len(errors)
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not part of a stage")
        for name in raw
        if name not in _KNOWN
    ]

    def check(name: str, message: str, *, holds: bool) -> None:
        if not holds:
            errors.append(FieldError(f"{pointer}/{name}", message))

    key, name, order = raw.get("key"), raw.get("name"), raw.get("order")
    check(
        "key",
        "must be a lower-case word of at most 50 characters",
        holds=isinstance(key, str) and bool(_KEY.fullmatch(key)),
    )
    check("name", "must be a text of 1 to 255 characters", holds=_is_text(name, _NAME_LENGTH))
    is_told = not _is_text(name, _NAME_LENGTH) or _is_seen(str(name))
    check("name", "must not begin or end with blanks, nor hold what cannot be seen", holds=is_told)
    check("order", "must be a whole number from 1 to 1000", holds=_is_int(order, 1000))
    description, color, icon = raw.get("description"), raw.get("color"), raw.get("icon")
    check(
        "description",
        "must be a text of at most 2000 characters",
        holds=description is None or _is_text(description, _DESCRIPTION_LENGTH),
    )
    check("color", "must look like #94A3B8", holds=color is None or _matches(_COLOR, color))
    check(
        "icon",
        "must be the name of a known icon, such as user-plus",
        holds=icon is None or icon in _ICONS,
    )
    days = raw.get("retention_days")
    check(
        "retention_days",
        f"must be a whole number of days from 1 to {_MAX_RETENTION_DAYS}",
        holds=days is None or _is_int(days, _MAX_RETENTION_DAYS),
    )
    is_active, remapped_to = raw.get("is_active", True), raw.get("remapped_to")
    check("is_active", "must be true or false", holds=isinstance(is_active, bool))
    check(
        "remapped_to", "must be the key of a stage", holds=remapped_to is None or _matches(_KEY, remapped_to)
    )
    rules = parse_rules(raw.get("auto_rules"), f"{pointer}/auto_rules", errors)
    kind = raw.get("kind")
    check("kind", "must be 'progress' or 'risk'", holds=kind in (None, *StageKind))
    if len(errors) > before:
        return None
    derived = StageKind.RISK if any(rule.trigger.indicates_risk for rule in rules) else StageKind.PROGRESS
    return Stage(
        key=str(key),
        name=str(name),
        order=int(str(order)),
        kind=derived if kind is None else StageKind(str(kind)),
        rules=rules,
        description=None if description is None else str(description),
        color=None if color is None else str(color),
        icon=None if icon is None else str(icon),
        retention_days=None if days is None else int(str(days)),
        is_active=bool(is_active),
        remapped_to=None if remapped_to is None else str(remapped_to),
    )


def _check_together(
    stage_map: StageMap, places: Mapping[str, str], pointer: str, errors: list[FieldError]
) -> None:
    active = stage_map.active
    if not _FEWEST <= len(active) <= _MOST:
        errors.append(
            FieldError(pointer, f"a map has {_FEWEST} to {_MOST} active stages, this one {len(active)}")
        )
    rules = sum(len(stage.rules) for stage in active)
    if rules > _MOST_RULES:
        errors.append(FieldError(pointer, f"a map has at most {_MOST_RULES} rules, this one {rules}"))
    names: dict[str, str] = {}
    orders: dict[int, str] = {}
    for stage in active:
        name = stage.name.casefold()
        if name in names:
            errors.append(FieldError(f"{places[stage.key]}/name", f"is also the name of {names[name]!r}"))
        if stage.order in orders:
            errors.append(
                FieldError(f"{places[stage.key]}/order", f"is also the order of {orders[stage.order]!r}")
            )
        names[name] = stage.key
        orders[stage.order] = stage.key
    if not stage_map.progress:
        errors.append(FieldError(pointer, "at least one active stage must be of kind 'progress'"))
    errors += [
        FieldError(f"{places[stage.key]}/remapped_to", "must lead to an active stage")
        for stage in stage_map.stages
        if stage.remapped_to is not None and stage_map.find(stage.remapped_to) is None
    ]
    _check_retention(stage_map, places, errors)


def _check_retention(stage_map: StageMap, places: Mapping[str, str], errors: list[FieldError]) -> None:
    if len(stage_map.risk_descending) < 2:  # noqa: PLR2004  # there is no next risk stage to stay below
        return
    limit = inactivity_days(stage_map.risk_descending[-2])
    if limit is None:
        return
    errors += [
        FieldError(
            f"{places[stage.key]}/retention_days",
            f"must be below {limit}, the days of the next risk stage {stage_map.risk_descending[-2].key!r}",
        )
        for stage in stage_map.active
        if stage.retention_days is not None and stage.retention_days >= limit
    ]


def inactivity_days(stage: Stage) -> Decimal | None:
    """The fewest days of any inactivity condition of the stage, or None without one."""
    numbers = [
        condition.number
        for rule in stage.rules
        if rule.trigger.name == INACTIVITY
        for condition in rule.conditions
    ]
    return min(numbers, default=None)


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= longest and "\x00" not in value


def _is_seen(name: str) -> bool:
    # Joiners hold emojis together; other marks that do not show, line breaks among them, have no place in a name.
    return name == name.strip() and name.replace("\u200d", "").replace("\ufe0f", "").isprintable()


def _is_int(value: object, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= highest


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))
