"""What the guide's own components draw."""

from collections.abc import Mapping
from datetime import datetime

from journey_service.api.shapes.fields import Out
from journey_service.api.shapes.journeys import JourneyOut
from journey_service.domain.stages import Stage
from journey_service.repositories.transitions import Entry
from journey_service.services.desk import View


class PortalJourneyOut(Out):
    """The head of the guide's timeline."""

    customer_id: int
    current_stage: str
    stage_name: str
    color: str | None
    icon: str | None
    stage_entered_at: datetime
    days_in_current_stage: int
    lifetime_value: float
    total_appointments: int
    risk_score: float
    engagement_score: float
    created_at: datetime


class PortalTransitionOut(Out):
    """One entry of the guide's timeline."""

    id: int
    from_stage: str | None
    to_stage: str
    to_stage_name: str
    transitioned_at: datetime
    trigger_type: str
    trigger_event: str | None
    performed_by: int | None
    notes: str | None


class PortalTimelineOut(Out):
    """What the guide's `CustomerJourneyTimeline` draws, newest first, without the opening."""

    journey: PortalJourneyOut
    transitions: list[PortalTransitionOut]

    @classmethod
    def of(cls, view: View, entries: list[Entry]) -> "PortalTimelineOut":
        """Show a timeline."""
        stages = view.desk.rulebook.stage_map.by_key
        stage = stages.get(view.standing.relationship.current_stage)
        journey = JourneyOut.of(view).model_dump()
        return cls(
            journey=PortalJourneyOut(
                **{name: journey[name] for name in PortalJourneyOut.model_fields if name in journey},
                color=None if stage is None else stage.color,
                icon=None if stage is None else stage.icon,
            ),
            transitions=[
                PortalTransitionOut(
                    id=entry.id,
                    from_stage=entry.transition.from_stage,
                    to_stage=entry.transition.to_stage,
                    to_stage_name=_stage_name(stages, entry.transition.to_stage),
                    transitioned_at=entry.transition.transitioned_at,
                    trigger_type=entry.transition.trigger_type.value,
                    trigger_event=entry.transition.trigger_event,
                    performed_by=entry.transition.performed_by,
                    notes=entry.transition.notes,
                )
                for entry in entries
                if entry.transition.from_stage is not None
            ],
        )


def _stage_name(stages: Mapping[str, Stage], key: str) -> str:
    stage = stages.get(key)
    return key if stage is None else stage.name
