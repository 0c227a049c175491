"""Refs: ids that callers have as text. A customer has the caller's own number, or a ref and a number of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from journey_service.domain.errors import InvalidInputError
from journey_service.domain.texts import find_text_error

MAX_REF_LENGTH: Final = 200
"""Characters of a ref; longer ones are refused."""
REF_PREFIX: Final = "ref:"
"""Beginning of a ref where ids are texts: in paths, in filters and in subjects of CloudEvents."""
OTHER_CUSTOMER: Final = "belongs to another customer than customer_id"
"""Message of a ref and an id that are given together and disagree."""


class CustomerName(NamedTuple):
    """What identifies a customer in an input: a number, a ref, or both."""

    customer_id: int | None
    customer_ref: str | None


@dataclass(frozen=True, slots=True)
class ResolvedRefs:
    """The numbers of refs.

    `new` holds the refs that no customer has yet, by number: a reserved one, or the id that was given with the ref.
    """

    ids: Mapping[str, int] = field(default_factory=dict)
    new: Mapping[int, str] = field(default_factory=dict)

    def number_of(self, customer: CustomerName) -> int | InvalidInputError:
        """Returns the number of a customer, or the error of a ref and an id that disagree."""
        customer_id, ref = customer
        number = customer_id if ref is None else self.ids[ref]
        assert number is not None  # an input names its customer
        if customer_id is not None and customer_id != number:
            return InvalidInputError.at("/customer_ref", OTHER_CUSTOMER)
        return number


NO_REFS: Final = ResolvedRefs()


def find_ref_error(value: object) -> str | None:
    """Returns why a value is not a ref, or None. A ref has no leading or trailing spaces, which are invisible."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_REF_LENGTH:
        return f"must be text of 1 to {MAX_REF_LENGTH} characters"
    if value != value.strip():
        return "must not begin or end with blanks"
    return find_text_error(value)


def written_ref(ref: str) -> str:
    """Returns a ref as it is written in place of an id: `ref:<percent-encoded>`."""
    return f"{REF_PREFIX}{quote(ref, safe='')}"


def parse_written_ref(value: str, pointer: str) -> str | None:
    """Returns the ref of a text `ref:<percent-encoded>`; None for any other text. Raises InvalidInputError."""
    if not value.startswith(REF_PREFIX):
        return None
    ref = unquote(value.removeprefix(REF_PREFIX), errors="replace")
    error = find_ref_error(ref)
    if error is not None:
        raise InvalidInputError.at(pointer, f"must be ref: and a customer_ref, which {error}")
    return ref
