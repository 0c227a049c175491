"""Secrets that companies entrust to the service, and tokens it makes for their customers.

The key is the service's secret and is in no database. Whoever steals a database, a dump or a backup gets none of the
secrets in it, and can make no token. Each sealed text is bound to its company and to what it is: whoever may write to
the database cannot have one company's secret opened as another's, or one kind as another, by moving it to another row.
(They can put back an older secret of the same place; and whoever holds both the database and the key holds all.)
"""

import base64
import hmac
import os
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from journey_service.domain.errors import UnavailableError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SIGNATURE_BYTES: Final = 16


class Vault:
    """What seals, opens and signs for the companies of the service, by one secret text."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(_derived(secret, "sealing"))
        self._signing_key = _derived(secret, "signing")

    def seal(self, company_id: int, what: str, secret: bytes) -> bytes:
        """A secret as it may be kept: 12 bytes of chance, then AES-256-GCM; 28 bytes longer than it was."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, _place(company_id, what))

    def open(self, company_id: int, what: str, sealed: bytes) -> bytes:
        """The secret that was sealed for this company as this.

        Raises UnavailableError for what was sealed by another key, for something else, or has been altered.
        """
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, text, _place(company_id, what))
        except (InvalidTag, ValueError):  # a ValueError where it is too short to be anything
            raise UnavailableError(
                "JOURNEY_VAULT_KEY is another one than a secret here was sealed with, or the secret was altered."
            ) from None

    def sign(self, company_id: int, said: str) -> str:
        """A signature of something said for this company: 22 characters that a URL takes as they are."""
        digest = hmac.digest(self._signing_key, _place(company_id, said), sha256)
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()

    def is_signed(self, company_id: int, said: str, signature: str) -> bool:
        """Whether it was this vault that signed this for this company."""
        return hmac.compare_digest(self.sign(company_id, said).encode(), signature.encode(errors="replace"))


def _place(company_id: int, what: str) -> bytes:
    return f"{company_id}:{what}".encode()


def _derived(secret: str, purpose: str) -> bytes:
    info = f"journey_service vault, {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret.encode())
