"""Changes of a company's stage map: the next version drawn up and checked against the one in force, and the diff.

Nothing a history speaks of is taken away: a stage that is left out is archived, an archived key is never used
again, and a key keeps its kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeGuard

from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value
from journey_service.domain.stages.errors import StageArchivedError, StageNotFoundError
from journey_service.domain.stages.stage_map import (
    Stage,
    StageKind,
    StageMap,
    parse_stage_map,
    stage_map_to_json,
)


class MapDraft(NamedTuple):
    """The next version of a map. `places` are the JSON pointers of its stages, by key.

    `archived` are the stages it takes out of use, each with the place where it says where their customers go.
    """

    stage_map: StageMap
    pointers: Mapping[str, str]
    archived: Mapping[str, str]


class FieldChange(NamedTuple):
    """One field of one stage that two versions have differently; values as in JSON."""

    stage: str
    field: str
    before: object
    after: object


class MapDiff(NamedTuple):
    """What leads from one version of a map to another: keys of stages, and fields of those in both."""

    added: tuple[str, ...]
    archived: tuple[str, ...]
    changed: tuple[FieldChange, ...]


_FIELDS: Final = (
    "name",
    "description",
    "color",
    "icon",
    "order",
    "kind",
    "auto_rules",
    "retention_days",
    "remapped_to",
)


def build_draft(
    current: StageMap, raw: object, *, remap: Mapping[str, str] | None = None, pointer: str = ""
) -> MapDraft:
    """Read the stages of the next version; those left out are archived, and `remap` says where to.

    A stage that leaves out its kind keeps the one it has. Raises InvalidInputError with the place of every fault.
    """
    remap = {} if remap is None else remap
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidInputError.at(pointer, "must be a list of stages")
    told = [_complete(item, current, remap) for item in raw]
    pointers = {item["key"]: f"{pointer}/{index}" for index, item in enumerate(told) if _has_key(item)}
    kept = [
        {**form, "is_active": False, "remapped_to": remap.get(str(form["key"]), form["remapped_to"])}
        for form in stage_map_to_json(current)
        if form["key"] not in pointers
    ]
    left_out = {
        f"{pointer}/{len(told) + index}": f"/remap/{pointer_token(form['key'])}"
        for index, form in enumerate(kept)
    }
    try:
        drawn = parse_stage_map([*told, *kept], version=current.version + 1, pointer=pointer)
    except InvalidInputError as error:
        raise InvalidInputError([_replaced(fault, left_out) for fault in error.errors]) from None
    pointers |= {str(form["key"]): f"/remap/{pointer_token(form['key'])}" for form in kept}
    archived = {
        stage.key: _place_of_successor(stage, pointers, remap)
        for stage in drawn.stages
        if not stage.is_active and (before := current.by_key.get(stage.key)) is not None and before.is_active
    }
    errors = [*_history_faults(current, drawn, pointers), *_remap_faults(drawn, archived, remap)]
    if errors:
        raise InvalidInputError(errors)
    return MapDraft(drawn, pointers, archived)


def edit_stage(current: StageMap, key: str, fields: Mapping[str, object]) -> MapDraft:
    """The next version with some fields of one stage told anew; faults of these are placed at `/<field>`.

    Raises StageNotFoundError, StageArchivedError, InvalidInputError.
    """
    _check_active(current, key)
    return _draw_up_around(current, key, fields)


def archive(current: StageMap, key: str, remap_to: str | None) -> MapDraft:
    """The next version without a stage, whose customers go to `remap_to`.

    Raises StageNotFoundError, StageArchivedError, InvalidInputError.
    """
    _check_active(current, key)
    led_here = [
        stage.key
        for stage in current.stages
        if not stage.is_active and current.find(stage.key) == current.by_key[key]
    ]
    if led_here and remap_to is None:
        told = ", ".join(repr(other) for other in led_here)
        raise InvalidInputError.at(
            "/remapped_to", f"must say where customers go on to: those of {told} were sent here"
        )
    return _draw_up_around(current, key, {"is_active": False, "remapped_to": remap_to})


def diff(before: StageMap, after: StageMap) -> MapDiff:
    """What leads from one version to the other, in the order of the stages of `after`."""
    forms = {str(form["key"]): form for form in stage_map_to_json(before)}
    changed = [
        FieldChange(stage.key, field, forms[stage.key][field], form[field])
        for stage, form in zip(after.stages, stage_map_to_json(after), strict=True)
        if stage.key in forms
        for field in _FIELDS
        if forms[stage.key][field] != form[field]
    ]
    was_active = {stage.key for stage in before.active}
    return MapDiff(
        added=tuple(stage.key for stage in after.active if stage.key not in was_active),
        archived=tuple(
            stage.key
            for stage in before.active
            if (now := after.by_key.get(stage.key)) is None or not now.is_active
        ),
        changed=tuple(changed),
    )


def _check_active(current: StageMap, key: str) -> None:
    stage = current.by_key.get(key)
    if stage is None:
        raise StageNotFoundError(key)
    if not stage.is_active:
        raise StageArchivedError(key)


def _draw_up_around(current: StageMap, key: str, changes: Mapping[str, object]) -> MapDraft:
    """Draw up a version by changing fields of one stage: its own places are told without its index."""
    forms = [{**form, **(changes if form["key"] == key else {})} for form in stage_map_to_json(current)]
    own = f"/stages/{next(index for index, form in enumerate(forms) if form['key'] == key)}"
    try:
        draft = build_draft(current, forms, pointer="/stages")
    except InvalidInputError as error:
        raise InvalidInputError(
            [FieldError(_without(own, fault.pointer), fault.message) for fault in error.errors]
        ) from None
    return draft._replace(
        pointers={told: _without(own, place) for told, place in draft.places.items()},
        archived={told: _without(own, place) for told, place in draft.archived.items()},
    )


def _without(own: str, pointer: str) -> str:
    return pointer.removeprefix(own) if pointer == own or pointer.startswith(f"{own}/") else pointer


def _complete(item: object, current: StageMap, remap: Mapping[str, str]) -> Any:  # noqa: ANN401  # JSON
    """A stage as told, with what it need not repeat."""
    if not _has_key(item):
        return item
    known = current.by_key.get(item["key"])
    told = dict(item)
    if known is not None and told.get("kind") is None:
        told["kind"] = known.kind.value
    if told.get("is_active") is False and told.get("remapped_to") is None and item["key"] in remap:
        told["remapped_to"] = remap[item["key"]]
    return told


def _has_key(item: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(item, Mapping) and isinstance(item.get("key"), str)


def _replaced(fault: FieldError, left_out: Mapping[str, str]) -> FieldError:
    """A fault of a stage that was not told is one of where its customers are sent."""
    for place, told in left_out.items():
        if fault.pointer == place or fault.pointer.startswith(f"{place}/"):
            return FieldError(told, fault.message)
    return fault


def _place_of_successor(stage: Stage, pointers: Mapping[str, str], remap: Mapping[str, str]) -> str:
    place = pointers[stage.key]
    return place if place.startswith("/remap/") or stage.key in remap else f"{place}/remapped_to"


def _history_faults(current: StageMap, drawn: StageMap, pointers: Mapping[str, str]) -> list[FieldError]:
    errors = []
    for stage in drawn.stages:
        before, place = current.by_key.get(stage.key), pointers[stage.key]
        if before is None and not stage.is_active:
            errors.append(FieldError(f"{place}/is_active", "must be true: a new stage begins in use"))
        if stage.is_active and stage.remapped_to is not None:
            errors.append(FieldError(f"{place}/remapped_to", "is for archived stages: this one is in use"))
        if before is None:
            continue
        if not before.is_active and stage.is_active:
            message = f"{stage.key!r} was archived, and its key is never used again: choose another one"
            errors.append(FieldError(f"{place}/key", message))
        elif not before.is_active and replace(stage, remapped_to=before.remapped_to) != before:
            errors.append(FieldError(place, f"{stage.key!r} is archived and stays as it was"))
        elif stage.kind is not before.kind:
            message = f"{stage.key!r} is of kind {before.kind.value!r} in every history: choose another key"
            errors.append(FieldError(f"{place}/kind", message))
    return errors


def _remap_faults(drawn: StageMap, archived: Mapping[str, str], remap: Mapping[str, str]) -> list[FieldError]:
    errors = []
    for key in remap:
        stage = drawn.by_key.get(key)
        if stage is None or stage.is_active:
            message = f"{quote_value(key)} is not a stage that this draft archives"
            errors.append(FieldError(f"/remap/{pointer_token(key)}", message))
    for stage in drawn.stages:
        successor = drawn.find(stage.key)
        if (
            stage.is_active
            or stage.kind is StageKind.RISK
            or successor is None
            or successor.kind is StageKind.PROGRESS
        ):
            continue
        message = f"leads from progress to the risk stage {successor.key!r}: who has come that far is not lost by it"
        errors.append(FieldError(archived.get(stage.key, f"/remap/{pointer_token(stage.key)}"), message))
    return errors
