"""Errors of stage maps."""

from collections.abc import Mapping, Sequence

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError, quote_value


class StageNotFoundError(NotFoundError):
    """The company's stage map has no stage with this key."""

    code = "stage-not-found"
    title = "Stage not found"

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no stage {quote_value(key)}.")


class MapVersionNotFoundError(NotFoundError):
    """The company's stage map has no such version."""

    code = "map-version-not-found"
    title = "Stage map version not found"

    def __init__(self, version: int) -> None:
        super().__init__(f"The stage map has no version {version}.")


class StageArchivedError(ConflictError):
    """The stage is archived and cannot be changed."""

    code = "stage-archived"
    title = "The stage is archived"

    def __init__(self, key: str) -> None:
        super().__init__(f"Stage {key!r} is archived and cannot be changed.")


class StageInUseError(ConflictError):
    """The stage has customers and cannot be archived without a stage that they move to."""

    code = "stage-in-use"
    title = "The stage has customers"

    def __init__(self, customers: Mapping[str, int]) -> None:
        numbers = ", ".join(f"{number} in {key!r}" for key, number in customers.items())
        super().__init__(
            f"Stages to be archived have customers ({numbers}); choose the stage they move to with remap_to."
        )
        self.customers = dict(customers)

    def context(self) -> Mapping[str, object]:
        """Returns the number of customers by stage."""
        return {"customers": self.customers}


class RolloutPendingError(ConflictError):
    """A stage cannot be archived while customers are being migrated to a map in which it is active."""

    code = "rollout-pending"
    title = "Customers are still being migrated"

    def __init__(self, version: int, stages: Sequence[str]) -> None:
        super().__init__(
            f"Customers are still being migrated to version {version}, possibly to {', '.join(stages)};"
            " choose the stage they move to with remap_to, or try again in a few seconds."
        )


class StaleMapError(JourneyServiceError):
    """The stage map was changed after the caller read it."""

    code = "stale-map"
    title = "The stage map has changed"

    def __init__(self, current: int) -> None:
        super().__init__(
            f"The stage map has changed since you read it and is at version {current} now; read it again."
        )
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Returns the version that would have been accepted."""
        return {"current_version": self.current}
