"""Matches the lines of an import with the events that are stored: new, known, or changed in the amount alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from journey_service.domain.events.content_keys import (
    ContentId,
    numbered_id,
    ordinal_of,
    pair_changed,
    parse_content_id,
    prefix_of,
    replaced_ordinals,
    with_customer,
)
from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import ImportCursor
from journey_service.repositories.events.ledger import StoredEvents
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.events.counting import event_keys

_UNCHANGED: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LineMatches:
    """The events of lines with their ids, and what is stored of them.

    `changed` maps the key of a new event to the id of the stored one that differs in the amount alone.
    """

    events: Sequence[Event]
    stored: StoredEvents
    changed: Mapping[tuple[str, str], str]


async def match_lines(
    uow: UnitOfWork,
    import_id: int,
    lines: Sequence[ImportLine],
    cursor: ImportCursor | None,
    relationship_ids: Mapping[int, int],
    numbers: Mapping[int, int] = _UNCHANGED,
) -> LineMatches:
    """Matches lines that follow the cursor. All lines of one customer and instant have to be among them.

    `relationship_ids` holds the customers that have a journey, `numbers` the present numbers of staged ones: the lines
    of a customer whose number has changed since are not compared with known ones of another amount.
    """
    events = [
        with_customer(event, numbers.get(event.customer_id, event.customer_id), has_id=line.has_id)
        for line, event in zip(lines, await _with_ids(uow, import_id, lines, cursor), strict=True)
    ]
    stored = await uow.events.get_many(event_keys(relationship_ids, events))
    events, stored = await _pass_over_replaced(uow, lines, events, stored, relationship_ids)
    unknown = [
        event
        for line, event in zip(lines, events, strict=True)
        if not line.has_id
        and event.key not in stored.by_key
        and event.customer_id in relationship_ids
        and event.customer_id == line.event.customer_id
    ]
    changed = await _find_changed(uow, import_id, unknown, relationship_ids)
    return LineMatches(events, stored, changed)


async def _with_ids(
    uow: UnitOfWork, import_id: int, lines: Sequence[ImportLine], cursor: ImportCursor | None
) -> list[Event]:
    """Returns the events; the id of a line without one is its content key with the ordinal among equal lines."""
    previous: tuple[object, ...] = ()
    ordinal = 0
    if cursor is not None:
        previous, ordinal = cursor[:-1], await uow.import_lines.count_equal(import_id, cursor)
    events = []
    for line in lines:
        event = line.event
        if not line.has_id:
            content = event.customer_id, event.occurred_at, event.source, event.event_id
            ordinal = ordinal + 1 if content == previous else 1
            previous = content
            event = event._replace(event_id=numbered_id(event.event_id, ordinal))
        events.append(event)
    return events


async def _pass_over_replaced(
    uow: UnitOfWork,
    lines: Sequence[ImportLine],
    events: list[Event],
    stored: StoredEvents,
    relationship_ids: Mapping[int, int],
) -> tuple[list[Event], StoredEvents]:
    """Gives lines whose content was replaced by an import the ordinals that follow: they are no known lines.

    One statement if any line is known and retracted, and another one if any was replaced.
    """
    retracted = {
        (relationship_ids[event.customer_id], event.source, _content_of(event), event.occurred_at)
        for line, event in zip(lines, events, strict=True)
        if not line.has_id
        and event.customer_id in relationship_ids
        and (relationship_ids[event.customer_id], *event.key) in stored.retracted
    }
    found = await uow.events.list_ids_by_prefix(
        [(relationship_id, source, prefix_of(key), at) for relationship_id, source, key, at in retracted]
    )
    replaced = replaced_ordinals(found)
    if not replaced:
        return events, stored
    numbered = [
        event
        if line.has_id
        else event._replace(
            event_id=numbered_id(
                _content_of(event),
                ordinal_of(_number_of(event), replaced.get((event.source, _content_of(event)), ())),
            )
        )
        for line, event in zip(lines, events, strict=True)
    ]
    return numbered, await uow.events.get_many(event_keys(relationship_ids, numbered))


def _content_of(event: Event) -> str:
    return event.event_id.rpartition(":")[0]


def _number_of(event: Event) -> int:
    return int(event.event_id.rpartition(":")[2])


async def _find_changed(
    uow: UnitOfWork, import_id: int, unknown: Sequence[Event], relationship_ids: Mapping[int, int]
) -> dict[tuple[str, str], str]:
    ids = {event.key: _parsed(event) for event in unknown}
    wanted = {
        (event.customer_id, event.occurred_at, event.source, ids[event.key].prefix) for event in unknown
    }
    stored = await uow.events.list_ids_by_prefix(
        [(relationship_ids[customer_id], source, prefix, at) for customer_id, at, source, prefix in wanted]
    )
    if not stored:
        return {}
    places = {(source, prefix): (customer_id, at) for customer_id, at, source, prefix in wanted}
    known = [
        found
        for source, prefix, id_ in stored
        if (found := parse_content_id(source, id_, prefix)) is not None
    ]
    in_file = await uow.import_lines.count_contents(
        import_id, {(*places[each.source, each.prefix], each.source, each.key) for each in known}
    )
    pairs = pair_changed(ids.values(), known, in_file, replaced_ordinals(stored))
    return {key: str(pairs[id_]) for key, id_ in ids.items() if id_ in pairs}


def _parsed(event: Event) -> ContentId:
    found = parse_content_id(event.source, event.event_id, prefix_of(_content_of(event)))
    assert found is not None  # it was made from content
    return found
