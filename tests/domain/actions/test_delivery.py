"""When a delivery that came to nothing is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_service.domain.actions.delivery import (
    JITTER,
    MAX_RETRY_AFTER,
    RETRY_AFTER,
    DeliveryFailedError,
    DeliveryRefusedError,
    retry_delay,
)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ATTEMPTS = 8
ALMOST = 1 - 2**-53
"""The greatest number that chance can be."""

attempts = st.integers(1, ATTEMPTS - 1)
chances = st.floats(0, ALMOST)
wishes = st.timedeltas(timedelta(0), timedelta(days=400))


@pytest.mark.parametrize(
    ("attempt", "pause"),
    [
        (1, 5 * SECOND),
        (2, 5 * MINUTE),
        (3, 30 * MINUTE),
        (4, 2 * HOUR),
        (5, 5 * HOUR),
        (6, 10 * HOUR),
        (7, 10 * HOUR),
        (8, None),
        (9, None),
        (1000, None),
    ],
)
def test_after_every_attempt_but_the_eighth_there_is_another(attempt, pause):
    assert retry_delay(attempt, 0) == pause


def test_the_first_attempt_is_made_at_once_and_the_last_one_a_good_day_later():
    pauses = [retry_delay(attempt, 0) for attempt in range(1, ATTEMPTS)]

    assert None not in pauses
    assert sum(pauses, timedelta(0)) == 27 * HOUR + 35 * MINUTE + 5 * SECOND


@pytest.mark.parametrize(
    ("chance", "pause"), [(0, 300.0), (0.25, 315.0), (0.5, 330.0), (ALMOST, 360.0)], ids=repr
)
def test_a_pause_is_made_longer_by_chance_by_up_to_a_fifth(chance, pause):
    assert retry_delay(2, chance) == timedelta(seconds=pause)


@given(attempts, chances)
def test_chance_keeps_within_its_bounds(attempt, chance):
    shortest = RETRY_AFTER[attempt - 1]

    assert shortest <= retry_delay(attempt, chance) <= shortest * (1 + JITTER)


@pytest.mark.parametrize(
    ("attempt", "wish", "pause"),
    [
        (1, timedelta(0), 5 * SECOND),
        (1, 4 * SECOND, 5 * SECOND),
        (1, 5 * SECOND, 5 * SECOND),
        (1, 6 * SECOND, 6 * SECOND),
        (1, -HOUR, 5 * SECOND),
        (4, HOUR, 2 * HOUR),
        (4, 3 * HOUR, 3 * HOUR),
        (1, 12 * HOUR, 12 * HOUR),
        (1, 12 * HOUR + SECOND, 12 * HOUR),
        (1, timedelta.max, 12 * HOUR),
        (7, 11 * HOUR, 11 * HOUR),
        (8, HOUR, None),
    ],
)
def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_a_shorter_one_or_for_ever(attempt, wish, pause):
    assert retry_delay(attempt, 0, wish) == pause


@given(attempts, chances, wishes)
def test_a_wish_never_shortens_a_pause_and_adds_no_attempt(attempt, chance, wish):
    without, found = retry_delay(attempt, chance), retry_delay(attempt, chance, wish)

    assert found >= without
    assert found in (without, wish, MAX_RETRY_AFTER)
    assert retry_delay(ATTEMPTS, chance, wish) is None


def test_a_wish_is_kept_to_the_second_so_that_it_is_no_longer_than_asked():
    assert retry_delay(1, ALMOST, HOUR) == HOUR


def test_what_failed_says_why_and_until_when_to_wait():
    failed = DeliveryFailedError("busy", retry_after=MINUTE, status=429)
    refused = DeliveryRefusedError("no such place", status=410, is_gone=True)

    assert (str(failed), failed.reason, failed.retry_after, failed.status) == ("busy", "busy", MINUTE, 429)
    assert (str(refused), refused.reason, refused.status, refused.is_gone) == (
        "no such place",
        "no such place",
        410,
        True,
    )
    assert DeliveryFailedError("x").retry_after is None
    assert DeliveryRefusedError("x").is_gone is False
