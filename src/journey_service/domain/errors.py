"""Kinds of expected errors, and the errors that several rooms raise. The API maps them to statuses."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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


class ConcurrentChangeError(Exception):
    """Another transaction has changed what this one is based on: it is rolled back and run again."""


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


class IdempotencyKeyInUseError(ConflictError):
    """A request with the same Idempotency-Key has not ended, or its response could not be stored."""

    code = "idempotency-key-in-use"
    title = "A request with this Idempotency-Key has no response yet"

    def __init__(self) -> None:
        super().__init__(
            "An earlier request with this Idempotency-Key has not ended, or its response was not stored."
            " Try again shortly, or read what it has changed."
        )


class PreconditionMissingError(JourneyServiceError):
    """The change requires the header If-Match, which is missing."""

    code = "precondition-required"
    title = "If-Match is required"

    def __init__(self, message: str = 'Send the version you read as If-Match: "<version>".') -> None:
        super().__init__(message)


class Resource(StrEnum):
    """What was short when a request was answered with 503. The name of the reason in logs and metrics."""

    DATABASE = "database"
    """The database is unreachable, or refuses the login."""
    POOL = "pool"
    """All connections of the pool are in use."""
    COMPANY_SHARE = "company_share"
    """The company holds its share of the connections, or of the slots for expensive requests."""
    QUEUE = "queue"
    """Too many requests of the company are waiting already."""
    STREAM = "stream"
    """The company has too many open event streams."""
    CREDENTIALS = "credentials"
    """The connections that look up credentials are in use."""
    CONNECTIONS = "connections"
    """The database server has no free connection."""
    DISK = "disk"
    """No space, or no reliable access, on the disk of the database."""
    MEMORY = "memory"
    """Memory or another system resource of the database server."""
    WRITES = "writes"
    """The database is read-only."""
    LOCKS = "locks"
    """Rows or tables that another transaction keeps locked."""
    TIME = "time"
    """The time limit of a statement or a transaction."""
    SCHEMA = "schema"
    """The schema of the database does not suit this version of the service."""


class UnavailableError(JourneyServiceError):
    """The database or a queue is unreachable or overloaded; the caller should retry.

    `resource` is what was short; None if it was none of these, such as a missing setting.
    """

    code = "unavailable"
    title = "The service is temporarily unavailable"

    def __init__(
        self, message: str = "Try again in a few seconds.", *, resource: Resource | None = None
    ) -> None:
        super().__init__(message)
        self.resource = resource

    def context(self) -> Mapping[str, object]:
        """Returns the resource that is unavailable, if known."""
        return {} if self.resource is None else {"resource": self.resource.value}


class DatabaseFullError(UnavailableError):
    """The disk of the database is full: reads work, writes are refused until an operator frees space."""

    code = "database-full"
    title = "The disk of the database is full"

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed, because the disk of the database is full. Try again after space was freed.",
            resource=Resource.DISK,
        )


class DatabaseReadOnlyError(UnavailableError):
    """The database refuses writes: it is a standby, or an operator has made it read-only."""

    code = "database-read-only"
    title = "The database is read-only"

    def __init__(self) -> None:
        super().__init__(
            "Nothing was changed, because the database accepts no writes at present. Try again later.",
            resource=Resource.WRITES,
        )


class RetriesExhaustedError(UnavailableError):
    """Every attempt of a transaction failed because concurrent transactions changed the same rows."""

    def __init__(self) -> None:
        super().__init__("Too many concurrent changes; try again in a few seconds.", resource=Resource.LOCKS)


def is_database_outage(error: Exception) -> bool:
    """Returns whether the database is unavailable, so that processing items one by one would fail as well.

    Conflicts between transactions are not an outage: another item may succeed.
    """
    return isinstance(error, UnavailableError) and not isinstance(error, RetriesExhaustedError)
