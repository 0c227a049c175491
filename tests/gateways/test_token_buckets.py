"""Token buckets in Valkey: shared by all processes, all or none, and gone when they are full again."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from journey_service.domain.access.rate_limits import BucketRequest, RateLimit
from journey_service.gateways.token_buckets import TokenBuckets

SLOW = RateLimit("slow", 0.001, 10)
"""Restores nothing while a test runs."""


@pytest.fixture
async def buckets(servers) -> AsyncIterator[TokenBuckets]:
    # A busy machine responds late.
    store = TokenBuckets(servers.redis_url, timeout_seconds=30)
    yield store
    await store.close()


def ask(key, least, most=None, *, debt=0, limit=SLOW):
    return BucketRequest(key, limit, debt, least, least if most is None else most)


async def test_a_bucket_gives_its_burst_and_nothing_more(buckets):
    first = await buckets.take([ask("a", 1, 4)])
    second = await buckets.take([ask("a", 1, 100)])
    third = await buckets.take([ask("a", 1)])

    assert [grant.granted for (grant,) in (first, second, third)] == [4, 6, 0]


async def test_two_processes_share_a_bucket(buckets, servers):
    other = TokenBuckets(servers.redis_url, timeout_seconds=30)
    try:
        await buckets.take([ask("b", 7)])
        assert [grant.granted for grant in await other.take([ask("b", 4)])] == [0]
        assert [grant.granted for grant in await other.take([ask("b", 3)])] == [3]
    finally:
        await other.close()


async def test_tokens_are_taken_from_all_buckets_or_from_none(buckets):
    await buckets.take([ask("c2", 10)])

    refused = await buckets.take([ask("c1", 1), ask("c2", 1)])

    assert [grant.granted for grant in refused] == [0, 0]
    assert refused[0].left == 10


async def test_debt_is_taken_in_any_case_down_to_an_empty_burst(buckets):
    (grant,) = await buckets.take([ask("d", 1, debt=15)])
    assert grant.granted == 0
    assert grant.left == pytest.approx(-5, abs=0.1)
    (grant,) = await buckets.take([ask("d", 1, debt=1_000)])
    assert grant.left == pytest.approx(-10, abs=0.1)


async def test_tokens_are_restored(buckets):
    await buckets.take([ask("e", 10, limit=RateLimit("fast", 1_000_000, 10))])
    (grant,) = await buckets.take([ask("e", 10, limit=RateLimit("fast", 1_000_000, 10))])
    assert grant.granted == 10


async def test_a_bucket_expires_after_it_is_full_again(buckets, servers):
    await buckets.take([ask("f", 1)])
    async with Redis.from_url(servers.redis_url) as redis:
        ttl = await redis.pttl("journey:rate:f")
    assert 10_000_000 < ttl <= 20_001_000


async def test_a_store_that_does_not_respond_is_reported():
    store = TokenBuckets("redis://127.0.0.1:9", timeout_seconds=5)
    with pytest.raises(ConnectionError):
        await store.take([ask("g", 1)])
    await store.close()
