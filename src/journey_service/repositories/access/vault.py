"""Encrypts the secrets that companies store, and signs tokens for their customers.

The key is a setting of the service and is not in the database: a copied database, dump or backup reveals no
secret and allows no token. Each ciphertext is bound to its company and purpose, so that moving it to
another row, company or kind makes it unreadable. An older ciphertext of the same row can still
replace a newer one. With both the database and the key, every secret can be decrypted.
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
    """Encrypts, decrypts and signs with keys derived from one secret text."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(_derive_key(secret, "sealing"))
        self._signing_key = _derive_key(secret, "signing")

    def seal(self, company_id: int, purpose: str, secret: bytes) -> bytes:
        """Encrypts a secret with AES-256-GCM: a random nonce of 12 bytes, then the text; 28 bytes longer."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, _bind(company_id, purpose))

    def open(self, company_id: int, purpose: str, sealed: bytes) -> bytes:
        """Decrypts a secret of a company and purpose.

        Raises UnavailableError if another key, company or purpose encrypted it, or if it was altered.
        """
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, text, _bind(company_id, purpose))
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce and a tag
            raise UnavailableError(
                "A secret cannot be decrypted: JOURNEY_VAULT_KEY has changed, or the secret was altered."
            ) from None

    def sign(self, company_id: int, message: str) -> str:
        """Returns a signature of a message for a company: 22 characters that need no escaping in a URL."""
        digest = hmac.digest(self._signing_key, _bind(company_id, message), sha256)
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).rstrip(b"=").decode()

    def is_signed(self, company_id: int, message: str, signature: str) -> bool:
        """Returns whether this vault signed the message for this company."""
        return hmac.compare_digest(
            self.sign(company_id, message).encode(), signature.encode(errors="replace")
        )


def _bind(company_id: int, text: str) -> bytes:
    return f"{company_id}:{text}".encode()


def _derive_key(secret: str, purpose: str) -> bytes:
    info = f"journey_service vault, {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(secret.encode())
