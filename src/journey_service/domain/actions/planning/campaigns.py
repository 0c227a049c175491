"""Campaigns of one customer: which are running, and whether another one may start."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from journey_service.domain.actions.action import Campaign, EndReason


def running_campaigns(campaigns: Iterable[Campaign]) -> Sequence[Campaign]:
    """Returns the campaigns that have not ended."""
    return [campaign for campaign in campaigns if campaign.ended_at is None]


def campaign_obstacle(
    campaigns: Iterable[Campaign], campaign_type: str, at: datetime, pause_days: int
) -> EndReason | None:
    """Returns why no campaign of a type may start at `at`; None if one may."""
    pause = timedelta(days=pause_days)
    for campaign in campaigns:
        if campaign.type != campaign_type:
            continue
        if campaign.ended_at is None:
            return EndReason.CAMPAIGN_RUNNING
        if at < campaign.ended_at + pause:
            return EndReason.CAMPAIGN_PAUSE
    return None
