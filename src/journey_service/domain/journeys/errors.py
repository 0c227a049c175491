"""Errors of journeys."""

from collections.abc import Mapping

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError


class JourneyNotStartedError(NotFoundError):
    """The customer's journey began after the requested instant."""

    code = "journey-not-started"
    title = "The journey had not begun at that time"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"The journey of customer {customer_id} began after the requested time.")


class StageConflictError(ConflictError):
    """The target of a manual move is the customer's current stage."""

    code = "already-in-stage"
    title = "The customer is already in this stage"

    def __init__(self, stage: str) -> None:
        super().__init__(f"The customer is already in stage {stage!r}; nothing was changed.")


class InactiveStageError(ConflictError):
    """The target of a manual move is an archived stage."""

    code = "stage-inactive"
    title = "The stage is archived"

    def __init__(self, stage: str) -> None:
        super().__init__(f"Stage {stage!r} is archived; choose an active stage.")


class NotPinnedError(ConflictError):
    """The customer is not pinned, so the pin cannot be removed."""

    code = "not-pinned"
    title = "The customer is not pinned"

    def __init__(self) -> None:
        super().__init__("The customer is not pinned.")


class StaleVersionError(JourneyServiceError):
    """The customer was moved after the caller read the journey."""

    code = "stale-version"
    title = "The journey has changed"

    def __init__(self, current: int) -> None:
        super().__init__(
            f"The journey has changed since you read it and is at version {current} now; read it again."
        )
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Returns the version that would have been accepted."""
        return {"current_version": self.current}
