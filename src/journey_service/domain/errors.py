"""Kinds of expected errors, and the errors that several rooms raise. The API maps them to statuses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import ClassVar, Final

_SHORT_REPR: Final = Repr()
_SHORT_REPR.maxlevel = 2
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""Characters that PostgreSQL and JSON cannot store: NUL and lone surrogates."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error in an input.

    `pointer` is a JSON pointer (RFC 6901) into the body, or the name of a parameter, header or line.
    """

    pointer: str
    message: str


def pointer_token(name: object) -> str:
    """Escapes a name as a token of a JSON pointer; characters that cannot be stored become U+FFFD."""
    text = _NOT_STORABLE.sub("\ufffd", str(name))
    return text.replace("~", "~0").replace("/", "~1")


def quote_value(value: object, max_length: int = 60) -> str:
    """Formats an input value for an error message, cut to `max_length` characters."""
    return (repr(value) if isinstance(value, str) else _SHORT_REPR.repr(value))[:max_length]


class JourneyServiceError(Exception):
    """Base class of expected errors: the message and `context` are shown to the caller."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def context(self) -> Mapping[str, object]:
        """Returns machine-readable details that accompany the message."""
        return {}


class NotFoundError(JourneyServiceError):
    """The company has no resource with this id."""


class ConflictError(JourneyServiceError):
    """The request conflicts with the stored state."""


class ForbiddenError(JourneyServiceError):
    """The credential is valid and lacks the permission."""

    code = "forbidden"
    title = "Not allowed"


class UnauthenticatedError(JourneyServiceError):
    """The credential is missing, unknown, expired or revoked."""

    code = "unauthenticated"
    title = "A valid credential is required"


class InvalidInputError(JourneyServiceError):
    """The input is invalid; `errors` lists every error with its position."""

    code = "invalid-input"
    title = "The input is invalid"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer or '/'}: {error.message}" for error in errors[:3]))
        self.errors = tuple(errors)

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInputError":
        """Creates the exception with a single error."""
        return cls([FieldError(pointer, message)])

    def with_pointers(self, pointers: Mapping[str, str]) -> "InvalidInputError":
        """Returns the same errors, some with other pointers: the request names these inputs differently."""
        return InvalidInputError(
            [FieldError(pointers.get(error.pointer, error.pointer), error.message) for error in self.errors]
        )


class MalformedError(JourneyServiceError):
    """The body cannot be parsed: it is not JSON, not gzip, or incomplete."""

    code = "malformed"
    title = "The body cannot be parsed"

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset

    def context(self) -> Mapping[str, object]:
        """Returns the byte offset at which parsing stopped, if known."""
        return {} if self.offset is None else {"offset": self.offset}


class JobNotFoundError(NotFoundError):
    """No job has this id."""

    code = "job-not-found"
    title = "Job not found"

    def __init__(self, job_id: int) -> None:
        super().__init__(f"There is no job {job_id}.")


class IdempotencyKeyReusedError(JourneyServiceError):
    """The Idempotency-Key was used before with a different request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for a different request"

    def __init__(self) -> None:
        super().__init__(
            "The Idempotency-Key was used for an earlier, different request; nothing was changed. Use a new key."
        )


class PreconditionMissingError(JourneyServiceError):
    """The change requires the header If-Match, which is missing."""

    code = "precondition-required"
    title = "If-Match is required"

    def __init__(self, message: str = 'Send the version you read as If-Match: "<version>".') -> None:
        super().__init__(message)


class UnavailableError(JourneyServiceError):
    """The database or a queue is unreachable or overloaded; the caller should retry."""

    code = "unavailable"
    title = "The service is temporarily unavailable"

    def __init__(self, message: str = "Try again in a few seconds.") -> None:
        super().__init__(message)


class RetriesExhaustedError(UnavailableError):
    """Every attempt of a transaction failed because concurrent transactions changed the same rows."""

    def __init__(self) -> None:
        super().__init__("Too many concurrent changes; try again in a few seconds.")


def is_database_outage(error: Exception) -> bool:
    """Returns whether the database is unavailable, so that processing items one by one would fail as well.

    Conflicts between transactions are not an outage: another item may succeed.
    """
    return isinstance(error, UnavailableError) and not isinstance(error, RetriesExhaustedError)
