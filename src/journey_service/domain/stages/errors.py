"""Expected failures of stage maps."""

from collections.abc import Mapping, Sequence

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError, quote_value


class StageNotFoundError(NotFoundError):
    """The company's map has no stage of this key."""

    code = "stage-not-found"
    title = "Stage not found"

    def __init__(self, key: str) -> None:
        super().__init__(f"No stage {quote_value(key)}.")


class MapVersionNotFoundError(NotFoundError):
    """The company's stage map never had this version."""

    code = "map-version-not-found"
    title = "Version of the stage map not found"

    def __init__(self, version: int) -> None:
        super().__init__(f"The stage map has no version {version}.")


class StageArchivedError(ConflictError):
    """The stage is archived; nothing of it is changed any more."""

    code = "stage-archived"
    title = "The stage is archived"

    def __init__(self, key: str) -> None:
        super().__init__(f"Stage {key!r} is archived; nothing was changed.")


class StageOccupiedError(ConflictError):
    """A stage cannot be archived without saying where the customers in it go."""

    code = "stage-occupied"
    title = "Customers are in the stage"

    def __init__(self, customers: Mapping[str, int]) -> None:
        told = ", ".join(f"{number} in {key!r}" for key, number in customers.items())
        super().__init__(f"Customers are in what is to be archived ({told}); say where they go, by remap_to.")
        self.customers = dict(customers)

    def context(self) -> Mapping[str, object]:
        """Tell how many customers are in each stage."""
        return {"customers": self.customers}


class AdoptionPendingError(ConflictError):
    """A stage is to be archived while customers may be on their way into it."""

    code = "adoption-pending"
    title = "Customers are still being taken over"

    def __init__(self, version: int, stages: Sequence[str]) -> None:
        super().__init__(
            f"Customers are still being taken over to version {version}, some perhaps to {', '.join(stages)}: "
            "say where they go, or try again shortly."
        )


class StaleMapError(JourneyServiceError):
    """Somebody changed the stage map since the draft was begun."""

    code = "stale-map"
    title = "The stage map has changed"

    def __init__(self, current: int) -> None:
        super().__init__(f"The stage map is at version {current} now; read it again.")
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Tell the version that would have been accepted."""
        return {"current_version": self.current}
