"""Signatures of webhooks: each scheme accepts what it describes, and nothing else."""

import base64
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from journey_service.domain.events.sources.signatures import Signature, SignatureScheme, is_signed

SECRET, BODY = b"a-secret-of-tests", b'{"type": "booked"}'
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://journeys.example/api/v1/sources/42-0123456789abcdef/events"


def digest(text=BODY, secret=SECRET):
    return hmac.digest(secret, text, "sha256")


def timed(at=NOW, body=BODY, secret=SECRET):
    seconds = int(at.timestamp())
    return f"t={seconds},v1={digest(f'{seconds}.'.encode() + body, secret).hex()}"


HEX = Signature(SignatureScheme.HMAC, "X-Signature")
PREFIXED = HEX._replace(prefix="sha256=")
BASE64 = HEX._replace(encoding="base64")
TIMED = Signature(SignatureScheme.TIMESTAMPED_HMAC, "X-Signature")
WITH_URL = Signature(SignatureScheme.URL_HMAC, "X-Signature", "base64", url=URL)
TOKEN = Signature(SignatureScheme.TOKEN, "Authorization", prefix="Bearer ")


VALID = {
    "hex": (HEX, digest().hex()),
    "hex in upper case, with blanks": (HEX, f" {digest().hex().upper()} "),
    "hex after a prefix": (PREFIXED, f"sha256={digest().hex()}"),
    "base64": (BASE64, base64.b64encode(digest()).decode()),
    "with a time": (TIMED, timed()),
    "with the oldest time": (TIMED, timed(NOW - timedelta(seconds=300))),
    "with two digests, as while a secret is replaced": (TIMED, f"{timed()},v1={'0' * 64}"),
    "with the URL": (WITH_URL, base64.b64encode(digest(URL.encode() + BODY)).decode()),
    "a token": (TOKEN, f"Bearer {SECRET.decode()}"),
}


@pytest.mark.parametrize(("signature", "value"), VALID.values(), ids=VALID)
def test_a_signature_is_accepted(signature, value):
    assert is_signed(signature, SECRET, value, BODY, NOW)
    assert not is_signed(signature, SECRET, None, BODY, NOW)
    assert not is_signed(signature, SECRET, "", BODY, NOW)
    assert not is_signed(signature, b"another-secret", value, BODY, NOW)
    if signature is not TOKEN:
        assert not is_signed(signature, SECRET, value, BODY + b" ", NOW)


INVALID = {
    "without the prefix": (PREFIXED, digest().hex()),
    "another encoding": (BASE64, digest().hex()),
    "no digest": (HEX, "not hexadecimal"),
    "a part of the digest": (HEX, digest().hex()[:-2]),
    "too old": (TIMED, timed(NOW - timedelta(seconds=302))),
    "too far ahead": (TIMED, timed(NOW + timedelta(seconds=302))),
    "a time that is not the signed one": (TIMED, timed().replace("t=1", "t=01", 1)),
    "two times": (TIMED, f"t={int(NOW.timestamp())},{timed()}"),
    "no time": (TIMED, timed().partition(",")[2]),
    "a time that is no number": (TIMED, "t=now,v1=00"),
    "the URL left out": (WITH_URL, base64.b64encode(digest()).decode()),
    "a token without the prefix": (TOKEN, SECRET.decode()),
    "a token and more": (TOKEN, f"Bearer {SECRET.decode()}2"),
    "a token in another alphabet": (TOKEN, "Bearer \u0430-secret-of-tests"),
    "a digest in another alphabet": (HEX, "\u0661" * 64),
}


@pytest.mark.parametrize(("signature", "value"), INVALID.values(), ids=INVALID)
def test_anything_else_is_refused(signature, value):
    assert not is_signed(signature, SECRET, value, BODY, NOW)
