"""Consent: which change a request makes, and what a withdrawal by the person keeps from being replaced.

A stored consent maps `status`, `at`, `source`, and, once the person granted it provably, `method` and `granted_at`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from journey_service.domain.calendar import utc_text
from journey_service.domain.customers.records import ConsentChange

StoredConsents: TypeAlias = Mapping[str, Mapping[str, str]]

BY_LINK: Final = "unsubscribe link"
"""Source of a withdrawal that the person made with the link or the one click of an email."""

BY_MERGE: Final = "merge"
"""Source of a consent that became unknown when a customer without a known consent was merged."""

_STRICTNESS: Final = {"granted": 0, "unknown": 1, "withdrawn": 2}
_PROOF: Final = ("method", "granted_at")
"""Fields of a stored consent that are kept when its status changes."""


class ConsentRequest(NamedTuple):
    """A requested status of a consent; of a grant also how and when the person gave it."""

    status: str
    method: str | None = None
    granted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConsentDecision:
    """The changes that a request makes, and warnings about the consents that it leaves as they are."""

    changes: Sequence[ConsentChange]
    warnings: Sequence[str] = ()


def decide_consents(
    stored: StoredConsents, requested: Mapping[str, ConsentRequest], at: datetime, source: str
) -> ConsentDecision:
    """Decides on requested consents, by channel, as of `at`.

    A withdrawal is not replaced by `unknown`. One by the person is replaced only by a grant with a method and a time
    after it.
    """
    changes: list[ConsentChange] = []
    warnings: list[str] = []
    for channel, request in requested.items():
        before = stored.get(channel, {})
        refusal = _refusal(before, request, at)
        if refusal is not None:
            warnings.append(f"The consent to {channel} was left as it is: {refusal}.")
        elif _differs(before, request):
            changes.append(
                ConsentChange(
                    channel,
                    before.get("status", "unknown"),
                    request.status,
                    at,
                    source,
                    request.method,
                    request.granted_at,
                )
            )
    return ConsentDecision(changes, warnings)


def withdraw_by_link(stored: StoredConsents, channel: str, at: datetime) -> list[ConsentChange]:
    """Returns the change by which the person withdraws a consent at an instant; none if a later grant lifts it."""
    before = stored.get(channel, {})
    if _is_withdrawn_by_person(before):
        return []
    if "granted_at" in before and datetime.fromisoformat(before["granted_at"]) > at:
        return []
    return [ConsentChange(channel, before.get("status", "unknown"), "withdrawn", at, BY_LINK)]


def with_changes(stored: StoredConsents, changes: Iterable[ConsentChange]) -> dict[str, Mapping[str, str]]:
    """Returns the stored consents after changes. The time of the last provable grant is kept."""
    consents = dict(stored)
    for change in changes:
        proof = {name: value for name, value in stored.get(change.channel, {}).items() if name in _PROOF}
        if change.method is not None and change.granted_at is not None:
            proof = {"method": change.method, "granted_at": utc_text(change.granted_at)}
        consents[change.channel] = {
            "status": change.status,
            "at": utc_text(change.at),
            "source": change.source,
            **proof,
        }
    return consents


def stricter_consents(stored: StoredConsents, other: StoredConsents, at: datetime) -> list[ConsentChange]:
    """Returns the changes by which a customer takes over the stricter consents of another one, merged as of `at`.

    Withdrawn is stricter than unknown, and unknown than granted; a withdrawal by the person is stricter than another,
    and a later one than an earlier one. A consent that is taken over keeps its time and source.
    """
    changes = []
    for channel in sorted({*stored, *other}):
        own, its = stored.get(channel, {}), other.get(channel, {})
        if _strictness(its) > _strictness(own):
            granted_at = its.get("granted_at")
            changes.append(
                ConsentChange(
                    channel,
                    own.get("status", "unknown"),
                    its.get("status", "unknown"),
                    datetime.fromisoformat(its["at"]) if its else at,
                    its.get("source", BY_MERGE),
                    its.get("method"),
                    None if granted_at is None else datetime.fromisoformat(granted_at),
                )
            )
    return changes


def _strictness(consent: Mapping[str, str]) -> tuple[int, str]:
    rank = _STRICTNESS[consent.get("status", "unknown")]
    # Times in UTC are compared as text.
    return (rank + 1, consent["at"]) if _is_withdrawn_by_person(consent) else (rank, "")


def is_same_mailbox(email: str | None, other: str | None) -> bool:
    """Returns whether two addresses are of one mailbox: they are equal without case and outer blanks."""
    return email is not None and other is not None and email.strip().lower() == other.strip().lower()


def _is_withdrawn_by_person(consent: Mapping[str, str]) -> bool:
    return consent.get("status") == "withdrawn" and consent["source"] == BY_LINK


def _refusal(before: Mapping[str, str], request: ConsentRequest, at: datetime) -> str | None:
    """Returns why a request is not followed, or None."""
    if request.status == "unknown" and before.get("status") == "withdrawn":
        return "`unknown` does not replace a withdrawal"
    if request.status != "granted":
        return None
    if request.granted_at is not None and request.granted_at > at:
        return "`granted_at` is in the future"
    if not _is_withdrawn_by_person(before):
        return None
    if request.method is None or request.granted_at is None:
        return "the customer withdrew it, and only a grant with `method` and `granted_at` lifts that"
    if request.granted_at <= datetime.fromisoformat(before["at"]):
        return f"the customer withdrew it at {before['at']}, which is not before `granted_at`"
    return None


def _differs(before: Mapping[str, str], request: ConsentRequest) -> bool:
    if before.get("status", "unknown") != request.status:
        return True
    if request.method is None or request.granted_at is None:
        return False
    proof = request.method, utc_text(request.granted_at)
    return (before.get("method"), before.get("granted_at")) != proof
