"""Causes of transitions, which make each transition unique, and the names of those without a rule."""

from datetime import UTC, datetime

from journey_service.domain.events.event import Event
from journey_service.domain.journeys.relationship import (
    TransitionCause,
)

OPENING_EVENT = "journey_started"
"""`trigger_event` of the first transition."""
ARCHIVED_EVENT = "stage_archived"
"""`trigger_event` of a move out of an archived stage."""
REPAIRED_EVENT = "stage_repaired"
"""`trigger_event` of a move out of an unknown stage."""
MERGED_EVENT = "merged"
"""`trigger_event` of the last transition of a merged customer."""


def event_cause(event: Event) -> TransitionCause:
    """Returns the cause of transitions by an event: `source:id`, unambiguous for any source."""
    return TransitionCause("event", event_cause_id(event.source, event.event_id))


def event_cause_id(source: str, event_id: str) -> str:
    """Returns the id of an event's cause."""
    return f"{source.replace('%', '%25').replace(':', '%3A')}:{event_id}"


def split_event_cause(cause_id: str) -> tuple[str, str]:
    """Returns the source and the id of the event of a cause."""
    source, _, event_id = cause_id.partition(":")
    return source.replace("%3A", ":").replace("%25", "%"), event_id


def timestamp_id(at: datetime) -> str:
    """Returns the id of a cause that is an instant."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
