"""Errors of API keys."""

from journey_service.domain.errors import ConflictError, NotFoundError


class KeyNotFoundError(NotFoundError):
    """The company has no API key with this id."""

    code = "key-not-found"
    title = "API key not found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no API key {key_id}.")


class RotationInProgressError(ConflictError):
    """The key cannot be rotated: its previous rotation still has two valid keys."""

    code = "rotation-in-progress"
    title = "A rotation of the key is in progress"

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"API key {key_id} was rotated and both keys are still valid; revoke one of them first."
        )
