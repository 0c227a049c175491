"""When customers at risk are expected to leave, by those who left before them, and what the guide advises to do."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from journey_service.domain.analytics.aggregates import MoveTotals
from journey_service.domain.analytics.risk_bands import CALL_RISK
from journey_service.domain.calendar import local_day
from journey_service.domain.stages.stage_map import StageMap

_OFFER_DAYS: Final = 60


class RetentionAction(NamedTuple):
    """What the guide advises to do about a customer at risk; `short` is what its own list calls it."""

    type: str
    priority: str
    description: str
    short: str


_CALL: Final = RetentionAction("personal_call", "high", "Schedule a personal check-in call", "call")
_OFFER: Final = RetentionAction("special_offer", "medium", "Send a special return offer", "offer")
_EMAIL: Final = RetentionAction("email_campaign", "low", "Include in re-engagement email campaign", "email")


def retention_actions(risk: int, days_inactive: int | None) -> list[RetentionAction]:
    """The guide's three rules."""
    found = [_CALL] if risk > CALL_RISK else []
    if days_inactive is not None and days_inactive > _OFFER_DAYS:
        found.append(_OFFER)
    return [*found, _EMAIL]


class ChurnSample(NamedTuple):
    """How many stays in a stage ended in the last risk stage, and how long these lasted in all, in microseconds."""

    number: int
    micros: int


def churn_samples(stage_map: StageMap, moves: Iterable[MoveTotals]) -> dict[str, ChurnSample]:
    """The stays that ended in the last risk stage, by the stage stayed in."""
    if not stage_map.risk_descending:
        return {}
    found: dict[str, ChurnSample] = {}
    for move in moves:
        if move.from_stage is not None and move.to_stage == stage_map.risk_descending[0].key:
            known = found.get(move.from_stage, ChurnSample(0, 0))
            found[move.from_stage] = ChurnSample(known.number + move.number, known.micros + move.micros)
    return {stage: sample for stage, sample in found.items() if sample.number > 0}


def predicted_churn_date(
    entered: datetime, sample: ChurnSample | None, now: datetime, zone: ZoneInfo
) -> date | None:
    """The local day on which a stay ends if it lasts as long as those before, never a past one; None: no sample."""
    if sample is None:
        return None
    at = entered + timedelta(microseconds=sample.micros // sample.number)
    return local_day(max(at, now), zone)
