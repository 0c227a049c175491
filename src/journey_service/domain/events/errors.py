"""Expected failures of events and imports."""

from journey_service.domain.errors import ConflictError, NotFoundError


class ImportNotFoundError(NotFoundError):
    """No import has this id."""

    code = "import-not-found"
    title = "Import not found"

    def __init__(self, import_id: int) -> None:
        super().__init__(f"No import {import_id}.")


class EventConflictError(ConflictError):
    """The same event id was used before with other content."""

    code = "event-id-reused"
    title = "The event id was used with other content"

    def __init__(self, source: str, event_id: str) -> None:
        super().__init__(
            f"Event {event_id!r} of source {source!r} is already known with other content; nothing was changed."
        )
