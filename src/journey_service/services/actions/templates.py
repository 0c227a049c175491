"""Message templates of a company, which override the built-in ones of the same key."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.errors import (
    TemplateExistsError,
    TemplateInUseError,
    TemplateNotFoundError,
)
from journey_service.domain.actions.records import StoredTemplate
from journey_service.domain.actions.templates import BUILT_IN, Template
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions import template_rendering
from journey_service.services.actions.template_rendering import RenderedTemplate


async def list_templates(
    database: Database, company_id: int, *, after: int, limit: int
) -> Sequence[StoredTemplate]:
    """Lists the company's own templates by id."""

    async def unit(uow: UnitOfWork) -> Sequence[StoredTemplate]:
        await uow.companies.get_context()
        return await uow.templates.page(after=after, limit=limit)

    return await database.run(company_id, unit)


def built_in() -> Sequence[Template]:
    """Returns the built-in templates."""
    return [template for templates in BUILT_IN.values() for template in templates]


async def get_template(database: Database, company_id: int, template_id: int) -> StoredTemplate:
    """Returns one of the company's templates. Raises TemplateNotFoundError."""

    async def unit(uow: UnitOfWork) -> StoredTemplate:
        return await _find(uow, template_id)

    return await database.run(company_id, unit)


async def add_template(
    database: Database, company_id: int, template: Template, *, by: Actor
) -> StoredTemplate:
    """Adds a template. Raises InvalidInputError, TemplateExistsError."""
    await asyncio.to_thread(template_rendering.check, template)

    async def unit(uow: UnitOfWork) -> StoredTemplate:
        await uow.companies.lock()
        await _check_key(uow, template, but=None)
        id_ = await uow.templates.insert(template, author=by.name)
        await _record(uow, by, "template.create", id_, after=template)
        return await _find(uow, id_)

    return await database.run(company_id, unit)


async def change_template(
    database: Database, company_id: int, template_id: int, template: Template, *, by: Actor
) -> StoredTemplate:
    """Replaces a template.

    Raises TemplateNotFoundError, InvalidInputError, TemplateExistsError, TemplateInUseError.
    """
    await asyncio.to_thread(template_rendering.check, template)

    async def unit(uow: UnitOfWork) -> StoredTemplate:
        context = await uow.companies.lock()
        stored = await _find(uow, template_id)
        if stored.template == template:
            await uow.audit_log.record_operator_access(by, "replace_template")
            return stored
        await _check_key(uow, template, but=template_id)
        if (stored.template.key, stored.template.channel) != (template.key, template.channel):
            await _check_unused(uow, context, stored)
        await uow.templates.update(template_id, template, author=by.name)
        await _record(uow, by, "template.update", template_id, before=stored.template, after=template)
        return await _find(uow, template_id)

    return await database.run(company_id, unit)


async def remove_template(database: Database, company_id: int, template_id: int, *, by: Actor) -> None:
    """Deletes a template.

    Raises TemplateNotFoundError, TemplateInUseError if a stage action would be left without a template.
    """

    async def unit(uow: UnitOfWork) -> None:
        context = await uow.companies.lock()
        stored = await _find(uow, template_id)
        await _check_unused(uow, context, stored)
        await uow.templates.delete(template_id)
        await _record(uow, by, "template.delete", template_id, before=stored.template)

    await database.run(company_id, unit)


async def preview_template(
    database: Database, company_id: int, template_id: int, values: Mapping[str, Any]
) -> RenderedTemplate:
    """Renders a template with sample values; `values` replace those they name.

    Raises TemplateNotFoundError, InvalidInputError.
    """
    stored = await get_template(database, company_id, template_id)
    return await asyncio.to_thread(template_rendering.preview, stored.template, values)


async def load_templates(uow: UnitOfWork, keys: Collection[str]) -> Mapping[str, Sequence[Template]]:
    """Loads the templates of each key: the company's own, or the built-in ones if it has none."""
    own: dict[str, list[Template]] = {}
    for stored in await uow.templates.get_many(keys):
        own.setdefault(stored.template.key, []).append(stored.template)
    return {key: own.get(key) or BUILT_IN.get(key, ()) for key in keys}


async def _check_key(uow: UnitOfWork, template: Template, *, but: int | None) -> None:
    """Rejects a duplicate key and language, and a key that is in use for another channel.

    Raises TemplateExistsError.
    """
    present = [stored for stored in await uow.templates.get_many([template.key]) if stored.id != but]
    if any(stored.template.language == template.language for stored in present):
        raise TemplateExistsError(template.key, template.language)
    same_key = [*(stored.template for stored in present), *BUILT_IN.get(template.key, ())]
    if any(other.channel is not template.channel for other in same_key):
        raise TemplateExistsError(template.key, None)


async def _check_unused(uow: UnitOfWork, context: CompanyContext, stored: StoredTemplate) -> None:
    """Rejects removing the last template of a key that stage actions use. Raises TemplateInUseError."""
    key = stored.template.key
    if key in BUILT_IN or len(await uow.templates.get_many([key])) > 1:
        return
    stages = [
        stage
        for stage, actions in context.stage_actions.items()
        if any(step.template == key for action in actions for step in action.steps)
    ]
    if stages:
        raise TemplateInUseError(key, stages)


async def _record(
    uow: UnitOfWork,
    by: Actor,
    action: str,
    template_id: int,
    *,
    before: Template | None = None,
    after: Template | None = None,
) -> None:
    template = after or before
    assert template is not None  # callers pass at least one of them
    detail = {"key": template.key, "language": template.language}
    await uow.audit_log.record(
        by,
        AuditEntry(
            action,
            target=f"template:{template_id}",
            detail=detail,
            before=_template_values(before),
            after=_template_values(after),
        ),
    )


def _template_values(template: Template | None) -> object:
    if template is None:
        return None
    return [
        template.key,
        template.channel.value,
        template.language,
        template.subject,
        template.text,
        template.html,
    ]


async def _find(uow: UnitOfWork, template_id: int) -> StoredTemplate:
    stored = await uow.templates.find(template_id)
    if stored is None:
        raise TemplateNotFoundError(template_id)
    return stored
