"""Routes of the company's settings."""

from typing import Any

from fastapi import APIRouter, Response

from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.companies.schemas.settings import Settings, SettingsChange, SettingsInput
from journey_service.api.dependencies import AppStateDep, IfMatchETags
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, NOT_MODIFIED, StrictRoute
from journey_service.domain.companies.errors import StaleSettingsError
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.services.companies import settings
from journey_service.services.companies.settings import PolicyUpdate

router = APIRouter(tags=["settings"], route_class=StrictRoute)

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": SettingsChange,
        "description": "Activated; a job continues to evaluate and rescore the customers",
    }
}


@router.get("/settings", summary="Get the settings", responses={**NOT_MODIFIED, **problems()})
async def get_settings(response: Response, caller: AdminReader, app_state: AppStateDep) -> Settings:
    """Returns all settings of the company, defaults included: scoring, revenue source, consent, quiet hours, retention.

    The response can be sent back unchanged. Its ETag is a hash of its content: equal settings have the same ETag.
    """
    policy = await settings.get_policy(app_state.database, caller.company_id)
    _set_etag(response, policy)
    return Settings.of(policy)


@router.put(
    "/settings",
    summary="Replace the settings",
    responses={**_ACCEPTED, **problems(StaleSettingsError, *JSON_BODY)},
    max_body_size=MAX_BODY_BYTES,
)
async def replace_settings(
    body: SettingsInput, response: Response, caller: Admin, app_state: AppStateDep, seen: IfMatchETags
) -> SettingsChange:
    """Replaces all settings: **an omitted setting takes its default**, not its current value.

    If `scoring` or `revenue_source` change, a job evaluates and rescores every customer as of now, without actions. The
    response is 200 if the job has ended, or 202 if it continues. Equal settings change nothing. Settings with which the
    current stage map has errors are refused.
    """
    currency = (await settings.get_policy(app_state.database, caller.company_id)).currency
    changed = await settings.change_policy(
        app_state.database,
        caller.company_id,
        PolicyUpdate(parse_policy(body, currency=currency), caller.actor, seen),
        lease_seconds=app_state.settings.lease_seconds,
    )
    _set_etag(response, changed.policy)
    if changed.job is not None:
        app_state.respond_accepted(changed.job.status, response)
    return SettingsChange.of(changed)


def _set_etag(response: Response, policy: CompanyPolicy) -> None:
    response.headers["ETag"] = f'"{settings.tag_of(policy)}"'
