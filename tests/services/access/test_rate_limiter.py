"""Rate limits of one process: portions of shared tokens, refusals without a round trip, counting alone."""

import asyncio

import pytest

from journey_service.domain.access.rate_limits import BucketGrant, RateLimit, RateLimitedError, TokenBucket
from journey_service.services.access import rate_limiter
from journey_service.services.access.rate_limiter import Bucket, RateLimiter, address_key

KEY = Bucket("key", RateLimit("key", 50, 200))
COMPANY = Bucket("company", RateLimit("company", 200, 800))
EVENTS = Bucket("events", RateLimit("key-events", 20_000, 40_000))


class Clock:
    """A clock that tests move."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class SharedBuckets:
    """Shared buckets on the tests' clock; counts round trips, and can stop responding."""

    def __init__(self, clock):
        self.clock = clock
        self.round_trips = 0
        self.responds = True
        self.buckets = {}

    async def take(self, requests):
        self.round_trips += 1
        await asyncio.sleep(0)
        if not self.responds:
            raise ConnectionError
        now, grants = self.clock(), []
        buckets = [self.buckets.setdefault(each.key, TokenBucket(each.limit, now)) for each in requests]
        pairs = list(zip(buckets, requests, strict=True))
        is_granted = all(bucket.left(now) - each.debt >= each.least for bucket, each in pairs)
        for bucket, each in pairs:
            granted = int(min(each.most, max(0, bucket.left(now) - each.debt))) if is_granted else 0
            bucket.take(each._replace(least=granted), now)
            grants.append(BucketGrant(granted, bucket.left(now)))
        return grants

    async def close(self):
        pass


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return SharedBuckets(clock)


async def count_admitted(limiter, buckets, attempts, tokens=1):
    """How many of these attempts at one instant are admitted."""
    admitted = 0
    for _ in range(attempts):
        try:
            await limiter.take(buckets, tokens)
        except RateLimitedError:
            continue
        admitted += 1
    return admitted


async def test_a_burst_is_admitted_and_then_the_rate(store, clock):
    limiter = RateLimiter(store, clock=clock)
    assert await count_admitted(limiter, [KEY, COMPANY], 1_000) == 200
    clock.now += 1
    assert await count_admitted(limiter, [KEY, COMPANY], 1_000) == 50


async def test_without_a_limit_every_attempt_is_admitted_which_is_detected(store, clock, monkeypatch):
    async def take(*_):
        return []

    monkeypatch.setattr(RateLimiter, "take", take)
    assert await count_admitted(RateLimiter(store, clock=clock), [KEY], 1_000) == 1_000
    print("\nguard removed: detected (rate limit)")


async def test_events_need_a_round_trip_for_every_tenth_of_a_second_only(store, clock):
    limiter = RateLimiter(store, clock=clock)
    assert await count_admitted(limiter, [EVENTS], 20_000) == 20_000
    assert store.round_trips == 10


async def test_a_refused_caller_costs_no_round_trip(store, clock):
    limiter = RateLimiter(store, clock=clock)
    await count_admitted(limiter, [KEY], 201)
    before = store.round_trips
    assert await count_admitted(limiter, [KEY], 1_000) == 0
    assert store.round_trips == before


async def test_processes_exceed_a_limit_by_at_most_one_portion_each(store, clock):
    limiters = [RateLimiter(store, clock=clock) for _ in range(4)]
    admitted = [await count_admitted(limiter, [KEY], 300) for limiter in limiters]
    assert sum(admitted) == 200
    clock.now += 4  # full again; each process may still hold a portion of five
    assert sum([await count_admitted(limiter, [KEY], 300) for limiter in limiters]) <= 200 + 4 * 5


async def test_concurrent_requests_share_a_round_trip(store, clock):
    limiter = RateLimiter(store, clock=clock)
    await asyncio.gather(*(limiter.take([KEY]) for _ in range(5)))
    assert store.round_trips == 1


async def test_the_limit_of_the_company_holds_for_all_of_its_credentials(store, clock):
    limiter = RateLimiter(store, clock=clock)
    keys = [Bucket(f"key-{number}", KEY.limit) for number in range(10)]
    admitted = [await count_admitted(limiter, [key, COMPANY], 200) for key in keys]
    assert 780 <= sum(admitted) <= 800  # portions of keys that get no more tokens stay unused
    with pytest.raises(RateLimitedError) as refused:
        await limiter.take([keys[9], COMPANY])
    assert refused.value.limit == "company"


async def test_a_refusal_says_when_the_next_token_is_there(store, clock):
    limiter = RateLimiter(store, clock=clock)
    bucket = Bucket("sign-in", RateLimit("sign-in", 10 / 60, 10))
    await count_admitted(limiter, [bucket], 10)
    with pytest.raises(RateLimitedError) as refused:
        await limiter.take([bucket])
    assert refused.value.retry_after == 6
    clock.now += 6.01
    assert await count_admitted(limiter, [bucket], 5) == 1


async def test_a_batch_is_charged_after_it_was_let_through(store, clock):
    limiter = RateLimiter(store, clock=clock)
    await limiter.take([EVENTS])
    limiter.charge([EVENTS], 60_000)
    with pytest.raises(RateLimitedError) as refused:
        await limiter.take([EVENTS])
    assert refused.value.retry_after == 2
    clock.now += 2
    assert await count_admitted(limiter, [EVENTS], 1) == 1


async def test_failures_are_refused_in_advance_once_they_are_too_many(store, clock):
    limiter = RateLimiter(store, clock=clock)
    bucket = Bucket("address", RateLimit("address", 1, 3))
    for _ in range(4):
        limiter.check(bucket)
        await limiter.count_failure(bucket)
    with pytest.raises(RateLimitedError):
        limiter.check(bucket)
    clock.now += 1.01
    limiter.check(bucket)


@pytest.mark.parametrize(("processes", "admitted"), [(1, 200), (4, 50), (1_000, 1)])
async def test_without_the_store_a_process_counts_alone_with_its_part(clock, processes, admitted):
    limiter = RateLimiter(None, processes=processes, clock=clock)
    assert limiter.is_local
    assert await count_admitted(limiter, [KEY], 1_000) == admitted


async def test_a_store_that_stops_responding_is_left_alone_for_a_second(store, clock, caplog):
    limiter = RateLimiter(store, processes=4, clock=clock)
    await count_admitted(limiter, [KEY], 5)
    store.responds, store.round_trips = False, 0
    assert await count_admitted(limiter, [KEY], 1_000) == 50
    assert store.round_trips == 1
    assert limiter.is_local
    store.responds = True
    clock.now += rate_limiter.STORE_PAUSE_SECONDS
    assert await count_admitted(limiter, [KEY], 100) == 100
    assert not limiter.is_local
    assert [record.getMessage().partition(" this process ")[2] for record in caplog.records] == [
        "counts alone: the shared store does not respond",
        "counts together again",
    ]


async def test_the_number_of_remembered_buckets_is_bounded(store, clock, monkeypatch):
    monkeypatch.setattr(rate_limiter, "MAX_BUCKETS", 10)
    limiter = RateLimiter(store, clock=clock)
    for number in range(100):
        await limiter.take([Bucket(str(number), KEY.limit)])
    assert len(limiter._portions) == 10


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", None),
        ("", None),
    ],
)
def test_an_address_counts_with_its_network(address, key):
    assert address_key(address) == key
