"""Signatures of webhooks: the schemes that booking and payment systems use."""

import base64
import hmac
import re
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, NamedTuple

Encoding = Literal["hex", "base64"]

DEFAULT_TOLERANCE_SECONDS: Final = 300
"""Difference between a signed timestamp and the present, in seconds; a larger one makes the signature invalid."""
_TIMESTAMP: Final = re.compile(r"\d{1,12}", re.ASCII)


class SignatureScheme(StrEnum):
    """How a webhook is signed."""

    HMAC = "hmac_sha256"
    TIMESTAMPED_HMAC = "timestamped_hmac_sha256"
    URL_HMAC = "url_hmac_sha256"
    TOKEN = "token"  # noqa: S105  # the name of a scheme


class Signature(NamedTuple):
    """The scheme of a source's signature and the header that carries it.

    `prefix` stands before the digest or the token. `url` is the address that is part of the signed text of
    `url_hmac_sha256`, as the sender knows it. `tolerance_seconds` is for timestamps.
    """

    scheme: SignatureScheme
    header: str
    encoding: Encoding = "hex"
    prefix: str = ""
    url: str | None = None
    tolerance_seconds: int = DEFAULT_TOLERANCE_SECONDS


def is_signed(signature: Signature, secret: bytes, value: str | None, body: bytes, now: datetime) -> bool:
    """Returns whether the value of a header signs a body with a secret. Comparisons take constant time."""
    if value is None:
        return False
    value = value.strip()
    if signature.scheme is SignatureScheme.TIMESTAMPED_HMAC:
        return _is_signed_with_time(signature, secret, value, body, now)
    if not value.startswith(signature.prefix):
        return False
    value = value.removeprefix(signature.prefix)
    if signature.scheme is SignatureScheme.TOKEN:
        return hmac.compare_digest(value.encode(errors="replace"), secret)
    url = signature.url or "" if signature.scheme is SignatureScheme.URL_HMAC else ""
    return _is_digest(value, hmac.digest(secret, url.encode() + body, "sha256"), signature.encoding)


def _is_signed_with_time(signature: Signature, secret: bytes, value: str, body: bytes, now: datetime) -> bool:
    """Checks a header such as `t=1700000000,v1=<digest>`; the signed text is the time, a point and the body."""
    pairs = [part.strip().partition("=") for part in value.split(",")]
    times = [text for name, _, text in pairs if name == "t"]
    if len(times) != 1 or _TIMESTAMP.fullmatch(times[0]) is None:
        return False
    if abs(now.timestamp() - int(times[0])) > signature.tolerance_seconds:
        return False
    digest = hmac.digest(secret, times[0].encode() + b"." + body, "sha256")
    return any(_is_digest(text, digest, signature.encoding) for name, _, text in pairs if name == "v1")


def _is_digest(text: str, digest: bytes, encoding: Encoding) -> bool:
    try:
        given = bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(given, digest)
