"""Matches the lines of an import with the events that are stored: new, known, or changed in the amount alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from journey_service.domain.events.content_keys import (
    ContentId,
    numbered_id,
    pair_changed,
    parse_content_id,
    prefix_of,
)
from journey_service.domain.events.event import Event
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import ImportCursor
from journey_service.repositories.events.ledger import StoredEvents
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.events.counting import event_keys


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
) -> LineMatches:
    """Matches lines that follow the cursor. All lines of one customer and instant have to be among them.

    `relationship_ids` holds the customers that have a journey.
    """
    events = await _with_ids(uow, import_id, lines, cursor)
    stored = await uow.events.get_many(event_keys(relationship_ids, events))
    unknown = [
        event
        for line, event in zip(lines, events, strict=True)
        if not line.has_id and event.key not in stored.by_key and event.customer_id in relationship_ids
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
        previous, ordinal = cursor[:-1], await uow.imports.count_equal(import_id, cursor)
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
    in_file = await uow.imports.count_contents(
        import_id, {(*places[each.source, each.prefix], each.source, each.key) for each in known}
    )
    pairs = pair_changed(ids.values(), known, in_file)
    return {key: str(pairs[id_]) for key, id_ in ids.items() if id_ in pairs}


def _parsed(event: Event) -> ContentId:
    found = parse_content_id(event.source, event.event_id, prefix_of(event.event_id.rpartition(":")[0]))
    assert found is not None  # noqa: S101  # it was made from content
    return found
