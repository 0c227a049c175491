"""Content keys: the ids of imported events whose lines have none.

A line is known by its customer, type, time as written, duration, booking and amount, and by its ordinal among the
lines of its file that are equal in all of these. So neither the order of lines nor the company's time zone matters.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Final, NamedTuple

from journey_service.domain.events.event import Event

_REPLACED: Final = ":replaced"
_AMOUNT_AND_ORDINAL: Final = re.compile(r"(\d+(?:\.\d+)?):(\d+)", re.ASCII)


class ContentId(NamedTuple):
    """The parts of an event id that is made from content: `<prefix><amount>:<ordinal>`.

    Events with the same source and prefix differ in the amount alone.
    """

    source: str
    prefix: str
    amount: Decimal
    ordinal: int

    @property
    def key(self) -> str:
        """The content key."""
        return f"{self.prefix}{_amount_text(self.amount)}"

    def __str__(self) -> str:
        """Returns the event id."""
        return numbered_id(self.key, self.ordinal)


def content_prefix(event: Event, written_at: str) -> str:
    """Returns the key of an event's content without the amount: `customer:type:time:`.

    `written_at` is the time as the file has it. A duration or a booking adds a digest.
    """
    prefix = f"{event.customer_id}:{event.type}:{written_at}:"
    if event.call_duration is None and event.booking_id is None:
        return prefix
    details = json.dumps([event.call_duration, event.booking_id]).encode()
    return f"{prefix}{blake2b(details, digest_size=8).hexdigest()}:"


def content_key(event: Event, written_at: str) -> str:
    """Returns the key of an event's content: `customer:type:time:amount`."""
    return f"{content_prefix(event, written_at)}{_amount_text(Decimal(event.amount_cents).scaleb(-2))}"


def with_customer(event: Event, customer_id: int, *, has_id: bool) -> Event:
    """Returns the event with the number of its customer, also in its content key (not `has_id`)."""
    event_id = event.event_id
    if not has_id:
        event_id = f"{customer_id}{event_id.removeprefix(str(event.customer_id))}"
    return event._replace(customer_id=customer_id, event_id=event_id)


def numbered_id(key: str, ordinal: int) -> str:
    """Returns the event id of the line with this ordinal among those of equal content."""
    return f"{key}:{ordinal}"


def prefix_of(key: str) -> str:
    """Returns a content key without its amount."""
    return key[: key.rindex(":") + 1]


def parse_content_id(source: str, event_id: str, prefix: str) -> ContentId | None:
    """Parses an event id that begins with a content prefix; None if the rest is not an amount and an ordinal."""
    match = _AMOUNT_AND_ORDINAL.fullmatch(event_id.removeprefix(prefix))
    return None if match is None else ContentId(source, prefix, Decimal(match[1]), int(match[2]))


def retraction_id(replaced_id: str) -> str:
    """Returns the id of the event by which an import retracts an event that it replaces."""
    return f"{replaced_id}{_REPLACED}"


def replaced_ordinals(
    stored: Iterable[tuple[str, str, str]],
) -> Mapping[tuple[str, str], Collection[int]]:
    """Returns the ordinals of replaced events by source and content key.

    `stored` are (source, prefix, id) of events whose ids begin with a content prefix, retractions among them.
    """
    found: dict[tuple[str, str], set[int]] = {}
    for source, prefix, id_ in stored:
        replaced = parse_content_id(source, id_.removesuffix(_REPLACED), prefix)
        if replaced is not None and id_.endswith(_REPLACED):
            found.setdefault((source, replaced.key), set()).add(replaced.ordinal)
    return found


def ordinal_of(number: int, replaced: Collection[int]) -> int:
    """Returns the ordinal of the line with this number among those of equal content: those replaced are passed over."""
    for each in sorted(replaced):
        number += each <= number
    return number


def pair_changed(
    unknown: Iterable[ContentId],
    known: Iterable[ContentId],
    in_file: Mapping[tuple[str, str], int],
    replaced: Mapping[tuple[str, str], Collection[int]],
) -> Mapping[ContentId, ContentId]:
    """Pairs lines of unknown content with known events of the same prefix that the file does not have.

    Both are taken in order of the amount. A line without a partner is a new event. `in_file` holds the number of lines
    of the file by source and content key, `replaced` the ordinals of former events that were replaced.
    """
    missing: dict[tuple[str, str], list[ContentId]] = {}
    for each in sorted(known):
        content = each.source, each.key
        if each.ordinal > ordinal_of(in_file.get(content, 0), replaced.get(content, ())):
            missing.setdefault((each.source, each.prefix), []).append(each)
    pairs = {}
    for each in sorted(unknown):
        if candidates := missing.get((each.source, each.prefix)):
            pairs[each] = candidates.pop(0)
    return pairs


def _amount_text(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
