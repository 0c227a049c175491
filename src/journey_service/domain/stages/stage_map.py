"""Stages and the stage map: parsing, validation and lookups."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.stages.icons import StageIcon
from journey_service.domain.stages.rules import Rule, amount_errors, in_currency, parse_rules, rules_to_json

_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,49}", re.ASCII)
_ICONS: Final = tuple(StageIcon)
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}", re.ASCII)
_MAX_NAME_LENGTH: Final = 255
_MAX_DESCRIPTION_LENGTH: Final = 2000
_MAX_RETENTION_DAYS: Final = 3650
_MAX_ORDER: Final = 1000
_MIN_ACTIVE_STAGES: Final = 2
_MAX_ACTIVE_STAGES: Final = 20
_MAX_RULES: Final = 100
_RECOMMENDED_ACTIVE_STAGES: Final = range(5, 9)
INACTIVITY: Final = "days_since_last_appointment"
"""Trigger whose number of days `retention_days` replaces."""


class StageKind(StrEnum):
    """Kind of a stage: progress, or a risk of losing the customer."""

    PROGRESS = "progress"
    RISK = "risk"


@dataclass(frozen=True)
class Stage:
    """One stage of a stage map.

    `order` ranks progress stages by progress and risk stages by severity. `remapped_to` is the stage to which the
    customers of an archived stage were moved.
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
    """One version of a company's stages, in order. Immutable: a change creates a new version.

    Amounts in conditions are in `currency`.
    """

    version: int
    stages: tuple[Stage, ...]
    currency: Currency = EUR
    compiled_stages: dict[tuple[str, str | None], Any] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Cache of the compiled rules, see `compiled_rules.compile_stage`."""

    @cached_property
    def by_key(self) -> Mapping[str, Stage]:
        """All stages by key, including archived ones."""
        return {stage.key: stage for stage in self.stages}

    @cached_property
    def active(self) -> tuple[Stage, ...]:
        """Active stages, in order."""
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
        """The stage in which a journey starts: the lowest active progress stage."""
        return self.progress[0]

    def find(self, key: str | None) -> Stage | None:
        """Returns the active stage of a key, following `remapped_to` of archived stages, or None."""
        visited = set()
        while key is not None and key not in visited:
            visited.add(key)
            stage = self.by_key.get(key)
            if stage is None or stage.is_active:
                return stage
            key = stage.remapped_to
        return None

    def successor(self, key: str) -> Stage | None:
        """Returns the stage for a customer in an archived stage; None if the stage is active or unknown.

        A stage without `remapped_to` had no customers when it was archived. Customers who entered it concurrently
        move to the nearest stage of the same kind, preferably a lower one, or to a progress stage.
        """
        stage = self.by_key.get(key)
        if stage is None or stage.is_active:
            return None
        target = self.find(key)
        if target is not None:
            return target
        candidates = [other for other in self.active if other.kind is stage.kind] or self.progress
        lower = [other for other in candidates if other.order <= stage.order]
        return lower[-1] if lower else candidates[0]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about a valid map."""
        if len(self.active) in _RECOMMENDED_ACTIVE_STAGES:
            return ()
        return (f"the map has {len(self.active)} active stages; 5 to 8 are recommended",)


def parse_stage_map(
    raw: object, *, version: int, pointer: str = "", currency: Currency = EUR, is_stored: bool = False
) -> StageMap:
    """Parses a list of stages from JSON, whose amounts are in `currency`.

    `is_stored`: the decimals of amounts were checked before, in the currency that the company had then.

    Raises InvalidInputError with every error.
    """
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidInputError.at(pointer, "must be a list of stages")
    errors: list[FieldError] = []
    pointers: dict[str, str] = {}
    stages: list[Stage] = []
    for index, item in enumerate(raw):
        position = f"{pointer}/{index}"
        stage = _parse_stage(item, position, errors, currency)
        if stage is None:
            continue
        if stage.key in pointers:
            errors.append(FieldError(f"{position}/key", f"{stage.key!r} is already used by another stage"))
            continue
        pointers[stage.key] = position
        stages.append(stage)
        if not is_stored:
            errors += amount_errors(
                stage.rules, f"{position}/auto_rules", is_list="any" in (item.get("auto_rules") or ())
            )
    stage_map = StageMap(version, tuple(sorted(stages, key=lambda stage: stage.order)), currency)
    if not errors:
        _check_map(stage_map, pointers, pointer, errors)
    if errors:
        raise InvalidInputError(errors)
    return stage_map


def stage_map_to_json(stage_map: StageMap) -> list[dict[str, object]]:
    """Converts a map to the JSON that `parse_stage_map` reads, in order."""
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


def _parse_stage(raw: object, pointer: str, errors: list[FieldError], currency: Currency) -> Stage | None:
    if not isinstance(raw, Mapping):
        errors.append(FieldError(pointer, "must be an object"))
        return None
    before = len(errors)
    errors += [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not a field of a stage")
        for name in raw
        if name not in _FIELDS
    ]
    fields = {"is_active": True, **raw}
    errors += [
        FieldError(f"{pointer}/{name}", message)
        for name, message, is_valid in _FIELD_CHECKS
        if not is_valid(fields.get(name))
    ]
    rules = in_currency(parse_rules(raw.get("auto_rules"), f"{pointer}/auto_rules", errors), currency)
    kind = raw.get("kind")
    if kind not in (None, *StageKind):
        errors.append(FieldError(f"{pointer}/kind", "must be one of progress, risk"))
    if len(errors) > before:
        return None
    derived = StageKind.RISK if any(rule.trigger.indicates_risk for rule in rules) else StageKind.PROGRESS
    return Stage(
        key=str(raw["key"]),
        name=str(raw["name"]),
        order=int(str(raw["order"])),
        kind=derived if kind is None else StageKind(str(kind)),
        rules=rules,
        description=_optional_text(raw.get("description")),
        color=_optional_text(raw.get("color")),
        icon=_optional_text(raw.get("icon")),
        retention_days=None if raw.get("retention_days") is None else int(str(raw["retention_days"])),
        is_active=bool(fields["is_active"]),
        remapped_to=_optional_text(raw.get("remapped_to")),
    )


def _check_map(
    stage_map: StageMap, pointers: Mapping[str, str], pointer: str, errors: list[FieldError]
) -> None:
    active = stage_map.active
    if not _MIN_ACTIVE_STAGES <= len(active) <= _MAX_ACTIVE_STAGES:
        errors.append(
            FieldError(
                pointer,
                f"must contain {_MIN_ACTIVE_STAGES} to {_MAX_ACTIVE_STAGES} active stages, not {len(active)}",
            )
        )
    rules = sum(len(stage.rules) for stage in active)
    if rules > _MAX_RULES:
        errors.append(FieldError(pointer, f"must contain at most {_MAX_RULES} rules, not {rules}"))
    names: dict[str, str] = {}
    orders: dict[int, str] = {}
    for stage in active:
        name = stage.name.casefold()
        if name in names:
            errors.append(
                FieldError(
                    f"{pointers[stage.key]}/name", f"must be unique: {names[name]!r} has the same name"
                )
            )
        if stage.order in orders:
            errors.append(
                FieldError(
                    f"{pointers[stage.key]}/order",
                    f"must be unique: {orders[stage.order]!r} has the same order",
                )
            )
        names[name] = stage.key
        orders[stage.order] = stage.key
    if not stage_map.progress:
        errors.append(FieldError(pointer, "must contain at least one active stage of kind 'progress'"))
    errors += [
        FieldError(f"{pointers[stage.key]}/remapped_to", "must be the key of an active stage")
        for stage in stage_map.stages
        if stage.remapped_to is not None and stage_map.find(stage.remapped_to) is None
    ]
    _check_retention(stage_map, pointers, errors)


def _check_retention(stage_map: StageMap, pointers: Mapping[str, str], errors: list[FieldError]) -> None:
    if len(stage_map.risk_descending) < 2:  # noqa: PLR2004  # there is no next risk stage to stay below
        return
    limit = inactivity_days(stage_map.risk_descending[-2])
    if limit is None:
        return
    errors += [
        FieldError(
            f"{pointers[stage.key]}/retention_days",
            f"must be less than {limit}, the days of inactivity of the next risk stage"
            f" {stage_map.risk_descending[-2].key!r}",
        )
        for stage in stage_map.active
        if stage.retention_days is not None and stage.retention_days >= limit
    ]


def inactivity_days(stage: Stage) -> Decimal | None:
    """Returns the smallest number of days in the inactivity conditions of a stage, or None."""
    numbers = [
        condition.number
        for rule in stage.rules
        if rule.trigger.name == INACTIVITY
        for condition in rule.conditions
    ]
    return min(numbers, default=None)


def _is_text(value: object, max_length: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= max_length and "\x00" not in value


def _is_visible(name: str) -> bool:
    # Zero-width joiners and variation selectors are parts of emojis; other invisible characters are not allowed.
    return name == name.strip() and name.replace("\u200d", "").replace("\ufe0f", "").isprintable()


def _is_int(value: object, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)


_FIELDS: Final = frozenset(
    (
        *("key", "name", "description", "color", "icon", "order", "kind", "auto_rules"),
        *("retention_days", "is_active", "remapped_to"),
    )
)
_FIELD_CHECKS: Final[Sequence[tuple[str, str, Callable[[object], bool]]]] = (
    (
        "key",
        "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter",
        lambda value: _matches(_KEY, value),
    ),
    (
        "name",
        f"must be text of 1 to {_MAX_NAME_LENGTH} characters",
        lambda value: _is_text(value, _MAX_NAME_LENGTH),
    ),
    (
        "name",
        "must not start or end with spaces or contain invisible characters",
        lambda value: not _is_text(value, _MAX_NAME_LENGTH) or _is_visible(str(value)),
    ),
    ("order", f"must be a whole number from 1 to {_MAX_ORDER}", lambda value: _is_int(value, _MAX_ORDER)),
    (
        "description",
        f"must be text of 1 to {_MAX_DESCRIPTION_LENGTH} characters, or null",
        lambda value: value is None or _is_text(value, _MAX_DESCRIPTION_LENGTH),
    ),
    (
        "color",
        "must be a color such as #94A3B8, or null",
        lambda value: value is None or _matches(_COLOR, value),
    ),
    (
        "icon",
        "must be the name of a known icon, such as user-plus",
        lambda value: value is None or value in _ICONS,
    ),
    (
        "retention_days",
        f"must be a whole number of days from 1 to {_MAX_RETENTION_DAYS}",
        lambda value: value is None or _is_int(value, _MAX_RETENTION_DAYS),
    ),
    ("is_active", "must be true or false", lambda value: isinstance(value, bool)),
    (
        "remapped_to",
        "must be the key of a stage",
        lambda value: value is None or _matches(_KEY, value),
    ),
)
"""Checks of single fields: field, message, check. Checks of the whole map are in `_check_map`."""
