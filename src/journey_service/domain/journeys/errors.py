"""Expected failures of journeys."""

from collections.abc import Mapping

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError


class NoJourneyYetError(NotFoundError):
    """The customer's journey began after the instant that was asked about."""

    code = "no-journey-yet"
    title = "The journey had not begun"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"The journey of customer {customer_id} began later.")


class StageConflictError(ConflictError):
    """A manual move asks for the stage the customer is in."""

    code = "already-in-stage"
    title = "The customer is in this stage already"

    def __init__(self, stage: str) -> None:
        super().__init__(f"The customer is in stage {stage!r} already; nothing was changed.")


class InactiveStageError(ConflictError):
    """A manual move asks for a stage that is no longer used."""

    code = "stage-inactive"
    title = "The stage is not active"

    def __init__(self, stage: str) -> None:
        super().__init__(f"Stage {stage!r} is not active; nothing was changed.")


class NotPinnedError(ConflictError):
    """There is no pin to lift."""

    code = "not-pinned"
    title = "The customer is not pinned"

    def __init__(self) -> None:
        super().__init__("The customer is not pinned; there is nothing to lift.")


class StaleVersionError(JourneyServiceError):
    """Somebody or something moved the customer since the caller looked."""

    code = "stale-version"
    title = "The journey has changed"

    def __init__(self, current: int) -> None:
        super().__init__(f"The journey is at version {current} now; read it again.")
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Tell the version that would have been accepted."""
        return {"current_version": self.current}
