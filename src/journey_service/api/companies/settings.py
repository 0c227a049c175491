"""The company's settings: its policy, read and replaced."""

from typing import Any

from fastapi import APIRouter, Response

from journey_service.api.authentication import Admin, AdminReader
from journey_service.api.companies.schemas.settings import SettingsChangedOut, SettingsIn, SettingsOut
from journey_service.api.dependencies import AppStateDep, SeenTags
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import StalePolicyError
from journey_service.domain.companies.policy import CompanyPolicy, parse_policy
from journey_service.services.companies import settings
from journey_service.services.companies.settings import PolicyUpdate

router = APIRouter(tags=["settings"], route_class=StrictRoute)

_STAYS_OPEN: dict[int | str, dict[str, Any]] = {
    202: {"model": SettingsChangedOut, "description": "In force; customers are still being decided anew"}
}


@router.get("/settings", summary="Read the settings", responses=problems())
async def get_settings(response: Response, caller: AdminReader, app_state: AppStateDep) -> SettingsOut:
    """The company's whole policy, defaults included: scoring, revenue source, consent, caps, times kept.

    What is read can be sent back as it is. The ETag is of the content: equal settings have the same.
    """
    policy = await settings.get_policy(app_state.database, caller.company_id)
    _tag(response, policy)
    return SettingsOut.of(policy)


@router.put(
    "/settings",
    summary="Replace the settings",
    responses={**_STAYS_OPEN, **problems(StalePolicyError, *JSON_BODY)},
    max_body_size=MAX_BODY_BYTES,
)
async def put_settings(
    body: SettingsIn, response: Response, caller: Admin, app_state: AppStateDep, seen: SeenTags
) -> SettingsChangedOut:
    """Put a policy in force as a whole: **what is left out takes its default**, not its present value.

    Where scoring or revenue source are others than before, every customer is decided and scored anew as of this
    instant, without actions; answered once that is done, or with 202 and a job. The same settings again change nothing.
    Settings with which the stage map could not be used are refused; If-Match, where given, is respected.
    """
    changed = await settings.change_policy(
        app_state.database,
        caller.company_id,
        PolicyUpdate(parse_policy(body), caller.actor, seen),
        lease_seconds=app_state.settings.lease_seconds,
    )
    _tag(response, changed.policy)
    if changed.job is not None:
        app_state.respond_accepted(changed.job.status, response)
    return SettingsChangedOut.of_changed(changed)


def _tag(response: Response, policy: CompanyPolicy) -> None:
    response.headers["ETag"] = f'"{settings.tag_of(policy)}"'
