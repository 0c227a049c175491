"""Stage actions: reads and replaces the actions that entering a stage runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.delivery import find_closed_channels
from journey_service.domain.actions.errors import StaleActionsError
from journey_service.domain.actions.parsing import actions_to_json
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    Channel,
    StageAction,
    channels_of,
    kind_of,
    with_repeat,
)
from journey_service.domain.errors import FieldError, InvalidInputError, quote_value
from journey_service.domain.stages.errors import StageNotFoundError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.templates import load_templates


@dataclass(frozen=True, slots=True)
class StoredStageActions:
    """Actions that entering a stage runs, with `repeat` set. `is_default`: the company has not configured its own.

    `closed_channels` are those of the actions that have no receiver.
    """

    stage_key: str
    actions: tuple[StageAction, ...]
    is_default: bool
    closed_channels: Sequence[Channel]


async def get_actions(
    database: Database, company_id: int, stage_key: str, *, has_mailer: bool = True
) -> StoredStageActions:
    """Returns the actions of a stage. Raises StageNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredStageActions:
        closed = await _closed_channels(uow, has_mailer=has_mailer)
        return _view(await uow.companies.get_context(), stage_key, closed)

    return await database.run(company_id, unit)


async def set_actions(
    database: Database,
    company_id: int,
    stage_key: str,
    actions: Sequence[StageAction] | None,
    *,
    seen: Collection[str] | None,
    has_mailer: bool = True,
    by: Actor,
) -> StoredStageActions:
    """Replaces the actions of a stage; None restores the defaults. Actions already planned are not affected.

    `seen` are the entity tags one of which the current actions must have; None: no check. Raises StageNotFoundError,
    StaleActionsError, InvalidInputError for unknown templates.
    """

    async def unit(uow: UnitOfWork) -> StoredStageActions:
        context, closed = await uow.companies.lock(), await _closed_channels(uow, has_mailer=has_mailer)
        before = _view(context, stage_key, closed)
        if seen is not None and tag_of(before) not in seen:
            raise StaleActionsError(stage_key)
        await _replace(uow, context, before, actions, by)
        return _view(await uow.companies.get_context(), stage_key, closed)

    return await database.run(company_id, unit)


async def _replace(
    uow: UnitOfWork,
    context: CompanyContext,
    before: StoredStageActions,
    actions: Sequence[StageAction] | None,
    by: Actor,
) -> None:
    stage_key = before.stage_key
    await _check_templates(uow, actions or ())
    kind = kind_of(context.rulebook.stage_map, stage_key)
    new = with_repeat(DEFAULT_ACTIONS.get(stage_key, ()) if actions is None else actions, kind)
    if before.actions == new and before.is_default == (actions is None):
        operation = "reset_stage_actions" if actions is None else "replace_stage_actions"
        await uow.audit_log.record_operator_access(by, operation)
        return
    await uow.companies.set_actions(stage_key, actions)
    entry = AuditEntry(
        "stage_actions.update",
        target=f"stage:{stage_key}",
        detail={"actions": [action.name for action in new]},
        before=actions_to_json(before.actions),
        after=actions_to_json(new),
    )
    await uow.audit_log.record(by, entry)


def tag_of(view: StoredStageActions) -> str:
    """Returns the entity tag of a stage's actions."""
    return sha256(orjson.dumps(actions_to_json(view.actions))).hexdigest()[:16]


async def _closed_channels(uow: UnitOfWork, *, has_mailer: bool) -> frozenset[Channel]:
    return find_closed_channels(await uow.webhook_endpoints.list_all(), has_mailer=has_mailer)


def _view(context: CompanyContext, stage_key: str, closed: Collection[Channel]) -> StoredStageActions:
    if stage_key not in context.rulebook.stage_map.by_key:
        raise StageNotFoundError(stage_key)
    stage_map = context.rulebook.stage_map
    actions = with_repeat(context.stage_actions.get(stage_key, ()), kind_of(stage_map, stage_key))
    return StoredStageActions(
        stage_key,
        actions,
        is_default=stage_key not in context.configured_stages,
        closed_channels=sorted(channels_of(actions) & set(closed)),
    )


async def _check_templates(uow: UnitOfWork, actions: Sequence[StageAction]) -> None:
    keys = {step.template for action in actions for step in action.steps if step.template is not None}
    templates = await load_templates(uow, keys)
    channels = {key: {template.channel for template in found} for key, found in templates.items()}
    errors = [
        FieldError(
            f"/actions/{index}/steps/{number}/template",
            f"there is no template {quote_value(step.template)} for the channel {step.channel.value}",
        )
        for index, action in enumerate(actions)
        for number, step in enumerate(action.steps)
        if step.template is not None and step.channel not in channels[step.template]
    ]
    if errors:
        raise InvalidInputError(errors)
