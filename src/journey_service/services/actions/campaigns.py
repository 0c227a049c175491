"""Campaigns: listed with the states of their steps, and ended by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import Act
from journey_service.domain.actions.action_plan import running
from journey_service.domain.actions.errors import CampaignEndedError, CampaignNotFoundError
from journey_service.domain.actions.records import CampaignsWanted, Listed, StoredCampaign
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.journeys import action_planning as agendas
from journey_service.services.journeys.transaction import load, write


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign and its steps, in their order."""

    campaign: StoredCampaign
    steps: Sequence[Listed]


async def list_campaigns(
    database: Database, company_id: int, wanted: CampaignsWanted
) -> Sequence[CampaignView]:
    """Campaigns, newest first."""

    async def unit(work: Work) -> Sequence[CampaignView]:
        await work.companies.desk()
        return await _views(work, await work.campaigns.page(wanted))

    return await database.run(company_id, unit)


async def get_campaign(database: Database, company_id: int, campaign_id: int) -> CampaignView:
    """One campaign. Raises CampaignNotFoundError."""

    async def unit(work: Work) -> CampaignView:
        return await _view(work, await _find(work, campaign_id))

    return await database.run(company_id, unit)


async def cancel_campaign(
    database: Database, company_id: int, campaign_id: int, *, by: Actor
) -> CampaignView:
    """End a campaign: what has not gone out yet never does, and its tasks are closed.

    Ending it once more changes nothing. Raises CampaignNotFoundError, CampaignEndedError for one that has ended
    otherwise.
    """

    async def unit(work: Work) -> CampaignView:
        found = await _find(work, campaign_id)
        if found.ended_at is not None:
            return await _ended(work, found, by)
        docket = await load(work, [found.customer_id])
        journey = docket.find(found.customer_id)
        if journey is None:  # erased in between, under another id now
            raise CampaignNotFoundError(campaign_id)
        journey.bring_to(docket.now)
        await write(work, docket)
        held = await agendas.load(
            work,
            docket.desk,
            {found.relationship_id: journey.relationship.version},
            now=docket.now,
        )
        agenda = held.by_id[found.relationship_id]
        campaign = next((one for one in running(agenda.campaigns) if one.id == campaign_id), None)
        if campaign is None:  # somebody else was first, or the customer has just left the stage
            return await _ended(work, await _find(work, campaign_id), by)
        agenda.cancel_campaign(campaign, docket.now)
        await held.save(work)
        await work.audit.record(
            by, Act("campaign.cancel", customer_id=found.customer_id, target=f"campaign:{campaign_id}")
        )
        return await _view(work, await _find(work, campaign_id))

    return await database.run(company_id, unit)


async def _ended(work: Work, campaign: StoredCampaign, by: Actor) -> CampaignView:
    """The answer to whoever ends a campaign that has ended."""
    if campaign.reason != "by_hand":
        raise CampaignEndedError(campaign.id, str(campaign.reason))
    await work.audit.record_presence(by, "post_campaign_cancellation", campaign.customer_id)
    return await _view(work, campaign)


async def _view(work: Work, campaign: StoredCampaign) -> CampaignView:
    [view] = await _views(work, [campaign])
    return view


async def _views(work: Work, campaigns: Sequence[StoredCampaign]) -> Sequence[CampaignView]:
    steps = await work.deliveries.of_campaigns(
        [campaign.relationship_id for campaign in campaigns], [campaign.id for campaign in campaigns]
    )
    return [CampaignView(campaign, steps[campaign.id]) for campaign in campaigns]


async def _find(work: Work, campaign_id: int) -> StoredCampaign:
    campaign = await work.campaigns.find(campaign_id)
    if campaign is None:
        raise CampaignNotFoundError(campaign_id)
    return campaign
