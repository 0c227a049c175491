"""Expected failures of API keys."""

from journey_service.domain.errors import ConflictError, NotFoundError


class KeyNotFoundError(NotFoundError):
    """No API key has this id."""

    code = "key-not-found"
    title = "API key not found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"No API key {key_id}.")


class RotationPendingError(ConflictError):
    """Two keys are live already, where one is to take the place of the other."""

    code = "rotation-under-way"
    title = "Two keys are live already"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"API key {key_id} is one of two that are alive already; revoke one of them first.")
