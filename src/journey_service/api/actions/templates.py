"""Routes of message templates."""

from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.actions.schemas.templates import (
    BuiltInTemplateList,
    RenderedMessage,
    Template,
    TemplateInput,
    TemplatePage,
    TemplatePreviewRequest,
)
from journey_service.api.authentication import StageDrafter, StageReader, StageWriter
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.actions.errors import (
    TemplateExistsError,
    TemplateInUseError,
    TemplateNotFoundError,
)
from journey_service.domain.actions.templates import parse_template
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import templates

router = APIRouter(prefix="/templates", tags=["templates"], route_class=StrictRoute)

TemplateIdPath = Annotated[int, Path(ge=1, le=MAX_ID, description="Id of the template", examples=[12])]


@router.get("", summary="List templates", responses=problems())
async def list_templates(
    caller: StageReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> TemplatePage:
    """Returns the company's own templates, by id."""
    after = from_cursor("templates", cursor, is_id)
    stored = await templates.list_templates(
        app_state.database, caller.company_id, after=after[0] if after else 0, limit=limit + 1
    )
    return TemplatePage(
        items=[Template.of(template) for template in stored[:limit]],
        next_cursor=next_cursor("templates", stored, limit, lambda row: [row.id]),
    )


@router.get("/built-in", summary="List built-in templates", responses=problems())
async def list_built_in_templates(
    caller: StageReader,  # noqa: ARG001  # naming it is the check
) -> BuiltInTemplateList:
    """Lists the templates that come with the service."""
    return BuiltInTemplateList.of(templates.built_in())


@router.post(
    "",
    summary="Create a template",
    status_code=201,
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, TemplateExistsError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def create_template(body: TemplateInput, caller: StageWriter, app_state: AppStateDep) -> Template:
    """Creates a template. A template that cannot be rendered is refused with the pointer of each error."""
    stored = await templates.add_template(
        app_state.database, caller.company_id, parse_template(body), by=caller.actor
    )
    return Template.of(stored)


@router.get(
    "/{template_id}", summary="Get a template", responses={**NOT_MODIFIED, **problems(TemplateNotFoundError)}
)
async def get_template(template_id: TemplateIdPath, caller: StageReader, app_state: AppStateDep) -> Template:
    """Returns a template of the company."""
    return Template.of(await templates.get_template(app_state.database, caller.company_id, template_id))


@router.put(
    "/{template_id}",
    summary="Replace a template",
    responses=problems(TemplateNotFoundError, TemplateExistsError, TemplateInUseError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def replace_template(
    template_id: TemplateIdPath, body: TemplateInput, caller: StageWriter, app_state: AppStateDep
) -> Template:
    """Replaces a template as a whole. Messages sent from now on use the new content."""
    stored = await templates.change_template(
        app_state.database, caller.company_id, template_id, parse_template(body), by=caller.actor
    )
    return Template.of(stored)


@router.delete(
    "/{template_id}",
    summary="Delete a template",
    status_code=204,
    responses=problems(TemplateNotFoundError, TemplateInUseError),
)
async def delete_template(template_id: TemplateIdPath, caller: StageWriter, app_state: AppStateDep) -> None:
    """Deletes a template. If no built-in template has the same key, no action of a stage may use the key."""
    await templates.remove_template(app_state.database, caller.company_id, template_id, by=caller.actor)


@router.post(
    "/{template_id}/preview",
    summary="Preview a template",
    responses=problems(TemplateNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def preview_template(
    template_id: TemplateIdPath,
    caller: StageDrafter,
    app_state: AppStateDep,
    body: TemplatePreviewRequest | None = None,
) -> RenderedMessage:
    """Renders a template for a sample customer, or with the given values. Nothing is sent."""
    values = None if body is None else body.values
    rendered = await templates.preview_template(
        app_state.database, caller.company_id, template_id, values or {}
    )
    return RenderedMessage.of(rendered)
