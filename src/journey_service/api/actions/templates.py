"""The words a company writes to its customers in."""

from typing import Annotated

from fastapi import APIRouter, Path

from journey_service.api.actions.schemas.templates import (
    BuiltInTemplatesOut,
    RenderedOut,
    RenderingIn,
    TemplateIn,
    TemplateOut,
    TemplatesOut,
)
from journey_service.api.authentication import StageDrafter, StageReader, StageWriter
from journey_service.api.dependencies import AppStateDep, Cursor, Limit, from_cursor, is_id, next_cursor
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.actions.errors import (
    TemplateExistsError,
    TemplateInUseError,
    TemplateNotFoundError,
)
from journey_service.domain.actions.templates import parse_template
from journey_service.domain.events.event import MAX_ID
from journey_service.services.actions import templates

router = APIRouter(prefix="/templates", tags=["templates"], route_class=StrictRoute)

TemplateId = Annotated[int, Path(ge=1, le=MAX_ID)]


@router.get("", summary="List templates", responses=problems())
async def list_templates(
    caller: StageReader, app_state: AppStateDep, limit: Limit = 50, cursor: Cursor = None
) -> TemplatesOut:
    """The company's own templates by id, page by page."""
    after = from_cursor("templates", cursor, is_id)
    found = await templates.list_templates(
        app_state.database, caller.company_id, after=after[0] if after else 0, limit=limit + 1
    )
    items = [TemplateOut.of(stored) for stored in found[:limit]]
    return TemplatesOut(items=items, next_cursor=next_cursor("templates", found, limit, lambda row: [row.id]))


@router.get("/built-in", summary="List the service's own templates", responses=problems())
async def list_built_in_templates(
    caller: StageReader,  # noqa: ARG001  # naming it is the check
) -> BuiltInTemplatesOut:
    """What is written where the company has no template of its own under the key."""
    return BuiltInTemplatesOut.of(templates.built_in())


@router.post(
    "",
    summary="Write a template",
    status_code=201,
    responses=problems(TemplateExistsError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_template(body: TemplateIn, caller: StageWriter, app_state: AppStateDep) -> TemplateOut:
    """Write a template of the company's own. What could not be sent is refused, with the place of every fault."""
    stored = await templates.add_template(
        app_state.database, caller.company_id, parse_template(body), by=caller.actor
    )
    return TemplateOut.of(stored)


@router.get("/{template_id}", summary="Read a template", responses=problems(TemplateNotFoundError))
async def get_template(template_id: TemplateId, caller: StageReader, app_state: AppStateDep) -> TemplateOut:
    """A template of the company's own."""
    return TemplateOut.of(await templates.get_template(app_state.database, caller.company_id, template_id))


@router.put(
    "/{template_id}",
    summary="Replace a template",
    responses=problems(TemplateNotFoundError, TemplateExistsError, TemplateInUseError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def put_template(
    template_id: TemplateId, body: TemplateIn, caller: StageWriter, app_state: AppStateDep
) -> TemplateOut:
    """Replace a template as a whole; what is sent from now on is written so."""
    stored = await templates.change_template(
        app_state.database, caller.company_id, template_id, parse_template(body), by=caller.actor
    )
    return TemplateOut.of(stored)


@router.delete(
    "/{template_id}",
    summary="Remove a template",
    status_code=204,
    responses=problems(TemplateNotFoundError, TemplateInUseError),
)
async def delete_template(template_id: TemplateId, caller: StageWriter, app_state: AppStateDep) -> None:
    """Take a template away. Where the service has one of the key it holds again; else no stage may need it."""
    await templates.remove_template(app_state.database, caller.company_id, template_id, by=caller.actor)


@router.post(
    "/{template_id}/preview",
    summary="See what a template looks like",
    responses=problems(TemplateNotFoundError, *JSON_BODY),
    max_body_size=MAX_BODY_BYTES,
)
async def post_template_preview(
    template_id: TemplateId, caller: StageDrafter, app_state: AppStateDep, body: RenderingIn | None = None
) -> RenderedOut:
    """Fill a template in with a sample customer, or with the values given; nothing is sent."""
    values = None if body is None else body.values
    rendered = await templates.preview_template(
        app_state.database, caller.company_id, template_id, values or {}
    )
    return RenderedOut.of(rendered)
