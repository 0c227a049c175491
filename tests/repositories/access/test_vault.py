"""The vault: decrypts with the same key, company and purpose, and with no other; signatures likewise."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from conftest import PATIENT, PEPPER, VAULT_KEY
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.database import Database

SECRET = b"\x00\xff the secret of an endpoint, 32 byt"
VAULT = Vault(VAULT_KEY)


@pytest.mark.parametrize(
    "secret", [SECRET, b"", b"\x00", bytes(100_000)], ids=["text", "empty", "NUL", "long"]
)
def test_a_secret_decrypts_to_itself_and_its_ciphertext_shows_only_its_length(secret):
    sealed = VAULT.seal(7, "webhook:1", secret)

    assert Vault(VAULT_KEY).open(7, "webhook:1", sealed) == secret
    assert len(sealed) == len(secret) + 28
    assert secret[:16] not in sealed or len(secret) < 2


def test_no_two_ciphertexts_are_equal():
    assert len({VAULT.seal(7, "webhook:1", SECRET) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("vault", "company_id", "what"),
    [(Vault(PEPPER), 7, "webhook:1"), (VAULT, 8, "webhook:1"), (VAULT, 7, "webhook:2"), (VAULT, 7, "mail:1")],
    ids=["another key", "another company", "another row", "another kind"],
)
def test_another_key_company_or_purpose_cannot_decrypt(vault, company_id, what):
    sealed = VAULT.seal(7, "webhook:1", SECRET)

    with pytest.raises(UnavailableError, match="JOURNEY_VAULT_KEY has changed") as refused:
        vault.open(company_id, what, sealed)

    assert SECRET.decode(errors="ignore") not in str(refused.value)
    assert refused.value.__suppress_context__


def test_company_and_purpose_cannot_be_read_as_another_pair_of_the_same_spelling():
    sealed = VAULT.seal(1, "1:webhook", SECRET)

    with pytest.raises(UnavailableError):
        VAULT.open(11, ":webhook", sealed)
    with pytest.raises(UnavailableError):
        VAULT.open(1, "webhook", sealed)


def test_no_bit_of_a_ciphertext_can_be_changed():
    sealed = VAULT.seal(7, "webhook:1", SECRET)
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(UnavailableError):
            VAULT.open(7, "webhook:1", bytes(altered))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27, 28, 40])
def test_a_truncated_ciphertext_cannot_be_decrypted(length):
    with pytest.raises(UnavailableError):
        VAULT.open(7, "webhook:1", VAULT.seal(7, "webhook:1", SECRET)[:length])


def test_a_signature_needs_no_escaping_in_a_url_and_never_changes():
    signature = VAULT.sign(7, "unsubscribe:4711:email")

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", signature)
    assert Vault(VAULT_KEY).sign(7, "unsubscribe:4711:email") == signature
    assert VAULT.is_signed(7, "unsubscribe:4711:email", signature)


@pytest.mark.parametrize(
    ("vault", "company_id", "message"),
    [
        (Vault(PEPPER), 7, "message:1"),
        (VAULT, 8, "message:1"),
        (VAULT, 7, "message:2"),
        (VAULT, 7, "message:1 "),
    ],
    ids=["another key", "another company", "another message", "a trailing space"],
)
def test_a_signature_is_valid_for_one_key_company_and_message(vault, company_id, message):
    assert not vault.is_signed(company_id, message, VAULT.sign(7, "message:1"))


@pytest.mark.parametrize("signature", ["", "=", "a" * 22, "ü" * 22, "\ud800", "\x00", "a" * 100_000])
def test_text_that_is_not_a_signature_is_refused(signature):
    assert not VAULT.is_signed(7, "message:1", signature)


def test_a_signature_has_one_spelling():
    signature = VAULT.sign(7, "message:1")
    padded = urlsafe_b64encode(urlsafe_b64decode(signature + "==")).decode()

    for other in (padded, f"{signature} ", signature[:-1], f"{signature}A", signature.swapcase()):
        assert not VAULT.is_signed(7, "message:1", other)


def test_the_signing_key_is_not_the_encryption_key():
    signed = urlsafe_b64decode(VAULT.sign(7, "webhook:1") + "==")

    with pytest.raises(UnavailableError):
        VAULT.open(7, "webhook:1", signed + bytes(28))
    assert VAULT_KEY not in repr(VAULT) + repr(vars(VAULT))


async def test_a_transaction_provides_the_vault_of_the_service(database, tenant):
    async def seal(uow):
        return uow.vault.seal(uow.company_id, "webhook:1", SECRET)

    assert VAULT.open(tenant.id, "webhook:1", await database.run(tenant.id, seal)) == SECRET


async def test_a_service_without_a_vault_key_names_the_missing_setting(servers, tenant):
    async def vault(uow):
        return uow.vault

    keyless = Database(servers.database_url, pool_size=1, **PATIENT)
    try:
        with pytest.raises(UnavailableError, match="JOURNEY_VAULT_KEY"):
            await keyless.run(tenant.id, vault)
    finally:
        await keyless.close()
