"""Stage maps as JSON: parsing with every error, and the inverse."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from journey_service.domain.companies.currencies import EUR, Currency
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token
from journey_service.domain.stages.icons import StageIcon
from journey_service.domain.stages.rules import Rule, amount_errors, in_currency, parse_rules, rules_to_json
from journey_service.domain.stages.stage_map import MERGED_STAGE, Stage, StageKind, StageMap, inactivity_days

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
            is_list = "any" in (item.get("auto_rules") or ())
            errors += amount_errors(stage.rules, f"{position}/auto_rules", is_list=is_list)
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
    fields = {"is_active": True, **raw}
    errors += _field_errors(fields, pointer)
    rules = in_currency(parse_rules(raw.get("auto_rules"), f"{pointer}/auto_rules", errors), currency)
    kind = _parse_kind(raw.get("kind"), rules, f"{pointer}/kind", errors)
    if len(errors) > before:
        return None
    return Stage(
        key=str(raw["key"]),
        name=str(raw["name"]),
        order=int(str(raw["order"])),
        kind=kind,
        rules=rules,
        description=_optional_text(raw.get("description")),
        color=_optional_text(raw.get("color")),
        icon=_optional_text(raw.get("icon")),
        retention_days=None if raw.get("retention_days") is None else int(str(raw["retention_days"])),
        is_active=bool(fields["is_active"]),
        remapped_to=_optional_text(raw.get("remapped_to")),
    )


def _parse_kind(kind: object, rules: Sequence[Rule], pointer: str, errors: list[FieldError]) -> StageKind:
    """Returns the kind of a stage; without one, that which its rules indicate."""
    if kind is not None and kind in tuple(StageKind):
        return StageKind(str(kind))
    if kind is not None:
        errors.append(FieldError(pointer, "must be one of progress, risk"))
    return StageKind.RISK if any(rule.trigger.indicates_risk for rule in rules) else StageKind.PROGRESS


def _field_errors(fields: Mapping[str, object], pointer: str) -> list[FieldError]:
    return [
        *(
            FieldError(f"{pointer}/{pointer_token(name)}", "is not a field of a stage")
            for name in fields
            if name not in _FIELDS
        ),
        *(
            FieldError(f"{pointer}/{name}", message)
            for name, message, is_valid in _FIELD_CHECKS
            if not is_valid(fields.get(name))
        ),
    ]


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
    _check_unique(stage_map, pointers, errors)
    if not stage_map.progress:
        errors.append(FieldError(pointer, "must contain at least one active stage of kind 'progress'"))
    errors += [
        FieldError(f"{pointers[stage.key]}/remapped_to", "must be the key of an active stage")
        for stage in stage_map.stages
        if stage.remapped_to is not None and stage_map.find(stage.remapped_to) is None
    ]
    _check_retention(stage_map, pointers, errors)


def _check_unique(stage_map: StageMap, pointers: Mapping[str, str], errors: list[FieldError]) -> None:
    names: dict[str, str] = {}
    orders: dict[int, str] = {}
    for stage in stage_map.active:
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
        "key",
        f"must not be {MERGED_STAGE}, the stage of merged customers",
        lambda value: value != MERGED_STAGE,
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
