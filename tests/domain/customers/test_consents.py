"""Consents: what replaces a withdrawal, and what does not."""

from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.customers.consents import (
    BY_LINK,
    ConsentRequest,
    decide_consents,
    is_same_mailbox,
    stricter_consents,
    with_changes,
    withdraw_by_link,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY_STAFF = {"email": {"status": "withdrawn", "at": "2026-02-01T12:00:00Z", "source": "key:console"}}
BY_PERSON = {"email": {"status": "withdrawn", "at": "2026-02-20T12:00:00Z", "source": BY_LINK}}
GRANTED = {"email": {"status": "granted", "at": "2026-02-01T12:00:00Z", "source": "key:console"}}
WITHDRAWN_AT = datetime(2026, 2, 20, 12, tzinfo=UTC)


def decided(stored, status, method=None, granted_at=None):
    decision = decide_consents(stored, {"email": ConsentRequest(status, method, granted_at)}, NOW, "key:a")
    after = with_changes(stored, decision.changes).get("email", {}).get("status", "unknown")
    return after, bool(decision.warnings)


@pytest.mark.parametrize(
    ("stored", "request_", "expected"),
    [
        ({}, ("granted",), ("granted", False)),
        (GRANTED, ("unknown",), ("unknown", False)),
        (GRANTED, ("withdrawn",), ("withdrawn", False)),
        (BY_STAFF, ("unknown",), ("withdrawn", True)),
        (BY_STAFF, ("granted",), ("granted", False)),
        (BY_PERSON, ("unknown",), ("withdrawn", True)),
        (BY_PERSON, ("withdrawn",), ("withdrawn", False)),
        (BY_PERSON, ("granted",), ("withdrawn", True)),
        (BY_PERSON, ("granted", "form"), ("withdrawn", True)),
        (BY_PERSON, ("granted", None, NOW), ("withdrawn", True)),
        (BY_PERSON, ("granted", "form", WITHDRAWN_AT), ("withdrawn", True)),
        (BY_PERSON, ("granted", "form", WITHDRAWN_AT - DAY), ("withdrawn", True)),
        (BY_PERSON, ("granted", "form", NOW + timedelta(seconds=1)), ("withdrawn", True)),
        (BY_PERSON, ("granted", "form", WITHDRAWN_AT + timedelta(seconds=1)), ("granted", False)),
        (BY_PERSON, ("granted", "double_opt_in", NOW), ("granted", False)),
        ({}, ("granted", "phone", NOW + DAY), ("unknown", True)),
    ],
)
def test_a_withdrawal_by_the_person_is_lifted_by_a_later_provable_grant_only(stored, request_, expected):
    assert decided(stored, *request_) == expected


def test_a_withdrawal_of_the_mailbox_counts_unless_a_later_grant_was_given():
    [change] = withdraw_by_link(GRANTED, "email", NOW)
    assert (change.previous_status, change.status, change.source) == ("granted", "withdrawn", BY_LINK)
    assert withdraw_by_link(BY_PERSON, "email", NOW) == []
    [change] = withdraw_by_link(BY_STAFF, "email", NOW)
    assert decided(with_changes(BY_STAFF, [change]), "granted") == ("withdrawn", True)

    lifted = with_changes(
        BY_PERSON,
        decide_consents(BY_PERSON, {"email": ConsentRequest("granted", "form", NOW)}, NOW, "key:a").changes,
    )
    assert (lifted["email"]["method"], lifted["email"]["granted_at"]) == ("form", "2026-03-01T12:00:00Z")
    assert withdraw_by_link(lifted, "email", WITHDRAWN_AT) == []
    later = with_changes(
        lifted, decide_consents(lifted, {"email": ConsentRequest("withdrawn")}, NOW + DAY, "key:a").changes
    )
    assert withdraw_by_link(later, "email", WITHDRAWN_AT) == [], "the grant is remembered"
    assert len(withdraw_by_link(later, "email", NOW + DAY)) == 1


def test_a_repeated_request_changes_nothing():
    request = {"email": ConsentRequest("granted", "form", WITHDRAWN_AT)}
    stored = with_changes({}, decide_consents({}, request, NOW, "key:a").changes)

    assert decide_consents(stored, request, NOW + DAY, "key:b").changes == []


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("ada@example.com", "ADA@example.com", True),
        (" ada@example.com", "ada@Example.com ", True),
        ("ada@example.com", "ad@example.com", False),
        ("ada@example.com", None, False),
        (None, None, False),
    ],
)
def test_mailboxes_are_compared_without_case_and_outer_blanks(first, second, is_same):
    assert is_same_mailbox(first, second) is is_same


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ({}, {}, None),
        ({}, GRANTED, None),
        (GRANTED, GRANTED, None),
        (GRANTED, {}, {"status": "unknown", "at": "2026-03-01T12:00:00Z", "source": "merge"}),
        ({}, BY_STAFF, BY_STAFF["email"]),
        (GRANTED, BY_STAFF, BY_STAFF["email"]),
        (BY_STAFF, BY_PERSON, BY_PERSON["email"]),
        (BY_PERSON, BY_STAFF, None),
        (BY_STAFF, {"email": {**BY_STAFF["email"], "at": "2026-02-28T12:00:00Z"}}, None),
        (BY_PERSON, {"email": {**BY_PERSON["email"], "at": "2026-02-28T12:00:00Z"}}, "later"),
    ],
)
def test_a_merge_takes_over_the_stricter_consent_with_its_origin(own, other, expected):
    merged = with_changes(own, stricter_consents(own, other, NOW))
    if expected == "later":
        expected = other["email"]
    assert merged.get("email") == (own.get("email") if expected is None else expected)
