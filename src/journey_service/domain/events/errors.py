"""Errors of events and imports."""

from journey_service.domain.errors import ConflictError, NotFoundError


class ImportNotFoundError(NotFoundError):
    """The company has no import with this id."""

    code = "import-not-found"
    title = "Import not found"

    def __init__(self, import_id: int) -> None:
        super().__init__(f"There is no import {import_id}.")


class TooManyImportsError(ConflictError):
    """The company has as many unfinished imports as it may have."""

    code = "too-many-imports"
    title = "Too many unfinished imports"

    def __init__(self, limit: int = 10) -> None:
        super().__init__(f"The company has {limit} unfinished imports. Wait until one of them ends.")


class EventConflictError(ConflictError):
    """The event id was used before for an event with different content."""

    code = "event-id-reused"
    title = "The event id was used with different content"

    def __init__(self, source: str, event_id: str) -> None:
        super().__init__(
            f"Event {event_id!r} of source {source!r} was received before with different content; nothing was changed."
        )


class SourceNotFoundError(NotFoundError):
    """The company has no source with this id."""

    code = "source-not-found"
    title = "Source not found"

    def __init__(self, source_id: str) -> None:
        super().__init__(f"There is no source {source_id}.")
