"""Every expected failure, named; nothing here knows HTTP."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import ClassVar, Final

_SHORTLY: Final = Repr()
_SHORTLY.maxlevel = 2
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
"""What no database and no JSON can keep: NUL, and halves of surrogate pairs."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with an input, and where.

    `pointer` is a JSON pointer (RFC 6901) into the body, or names a parameter, header or line.
    """

    pointer: str
    message: str


def pointer_token(name: object) -> str:
    """A name as a step of a JSON pointer; what cannot be kept as text is shown as a replacement character."""
    told = _UNFIT.sub("\ufffd", str(name))
    return told.replace("~", "~0").replace("/", "~1")


def quote_value(value: object, longest: int = 60) -> str:
    """What was told, short enough for a sentence, however long or deep it is."""
    return (repr(value) if isinstance(value, str) else _SHORTLY.repr(value))[:longest]


class JourneyServiceError(Exception):
    """Something expected went wrong; the caller can be told what."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def context(self) -> Mapping[str, object]:
        """Machine-readable details that go beside the sentence."""
        return {}


class NotFoundError(JourneyServiceError):
    """Nothing with this id exists for the caller's company."""


class ConflictError(JourneyServiceError):
    """The request contradicts what is already stored."""


class ForbiddenError(JourneyServiceError):
    """The credential is known, and not allowed to do this."""

    code = "forbidden"
    title = "Not allowed"


class UnauthenticatedError(JourneyServiceError):
    """No credential, or none that is known and alive."""

    code = "unauthenticated"
    title = "A valid credential is required"


class InvalidInputError(JourneyServiceError):
    """The input breaks a rule of the contract; every fault says where."""

    code = "invalid-input"
    title = "The input is invalid"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in errors[:3]))
        self.errors = tuple(errors)

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInputError":
        """Name a single fault."""
        return cls([FieldError(pointer, message)])

    def with_pointers(self, places: Mapping[str, str]) -> "InvalidInputError":
        """The same faults, told in the words of whoever was asked for: some pointers are others there."""
        return InvalidInputError(
            [FieldError(places.get(f.pointer, f.pointer), f.message) for f in self.errors]
        )


class MalformedError(JourneyServiceError):
    """The body could not be read at all: no JSON, no gzip, cut off."""

    code = "malformed"
    title = "The body could not be read"

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset

    def context(self) -> Mapping[str, object]:
        """Say at which byte reading stopped, where that is known."""
        return {} if self.offset is None else {"offset": self.offset}


class JobNotFoundError(NotFoundError):
    """No job has this id."""

    code = "job-not-found"
    title = "Job not found"

    def __init__(self, job_id: int) -> None:
        super().__init__(f"No job {job_id}.")


class IdempotencyKeyReusedError(JourneyServiceError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to an earlier, different request; nothing was changed."
        )


class PreconditionMissingError(JourneyServiceError):
    """A change that needs If-Match came without it."""

    code = "precondition-required"
    title = "If-Match is required"

    def __init__(self, message: str = 'Send the version you saw as If-Match: "<version>".') -> None:
        super().__init__(message)


class UnavailableError(JourneyServiceError):
    """A store is out of reach or saturated; trying again shortly is right."""

    code = "unavailable"
    title = "The service cannot answer right now"

    def __init__(self, message: str = "Try again shortly.") -> None:
        super().__init__(message)


class RetriesExhaustedError(UnavailableError):
    """A change was tried again and again, and somebody else was always first; or it can never be made."""

    def __init__(self) -> None:
        super().__init__("Too many changes at once; try again shortly.")


def is_database_outage(error: Exception) -> bool:
    """Returns whether an error comes from the database, so that trying each item alone would fail as well.

    Lost races are not an outage: another item may succeed.
    """
    return isinstance(error, UnavailableError) and not isinstance(error, RetriesExhaustedError)
