"""What a company's stages do on entry: read and replaced, stage by stage."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.errors import StaleActionsError
from journey_service.domain.actions.parsing import actions_to_json
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, StageAction
from journey_service.domain.errors import FieldError, InvalidInputError, quote_value
from journey_service.domain.stages.errors import StageNotFoundError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.templates import wordings


@dataclass(frozen=True, slots=True)
class StageActions:
    """What entering a stage does; `is_default`: because the company has said nothing else."""

    stage_key: str
    actions: Sequence[StageAction]
    is_default: bool


async def get_actions(database: Database, company_id: int, stage_key: str) -> StageActions:
    """What entering a stage does. Raises StageNotFoundError."""

    async def unit(uow: UnitOfWork) -> StageActions:
        return _view(await uow.companies.context(), stage_key)

    return await database.run(company_id, unit)


async def set_actions(
    database: Database,
    company_id: int,
    stage_key: str,
    actions: Sequence[StageAction] | None,
    *,
    seen: Collection[str] | None,
    by: Actor,
) -> StageActions:
    """Have entering a stage do this from now on; None: what it does by default. What is under way goes on as it began.

    `seen` are the tags of which what it did before has to bear one; None: any. Raises StageNotFoundError,
    StaleActionsError, InvalidInputError for templates that are not there.
    """

    async def unit(uow: UnitOfWork) -> StageActions:
        before = _view(await uow.companies.lock(), stage_key)
        if seen is not None and tag_of(before) not in seen:
            raise StaleActionsError(stage_key)
        await _check_templates(uow, actions or ())
        wanted = DEFAULT_ACTIONS.get(stage_key, ()) if actions is None else tuple(actions)
        if tuple(before.actions) == wanted and before.is_default == (actions is None):
            operation = "delete_stage_actions" if actions is None else "put_stage_actions"
            await uow.audit.record_operator_access(by, operation)
            return before
        await uow.companies.set_actions(stage_key, actions)
        await uow.audit.record(
            by,
            AuditEntry(
                "stage.actions",
                target=f"stage:{stage_key}",
                detail={"actions": [action.name for action in wanted]},
                before=actions_to_json(before.actions),
                after=actions_to_json(wanted),
            ),
        )
        return _view(await uow.companies.context(), stage_key)

    return await database.run(company_id, unit)


def tag_of(view: StageActions) -> str:
    """What tells these actions from others."""
    return sha256(orjson.dumps(actions_to_json(view.actions))).hexdigest()[:16]


def _view(context: CompanyContext, stage_key: str) -> StageActions:
    if stage_key not in context.rulebook.stage_map.by_key:
        raise StageNotFoundError(stage_key)
    actions = context.stage_actions.get(stage_key, ())
    return StageActions(stage_key, actions, is_default=stage_key not in context.told_stages)


async def _check_templates(uow: UnitOfWork, actions: Sequence[StageAction]) -> None:
    keys = {step.template for action in actions for step in action.steps if step.template is not None}
    known = await wordings(uow, keys)
    channels = {key: {template.channel for template in templates} for key, templates in known.items()}
    faults = [
        FieldError(
            f"/actions/{place}/steps/{number}/template",
            f"{quote_value(step.template)} is no template of the channel {step.channel.value}",
        )
        for place, action in enumerate(actions)
        for number, step in enumerate(action.steps)
        if step.template is not None and step.channel not in channels[step.template]
    ]
    if faults:
        raise InvalidInputError(faults)
