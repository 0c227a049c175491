"""Browsers that sign in: cookies no script can read, changes from the own pages only, and ends that are ends."""

import asyncio
import base64
import hashlib
import html
import json
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from api.calls import API, NOON, problem
from gateways.identity_provider import FakeProvider, assembled, rsa_key
from journey_service.api import authentication
from journey_service.api.access import sign_in
from journey_service.api.dependencies import AppState
from journey_service.domain.access.actors import ROLE_SCOPES, Actor, Role
from journey_service.domain.errors import (
    ForbiddenError,
    InvalidInputError,
    RetriesExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from journey_service.gateways.oidc import IdentityProvider
from journey_service.main import create_app
from journey_service.repositories.access import sessions as kept
from journey_service.services.access import sessions
from journey_service.services.actions.delivery.publisher import publish
from journey_service.settings import Settings
from server_versions import newest_only

HERE = "http://journey.test"
COOKIE, FLOW = "journey_session", "journey_flow"
SESSION = f"{API}/session"
OPERATORS = "journey-operators"
OWN = {"own origin": {"Origin": HERE}, "same origin": {"Sec-Fetch-Site": "same-origin"}}
FOREIGN = {
    "nothing": {},
    "another site": {"Origin": "https://evil.example"},
    "a site of nearly the same name": {"Origin": f"{HERE}.evil.example"},
    "a page below ours": {"Origin": "http://app.journey.test"},
    "another port": {"Origin": f"{HERE}:8080"},
    "an opaque origin": {"Origin": "null"},
    "an empty origin": {"Origin": ""},
    "no origin": {"Origin": "journey.test"},
    "another site, by the browser's headers": {"Sec-Fetch-Site": "cross-site"},
    "the same site": {"Sec-Fetch-Site": "same-site"},
    "the address bar": {"Sec-Fetch-Site": "none"},
    "another site that claims to be ours": {
        "Origin": "https://evil.example",
        "Sec-Fetch-Site": "same-origin",
    },
    "a referrer alone": {"Referer": f"{HERE}/docs"},
}
MUTATIONS = {
    "PUT": ("PUT", f"{API}/customers/2", {"name": "Eve"}),
    "POST": ("POST", f"{API}/events", None),
    "DELETE": ("DELETE", f"{API}/stages/vip", None),
    "PATCH": ("PATCH", f"{API}/stages/vip", {"name": "Eve"}),
    "a key": ("POST", f"{API}/admin/keys", {"name": "Eve", "role": "admin"}),
    "signing out": ("DELETE", SESSION, None),
}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def cookies(answer):
    """What an answer has a browser keep: by name, the value and the attributes."""
    values = {}
    for line in answer.headers.get_list("set-cookie"):
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        assert name not in values
        said = {key.lower(): what for key, _, what in (part.partition("=") for part in attributes)}
        assert len(said) == len(attributes)
        values[name] = SimpleNamespace(value=value, attributes=said)
    return values


def with_cookie(token, **headers):
    return {"Cookie": f"{COOKIE}={token}", **headers}


@asynccontextmanager
async def served(base, **changed):
    """The application with other settings, started; its client keeps no cookies of its own accord."""
    app = create_app(Settings.model_validate({**base, **changed}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield SimpleNamespace(client=client, app=app)


def client_of(app):
    class Forgetful(httpx.AsyncClient):
        """A client whose requests have the cookies that they are given, and no others."""

        async def send(self, request, **rest):
            answer = await super().send(request, **rest)
            self.cookies.clear()
            return answer

    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return Forgetful(transport=transport, base_url=HERE)


@pytest.fixture(scope="module")
def base(settings):
    """The settings of the tests, to be changed."""
    return {
        field.validation_alias: value
        for name, field in Settings.model_fields.items()
        if (value := getattr(settings, name)) is not None
    }


@pytest.fixture(scope="module")
async def client(api):
    """A client of the application that takes pages for answers too."""
    async with client_of(api) as opened:
        yield opened


@pytest.fixture
def forget(api):
    """Makes the process look up every credential again, as every other process does within two seconds."""
    return api.state.app_state.credential_cache.clear


async def sign_in_with(client, token):
    answer = await client.post(SESSION, headers=bearer(token))
    assert answer.status_code == 201, answer.text
    [(name, kept)] = cookies(answer).items()
    assert name == COOKIE
    return kept.value


@pytest.fixture
async def token(client, salon):
    """A session of the company's own key."""
    return await sign_in_with(client, salon.token)


async def is_alive(client, token):
    answer = await client.get(SESSION, headers=with_cookie(token))
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


def who(answer):
    """Whom an answer names as the caller."""
    return {name: answer.json()[name] for name in ("name", "company_id", "role", "scopes")}


# ---- opening, looking, ending


async def test_a_key_opens_a_session_that_may_what_the_key_may(client, salon):
    answer = await client.post(SESSION, headers=bearer(salon.token))

    assert answer.status_code == 201
    name = f"key:{salon.token.split('_')[1]}"
    values = {"name": name, "company_id": salon.id, "role": "service", "scopes": ["*"]}
    assert who(answer) == values
    token = cookies(answer)[COOKIE].value
    assert who(await client.get(SESSION, headers=with_cookie(token))) == values
    assert (await client.get(f"{API}/customers", headers=with_cookie(token))).status_code == 200
    assert token not in answer.text


async def test_a_session_describes_its_company_and_its_own_end(client, token, salon):
    values = (await client.get(SESSION, headers=with_cookie(token))).json()

    people = (await client.get(f"{API}/people", headers=with_cookie(token))).json()
    assert values["assignee"] == people["me"]
    assert values["name"] == f"key:{people['me']}"
    assert values["company"] == {
        "id": salon.id,
        "name": "A test",
        "timezone": "UTC",
        "currency": "EUR",
        "language": "en",
        "map_version": 1,
        "test_clock": NOON,
        "now": NOON,
    }
    expires_at, idle_until = (datetime.fromisoformat(values[name]) for name in ("expires_at", "idle_until"))
    between = timedelta(seconds=sessions.MAX_SESSION_SECONDS - sessions.IDLE_SECONDS)
    assert abs(expires_at - idle_until - between) < timedelta(minutes=1)


async def test_a_caller_without_a_browser_has_no_end_and_an_operator_has_no_company(client, salon, operator):
    by_key = (await client.get(SESSION, headers=salon.headers)).json()
    by_operator = (await client.get(SESSION, headers=operator)).json()

    assert (by_key["expires_at"], by_key["idle_until"], by_key["company"]["id"]) == (None, None, salon.id)
    assert (by_operator["company"], by_operator["company_id"]) == (None, None)


async def test_a_session_of_a_narrow_key_is_narrow(client, create_test_company):
    narrow = await create_test_company(scopes=("stages:read",))
    token = await sign_in_with(client, narrow.token)

    assert (await client.get(f"{API}/stages", headers=with_cookie(token))).status_code == 200
    problem(await client.get(f"{API}/customers", headers=with_cookie(token)), 403, "forbidden")


async def test_a_session_is_opened_with_a_credential_and_not_with_another_session(
    client, token, database_owner, salon
):
    before = await database_owner.rows(salon.id)

    for headers in (with_cookie(token, Origin=HERE), {}, bearer("jrn_unknown_" + "u" * 43)):
        answer = await client.post(SESSION, headers=headers)
        problem(answer, 401, "unauthenticated")
        assert cookies(answer) == {}

    assert await database_owner.rows(salon.id) == before


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(client, salon):
    kept = cookies(await client.post(SESSION, headers=bearer(salon.token)))[COOKIE]

    assert kept.attributes == {
        "httponly": "",
        "samesite": "lax",
        "path": "/",
        "max-age": str(sessions.MAX_SESSION_SECONDS),
    }
    assert re.fullmatch(rf"{salon.id}\.[A-Za-z0-9_-]{{43}}", kept.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"JOURNEY_PUBLIC_URL": "https://journey.test"},
        {"JOURNEY_PUBLIC_URL": "https://journey.test", "JOURNEY_ENVIRONMENT": "production"},
        {"JOURNEY_ENVIRONMENT": "production"},
    ],
    ids=["where the URL requires it", "in production", "in production without an address"],
)
async def test_over_tls_the_cookie_is_bound_to_the_host_and_to_tls(base, salon, changed):
    async with served(base, **changed) as app_state:
        response = cookies(await app_state.client.post(SESSION, headers=bearer(salon.token)))

        assert response.keys() == {f"__Host-{COOKIE}"}
        kept = response[f"__Host-{COOKIE}"]
        assert kept.attributes == {
            "httponly": "",
            "samesite": "lax",
            "path": "/",
            "secure": "",
            "max-age": str(sessions.MAX_SESSION_SECONDS),
        }
        # A cookie that another site could have set is not accepted.
        for name, status in ((f"__Host-{COOKIE}", 200), (COOKIE, 401)):
            answer = await app_state.client.get(SESSION, headers={"Cookie": f"{name}={kept.value}"})
            assert answer.status_code == status


async def test_a_cookie_that_goes_over_any_wire_is_found_out(base, salon, monkeypatch):
    monkeypatch.setattr(AppState, "is_over_tls", False)

    with pytest.raises(AssertionError):
        await test_over_tls_the_cookie_is_bound_to_the_host_and_to_tls(
            base, salon, {"JOURNEY_PUBLIC_URL": "https://journey.test"}
        )
    print("guard removed: detected")


async def test_a_cookie_that_scripts_could_read_is_found_out(client, salon, monkeypatch):
    monkeypatch.setattr(
        "journey_service.api.access.sessions.set_session_cookie",
        lambda response, app_state, token: response.set_cookie(authentication.cookie_name(app_state), token),
    )

    with pytest.raises(AssertionError):
        await test_the_cookie_is_kept_from_scripts_and_from_other_sites(client, salon)
    print("guard removed: detected")


async def test_signing_out_ends_the_session_and_the_cookie(client, token, salon):
    assert await is_alive(client, token)

    answer = await client.delete(SESSION, headers=with_cookie(token, Origin=HERE))

    assert (answer.status_code, answer.content) == (204, b"")
    gone = cookies(answer)[COOKIE]
    assert gone.value in ("", '""')
    assert gone.attributes.pop("expires")
    assert gone.attributes == {"httponly": "", "samesite": "lax", "path": "/", "max-age": "0"}
    assert not await is_alive(client, token)
    problem(await client.delete(SESSION, headers=with_cookie(token, Origin=HERE)), 401, "unauthenticated")
    assert (await client.get(f"{API}/customers", headers=salon.headers)).status_code == 200


async def test_signing_out_ends_no_other_session(client, token, salon):
    other = await sign_in_with(client, salon.token)

    await client.delete(SESSION, headers=with_cookie(other, Origin=HERE))

    assert await is_alive(client, token)
    assert not await is_alive(client, other)


async def test_without_a_session_there_is_nothing_to_end(client, token, salon, database_owner):
    before = await database_owner.rows(salon.id)

    assert (await client.delete(SESSION, headers=bearer(salon.token))).status_code == 204

    assert await database_owner.rows(salon.id) == before
    assert await is_alive(client, token)


# ---- whose it is


async def test_a_token_is_kept_as_a_hash_only(token, database_owner, salon):
    rows = await database_owner.connection.fetch(
        "SELECT * FROM browser_sessions WHERE company_id = $1", salon.id
    )

    assert [row["token_hash"] for row in rows] == [hashlib.sha256(token.encode()).digest()]
    secret = token.partition(".")[2]
    for spelling in (token, secret, token.encode().hex(), secret.encode().hex()):
        assert spelling not in str(rows)


async def test_a_token_of_another_company_s_opens_nothing(client, token, salon, create_test_company):
    neighbour = await create_test_company()
    theirs = await sign_in_with(client, neighbour.token)
    secret = token.partition(".")[2]
    swapped = [
        *(f"{neighbour.id}.{secret}", f"0.{secret}", f"{salon.id}.{theirs.partition('.')[2]}"),
        *(
            f"0{token}",
            f"-{token}",
            f"{2**52}.{secret}",
            f"{2**53}.{secret}",
            f"{10**18}{token}",
        ),
        *(secret, f".{secret}", f"{salon.id}.", token[:-1], token + "x", "", "x", "1.", "\\073"),
    ]

    for one in swapped:
        answer = await client.get(SESSION, headers=with_cookie(one))
        problem(answer, 401, "unauthenticated")
    assert await is_alive(client, token)
    assert await is_alive(client, theirs)


async def test_a_session_reaches_its_own_company_only(
    client, token, salon, create_test_company, database_owner
):
    neighbour = await create_test_company()
    before = await database_owner.rows(neighbour.id)
    for method, path, body in MUTATIONS.values():
        if path == SESSION:
            continue
        headers = with_cookie(token, **{"Origin": HERE, "X-Company-Id": str(neighbour.id)})
        problem(await client.request(method, path, headers=headers, json=body), 403, "forbidden")
    assert await database_owner.rows(neighbour.id) == before


async def test_a_session_of_an_operator_names_the_company_to_act_for(client, operator, salon, database_owner):
    opened = await client.post(SESSION, headers=operator)
    assert opened.json()["company_id"] is None
    assert opened.json()["role"] == "operator"
    token = cookies(opened)[COOKIE].value

    problem(await client.get(f"{API}/customers", headers=with_cookie(token)), 403, "forbidden")
    requires_scope = with_cookie(token, **{"X-Company-Id": str(salon.id), "X-Reason": "a question of theirs"})
    assert (await client.get(f"{API}/customers", headers=requires_scope)).status_code == 200
    assert (await client.get(f"{API}/admin/companies", headers=with_cookie(token))).status_code == 200
    row = await database_owner.connection.fetchrow(
        "SELECT * FROM audit_log WHERE company_id = $1 ORDER BY id DESC LIMIT 1", salon.id
    )
    assert (row["actor"], row["is_operator"], row["reason"]) == ("key:tests", True, "a question of theirs")
    await client.delete(SESSION, headers=with_cookie(token, Origin=HERE))
    assert not await is_alive(client, token)


# ---- other sites


_events = count(1)


async def change(client, case, token, headers):
    method, path, body = MUTATIONS[case]
    if path.endswith("/events"):
        body = {"id": f"e-{next(_events)}", "source": "tests", "type": "call_received", "customer_id": 1}
        body["occurred_at"] = "2026-03-01T11:00:00Z"
    return await client.request(method, path, headers=with_cookie(token, **headers), json=body)


@newest_only
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_another_site_s_changes_are_refused_and_change_nothing(
    client, token, salon, database_owner, headers
):
    before = await database_owner.rows(salon.id)

    for case in MUTATIONS:
        answer = await change(client, case, token, headers)
        problem(answer, 403, "forbidden")
        assert cookies(answer) == {}

    assert await database_owner.rows(salon.id) == before
    assert await is_alive(client, token)


@newest_only
@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
@pytest.mark.parametrize("case", MUTATIONS)
async def test_changes_from_the_own_pages_are_taken(client, token, salon, database_owner, case, headers):
    before = await database_owner.rows(salon.id)

    answer = await change(client, case, token, headers)

    assert answer.status_code < 300, answer.text
    assert await database_owner.rows(salon.id) != before


@newest_only
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_what_changes_nothing_may_be_asked_from_anywhere(client, token, headers):
    for path in (SESSION, f"{API}/customers", f"{API}/stages"):
        answer = await client.get(path, headers=with_cookie(token, **headers))
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers, "no other site's script reads it"


async def test_the_own_pages_are_at_the_public_url(base, salon):
    public = "https://portal.company.com"
    async with served(base, JOURNEY_PUBLIC_URL=public) as app_state:
        opened = await app_state.client.post(SESSION, headers=bearer(salon.token))
        cookie = f"__Host-{COOKIE}={cookies(opened)[f'__Host-{COOKIE}'].value}"

        async def answered(headers):
            sent = {"Cookie": cookie, **headers}
            return (await app_state.client.put(f"{API}/customers/1", headers=sent, json={})).status_code

        assert await answered({"Origin": public}) == 201
        for origin in (
            HERE,
            "http://portal.company.com",
            f"{public}:8443",
            "https://portal.company.com.evil.example",
        ):
            assert await answered({"Origin": origin}) == 403
        assert await answered({"Origin": "https://evil.example", "Host": "evil.example"}) == 403


async def test_a_credential_takes_precedence_over_a_cookie(client, token, create_test_company):
    neighbour = await create_test_company()

    seen = await client.get(SESSION, headers=with_cookie(token, **bearer(neighbour.token)))
    written = await client.put(
        f"{API}/customers/1",
        headers=with_cookie(token, **bearer(neighbour.token), Origin="https://evil.example"),
        json={},
    )

    assert seen.json()["company_id"] == neighbour.id
    assert written.status_code == 201
    assert len((await client.get(f"{API}/customers", headers=neighbour.headers)).json()["items"]) == 1
    assert (await client.get(f"{API}/customers", headers=with_cookie(token))).json()["items"] == []


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer jrn_unknown_" + "u" * 43, "Basic YTpi", "Bearer x.y.z"]
)
async def test_a_credential_that_is_none_is_not_mended_by_a_cookie(client, token, given):
    answer = await client.get(SESSION, headers=with_cookie(token, Authorization=given))

    problem(answer, 401, "unauthenticated")


async def test_a_missing_origin_check_is_noticed(client, token, salon, database_owner, monkeypatch):
    monkeypatch.setattr(authentication, "check_own_origin", lambda *_: None)

    with pytest.raises(AssertionError):
        await test_another_site_s_changes_are_refused_and_change_nothing(
            client, token, salon, database_owner, FOREIGN["another site"]
        )
    print("guard removed: detected")


# ---- time


@pytest.fixture
def move(database_owner, forget):
    """Lets time pass for a session: moves a column's time into the past by some seconds."""

    async def moved(token, column, seconds):
        done = await database_owner.connection.execute(
            f"UPDATE browser_sessions SET {column} = {column} - make_interval(secs => $2) WHERE token_hash = $1",
            hashlib.sha256(token.encode()).digest(),
            seconds,
        )
        assert done == "UPDATE 1"
        forget()

    return moved


async def test_an_unused_session_expires_after_two_hours(client, token, move):
    await move(token, "last_used_at", sessions.IDLE_SECONDS - 300)
    assert await is_alive(client, token)
    await move(token, "last_used_at", sessions.IDLE_SECONDS - 300)
    assert await is_alive(client, token), "that it was used was noted"

    await move(token, "last_used_at", sessions.IDLE_SECONDS)

    assert not await is_alive(client, token)
    assert not await is_alive(client, token), "nor does asking bring it back"


async def test_a_session_is_over_after_twelve_hours_however_busy_it_was(client, token, move):
    await move(token, "expires_at", sessions.MAX_SESSION_SECONDS - 300)
    assert await is_alive(client, token)

    await move(token, "expires_at", 300)

    assert not await is_alive(client, token)
    assert (sessions.IDLE_SECONDS, sessions.MAX_SESSION_SECONDS) == (7_200, 43_200)


async def test_a_session_is_idle_later_with_each_use_and_never_after_its_expiry(client, token, move):
    async def read():
        values = (await client.get(SESSION, headers=with_cookie(token))).json()
        return [datetime.fromisoformat(values[name]) for name in ("idle_until", "expires_at")]

    first, _ = await read()
    await move(token, "last_used_at", 3_600)
    assert (await read())[0] >= first
    await move(token, "expires_at", sessions.MAX_SESSION_SECONDS - 300)
    idle_until, expires_at = await read()
    assert idle_until == expires_at


async def test_that_a_session_was_seen_is_noted_once_a_minute(client, token, move, database_owner):
    seen = "SELECT last_used_at FROM browser_sessions WHERE token_hash = $1"
    digest = hashlib.sha256(token.encode()).digest()
    first = await database_owner.connection.fetchval(seen, digest)
    await move(token, "last_used_at", 0)
    assert await is_alive(client, token)
    assert await database_owner.connection.fetchval(seen, digest) == first
    await move(token, "last_used_at", 61)

    assert await is_alive(client, token)

    assert await database_owner.connection.fetchval(seen, digest) > first


@pytest.fixture
async def key(client, salon):
    """A key of its own, and a session that was opened with it."""
    body = {"name": "k", "role": "agent"}
    made = (await client.post(f"{API}/admin/keys", headers=salon.headers, json=body)).json()
    return SimpleNamespace(id=made["id"], token=await sign_in_with(client, made["secret"]))


async def test_a_session_ends_with_its_key_when_that_is_revoked(client, salon, key):
    assert await is_alive(client, key.token)

    await client.delete(f"{API}/admin/keys/{key.id}", headers=salon.headers)

    assert not await is_alive(client, key.token)


async def test_a_session_ends_with_its_key_when_that_s_time_is_over(client, key, forget, database_owner):
    assert await is_alive(client, key.token)

    await database_owner.expire_key(key.id)
    forget()

    assert not await is_alive(client, key.token)


async def test_a_session_ends_with_its_key_when_a_successor_takes_over(client, salon, key):
    path = f"{API}/admin/keys/{key.id}/rotate"
    await client.post(path, headers=salon.headers, json={"overlap_seconds": 3_600})
    assert await is_alive(client, key.token), "both are alive for the overlap"

    other = await client.post(f"{API}/admin/keys", headers=salon.headers, json={"name": "k", "role": "agent"})
    token = await sign_in_with(client, other.json()["secret"])
    path = f"{API}/admin/keys/{other.json()['id']}/rotate"
    await client.post(path, headers=salon.headers, json={"overlap_seconds": 0})

    assert not await is_alive(client, token)


async def test_sessions_that_have_been_over_for_a_day_are_cleared_by_the_next(
    client, salon, token, database_owner
):
    number = "SELECT count(*) FROM browser_sessions WHERE company_id = $1"
    await database_owner.connection.execute(
        "UPDATE browser_sessions SET expires_at = now() - interval '25 hours' WHERE company_id = $1", salon.id
    )

    await sign_in_with(client, salon.token)

    assert await database_owner.connection.fetchval(number, salon.id) == 1


NEVER_OVER = {
    "its key": " AND (s.key_id IS NULL OR (k.revoked_at IS NULL AND"
    " (k.expires_at IS NULL OR k.expires_at > clock_timestamp())))",
    "idling": " AND s.last_used_at > clock_timestamp() - make_interval(secs => :idle_seconds)",
    "its time": " AND s.expires_at > clock_timestamp()",
    "signing out": " AND s.ended_at IS NULL",
}
"""Everything that ends a session, as the lookup sees it."""


@pytest.mark.parametrize("end", NEVER_OVER)
async def test_a_session_that_goes_on_beyond_its_end_is_found_out(
    client, token, key, salon, move, monkeypatch, end
):
    values = str(kept._FIND_LIVE)
    assert NEVER_OVER[end] in values
    without = values.replace(NEVER_OVER[end], "").replace(
        "FROM browser", ", CAST(:idle_seconds AS int) FROM browser"
    )
    monkeypatch.setattr(kept, "_FIND_LIVE", kept.text(without))

    with pytest.raises(AssertionError, match="assert not True"):
        if end == "its key":
            await test_a_session_ends_with_its_key_when_that_is_revoked(client, salon, key)
        elif end == "idling":
            await test_an_unused_session_expires_after_two_hours(client, token, move)
        elif end == "its time":
            await test_a_session_is_over_after_twelve_hours_however_busy_it_was(client, token, move)
        else:
            await test_signing_out_ends_the_session_and_the_cookie(client, token, salon)
    print("guard removed: detected")


# ---- the page


def form(key, **rest):
    return urlencode({"key": key, **rest})


FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": HERE}


def page(answer, status):
    """The error that the page shows, if any; it runs no script and only the named style."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src" not in policy
    assert "<script" not in answer.text.lower()
    assert COOKIE not in str(cookies(answer).keys())
    assert 'type="password"' in answer.text
    assert " value=" not in answer.text
    errors = re.findall(r'<p class="error" role="alert">(.*?)</p>', answer.text)
    assert len(errors) == (status >= 400)
    return html.unescape("".join(errors))


async def test_the_page_asks_for_a_key(client):
    answer = await client.get("/sign-in")

    page(answer, 200)
    assert '<form method="post" action="/sign-in">' in answer.text
    assert "oidc" not in answer.text, "there is no identity provider"


async def test_a_key_in_the_form_signs_in(client, salon):
    for given in (salon.token, f"  {salon.token}\r\n"):
        answer = await client.post("/sign-in", headers=FORM, content=form(given))

        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert salon.token not in answer.text + str(answer.headers)
        seen = await client.get(SESSION, headers=with_cookie(cookies(answer)[COOKIE].value))
        assert seen.json()["company_id"] == salon.id
    assert cookies(answer)[COOKIE].attributes.keys() == {"httponly", "samesite", "path", "max-age"}


@newest_only
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_no_person_is_signed_in_by_another_site(client, salon, database_owner, headers):
    """Otherwise they would work in another person's account without knowing it."""
    before = await database_owner.rows(salon.id)

    answer = await client.post(
        "/sign-in", headers={"Content-Type": FORM["Content-Type"], **headers}, content=form(salon.token)
    )

    page(answer, 403)
    assert await database_owner.rows(salon.id) == before


async def test_the_form_is_accepted_from_the_own_origin(client, salon):
    headers = {"Content-Type": FORM["Content-Type"], "Sec-Fetch-Site": "same-origin"}

    assert (await client.post("/sign-in", headers=headers, content=form(salon.token))).status_code == 303


async def test_a_missing_origin_check_of_sign_in_is_noticed(client, salon, database_owner, monkeypatch):
    monkeypatch.setattr(sign_in, "check_own_origin", lambda *_: None)

    with pytest.raises(AssertionError):
        await test_no_person_is_signed_in_by_another_site(
            client, salon, database_owner, FOREIGN["another site"]
        )
    print("guard removed: detected")


async def test_a_key_that_is_none_is_answered_alike_and_not_repeated(client, salon, database_owner):
    key_id, secret = salon.token.split("_", 2)[1:]
    wrong = [
        *("", " ", "letmein", salon.token[:-1], salon.token + "x", secret, f"jrn_{key_id}_" + "w" * 43),
        *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "jrn_' OR 1=1 --_" + "x" * 40),
        *("schlüssel", "\x00", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
    ]
    before = await database_owner.rows(salon.id)

    answers = [await client.post("/sign-in", headers=FORM, content=form(key)) for key in wrong]

    for key, answer in zip(wrong, answers, strict=True):
        assert page(answer, 401) == "The credential is not valid."
        assert len(key.strip()) < 3 or key not in answer.text
    assert len({answer.content for answer in answers}) == 1
    assert await database_owner.rows(salon.id) == before


@newest_only
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 401),
        (b"\xff\xfe", 401),
        (b'{"key": "x"}', 401),
        (b"kee=x", 401),
        (b"&".join(b"f%d=1" % n for n in range(11)), 422),
        (b"key=%ff%00", 401),
    ],
)
async def test_a_form_that_is_none_gets_the_page_again(client, body, status):
    page(await client.post("/sign-in", headers=FORM, content=body), status)


async def test_a_form_without_end_is_not_read(client):
    answer = await client.post("/sign-in", headers=FORM, content=b"key=" + b"x" * 300_000)

    problem(answer, 413, "content-too-large")


async def test_text_of_the_page_is_escaped(api):
    response = sign_in._page(api.state.app_state, UnauthenticatedError("<script>alert('1')</script>"))

    assert b"&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;" in response.body
    assert b"<script>" not in response.body


async def test_every_kind_of_no_has_its_status(api):
    for error, status in (
        (UnavailableError(), 503),
        (RetriesExhaustedError(), 503),
        (ForbiddenError("no"), 403),
        (UnauthenticatedError("no"), 401),
        (InvalidInputError.at("/key", "<b>"), 422),
        (ValueError("<b>"), 422),
    ):
        response = sign_in._page(api.state.app_state, error)
        assert response.status_code == status
        assert (b"The form could not be read" in response.body) is (status == 422)
        assert b"<b>" not in response.body


# ---- links that open a session once


@pytest.fixture
def link(database, salon):
    """Make a link of the company's, for a role."""

    async def made(role=Role.MANAGER, company_id=salon.id):
        return await sessions.create_link(database, company_id, role, by=Actor("journey link"))

    return made


async def follow(client, token):
    return await client.get(f"/sign-in/link/{token}")


@pytest.mark.parametrize("role", [Role.AGENT, Role.MANAGER, Role.ADMIN])
async def test_a_link_opens_a_session_of_its_role(client, salon, link, role):
    answer = await follow(client, await link(role))

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    seen = await client.get(SESSION, headers=with_cookie(cookies(answer)[COOKIE].value))
    assert who(seen) == {
        "name": "link:journey link",
        "company_id": salon.id,
        "role": role,
        "scopes": sorted(ROLE_SCOPES[role]),
    }


async def test_a_link_of_an_operator_s_opens_an_operator_s_session(client, salon, link):
    token = cookies(await follow(client, await link(Role.OPERATOR, 0)))[COOKIE].value

    problem(await client.get(f"{API}/customers", headers=with_cookie(token)), 403, "forbidden")
    assert (await client.get(f"{API}/admin/companies", headers=with_cookie(token))).status_code == 200
    await client.delete(SESSION, headers=with_cookie(token, Origin=HERE))


async def test_a_link_that_another_site_leads_to_asks_before_it_is_used(client, salon, link, database_owner):
    made = await link()
    before = await database_owner.rows(salon.id)

    response = await client.get(f"/sign-in/link/{made}", headers={"Sec-Fetch-Site": "cross-site"})

    assert response.status_code == 200
    assert f'action="/sign-in/link/{made}"' in response.text
    assert cookies(response) == {}
    forged = await client.post(f"/sign-in/link/{made}", headers={"Origin": "https://evil.test"})
    assert forged.status_code == 403
    assert await database_owner.rows(salon.id) == before
    meant = await client.post(f"/sign-in/link/{made}", headers={"Origin": HERE})
    assert (meant.status_code, meant.headers["location"]) == (303, "/")
    assert await is_alive(client, cookies(meant)[COOKIE].value)


async def test_a_link_works_once(client, salon, link, database_owner):
    made = await link()
    session = cookies(await follow(client, made))[COOKIE].value
    before = await database_owner.rows(salon.id)

    answer = await follow(client, made)

    assert page(answer, 401) == "The link was used already or has expired."
    assert await database_owner.rows(salon.id) == before
    assert await is_alive(client, session)


async def test_of_many_who_follow_a_link_at_once_one_is_let_in(client, salon, link, database_owner):
    made = await link()

    answers = await asyncio.gather(*(follow(client, made) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [303] + [401] * 7
    number = "SELECT count(*) FROM browser_sessions WHERE company_id = $1"
    assert await database_owner.connection.fetchval(number, salon.id) == 1


async def test_a_link_is_over_after_a_quarter_of_an_hour(client, link, database_owner):
    made = await link()
    digest = hashlib.sha256(made.encode()).digest()
    left = "SELECT extract(epoch FROM expires_at - created_at) FROM sign_in_links WHERE token_hash = $1"
    assert round(await database_owner.connection.fetchval(left, digest)) == sessions.LINK_SECONDS == 900
    await database_owner.connection.execute(
        "UPDATE sign_in_links SET expires_at = clock_timestamp() WHERE token_hash = $1", digest
    )

    page(await follow(client, made), 401)


async def test_a_link_that_is_none_opens_nothing_and_uses_nothing_up(
    client, salon, link, create_test_company
):
    neighbour, made = await create_test_company(), await link()
    secret = made.partition(".")[2]

    for wrong in (
        f"{neighbour.id}.{secret}",
        f"0.{secret}",
        made[:-1],
        secret,
        "x",
        f"{salon.id}.{'x' * 43}",
    ):
        page(await follow(client, wrong), 401)

    assert (await follow(client, made)).status_code == 303


async def test_a_link_is_no_session_and_a_session_no_link(client, link, token):
    problem(await client.get(SESSION, headers=with_cookie(await link())), 401, "unauthenticated")
    page(await follow(client, token), 401)


async def test_a_link_is_kept_as_a_hash_only(link, database_owner, salon):
    made = await link()

    rows = await database_owner.connection.fetch(
        "SELECT * FROM sign_in_links WHERE company_id = $1", salon.id
    )

    assert [row["token_hash"] for row in rows] == [hashlib.sha256(made.encode()).digest()]
    assert made.partition(".")[2] not in str(rows)


async def test_a_link_that_works_twice_is_found_out(client, salon, link, database_owner, monkeypatch):
    monkeypatch.setattr(kept, "_USE", kept.text(str(kept._USE).replace("AND used_at IS NULL ", "")))

    with pytest.raises(AssertionError):
        await test_a_link_works_once(client, salon, link, database_owner)
    print("guard removed: detected")


# ---- the identity provider


@pytest.fixture(scope="module")
async def started():
    """An identity provider."""
    provider = FakeProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
def provider(started):
    """The same, without a signed-in person and everything as usual."""
    started.person, started.status = {}, 200
    started.answers.clear()
    return started


def known_as(provider):
    return {
        "OIDC_ISSUER": provider.url,
        "OIDC_AUDIENCE": provider.audience,
        "OIDC_OPERATOR_AUDIENCE": OPERATORS,
        "OIDC_CLIENT_ID": provider.client_id,
        "OIDC_CLIENT_SECRET": provider.client_secret,
        "JOURNEY_PUBLIC_URL": PUBLIC,
    }


PUBLIC = "http://portal.test"


@pytest.fixture(scope="module")
async def portal(base, started):
    """The application, which believes the provider."""
    async with served(base, **known_as(started)) as app_state:
        yield app_state


@pytest.fixture
def ada(provider, salon):
    """Have Ada sign in at the provider, in these roles."""

    def signed_in(*roles, **claims):
        provider.person = {"sub": "ada", "company_id": salon.id, "roles": list(roles), **claims}

    return signed_in


async def set_out(client):
    """Leave for the provider: where to, and what the browser was given to keep."""
    answer = await client.get("/sign-in/oidc")
    assert answer.status_code == 303
    return answer.headers["location"], cookies(answer)[FLOW]


async def at_the_provider(location):
    """What the provider sends the browser back with."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(location)
    assert answer.status_code == 302
    back = answer.headers["location"]
    assert back.startswith(f"{PUBLIC}/sign-in/oidc/callback?")
    return {name: value for name, [value] in parse_qs(urlsplit(back).query).items()}


async def come_back(client, values, flow):
    headers = {} if flow is None else {"Cookie": f"{FLOW}={flow}".encode("latin-1")}
    return await client.get("/sign-in/oidc/callback", params=values, headers=headers)


async def sign_in_there(client):
    """All the way there and back."""
    location, flow = await set_out(client)
    return await come_back(client, await at_the_provider(location), flow.value)


async def test_the_redirect_to_the_provider_contains_nothing_that_lets_another_person_in(portal, provider):
    (first, flow), (second, other) = [await set_out(portal.client) for _ in range(2)]

    values, again = [{k: v for k, [v] in parse_qs(urlsplit(each).query).items()} for each in (first, second)]
    assert first.startswith(f"{provider.url}/authorize?")
    assert values["redirect_uri"] == f"{PUBLIC}/sign-in/oidc/callback"
    assert (values["response_type"], values["client_id"]) == ("code", provider.client_id)
    assert "openid" in values["scope"].split()
    for name in ("state", "nonce", "code_challenge"):
        assert len(values[name]) >= 43
        assert values[name] != again[name]
    state, nonce, verifier, following = json.loads(base64.urlsafe_b64decode(flow.value))
    assert following == "/"
    assert (state, nonce) == (values["state"], values["nonce"])
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    assert (values["code_challenge_method"], values["code_challenge"]) == ("S256", digest)
    assert verifier not in first
    assert provider.client_secret not in first + flow.value
    assert flow.value != other.value
    assert flow.attributes == {"httponly": "", "samesite": "lax", "path": "/", "max-age": "600"}


async def test_over_tls_the_way_back_is_bound_to_the_host_too(base, provider):
    async with served(
        base, **known_as(provider) | {"JOURNEY_PUBLIC_URL": "https://portal.test"}
    ) as app_state:
        answer = await app_state.client.get("/sign-in/oidc")

    [(name, kept)] = cookies(answer).items()
    assert name == f"__Host-{FLOW}"
    assert "secure" in kept.attributes


@pytest.mark.parametrize(
    ("requested", "location"),
    [("/today?x=1", "/today?x=1"), ("//evil.example", "/"), ("https://evil.example", "/")],
)
async def test_the_way_through_the_provider_leads_back_to_a_path_of_this_service(
    portal, ada, requested, location
):
    ada("agent")
    left = await portal.client.get("/sign-in/oidc", params={"next": requested})
    flow = cookies(left)[FLOW].value

    answer = await come_back(portal.client, await at_the_provider(left.headers["location"]), flow)

    assert (answer.status_code, answer.headers["location"]) == (303, location)


async def test_a_path_of_another_site_in_the_cookie_is_not_followed(portal, ada):
    ada("agent")
    location, flow = await set_out(portal.client)
    *values, _ = json.loads(base64.urlsafe_b64decode(flow.value))
    forged = base64.urlsafe_b64encode(json.dumps([*values, "//evil.example"]).encode()).decode()

    answer = await come_back(portal.client, await at_the_provider(location), forged)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_the_page_leads_to_the_provider(portal):
    answer = await portal.client.get("/sign-in")

    page(answer, 200)
    assert 'href="/sign-in/oidc"' in answer.text


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["agent"], Role.AGENT),
        (["service"], Role.SERVICE),
        (["agent", "manager"], Role.MANAGER),
        (["admin", "service", "unknown"], Role.ADMIN),
        (["operator", "agent"], Role.AGENT),
    ],
)
async def test_signing_in_there_gives_the_widest_role_that_the_account_has(portal, ada, salon, roles, role):
    ada(*roles)

    answer = await sign_in_there(portal.client)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    values = cookies(answer)
    assert values[FLOW].attributes["max-age"] == "0", "the way was used"
    seen = await portal.client.get(SESSION, headers=with_cookie(values[COOKIE].value))
    assert who(seen) == {
        "name": "user:ada",
        "company_id": salon.id,
        "role": role,
        "scopes": sorted(ROLE_SCOPES[role]),
    }


async def test_an_account_s_session_may_what_its_role_may(portal, ada):
    ada("agent")
    token = cookies(await sign_in_there(portal.client))[COOKIE].value

    written = await portal.client.put(
        f"{API}/customers/1", headers=with_cookie(token, Origin=PUBLIC), json={"name": "Eve"}
    )
    assert written.status_code == 201
    problem(await portal.client.get(f"{API}/admin/jobs", headers=with_cookie(token)), 403, "forbidden")
    problem(await portal.client.get(f"{API}/admin/companies", headers=with_cookie(token)), 403, "forbidden")


@newest_only
@pytest.mark.parametrize(
    "claims",
    [
        {"roles": []},
        {"roles": None},
        {"roles": ["Admin"]},
        {"roles": ["operator"]},
        {"roles": {"admin": False}},
        {"roles": "admin agent"},
        {"company_id": None},
        {"company_id": 0},
        {"company_id": -1},
        {"company_id": True},
        {"company_id": 1.5},
        {"company_id": 2**53},
        {"company_id": "1.0"},
        {"company_id": "\u0661"},
        {"company_id": [1]},
    ],
)
async def test_an_account_without_a_role_in_a_company_is_refused(portal, ada, salon, database_owner, claims):
    ada("agent", **claims)
    before = await database_owner.rows(salon.id)

    answer = await sign_in_there(portal.client)

    assert page(answer, 403) == "The account has no role in a company of this service."
    assert await database_owner.rows(salon.id) == before


async def test_an_account_of_an_unknown_company_is_refused(portal, ada):
    ada("admin", company_id=2**52)

    page(await sign_in_there(portal.client), 401)


async def test_a_company_s_id_may_be_text(portal, ada, salon):
    ada("agent", company_id=str(salon.id))

    token = cookies(await sign_in_there(portal.client))[COOKIE].value

    seen = await portal.client.get(SESSION, headers=with_cookie(token))
    assert seen.json()["company_id"] == salon.id


async def test_another_browser_does_not_come_back_for_the_one_that_left(portal, ada, salon, database_owner):
    ada("admin")
    location, mine = await set_out(portal.client)
    _, theirs = await set_out(portal.client)
    values = await at_the_provider(location)
    before = await database_owner.rows(salon.id)
    unreadable = ["x", "W10=", "WyJhIl0=", "e30=", base64.urlsafe_b64encode(b'["","",""]').decode(), "\xff"]

    for flow in (None, "", theirs.value, *unreadable):
        page(await come_back(portal.client, values, flow), 401)

    assert await database_owner.rows(salon.id) == before
    assert (await come_back(portal.client, values, mine.value)).status_code == 303, "the code was not used up"


async def test_a_state_is_that_of_the_browser(portal, ada, salon, database_owner):
    ada("admin")
    location, flow = await set_out(portal.client)
    values = await at_the_provider(location)
    before = await database_owner.rows(salon.id)

    for state in ("", "x", values["state"][:-1], values["state"] + "x", "schl\u00fcssel", "\x00"):
        page(await come_back(portal.client, {**values, "state": state}, flow.value), 401)
    page(await come_back(portal.client, {"code": values["code"]}, flow.value), 401)
    page(await come_back(portal.client, {"state": values["state"]}, flow.value), 401)

    assert await database_owner.rows(salon.id) == before


async def test_a_code_that_was_stolen_on_its_way_is_of_no_use(portal, ada, salon, database_owner):
    """An eavesdropper lacks the verifier, which never left the browser that started."""
    ada("admin")
    location, _ = await set_out(portal.client)
    stolen = await at_the_provider(location)
    other, flow = await set_out(portal.client)
    own = await at_the_provider(other)
    before = await database_owner.rows(salon.id)

    page(await come_back(portal.client, {**own, "code": stolen["code"]}, flow.value), 401)

    assert await database_owner.rows(salon.id) == before


async def test_coming_back_works_once(portal, ada):
    ada("admin")
    location, flow = await set_out(portal.client)
    values = await at_the_provider(location)
    assert (await come_back(portal.client, values, flow.value)).status_code == 303

    answer = await come_back(portal.client, values, flow.value)

    page(answer, 401)
    assert cookies(answer)[FLOW].attributes["max-age"] == "0"


@newest_only
@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "journey"},
        {"aud": ["portal", "somebody"]},
        {"azp": "somebody"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
async def test_a_token_for_another_client_signs_no_person_in(
    portal, ada, provider, salon, database_owner, claims
):
    ada("admin")
    location, flow = await set_out(portal.client)
    values = await at_the_provider(location)
    nonce = parse_qs(urlsplit(location).query)["nonce"][0]
    usual = {"aud": provider.client_id, "nonce": nonce}
    before = await database_owner.rows(salon.id)

    provider.answers["/token"] = {"id_token": provider.token(**usual | claims)}
    page(await come_back(portal.client, values, flow.value), 401)

    assert await database_owner.rows(salon.id) == before
    provider.answers["/token"] = {"id_token": provider.token(**usual)}
    assert (await come_back(portal.client, values, flow.value)).status_code == 303, "all the rest was right"


async def test_the_provider_s_error_text_is_not_repeated(portal):
    _, flow = await set_out(portal.client)
    values = {"error": "<b>denied</b>", "error_description": "<script>alert(1)</script>", "state": "x"}

    answer = await come_back(portal.client, values, flow.value)

    assert page(answer, 401) == "The identity provider did not sign you in; try again."
    assert "denied" not in answer.text


async def test_a_missing_state_check_is_noticed(portal, ada, salon, database_owner, monkeypatch):
    monkeypatch.setattr(sign_in, "hmac", SimpleNamespace(compare_digest=lambda *_: True))

    with pytest.raises(AssertionError):
        await test_a_state_is_that_of_the_browser(portal, ada, salon, database_owner)
    print("guard removed: detected")


async def test_without_a_provider_the_page_explains_it(client):
    for path in ("/sign-in/oidc", "/sign-in/oidc/callback"):
        answer = await client.get(path)
        assert answer.status_code in (401, 503)
        page(answer, answer.status_code)


async def test_an_unreachable_provider_is_reported_as_such(base, provider):
    async with served(base, **known_as(provider) | {"OIDC_ISSUER": "http://127.0.0.1:1"}) as app_state:
        assert page(await app_state.client.get("/sign-in/oidc"), 503)
        answer = await app_state.client.get(f"{API}/customers", headers=bearer(provider.token()))
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] in {"1", "2", "3"}


# ---- tokens of the provider's, without a session


async def test_a_token_s_company_is_the_one_it_claims(portal, ada, provider, salon, create_test_company):
    neighbour = await create_test_company()
    ada("agent")
    mine = bearer(provider.token())
    for customer_id in (1, 2):
        answer = await portal.client.put(f"{API}/customers/{customer_id}", headers=mine, json={})
        assert answer.status_code == 201

    assert len((await portal.client.get(f"{API}/customers", headers=salon.headers)).json()["items"]) == 2
    assert (await portal.client.get(f"{API}/customers", headers=neighbour.headers)).json()["items"] == []
    problem(
        await portal.client.get(f"{API}/customers", headers={**mine, "X-Company-Id": str(neighbour.id)}),
        403,
        "forbidden",
    )


async def test_a_token_may_what_its_role_may(portal, ada, provider, database_owner, salon):
    ada("agent")
    headers, before = bearer(provider.token()), await database_owner.rows(salon.id)

    for method, path, body in (
        ("GET", "/admin/jobs", None),
        ("GET", "/admin/audit", None),
        ("POST", "/admin/keys", {"name": "k", "role": "agent"}),
        ("POST", "/admin/rescore", {}),
        ("GET", "/customers/1/export", None),
        ("GET", "/admin/companies", None),
    ):
        answer = await portal.client.request(method, API + path, headers=headers, json=body)
        problem(answer, 403, "forbidden")

    assert await database_owner.rows(salon.id) == before
    assert (await portal.client.get(f"{API}/customers", headers=headers)).status_code == 200


async def test_an_act_is_written_down_under_the_account_s_name(portal, ada, provider, salon, database_owner):
    ada("agent")

    await portal.client.put(f"{API}/customers/1", headers=bearer(provider.token()), json={})

    row = await database_owner.connection.fetchrow(
        "SELECT * FROM audit_log WHERE company_id = $1 ORDER BY id DESC LIMIT 1", salon.id
    )
    assert (row["actor"], row["is_operator"], row["action"]) == ("user:ada", False, "customer.update")


async def test_a_token_opens_a_session_like_a_key(portal, ada, provider, salon):
    ada("manager")

    token = await sign_in_with(portal.client, provider.token())

    seen = (await portal.client.get(SESSION, headers=with_cookie(token))).json()
    assert (seen["name"], seen["role"]) == ("user:ada", "manager")


async def test_operators_come_with_a_token_for_operators_and_name_the_company(
    portal, ada, provider, salon, database_owner
):
    ada("operator", company_id=None)
    headers = bearer(provider.token(aud=OPERATORS))

    seen = (await portal.client.get(SESSION, headers=headers)).json()
    assert (seen["name"], seen["company_id"], seen["role"]) == ("user:ada", None, "operator")
    assert (await portal.client.get(f"{API}/admin/companies", headers=headers)).status_code == 200
    problem(await portal.client.get(f"{API}/customers", headers=headers), 403, "forbidden")
    requires_scope = {**headers, "X-Company-Id": str(salon.id), "X-Reason": "a question of theirs"}
    assert (await portal.client.get(f"{API}/customers", headers=requires_scope)).status_code == 200
    row = await database_owner.connection.fetchrow(
        "SELECT * FROM audit_log WHERE company_id = $1 ORDER BY id DESC LIMIT 1", salon.id
    )
    assert (row["actor"], row["is_operator"], row["action"]) == ("user:ada", True, "operator.access")


async def test_a_company_that_an_operator_s_token_claims_is_none_of_theirs(portal, ada, provider, salon):
    ada("operator", "admin")

    problem(
        await portal.client.get(f"{API}/customers", headers=bearer(provider.token(aud=OPERATORS))),
        403,
        "forbidden",
    )


@pytest.mark.parametrize(
    ("audience", "roles"),
    [
        (OPERATORS, []),
        (OPERATORS, ["admin"]),
        (OPERATORS, ["agent", "manager", "admin", "service"]),
        (OPERATORS, ["Operator"]),
        ("journey", ["operator"]),
        (["journey", OPERATORS], ["operator"]),
    ],
)
async def test_neither_the_audience_nor_the_role_alone_makes_an_operator(
    portal, ada, provider, salon, audience, roles
):
    ada(*roles)
    headers = bearer(provider.token(aud=audience))

    for path in ("/admin/companies", "/customers", "/session"):
        requires_scope = {**headers, "X-Company-Id": str(salon.id)}
        problem(await portal.client.get(API + path, headers=headers), 403, "forbidden")
        problem(await portal.client.get(API + path, headers=requires_scope), 403, "forbidden")


@pytest.mark.parametrize("audience", ["journey", ["journey", OPERATORS]])
async def test_an_account_that_is_an_operator_s_elsewhere_is_an_agent_here(
    portal, ada, provider, salon, audience
):
    ada("operator", "agent")
    headers = bearer(provider.token(aud=audience))

    seen = (await portal.client.get(SESSION, headers=headers)).json()

    assert (seen["role"], seen["company_id"]) == ("agent", salon.id)
    problem(await portal.client.get(f"{API}/admin/companies", headers=headers), 403, "forbidden")


async def test_accepting_every_token_as_an_operator_s_is_noticed(portal, ada, provider, salon, monkeypatch):
    verify = IdentityProvider.verify

    async def for_operators(self, token):
        return replace(await verify(self, token), is_for_operators=True)

    monkeypatch.setattr(IdentityProvider, "verify", for_operators)
    portal.app.state.app_state.credential_cache.clear()

    with pytest.raises(AssertionError):
        await test_neither_the_audience_nor_the_role_alone_makes_an_operator(
            portal, ada, provider, salon, "journey", ["operator"]
        )
    portal.app.state.app_state.credential_cache.clear()
    print("guard removed: detected")


@pytest.mark.parametrize(
    "changed",
    [{"aud": "somebody"}, {"aud": None}, {"iss": "https://evil.example"}, {"exp": 1}, {"sub": None}],
    ids=str,
)
async def test_a_token_that_is_not_for_here_is_like_a_key_that_is_not_known(portal, ada, provider, changed):
    ada("admin")

    answer = await portal.client.get(f"{API}/customers", headers=bearer(provider.token(**changed)))

    problem(answer, 401, "unauthenticated")
    unknown = await portal.client.get(f"{API}/customers", headers=bearer("jrn_unknown_" + "u" * 43))
    assert answer.content == unknown.content


async def test_a_token_with_a_foreign_signature_is_refused(portal, ada, provider, salon):
    ada("admin")
    key = rsa_key("attacker")

    for token in (
        provider.sign(provider.claims(), key=key),
        provider.token()[:-8] + "AAAAAAAA",
        assembled({"alg": "none", "typ": "JWT"}, provider.claims(), lambda _: b""),
    ):
        problem(await portal.client.get(f"{API}/customers", headers=bearer(token)), 401, "unauthenticated")


async def test_claims_are_found_under_the_names_they_have_there(base, provider, salon):
    names = {"OIDC_COMPANY_CLAIM": "https://company.com/tenant", "OIDC_ROLE_CLAIM": "groups"}
    async with served(base, **known_as(provider), **names) as app_state:
        provider.person = {"sub": "ada", "https://company.com/tenant": salon.id, "groups": "manager"}
        seen = await app_state.client.get(SESSION, headers=bearer(provider.token()))
        assert (seen.json()["company_id"], seen.json()["role"]) == (salon.id, "manager")
        provider.person = {"sub": "ada", "company_id": salon.id, "roles": ["manager"]}
        problem(await app_state.client.get(SESSION, headers=bearer(provider.token())), 403, "forbidden")


FORMS = {
    "a path": ("realm_access.roles", {"realm_access": {"roles": ["manager"]}}),
    "a path through a name with a dot": (
        "resource_access.my.client.roles",
        {"resource_access": {"my.client": {"roles": ["manager"]}}},
    ),
    "a name with dots": ("company.com.roles", {"company.com.roles": ["manager"]}),
    "objects": ("roles", {"roles": [{"name": "manager"}]}),
    "lists": ("roles", {"roles": [["manager"]]}),
    "keys": ("roles", {"roles": {"manager": {"company": "company.com"}}}),
}
STRANGE = [7, True, [7], [[[]]], {"name": 7}, [{"manager": False}], {"manager": None}, [None], "", {}]


async def test_roles_are_found_in_the_forms_of_providers_and_anything_else_is_forbidden(
    base, provider, salon
):
    for claim, claims in FORMS.values():
        async with served(base, **known_as(provider), OIDC_ROLE_CLAIM=claim) as app_state:
            provider.person = {"sub": "ada", "company_id": salon.id, **claims}
            seen = await app_state.client.get(SESSION, headers=bearer(provider.token()))
            assert seen.json().get("role") == "manager", claims
            for strange in STRANGE:
                token = provider.token(**dict.fromkeys(claims, strange))
                problem(await app_state.client.get(SESSION, headers=bearer(token)), 403, "forbidden")


async def test_a_provider_without_audiences_and_with_names_of_its_own(base, portal, provider, salon):
    changed = {"OIDC_AUDIENCE_CLAIM": "client_id", "OIDC_ROLE_MAP": "salon-heads=manager,salon-desk=agent"}
    provider.person = {"sub": "ada", "company_id": salon.id, "client_id": "journey", "roles": ["salon-heads"]}
    token = provider.token(aud=None)
    problem(await portal.client.get(SESSION, headers=bearer(token)), 401, "unauthenticated")

    async with served(base, **known_as(provider), **changed) as app_state:
        seen = await app_state.client.get(SESSION, headers=bearer(token))
        assert seen.json()["role"] == "manager"
        unmapped = provider.token(aud=None, roles=["manager"])
        problem(await app_state.client.get(SESSION, headers=bearer(unmapped)), 403, "forbidden")
        other = provider.token(aud=None, client_id="other")
        problem(await app_state.client.get(SESSION, headers=bearer(other)), 401, "unauthenticated")


# ---- the company of an operator's session

COMPANY = f"{SESSION}/company"
REASON = "Ticket 4711, über den Anruf"


async def enter(client, token, company_id, reason=REASON):
    """Lets a session act for a company; returns its new token."""
    headers = with_cookie(token, Origin=HERE)
    answer = await client.put(COMPANY, headers=headers, json={"company_id": company_id, "reason": reason})
    assert answer.status_code == 200, answer.text
    assert answer.json()["company_id"] == answer.json()["company"]["id"] == company_id
    return cookies(answer)[COOKIE].value


async def entries_of_operators(client, tenant):
    answer = await client.get(f"{API}/admin/audit", headers=tenant.headers)
    return [
        (entry["action"], (entry["detail"] or {}).get("operation"), entry["reason"])
        for entry in answer.json()["items"]
        if entry["is_operator"]
    ]


async def test_an_operators_session_acts_for_the_company_that_it_has_chosen(client, operator, salon):
    token = await sign_in_with(client, operator["Authorization"].split()[1])
    before = await client.get(f"{API}/customers", headers=with_cookie(token))
    problem(before, 403, "forbidden")

    token = await enter(client, token, salon.id)

    shown = (await client.get(SESSION, headers=with_cookie(token))).json()
    assert (shown["company_id"], shown["role"]) == (salon.id, "operator")
    own = (await client.get(SESSION, headers=salon.headers)).json()["company"]
    assert {**shown["company"], "now": None} == {**own, "now": None}
    listed = await client.get(f"{API}/customers", headers=with_cookie(token))
    assert listed.status_code == 200
    written = await client.put(
        f"{API}/customers/1", headers=with_cookie(token, Origin=HERE), json={"name": "Ada"}
    )
    assert written.status_code == 201
    assert await entries_of_operators(client, salon) == [
        ("customer.update", None, REASON),
        ("operator.access", "list_customers", REASON),
        ("session.enter_company", None, REASON),
    ]


async def test_a_header_counts_more_than_the_session_and_has_a_reason_of_its_own(
    client, operator, salon, create_test_company
):
    other = await create_test_company()
    token = await enter(client, await sign_in_with(client, operator["Authorization"].split()[1]), salon.id)

    elsewhere = with_cookie(token, **{"X-Company-Id": str(other.id)})
    assert (await client.get(f"{API}/customers", headers=elsewhere)).status_code == 200
    own_reason = with_cookie(token, **{"X-Reason": "another"})
    assert (await client.get(f"{API}/customers", headers=own_reason)).status_code == 200

    assert await entries_of_operators(client, other) == [("operator.access", "list_customers", None)]
    assert await entries_of_operators(client, salon) == [
        ("operator.access", "list_customers", "another"),
        ("session.enter_company", None, REASON),
    ]


async def test_the_reason_is_in_the_log_where_the_path_names_the_company(client, operator, salon):
    token = await enter(client, await sign_in_with(client, operator["Authorization"].split()[1]), salon.id)
    path = f"{API}/admin/companies/{salon.id}/clock"

    answer = await client.post(
        path, headers=with_cookie(token, Origin=HERE), json={"advance_to": "2026-03-01T12:00:01Z"}
    )

    assert answer.status_code == 200, answer.text
    assert (await entries_of_operators(client, salon))[0] == ("test_clock.advance", None, REASON)


async def test_a_session_leaves_its_company_and_changes_it(
    client, operator, salon, create_test_company, forget
):
    other = await create_test_company()
    first = await enter(client, await sign_in_with(client, operator["Authorization"].split()[1]), salon.id)
    second = await enter(client, first, other.id, "another")
    forget()
    assert not await is_alive(client, first)

    answer = await client.delete(COMPANY, headers=with_cookie(second, Origin=HERE))

    assert answer.status_code == 204
    third = cookies(answer)[COOKIE].value
    forget()
    assert not await is_alive(client, second)
    shown = (await client.get(SESSION, headers=with_cookie(third))).json()
    assert (shown["company_id"], shown["company"]) == (None, None)
    problem(await client.get(f"{API}/customers", headers=with_cookie(third)), 403, "forbidden")
    assert await entries_of_operators(client, other) == [
        ("session.leave_company", None, "another"),
        ("session.enter_company", None, "another"),
    ]
    again = await client.delete(COMPANY, headers=with_cookie(third, Origin=HERE))
    assert again.status_code == 204  # nothing to leave
    assert len(await entries_of_operators(client, other)) == 2


async def test_a_session_with_a_company_ends_when_it_would_have_ended(
    client, operator, salon, database_owner
):
    token = await sign_in_with(client, operator["Authorization"].split()[1])
    expiry = "SELECT expires_at FROM browser_sessions WHERE token_hash = $1"
    hashed = hashlib.sha256(token.encode()).digest()
    before = await database_owner.connection.fetchval(expiry, hashed)

    token = await enter(client, token, salon.id)

    assert before == await database_owner.connection.fetchval(expiry, hashlib.sha256(token.encode()).digest())


async def test_only_an_operators_browser_session_chooses_a_company(client, token, operator, salon):
    body = {"company_id": salon.id, "reason": REASON}
    for method, values in (("PUT", {"json": body}), ("DELETE", {})):
        for headers in (
            salon.headers,
            with_cookie(token, Origin=HERE),
            operator,
            {**operator, **with_cookie(token, Origin=HERE)},
        ):
            answer = await client.request(method, COMPANY, headers=headers, **values)
            problem(answer, 403, "forbidden")
            assert "set-cookie" not in answer.headers


async def test_an_unknown_company_and_a_missing_reason_are_refused(client, operator, salon):
    token = await sign_in_with(client, operator["Authorization"].split()[1])

    async def put(**body):
        return await client.put(COMPANY, headers=with_cookie(token, Origin=HERE), json=body)

    problem(await put(company_id=5_999_999, reason=REASON), 404, "company-not-found")
    problem(await put(company_id=salon.id), 422, "invalid-input", "/reason")
    problem(await put(company_id=salon.id, reason="x" * 256), 422, "invalid-input", "/reason")
    problem(await put(company_id=0, reason="a\nb"), 422, "invalid-input", "/company_id", "/reason")
    foreign = with_cookie(token, Origin="https://evil.example")
    answer = await client.put(COMPANY, headers=foreign, json={"company_id": salon.id, "reason": REASON})
    problem(answer, 403, "forbidden")
    assert (await client.get(SESSION, headers=with_cookie(token))).json()["company_id"] is None


async def test_downloads_and_event_streams_need_no_header_in_a_session_with_a_company(
    client, operator, salon, create_test_company, database
):
    other = await create_test_company()
    for tenant, name in ((salon, "Ada"), (other, "Zoe")):
        saved = await client.put(f"{API}/customers/1", headers=tenant.headers, json={"name": name})
        assert saved.status_code == 201, saved.text
        assert await publish(database, tenant.id) > 0
    token = await enter(client, await sign_in_with(client, operator["Authorization"].split()[1]), salon.id)

    table = await client.get(f"{API}/customers.csv", headers=with_cookie(token))
    stream = await client.get(f"{API}/stream?last_event_id=0", headers=with_cookie(token))

    assert (table.status_code, stream.status_code) == (200, 200)
    assert "Ada" in table.text
    assert "Zoe" not in table.text
    assert f'"company_id":{salon.id},' in stream.text
    assert f'"company_id":{other.id},' not in stream.text


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_an_expired_session_neither_chooses_nor_leaves_a_company(
    client, operator, salon, database_owner, forget, method
):
    token = await enter(client, await sign_in_with(client, operator["Authorization"].split()[1]), salon.id)
    await database_owner.connection.execute(
        "UPDATE browser_sessions SET expires_at = clock_timestamp() WHERE token_hash = $1",
        hashlib.sha256(token.encode()).digest(),
    )
    before = await entries_of_operators(client, salon)
    forget()
    body = {"json": {"company_id": salon.id, "reason": REASON}} if method == "PUT" else {}

    answer = await client.request(method, COMPANY, headers=with_cookie(token, Origin=HERE), **body)

    problem(answer, 401, "unauthenticated")
    assert "set-cookie" not in answer.headers
    assert await entries_of_operators(client, salon) == before
