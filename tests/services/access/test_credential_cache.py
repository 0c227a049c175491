"""The cache of credentials: shared lookups, bounded results, and nothing kept of a credential that has changed."""

import asyncio

import pytest

from journey_service.domain.access.actors import Role
from journey_service.domain.errors import UnauthenticatedError, UnavailableError
from journey_service.services.access import credential_cache
from journey_service.services.access.credential_cache import CredentialCache
from journey_service.services.access.credentials import Principal

PRINCIPAL = Principal("key:a", 7, Role.ADMIN, frozenset("*"))


class Lookups:
    """Counts lookups; they end when `go` is set."""

    def __init__(self, error=None):
        self.count = 0
        self.known = []
        self.go = asyncio.Event()
        self.go.set()
        self.error = error

    async def __call__(self, is_known):
        self.count += 1
        self.known.append(is_known)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return PRINCIPAL


async def test_concurrent_requests_share_one_lookup():
    cache, lookups = CredentialCache(), Lookups()
    lookups.go.clear()
    waiting = [asyncio.create_task(cache.find(b"a", lookups)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    lookups.go.set()

    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert lookups.count == 1
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [PRINCIPAL] * 49


async def test_without_sharing_every_request_looks_up_which_is_detected():
    lookups = Lookups()
    caches = [CredentialCache() for _ in range(50)]
    await asyncio.gather(*(cache.find(b"a", lookups) for cache in caches))
    assert lookups.count == 50
    print("\nguard removed: detected (shared lookup)")


async def test_an_unknown_credential_is_looked_up_once():
    cache, lookups = CredentialCache(), Lookups(UnauthenticatedError("The credential is not valid."))
    for _ in range(5):
        with pytest.raises(UnauthenticatedError, match=r"^The credential is not valid\.$"):
            await cache.find(b"a", lookups)
    assert lookups.count == 1


async def test_an_outage_is_not_remembered():
    cache, lookups = CredentialCache(), Lookups(UnavailableError())
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await cache.find(b"a", lookups)
    assert lookups.count == 2


async def test_many_unknown_credentials_displace_no_valid_one(monkeypatch):
    monkeypatch.setattr(credential_cache, "CACHE_SIZE", 10)
    cache, lookups = CredentialCache(), Lookups()
    await cache.find(b"valid", lookups)
    unknown = Lookups(UnauthenticatedError("The credential is not valid."))
    for number in range(100):
        with pytest.raises(UnauthenticatedError):
            await cache.find(b"%d" % number, unknown)

    assert cache._valid.get(b"valid") == PRINCIPAL
    assert len(cache._refused) == 10


async def test_a_credential_that_was_valid_stays_known_after_its_result_is_forgotten():
    cache, lookups = CredentialCache(), Lookups()
    await cache.find(b"a", lookups)
    cache.clear()
    await cache.find(b"a", lookups)
    assert lookups.known == [False, True]


@pytest.mark.parametrize("error", [None, UnauthenticatedError("The credential is not valid.")])
async def test_a_lookup_that_began_before_a_change_is_not_kept(error):
    cache, lookups = CredentialCache(), Lookups(error)
    lookups.go.clear()
    waiting = asyncio.create_task(cache.find(b"a", lookups))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cache.clear()
    lookups.go.set()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.gather(cache.find(b"a", lookups), return_exceptions=True)
    assert lookups.count == 2
