"""Campaigns: lists them with the states of their steps, and cancels them."""

from collections.abc import Sequence
from dataclasses import dataclass

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import CampaignEndedError, CampaignNotFoundError
from journey_service.domain.actions.planning.campaigns import running_campaigns
from journey_service.domain.actions.records import (
    CampaignCounts,
    CampaignFilter,
    DeliveryLogRow,
    StoredCampaign,
)
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS
from journey_service.services.journeys.action_planning import load as load_action_plans
from journey_service.services.journeys.transaction import load, write


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign and its steps in order."""

    campaign: StoredCampaign
    steps: Sequence[DeliveryLogRow]


async def list_campaigns(
    database: Database, company_id: int, filter_: CampaignFilter
) -> Sequence[CampaignView]:
    """Lists campaigns, newest first."""

    async def unit(uow: UnitOfWork) -> Sequence[CampaignView]:
        await uow.companies.get_context()
        return await _views(uow, await uow.campaigns.page(filter_))

    return await database.run(company_id, unit)


async def count_campaigns(database: Database, company_id: int, types: Sequence[str]) -> CampaignCounts:
    """Counts the campaigns of some types, or of all without any. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> CampaignCounts:
        await uow.companies.get_context()
        return await uow.campaigns.count(types)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def get_campaign(database: Database, company_id: int, campaign_id: int) -> CampaignView:
    """Returns one campaign. Raises CampaignNotFoundError."""

    async def unit(uow: UnitOfWork) -> CampaignView:
        return await _view(uow, await _find(uow, campaign_id))

    return await database.run(company_id, unit)


async def cancel_campaign(
    database: Database, company_id: int, campaign_id: int, *, by: Actor
) -> CampaignView:
    """Cancels a campaign: its pending steps are cancelled and its tasks are closed.

    Idempotent. Raises CampaignNotFoundError, CampaignEndedError if it ended for another reason.
    """

    async def unit(uow: UnitOfWork) -> CampaignView:
        stored = await _find(uow, campaign_id)
        if stored.ended_at is not None:
            return await _ended(uow, stored, by)
        return await _cancel(uow, stored, by)

    return await database.run(company_id, unit)


async def _cancel(uow: UnitOfWork, stored: StoredCampaign, by: Actor) -> CampaignView:
    transaction = await load(uow, [stored.customer_id])
    journey = transaction.find(stored.customer_id)
    if journey is None:  # erased since, and stored under another id
        raise CampaignNotFoundError(stored.id)
    journey.advance_to(transaction.now)
    await write(uow, transaction)
    versions = {stored.relationship_id: journey.relationship.version}
    action_plans = await load_action_plans(uow, transaction.context, versions, now=transaction.now)
    action_plan = action_plans.by_id[stored.relationship_id]
    running = running_campaigns(action_plan.campaigns)
    campaign = next((each for each in running if each.id == stored.id), None)
    if campaign is None:  # cancelled by another request, or the customer has just left the stage
        return await _ended(uow, await _find(uow, stored.id), by)
    action_plan.cancel_campaign(campaign, transaction.now)
    await action_plans.save(uow)
    entry = AuditEntry("campaign.cancel", customer_id=stored.customer_id, target=f"campaign:{stored.id}")
    await uow.audit_log.record(by, entry)
    return await _view(uow, await _find(uow, stored.id))


async def _ended(uow: UnitOfWork, campaign: StoredCampaign, by: Actor) -> CampaignView:
    """Returns an already cancelled campaign. Raises CampaignEndedError if it ended for another reason."""
    if campaign.reason != "manual":
        raise CampaignEndedError(campaign.id, str(campaign.reason))
    await uow.audit_log.record_operator_access(by, "cancel_campaign", campaign.customer_id)
    return await _view(uow, campaign)


async def _view(uow: UnitOfWork, campaign: StoredCampaign) -> CampaignView:
    [view] = await _views(uow, [campaign])
    return view


async def _views(uow: UnitOfWork, campaigns: Sequence[StoredCampaign]) -> Sequence[CampaignView]:
    steps = await uow.delivery_log.list_by_campaign(
        [campaign.relationship_id for campaign in campaigns], [campaign.id for campaign in campaigns]
    )
    return [CampaignView(campaign, steps[campaign.id]) for campaign in campaigns]


async def _find(uow: UnitOfWork, campaign_id: int) -> StoredCampaign:
    campaign = await uow.campaigns.find(campaign_id)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id)
    return campaign
