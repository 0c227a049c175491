"""The vault: what it seals opens with the same key, for the same company, as the same thing, and not otherwise."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from conftest import PEPPER, VAULT_KEY
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.database import Database

SECRET = b"\x00\xff the secret of an endpoint, 32 byt"
VAULT = Vault(VAULT_KEY)


@pytest.mark.parametrize(
    "secret", [SECRET, b"", b"\x00", bytes(100_000)], ids=["some", "none", "NUL", "much"]
)
def test_a_secret_opens_as_what_it_was_and_shows_nothing_but_its_length(secret):
    sealed = VAULT.seal(7, "webhook:1", secret)

    assert Vault(VAULT_KEY).open(7, "webhook:1", sealed) == secret
    assert len(sealed) == len(secret) + 28
    assert secret[:16] not in sealed or len(secret) < 2


def test_no_two_seals_are_alike():
    assert len({VAULT.seal(7, "webhook:1", SECRET) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("vault", "company_id", "what"),
    [(Vault(PEPPER), 7, "webhook:1"), (VAULT, 8, "webhook:1"), (VAULT, 7, "webhook:2"), (VAULT, 7, "mail:1")],
    ids=["another key", "another company", "another row", "another kind"],
)
def test_what_was_sealed_elsewhere_does_not_open(vault, company_id, what):
    sealed = VAULT.seal(7, "webhook:1", SECRET)

    with pytest.raises(UnavailableError, match="JOURNEY_VAULT_KEY has changed") as refused:
        vault.open(company_id, what, sealed)

    assert SECRET.decode(errors="ignore") not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_company_and_a_thing_cannot_be_read_as_others_that_are_spelled_alike():
    sealed = VAULT.seal(1, "1:webhook", SECRET)

    with pytest.raises(UnavailableError):
        VAULT.open(11, ":webhook", sealed)
    with pytest.raises(UnavailableError):
        VAULT.open(1, "webhook", sealed)


def test_no_bit_of_a_sealed_text_can_be_changed():
    sealed = VAULT.seal(7, "webhook:1", SECRET)
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(UnavailableError):
            VAULT.open(7, "webhook:1", bytes(altered))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27, 28, 40])
def test_a_text_that_was_cut_short_does_not_open(length):
    with pytest.raises(UnavailableError):
        VAULT.open(7, "webhook:1", VAULT.seal(7, "webhook:1", SECRET)[:length])


def test_a_signature_goes_into_a_url_and_is_the_same_for_ever():
    signature = VAULT.sign(7, "unsubscribe:4711:email")

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", signature)
    assert Vault(VAULT_KEY).sign(7, "unsubscribe:4711:email") == signature
    assert VAULT.is_signed(7, "unsubscribe:4711:email", signature)


@pytest.mark.parametrize(
    ("vault", "company_id", "said"),
    [(Vault(PEPPER), 7, "said:1"), (VAULT, 8, "said:1"), (VAULT, 7, "said:2"), (VAULT, 7, "said:1 ")],
    ids=["another key", "another company", "another saying", "a blank behind it"],
)
def test_a_signature_is_of_one_key_one_company_and_one_saying(vault, company_id, said):
    assert not vault.is_signed(company_id, said, VAULT.sign(7, "said:1"))


@pytest.mark.parametrize("signature", ["", "=", "a" * 22, "ü" * 22, "\ud800", "\x00", "a" * 100_000])
def test_what_is_no_signature_is_refused_without_ado(signature):
    assert not VAULT.is_signed(7, "said:1", signature)


def test_a_signature_has_one_spelling():
    signature = VAULT.sign(7, "said:1")
    padded = urlsafe_b64encode(urlsafe_b64decode(signature + "==")).decode()

    for other in (padded, f"{signature} ", signature[:-1], f"{signature}A", signature.swapcase()):
        assert not VAULT.is_signed(7, "said:1", other)


def test_what_signs_is_not_what_seals():
    signed = urlsafe_b64decode(VAULT.sign(7, "webhook:1") + "==")

    with pytest.raises(UnavailableError):
        VAULT.open(7, "webhook:1", signed + bytes(28))
    assert VAULT_KEY not in repr(VAULT) + repr(vars(VAULT))


async def test_a_transaction_gives_the_vault_of_its_service(database, tenant):
    async def seal(uow):
        return uow.vault.seal(uow.company_id, "webhook:1", SECRET)

    assert VAULT.open(tenant.id, "webhook:1", await database.run(tenant.id, seal)) == SECRET


async def test_a_service_that_was_told_no_key_says_which(servers, tenant):
    async def vault(uow):
        return uow.vault

    keyless = Database(servers.database_url, pool_size=1, pool_timeout=30)
    try:
        with pytest.raises(UnavailableError, match="JOURNEY_VAULT_KEY"):
            await keyless.run(tenant.id, vault)
    finally:
        await keyless.close()
