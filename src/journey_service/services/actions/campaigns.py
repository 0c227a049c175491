"""Campaigns: listed with the states of their steps, and ended by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action_plan import running
from journey_service.domain.actions.errors import CampaignEndedError, CampaignNotFoundError
from journey_service.domain.actions.records import CampaignsWanted, DeliveryLogRow, StoredCampaign
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys import action_planning as action_plans
from journey_service.services.journeys.transaction import load, write


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign and its steps, in their order."""

    campaign: StoredCampaign
    steps: Sequence[DeliveryLogRow]


async def list_campaigns(
    database: Database, company_id: int, wanted: CampaignsWanted
) -> Sequence[CampaignView]:
    """Campaigns, newest first."""

    async def unit(uow: UnitOfWork) -> Sequence[CampaignView]:
        await uow.companies.context()
        return await _views(uow, await uow.campaigns.page(wanted))

    return await database.run(company_id, unit)


async def get_campaign(database: Database, company_id: int, campaign_id: int) -> CampaignView:
    """One campaign. Raises CampaignNotFoundError."""

    async def unit(uow: UnitOfWork) -> CampaignView:
        return await _view(uow, await _find(uow, campaign_id))

    return await database.run(company_id, unit)


async def cancel_campaign(
    database: Database, company_id: int, campaign_id: int, *, by: Actor
) -> CampaignView:
    """End a campaign: what has not gone out yet never does, and its tasks are closed.

    Ending it once more changes nothing. Raises CampaignNotFoundError, CampaignEndedError for one that has ended
    otherwise.
    """

    async def unit(uow: UnitOfWork) -> CampaignView:
        found = await _find(uow, campaign_id)
        if found.ended_at is not None:
            return await _ended(uow, found, by)
        transaction = await load(uow, [found.customer_id])
        journey = transaction.find(found.customer_id)
        if journey is None:  # erased in between, under another id now
            raise CampaignNotFoundError(campaign_id)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        held = await action_plans.load(
            uow,
            transaction.context,
            {found.relationship_id: journey.relationship.version},
            now=transaction.now,
        )
        action_plan = held.by_id[found.relationship_id]
        campaign = next((one for one in running(action_plan.campaigns) if one.id == campaign_id), None)
        if campaign is None:  # somebody else was first, or the customer has just left the stage
            return await _ended(uow, await _find(uow, campaign_id), by)
        action_plan.cancel_campaign(campaign, transaction.now)
        await held.save(uow)
        await uow.audit.record(
            by, AuditEntry("campaign.cancel", customer_id=found.customer_id, target=f"campaign:{campaign_id}")
        )
        return await _view(uow, await _find(uow, campaign_id))

    return await database.run(company_id, unit)


async def _ended(uow: UnitOfWork, campaign: StoredCampaign, by: Actor) -> CampaignView:
    """The answer to whoever ends a campaign that has ended."""
    if campaign.reason != "by_hand":
        raise CampaignEndedError(campaign.id, str(campaign.reason))
    await uow.audit.record_operator_access(by, "post_campaign_cancellation", campaign.customer_id)
    return await _view(uow, campaign)


async def _view(uow: UnitOfWork, campaign: StoredCampaign) -> CampaignView:
    [view] = await _views(uow, [campaign])
    return view


async def _views(uow: UnitOfWork, campaigns: Sequence[StoredCampaign]) -> Sequence[CampaignView]:
    steps = await uow.deliveries.of_campaigns(
        [campaign.relationship_id for campaign in campaigns], [campaign.id for campaign in campaigns]
    )
    return [CampaignView(campaign, steps[campaign.id]) for campaign in campaigns]


async def _find(uow: UnitOfWork, campaign_id: int) -> StoredCampaign:
    campaign = await uow.campaigns.find(campaign_id)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id)
    return campaign
