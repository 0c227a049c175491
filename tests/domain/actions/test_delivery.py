"""Retry schedule of failed deliveries, and delivery errors."""

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
ALMOST_ONE = 1 - 2**-53
"""The largest possible value of `chance`."""

attempts = st.integers(1, ATTEMPTS - 1)
chances = st.floats(0, ALMOST_ONE)
requested_delays = st.timedeltas(timedelta(0), timedelta(days=400))


@pytest.mark.parametrize(
    ("attempt", "delay"),
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
def test_every_attempt_but_the_eighth_is_followed_by_another(attempt, delay):
    assert retry_delay(attempt, 0) == delay


def test_the_last_attempt_is_made_about_a_day_after_the_first():
    delays = [retry_delay(attempt, 0) for attempt in range(1, ATTEMPTS)]

    assert None not in delays
    assert sum(delays, timedelta(0)) == 27 * HOUR + 35 * MINUTE + 5 * SECOND


@pytest.mark.parametrize(
    ("chance", "delay"), [(0, 300.0), (0.25, 315.0), (0.5, 330.0), (ALMOST_ONE, 360.0)], ids=repr
)
def test_jitter_extends_a_delay_by_up_to_a_fifth(chance, delay):
    assert retry_delay(2, chance) == timedelta(seconds=delay)


@given(attempts, chances)
def test_jitter_stays_within_its_bounds(attempt, chance):
    shortest = RETRY_AFTER[attempt - 1]

    assert shortest <= retry_delay(attempt, chance) <= shortest * (1 + JITTER)


@pytest.mark.parametrize(
    ("attempt", "requested", "delay"),
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
def test_a_receiver_may_request_a_longer_delay_within_the_limit(attempt, requested, delay):
    assert retry_delay(attempt, 0, requested) == delay


@given(attempts, chances, requested_delays)
def test_a_requested_delay_never_shortens_the_delay_and_adds_no_attempt(attempt, chance, requested):
    without, delayed = retry_delay(attempt, chance), retry_delay(attempt, chance, requested)

    assert delayed >= without
    assert delayed in (without, requested, MAX_RETRY_AFTER)
    assert retry_delay(ATTEMPTS, chance, requested) is None


def test_jitter_does_not_extend_a_requested_delay():
    assert retry_delay(1, ALMOST_ONE, HOUR) == HOUR


def test_delivery_errors_carry_reason_status_and_retry_time():
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
