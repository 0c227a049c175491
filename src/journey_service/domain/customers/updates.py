"""Updates of profiles: what a source says of a customer, as of a time, and which fields it may change."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.attributes import AttributeValue

PROFILE_LENGTHS: Final[Mapping[str, int]] = {"name": 255, "first_name": 255, "email": 320, "phone": 64}
"""Most characters of the fields of a profile that are free text."""


class ProfileUpdate(NamedTuple):
    """What a source names: fields of a profile, consents by channel, attributes; others stay as they are."""

    fields: Mapping[str, str]
    consents: Mapping[str, str]
    attributes: Mapping[str, AttributeValue]


def newer_fields(fields: Mapping[str, str], times: Mapping[str, str], at: datetime) -> dict[str, str]:
    """Returns the fields that no source has named later than `at`; `times` are when each was last named."""
    return {
        name: value
        for name, value in fields.items()
        if name not in times or datetime.fromisoformat(times[name]) <= at
    }


def with_times(times: Mapping[str, str], names: Mapping[str, object], at: datetime) -> dict[str, str]:
    """Returns the times at which fields were last named, after a source named these at an instant."""
    return {**times, **dict.fromkeys(names, utc_text(at))}
