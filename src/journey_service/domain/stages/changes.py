"""Changes of a stage map: building and checking the next version, and differences between versions.

Stages that past transitions refer to are kept: a stage that is left out is archived, the key of an archived stage is
never used again, and the kind of a stage never changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypeGuard

from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value
from journey_service.domain.stages.errors import StageArchivedError, StageNotFoundError
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.domain.stages.stage_map import Stage, StageKind, StageMap


class MapDraft(NamedTuple):
    """The next version of a map. `pointers` are the JSON pointers of its stages by key.

    `archived` are the stages that it archives, each with the JSON pointer of the stage its customers move to.
    """

    stage_map: StageMap
    pointers: Mapping[str, str]
    archived: Mapping[str, str]


class FieldChange(NamedTuple):
    """A field of a stage that differs between two versions; values as in JSON."""

    stage: str
    field: str
    before: object
    after: object


class MapDiff(NamedTuple):
    """Differences between two versions: keys of added and archived stages, and changed fields."""

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
    """Builds the next version from JSON.

    A stage that is left out is archived, and `remap` names its successor. A stage without a kind keeps its present
    kind. Raises InvalidInputError with every error.
    """
    remap = {} if remap is None else remap
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidInputError.at(pointer, "must be a list of stages")
    given = [_complete(item, current, remap) for item in raw]
    pointers = {item["key"]: f"{pointer}/{index}" for index, item in enumerate(given) if _has_key(item)}
    left_out = [
        {**form, "is_active": False, "remapped_to": remap.get(str(form["key"]), form["remapped_to"])}
        for form in stage_map_to_json(current)
        if form["key"] not in pointers
    ]
    left_out_pointers = {
        f"{pointer}/{len(given) + index}": f"/remap/{pointer_token(form['key'])}"
        for index, form in enumerate(left_out)
    }
    try:
        stage_map = parse_stage_map(
            [*given, *left_out], version=current.version + 1, pointer=pointer, currency=current.currency
        )
    except InvalidInputError as error:
        raise InvalidInputError(
            [_with_remap_pointer(each, left_out_pointers) for each in error.errors]
        ) from None
    pointers |= {str(form["key"]): f"/remap/{pointer_token(form['key'])}" for form in left_out}
    return _checked_draft(current, stage_map, pointers, remap)


def _checked_draft(
    current: StageMap, stage_map: StageMap, pointers: Mapping[str, str], remap: Mapping[str, str]
) -> MapDraft:
    """Returns the draft with the stages that it archives. Raises InvalidInputError."""
    archived = {
        stage.key: _successor_pointer(stage, pointers, remap)
        for stage in stage_map.stages
        if not stage.is_active and (before := current.by_key.get(stage.key)) is not None and before.is_active
    }
    errors = [
        *_check_against_current(current, stage_map, pointers),
        *_check_remaps(stage_map, archived, remap),
    ]
    if errors:
        raise InvalidInputError(errors)
    return MapDraft(stage_map, pointers, archived)


def edit_stage(current: StageMap, key: str, fields: Mapping[str, object]) -> MapDraft:
    """Builds the next version with changed fields of one stage; pointers of errors are `/<field>`.

    Raises StageNotFoundError, StageArchivedError, InvalidInputError.
    """
    _check_active(current, key)
    return _build_draft_with_stage(current, key, fields)


def archive(current: StageMap, key: str, remap_to: str | None) -> MapDraft:
    """Builds the next version in which a stage is archived and its customers move to `remap_to`.

    Raises StageNotFoundError, StageArchivedError, InvalidInputError.
    """
    _check_active(current, key)
    predecessors = [
        stage.key
        for stage in current.stages
        if not stage.is_active and current.find(stage.key) == current.by_key[key]
    ]
    if predecessors and remap_to is None:
        keys = ", ".join(repr(other) for other in predecessors)
        raise InvalidInputError.at(
            "/remapped_to", f"is required: customers of the archived stages {keys} were moved to this stage"
        )
    return _build_draft_with_stage(current, key, {"is_active": False, "remapped_to": remap_to})


def diff(before: StageMap, after: StageMap) -> MapDiff:
    """Returns the differences between two versions, in the order of the stages of `after`."""
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


def _build_draft_with_stage(current: StageMap, key: str, changes: Mapping[str, object]) -> MapDraft:
    """Builds a version with changed fields of one stage; pointers into the stage are relative to it."""
    forms = [{**form, **(changes if form["key"] == key else {})} for form in stage_map_to_json(current)]
    own = f"/stages/{next(index for index, form in enumerate(forms) if form['key'] == key)}"
    try:
        draft = build_draft(current, forms, pointer="/stages")
    except InvalidInputError as error:
        raise InvalidInputError(
            [FieldError(_relative(own, each.pointer), each.message) for each in error.errors]
        ) from None
    return draft._replace(
        pointers={other: _relative(own, pointer) for other, pointer in draft.pointers.items()},
        archived={other: _relative(own, pointer) for other, pointer in draft.archived.items()},
    )


def _relative(own: str, pointer: str) -> str:
    return pointer.removeprefix(own) if pointer == own or pointer.startswith(f"{own}/") else pointer


def _complete(item: object, current: StageMap, remap: Mapping[str, str]) -> object:
    """Completes a stage with fields that the input may omit: the kind, and the successor from `remap`."""
    if not _has_key(item):
        return item
    known = current.by_key.get(item["key"])
    form = dict(item)
    if known is not None and form.get("kind") is None:
        form["kind"] = known.kind.value
    if form.get("is_active") is False and form.get("remapped_to") is None and item["key"] in remap:
        form["remapped_to"] = remap[item["key"]]
    return form


def _has_key(item: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(item, Mapping) and isinstance(item.get("key"), str)


def _with_remap_pointer(error: FieldError, left_out: Mapping[str, str]) -> FieldError:
    """Replaces the pointer of an error in a stage that is not part of the input by that of its remap."""
    for pointer, remap_pointer in left_out.items():
        if error.pointer == pointer or error.pointer.startswith(f"{pointer}/"):
            return FieldError(remap_pointer, error.message)
    return error


def _successor_pointer(stage: Stage, pointers: Mapping[str, str], remap: Mapping[str, str]) -> str:
    pointer = pointers[stage.key]
    return pointer if pointer.startswith("/remap/") or stage.key in remap else f"{pointer}/remapped_to"


def _check_against_current(
    current: StageMap, stage_map: StageMap, pointers: Mapping[str, str]
) -> list[FieldError]:
    errors = []
    for stage in stage_map.stages:
        before, pointer = current.by_key.get(stage.key), pointers[stage.key]
        if before is None and not stage.is_active:
            errors.append(FieldError(f"{pointer}/is_active", "must be true for a new stage"))
        if stage.is_active and stage.remapped_to is not None:
            errors.append(FieldError(f"{pointer}/remapped_to", "must be null for an active stage"))
        if before is None:
            continue
        if not before.is_active and stage.is_active:
            message = (
                f"{stage.key!r} is the key of an archived stage and cannot be used again; choose another key"
            )
            errors.append(FieldError(f"{pointer}/key", message))
        elif not before.is_active and replace(stage, remapped_to=before.remapped_to) != before:
            errors.append(FieldError(pointer, f"{stage.key!r} is archived and cannot be changed"))
        elif stage.kind is not before.kind:
            message = (
                f"the kind of {stage.key!r} is {before.kind.value!r} and cannot be changed; use another key"
            )
            errors.append(FieldError(f"{pointer}/kind", message))
    return errors


def _check_remaps(
    stage_map: StageMap, archived: Mapping[str, str], remap: Mapping[str, str]
) -> list[FieldError]:
    errors = []
    for key in remap:
        stage = stage_map.by_key.get(key)
        if stage is None or stage.is_active:
            message = f"{quote_value(key)} is not a stage that this draft archives"
            errors.append(FieldError(f"/remap/{pointer_token(key)}", message))
    for stage in stage_map.stages:
        successor = stage_map.find(stage.key)
        if (
            stage.is_active
            or stage.kind is StageKind.RISK
            or successor is None
            or successor.kind is StageKind.PROGRESS
        ):
            continue
        message = f"must be a progress stage, because {stage.key!r} is one; {successor.key!r} is a risk stage"
        errors.append(FieldError(archived.get(stage.key, f"/remap/{pointer_token(stage.key)}"), message))
    return errors
