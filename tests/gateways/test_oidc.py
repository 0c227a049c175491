"""Tokens: only those that the provider signed for this service are valid; key sets are fetched rarely."""

import asyncio
import base64
import hashlib
import json
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateways.identity_provider import (
    FakeProvider,
    assembled,
    base64url,
    ec_key,
    jwk,
    rsa_key,
    signer_of,
)
from journey_service.domain.errors import InvalidInputError, UnauthenticatedError, UnavailableError
from journey_service.gateways import oidc as identity
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.oidc import IdentityProvider, Provider

OPERATORS = "journey-operators"
INFINITE, NO_NUMBER = float("inf"), float("nan")
ODD = ["soon", True, [], {}, None, INFINITE, -INFINITE, NO_NUMBER, [1], {"a": 1}]
"""Values that are not valid times."""


class Clock:
    """A clock that tests advance."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def provider():
    started = FakeProvider()
    await started.start()
    yield started
    await started.stop()


@pytest.fixture
async def attacker():
    started = FakeProvider()
    await started.start()
    started.rotate("attacker")
    yield started
    await started.stop()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(provider, attacker, clock):
    """The identity provider client of the service; it could also reach the attacker's server."""
    return known_as(provider, clock, reachable=[attacker.url])


def known_as(provider, clock, *, reachable=(), **configured):
    usual = {
        "issuer": provider.url,
        "audience": provider.audience,
        "operator_audience": OPERATORS,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
    }
    outgoing = HttpClient(trusted=[provider.url, *reachable])
    return IdentityProvider(Provider(**{**usual, **configured}), outgoing, clock=clock)


async def refusal(call):
    """Returns the error of a call; None if the token is valid."""
    try:
        await call
    except (UnauthenticatedError, UnavailableError) as error:
        return error
    return None


async def believed(known, tokens):
    """Returns the names of invalid tokens that are accepted, or refused with another error."""
    found = []
    for name, token in tokens.items():
        error = await refusal(known.verify(token))
        if not isinstance(error, UnauthenticatedError) or str(error) != "The credential is not valid.":
            found.append(name)
    return found


def numbered(name, tokens):
    return {f"{name} {index}": token for index, token in enumerate(tokens)}


def without_a_signature(provider):
    spellings = ["none", "None", "NONE", "nOnE", "nonE", "none ", "", "null", None, 0, False, [], {}]
    real = signer_of("RS256", provider.keys["rsa-first"])
    return numbered(
        "alg none",
        [
            assembled({"alg": alg, "kid": "rsa-first"}, provider.claims(), signer)
            for alg in spellings
            for signer in (lambda _: b"", real)
        ],
    )


def with_the_public_key_as_secret(provider):
    public = provider.keys["rsa-first"].public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(provider.listed[0]).encode(),
        provider.listed[0]["n"].encode(),
        b"",
        b"rsa-first",
    ]
    return numbered(
        "HMAC",
        [
            provider.sign(provider.claims(), alg=alg, kid="rsa-first", key=secret)
            for alg in ("HS256", "HS384", "HS512")
            for secret in secrets
        ],
    )


def with_another_algorithm(provider):
    own, curve = provider.keys["rsa-first"], provider.keys["ec-first"]
    others = ["RS384", "RS512", "PS256", "PS384", "PS512"]
    odd = ["rs256", "RS256 ", " RS256", "RS-256", "RSA", "HS256", "EdDSA", "ES384", 5, True, ["RS256"], {}]
    good = provider.claims()
    return {
        **numbered("other algorithm", [provider.sign(good, alg=alg, key=own) for alg in others]),
        **numbered("misspelt", [provider.sign(good, header={"alg": alg}) for alg in odd]),
        "EC's kid, RSA's signature": provider.sign(good, kid="ec-first"),
        "RSA's kid, EC's signature": provider.sign(good, alg="ES256", kid="rsa-first"),
        "RSA's name, EC's signature": provider.sign(good, alg="ES256", header={"alg": "RS256"}, key=curve),
        "EC's name, RSA's signature": provider.sign(good, header={"alg": "ES256", "kid": "ec-first"}),
    }


def for_somebody_else(provider, attacker):
    audiences = [
        "",
        "other",
        "journe",
        "journeys",
        "Journey",
        " journey",
        "journey ",
        "journey,other",
        5,
        True,
    ]
    audiences += [[], ["other"], [["journey"]], [None], [5, "journey"], {"journey": 1}, ["journey "], None]
    issuers = [f"{provider.url}/", provider.url.upper(), f"{provider.url}#", f" {provider.url}", attacker.url]
    issuers += [
        "",
        None,
        5,
        True,
        [provider.url],
        {"a": provider.url},
        provider.url[:-1],
        f"{provider.url}@x",
    ]
    subjects = ["", None, 5, True, [], ["somebody"], {}, "a" * 256, "some\x00body", "some\nbody", "\ud800"]
    return {
        **numbered("audience", [provider.token(aud=audience) for audience in audiences]),
        **numbered("issuer", [provider.token(iss=issuer) for issuer in issuers]),
        **numbered("subject", [provider.token(sub=subject) for subject in subjects]),
    }


def at_another_time(provider):
    now = int(time.time())
    return {
        **numbered(
            "exp", [provider.token(exp=exp) for exp in (now - 31, now - 3600, 0, -1, f"{now + 300}", *ODD)]
        ),
        **numbered("iat", [provider.token(iat=iat) for iat in (now + 60, now * 1000, f"{now}", *ODD)]),
        **numbered("nbf", [provider.token(nbf=nbf) for nbf in (now + 60, f"{now}", *ODD) if nbf is not None]),
        "null exp": provider.sign({**provider.claims(), "exp": None}),
        "null nbf": provider.sign({**provider.claims(), "nbf": None}),
        "an operator of yesterday": provider.token(aud=OPERATORS, iat=now - 3700),
        "an operator of no time": provider.token(aud=OPERATORS, iat=-1e308),
    }


def damaged(provider):
    good, other = provider.token(), provider.token(sub="another")
    (head, body, signature), (_, foreign, _) = good.split("."), other.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    changed = [
        bytes([raw[0] ^ 1]) + raw[1:],
        raw[:-1] + bytes([raw[-1] ^ 1]),
        bytes(256),
        raw[:-1],
        raw + b"\0",
        b"",
    ]
    texts = [good[: len(good) * part // 12] for part in range(12)]
    texts += [
        f"{good}.",
        f".{good}",
        f"{good}.{signature}",
        f"{head}.{body}",
        "..",
        "...",
        f"{head}..{signature}",
    ]
    texts += [
        f" {good}",
        f"{good} ",
        f"{good}\n",
        f"Bearer {good}",
        f"{good}\u00e9",
        f"{good}\ud800",
        f"{good}!",
    ]
    texts += [
        f"{head}.{foreign}.{signature}",
        f"{head}.{body}.{body}",
        good.replace(".", ":"),
        good.swapcase(),
    ]
    curved = provider.sign(provider.claims(), alg="ES256")
    halves = [bytes(64), bytes(63) + b"\1", b"", encode_dss_signature(1, 1), b"\xff" * 64]
    return {
        **numbered("changed signature", [f"{head}.{body}.{base64url(each)}" for each in changed]),
        **numbered("damaged", texts),
        **numbered("curve", [f"{curved.rsplit('.', 1)[0]}.{base64url(each)}" for each in halves]),
    }


def with_the_attackers_key(provider, attacker):
    key = attacker.keys["rsa-attacker"]
    certificate = base64.b64encode(
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    pointers = [
        {"jwk": jwk("rsa-attacker", key)},
        {"jku": f"{attacker.url}/jwks"},
        {"x5u": f"{attacker.url}/jwks"},
        {"x5c": [certificate.decode()]},
        {"iss": attacker.url, "jku": f"{attacker.url}/jwks"},
        {},
    ]
    kids = [
        "rsa-first",
        "rsa-attacker",
        "",
        "../../dev/null",
        "' OR 1=1 --",
        f"{attacker.url}/jwks",
        "k" * 5_000,
    ]
    kids += [None, 5, ["rsa-first"], {"a": "rsa-first"}, True]
    twice = b'{"alg":"RS256","kid":"rsa-attacker","kid":"rsa-first"}'
    forged = provider.claims()
    return {
        **numbered(
            "pointer",
            [
                provider.sign(forged, key=key, header={**pointer, "kid": kid})
                for pointer in pointers
                for kid in ("rsa-first", "rsa-attacker")
            ],
        ),
        **numbered("kid", [provider.sign(forged, key=key, header={"kid": kid}) for kid in kids]),
        "no kid": provider.sign(forged, header={"kid": None}),
        "kid twice": assembled(twice, forged, signer_of("RS256", key)),
        "attacker's curve": provider.sign(forged, alg="ES256", key=attacker.keys["ec-attacker"]),
    }


def malformed(provider):
    signer = signer_of("RS256", provider.keys["rsa-first"])
    head = {"alg": "RS256", "kid": "rsa-first"}
    critical = [["exp"], ["b64"], [], "exp", [5], None, ["b64", "exp"], {"b64": 1}]
    deep = [deep_claims(levels) for levels in (20, 200, 900)] + [
        b'{"sub":' + b"[" * 6_000 + b"]" * 6_000 + b"}"
    ]
    twice = json.dumps(provider.claims())[:-1] + ', "aud": "other"}'
    bodies = [[], "text", 5, None, b"", b"{", b"\xff\xfe", b"[" * 9_000, twice.encode(), b"null"]
    heads = [[], "text", 5, None, b"", b"{", b"\xff", b"[" * 9_000, {}, {"kid": "rsa-first"}]
    crits = [assembled({**head, "crit": each, "b64": True}, provider.claims(), signer) for each in critical]
    return {
        **numbered("critical", crits),
        "detached": assembled({**head, "crit": ["b64"], "b64": False}, b"", signer),
        **numbered(
            "deep",
            [
                assembled(
                    head, {**provider.claims(), "a": each} if not isinstance(each, bytes) else each, signer
                )
                for each in deep
            ],
        ),
        **numbered("claims", [assembled(head, each, signer) for each in bodies]),
        **numbered("header", [assembled(each, provider.claims(), signer) for each in heads]),
        "huge": provider.token(a="a" * 16_384),
        "enormous": provider.token(a="a" * 1_000_000),
    }


def deep_claims(levels):
    value = "deep"
    for _ in range(levels):
        value = [value]
    return value


def by_unfit_keys(provider):
    """Publishes keys that may not verify tokens; returns tokens with valid signatures of these keys."""
    good = provider.claims()
    secret = b"a secret of thirty-two characters"
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    strong = rsa_key("unfit")
    unfit = {
        "enc": jwk("enc", strong, use="enc"),
        "ops": jwk("ops", strong, key_ops=["encrypt"]),
        "odd ops": jwk("odd ops", strong, key_ops=5),
        "other alg": jwk("other alg", strong, alg="RS512"),
        "other kind": jwk("other kind", strong, kty="EC"),
        "private": {
            **jwt.get_algorithm_by_name("RS256").to_jwk(strong, as_dict=True),
            "kid": "private",
            "use": "sig",
            "key_ops": ["verify"],
        },
        "weak": jwk("weak", weak),
        "broken": jwk("broken", strong, n=5),
        "curveless": jwk("curveless", ec_key("unfit"), crv="P-521"),
    }
    symmetric = {"kty": "oct", "kid": "oct", "k": base64url(secret), "use": "sig"}
    provider.listed += [
        *unfit.values(),
        symmetric,
        {**symmetric, "kid": "empty", "k": ""},
        "no key",
        None,
        {**jwk("listed", strong), "kid": ["listed"]},
        {"kid": "?"},
    ]
    tokens = {f"unfit {kid}": provider.sign(good, kid=kid, key=strong) for kid in unfit}
    tokens["unfit weak"] = provider.sign(good, kid="weak", key=weak)
    tokens["unfit curveless"] = provider.sign(good, alg="ES256", kid="curveless", key=ec_key("unfit"))
    tokens["listed secret"] = provider.sign(good, alg="HS256", kid="oct", key=secret)
    tokens["listed empty secret"] = provider.sign(good, alg="HS256", kid="empty", key=b"")
    return tokens


def hostile(provider, attacker):
    return {
        **without_a_signature(provider),
        **with_the_public_key_as_secret(provider),
        **with_another_algorithm(provider),
        **for_somebody_else(provider, attacker),
        **at_another_time(provider),
        **damaged(provider),
        **with_the_attackers_key(provider, attacker),
        **malformed(provider),
        **by_unfit_keys(provider),
    }


async def test_every_hostile_token_is_refused_alike_and_no_attacker_is_asked(known, provider, attacker):
    tokens = hostile(provider, attacker)
    found = await believed(known, tokens)
    for alg in ("RS256", "ES256"):
        assert (await known.verify(provider.sign(provider.claims(), alg=alg))).subject == "somebody"
    print(
        f"{len(found)} of {len(tokens)} hostile tokens believed, {attacker.fetches.total()} calls to the attacker,"
        f" {provider.fetches['/jwks']} fetch of keys"
    )
    assert found == []
    assert len(tokens) >= 200
    assert attacker.fetches.total() == 0
    assert provider.fetches == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_without_its_checks_the_table_fails(known, provider, attacker, monkeypatch):
    tokens = hostile(provider, attacker)
    real = jwt.decode
    checks = {f"verify_{name}": True for name in ("exp", "nbf", "iat", "aud", "iss", "sub")}

    def trusting(token, key, **rest):
        options = {**rest["options"], **checks, "verify_signature": False}
        return real(token, key, **{**rest, "options": options})

    monkeypatch.setattr(jwt, "decode", trusting)
    found = await believed(known, tokens)
    assert len(found) >= 20
    print(f"guard removed: detected, {len(found)} hostile tokens believed without a check of signatures")


async def test_if_secrets_could_be_keys_the_table_fails(provider, clock, attacker, monkeypatch):
    with pytest.raises(InvalidInputError):
        known_as(provider, clock, algorithms=("RS256", "HS256"))
    monkeypatch.setitem(identity._KEY_TYPES, "HS256", ("oct", None))
    known = known_as(provider, clock, algorithms=("RS256", "HS256"))
    found = await believed(known, hostile(provider, attacker))
    assert found == ["listed secret"]
    print(f"guard removed: detected, {found[0]} believed with symmetric algorithms")


@pytest.mark.parametrize(
    "algorithms", [("none",), ("HS256",), ("RS256", "HS512"), (), ("RS256", "None"), ("rs256",), ("",)]
)
def test_an_algorithm_that_is_not_asymmetric_cannot_be_configured(algorithms):
    with pytest.raises(InvalidInputError) as raised:
        Provider(issuer="https://a", audience="a", algorithms=algorithms)
    assert raised.value.errors[0].pointer == "OIDC_ALGORITHMS"


def test_a_secret_is_not_shown():
    assert "hidden" not in repr(Provider(issuer="https://a", audience="a", client_secret="hidden"))


@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS256", "ES256"])
async def test_a_good_token_is_believed_with_every_configured_algorithm(provider, clock, alg):
    known = known_as(provider, clock, algorithms=("RS256", "RS512", "PS256", "ES256"))
    verified = await known.verify(provider.sign(provider.claims(company_id=7), alg=alg))
    assert (verified.subject, verified.claims["company_id"], verified.is_for_operators) == (
        "somebody",
        7,
        False,
    )


async def test_clocks_may_differ_by_half_a_minute(known, provider):
    now = int(time.time())
    assert await refusal(known.verify(provider.token(exp=now - 15, nbf=now + 15, iat=now + 15))) is None
    assert await refusal(known.verify(provider.token(iat=now - 100_000))) is None


async def test_operators_have_an_audience_of_their_own_and_a_short_session(known, provider, clock):
    now = int(time.time())
    for audience, is_for_operators in [
        (OPERATORS, True),
        ([OPERATORS, "other"], True),
        ([OPERATORS, "journey"], False),
        (["journey", "other"], False),
    ]:
        token = provider.token(aud=audience, iat=now - 3_500)
        assert (await known.verify(token)).is_for_operators is is_for_operators
    without = known_as(provider, clock, operator_audience=None)
    assert await refusal(without.verify(provider.token(aud=OPERATORS))) is not None


async def test_tokens_without_an_audience_are_valid_by_another_claim_only_if_it_is_configured(
    known, provider, clock
):
    by_client = known_as(provider, clock, audience_claim="client_id")
    cognito = provider.token(aud=None, client_id="journey")
    assert await refusal(known.verify(cognito)) is not None
    assert (await by_client.verify(cognito)).is_for_operators is False
    assert (await by_client.verify(provider.token(aud=None, client_id=OPERATORS))).is_for_operators is True
    assert (await by_client.verify(provider.token(client_id=OPERATORS))).is_for_operators is False
    by_party = known_as(provider, clock, audience_claim="azp")
    assert await refusal(by_party.verify(provider.token(azp=["other", "journey"]))) is None
    assert await refusal(by_party.verify(cognito)) is not None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"client_id": "other"},
        {"client_id": None},
        {"client_id": ["other"]},
        {"client_id": {"journey": 1}},
        {"client_id": 7},
        {"client_id": "journey", "aud": "other"},
        {"client_id": "other", "aud": "journey"},
        {"client_id": "journey", "aud": []},
        {"client_id": "journey", "aud": "journey", "exp": 1},
    ],
    ids=str,
)
async def test_a_token_for_another_audience_is_refused_whichever_claim_names_it(provider, clock, claims):
    by_client = known_as(provider, clock, audience_claim="client_id")

    error = await refusal(by_client.verify(provider.token(**claims)))

    assert str(error) == "The credential is not valid."


@pytest.mark.parametrize("status", [200, 500])
async def test_a_flood_of_unknown_keys_asks_the_provider_once_in_half_a_minute(
    known, provider, clock, status
):
    await known.verify(provider.token())
    provider.status = status
    seconds = 300
    for second in range(seconds):
        clock.now += 1
        flood = [known.verify(provider.sign(provider.claims(), kid=f"{second}-{n}")) for n in range(5)]
        assert all(isinstance(e, UnauthenticatedError) for e in await asyncio.gather(*map(refusal, flood)))
    asked = provider.fetches["/jwks"]
    print(f"{asked} fetches of keys in {seconds} s under {seconds * 5} unknown keys, provider at {status}")
    assert 2 <= asked <= 1 + seconds / 30


async def test_without_the_cool_down_a_flood_would_be_passed_on(known, provider, monkeypatch):
    monkeypatch.setattr(identity, "_COOL_DOWN_SECONDS", 0)
    for n in range(20):
        await refusal(known.verify(provider.sign(provider.claims(), kid=str(n))))
    assert provider.fetches["/jwks"] == 20
    print("guard removed: detected, 20 fetches of keys for 20 unknown keys")


async def test_many_callers_share_one_fetch(known, provider):
    token = provider.token()
    assert await asyncio.gather(*(refusal(known.verify(token)) for _ in range(100))) == [None] * 100
    assert provider.fetches == {"/.well-known/openid-configuration": 1, "/jwks": 1}


async def test_while_no_key_was_ever_had_the_provider_is_out_of_reach(known, provider, clock):
    token = provider.token()
    await provider.stop()
    assert isinstance(await refusal(known.verify(token)), UnavailableError)
    await provider.start()
    assert isinstance(await refusal(known.verify(token)), UnavailableError)
    assert isinstance(await refusal(known.verify("nonsense")), UnauthenticatedError)
    assert provider.fetches.total() == 0
    clock.now += 30
    assert await refusal(known.verify(token)) is None


async def test_a_caller_who_goes_away_does_not_make_the_others_wait(known, provider):
    provider.is_answering.clear()
    gone = asyncio.create_task(known.verify(provider.token()))
    while not provider.fetches.total():
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    provider.is_answering.set()
    assert await refusal(known.verify(provider.token())) is None


async def test_known_keys_go_on_working_while_the_provider_is_away(known, provider, clock):
    await known.verify(provider.token())
    await provider.stop()
    for _ in range(10):
        clock.now += 3_600
        assert await refusal(known.verify(provider.token())) is None
        unknown = provider.sign(provider.claims(), kid="unknown")
        assert isinstance(await refusal(known.verify(unknown)), UnauthenticatedError)
    await provider.start()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no JSON",
        [],
        {},
        {"keys": None},
        {"keys": {"a": 1}},
        b"[" * 5_000,
        b'{"keys": []}' + b" " * 65_536,
    ],
)
async def test_an_answer_that_lists_no_keys_changes_nothing(known, provider, clock, answer):
    provider.answers["/jwks"] = answer
    assert isinstance(await refusal(known.verify(provider.token())), UnavailableError)
    provider.answers.clear()
    clock.now += 30
    assert await refusal(known.verify(provider.token())) is None
    provider.answers["/jwks"] = answer
    clock.now += 600
    assert await refusal(known.verify(provider.token())) is None
    assert provider.fetches["/jwks"] == 3


async def test_an_error_of_the_provider_is_no_answer(known, provider):
    provider.status = 500
    assert isinstance(await refusal(known.verify(provider.token())), UnavailableError)


async def test_nothing_is_fetched_for_a_token_that_cannot_be_genuine(known, provider, clock):
    await known.verify(provider.token())
    clock.now += 31
    headers = [{"kid": None}, {"kid": 5}, {"alg": "none", "kid": "x"}, {"alg": "HS256", "kid": "x"}]
    headers += [{"crit": ["exp"], "kid": "x"}, {"kid": "x" * 20_000}]
    for header in headers:
        token = provider.sign(provider.claims(), header=header)
        assert isinstance(await refusal(known.verify(token)), UnauthenticatedError)
    assert provider.fetches["/jwks"] == 1


async def test_new_keys_are_found_after_the_cool_down_and_old_ones_forgotten(known, provider, clock):
    old = provider.token()
    await known.verify(old)
    provider.rotate("second")
    clock.now += 29
    assert isinstance(await refusal(known.verify(provider.token())), UnauthenticatedError)
    assert await refusal(known.verify(old)) is None
    clock.now += 1
    assert await refusal(known.verify(provider.token())) is None
    assert isinstance(await refusal(known.verify(old)), UnauthenticatedError)


async def test_a_key_that_is_withdrawn_is_forgotten_within_ten_minutes(known, provider, clock):
    old = provider.token()
    await known.verify(old)
    provider.listed = []
    clock.now += 599
    assert await refusal(known.verify(old)) is None
    clock.now += 1
    assert isinstance(await refusal(known.verify(old)), UnauthenticatedError)


async def test_a_token_with_a_known_key_does_not_wait_for_a_slow_provider(known, provider, clock):
    await known.verify(provider.token())
    provider.is_answering.clear()
    clock.now += 601
    renewing = asyncio.create_task(refusal(known.verify(provider.token())))
    while provider.fetches.total() < 3:
        await asyncio.sleep(0)
    assert await refusal(known.verify(provider.token())) is None
    assert not renewing.done()
    provider.is_answering.set()
    assert await renewing is None


@pytest.mark.parametrize("change", [{"issuer": "https://other.example"}, {"jwks_uri": 5}, {"issuer": None}])
async def test_a_description_of_another_issuer_is_no_description(known, provider, change):
    provider.answers["/.well-known/openid-configuration"] = {**provider._description(), **change}
    assert isinstance(await refusal(known.verify(provider.token())), UnavailableError)
    assert provider.fetches["/jwks"] == 0


async def test_keys_at_a_configured_place_need_no_description(provider, clock):
    known = known_as(provider, clock, jwks_url=f"{provider.url}/jwks")
    assert await refusal(known.verify(provider.token())) is None
    assert provider.fetches == {"/jwks": 1}


class Browser:
    """A user in the sign-in flow."""

    verifier = "a verifier of forty-three or more characters"

    def __init__(self, provider, known):
        self.sent = {"redirect_uri": "https://journey.example/back", "nonce": "n-1"}
        self.provider = provider
        self.known = known

    async def sign_in(self):
        """Returns the authorization code of the redirect."""
        challenge = base64url(hashlib.sha256(self.verifier.encode()).digest())
        url = await self.known.authorization_url(state="s-1", code_challenge=challenge, **self.sent)
        answer = await HttpClient(trusted=[self.provider.url]).send("GET", url)
        back = parse_qs(urlsplit(answer.headers["location"]).query)
        assert back["state"] == ["s-1"]
        return back["code"][0]

    async def redeem(self, given, **changed):
        usual = {"code": given, "code_verifier": self.verifier, **self.sent}
        return await self.known.redeem(**{**usual, **changed})


@pytest.mark.parametrize("secret", ["a secret: with % and +", None])
async def test_a_browser_signs_in_with_a_code(clock, secret):
    provider = FakeProvider(client_secret=secret)
    await provider.start()
    browser = Browser(provider, known_as(provider, clock))
    code = await browser.sign_in()
    verified = await browser.redeem(code)
    assert (verified.subject, verified.claims["nonce"], verified.is_for_operators) == (
        "somebody",
        "n-1",
        False,
    )
    assert isinstance(await refusal(browser.redeem(code)), UnauthenticatedError)
    await provider.stop()


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "another"},
        {"nonce": "n-2"},
        {"nonce": ""},
        {"redirect_uri": "https://x"},
        {"code": "c"},
    ],
)
async def test_a_code_is_worth_nothing_to_another_client(known, provider, changed):
    browser = Browser(provider, known)
    error = await refusal(browser.redeem(await browser.sign_in(), **changed))
    assert isinstance(error, UnauthenticatedError)


async def test_a_client_with_a_wrong_secret_or_none_configured_signs_no_person_in(known, provider, clock):
    code = await Browser(provider, known).sign_in()
    for configured in ({"client_secret": "wrong"}, {"client_secret": None}, {"client_id": None}):
        other = Browser(provider, known_as(provider, clock, **configured))
        assert isinstance(await refusal(other.redeem(code)), UnauthenticatedError)


async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(known, provider):
    good = {"aud": "portal", "nonce": "n-1"}
    claims = [{"nonce": None}, {"nonce": "n-2"}, {"nonce": ["n-1"]}, {"aud": "journey"}, {"azp": "other"}]
    claims += [{"aud": ["portal", "other"]}, {"aud": OPERATORS}, {"exp": 1}, {"iss": "https://other.example"}]
    tokens = [provider.token(**{**good, **each}) for each in claims]
    tokens.append(provider.sign(provider.claims(**good), alg="HS256", key=provider.client_secret.encode()))
    answers = [{"id_token": token} for token in tokens]
    answers += [
        {},
        [],
        b"no JSON",
        {"id_token": None},
        {"id_token": 5},
        {"id_token": ["a"]},
        {"access_token": "a"},
    ]
    for answer in answers:
        provider.answers["/token"] = answer
        assert isinstance(await refusal(Browser(provider, known).redeem("c")), UnauthenticatedError)
    provider.answers["/token"] = {"id_token": provider.token(**{**good, "nonce": ""})}
    assert isinstance(await refusal(Browser(provider, known).redeem("c", nonce="")), UnauthenticatedError)
    provider.answers["/token"] = {"id_token": provider.token(**good)}
    assert await refusal(Browser(provider, known).redeem("c")) is None


async def test_no_browser_is_sent_to_a_provider_that_was_never_reached(known, provider):
    await provider.stop()
    for call in (Browser(provider, known).sign_in(), Browser(provider, known).redeem("c")):
        assert isinstance(await refusal(call), UnavailableError)
    await provider.start()
