"""Security headers and CORS."""

import base64
import hashlib
import re
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import httpx
import pytest

from api.calls import API, JSON
from journey_service.api.middleware import response_headers as api_headers
from journey_service.api.request_bodies import MAX_BODY_BYTES
from journey_service.main import create_app
from journey_service.settings import Settings, placeholder_settings

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Browsers send a form of a page without a referrer with the origin `null`, which is refused.
OWN_HEADERS = {
    **{name: {"referrer-policy": "same-origin"} for name in ("the page to sign in", "the page of a refusal")},
    **{name: {"cache-control": "no-cache"} for name in ("the documentation", "the contract")},
}
NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
HSTS = "strict-transport-security"
OURS, OTHERS = "https://app.company.com", "https://evil.example"
CORS = [
    *("access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods"),
    *("access-control-allow-headers", "access-control-expose-headers", "access-control-max-age"),
]

ANSWERS = {
    "200": ("GET", f"{API}/customers", {}, None, 200),
    "201": ("POST", f"{API}/session", {}, None, 201),
    "204": ("DELETE", f"{API}/session", {}, None, 204),
    "401": ("GET", f"{API}/customers", {"Authorization": ""}, None, 401),
    "403": ("GET", f"{API}/admin/companies", {}, None, 403),
    "404 of a customer": ("GET", f"{API}/customers/4711", {}, None, 404),
    "404 of a path": ("GET", "/wp-login.php", {}, None, 404),
    "404 of a file": ("GET", "/docs/assets/nothing.js", {}, None, 404),
    "405": ("DELETE", "/livez", {}, None, 405),
    "413": ("PUT", f"{API}/customers/1", {}, b"{" + b" " * MAX_BODY_BYTES + b"}", 413),
    "415": ("PUT", f"{API}/customers/1", {"Content-Type": "text/csv"}, b"{}", 415),
    "422": ("PUT", f"{API}/customers/x", {}, b"{}", 422),
    "428": ("PUT", f"{API}/customers/1/pin", {}, b'{"pin_until": "2026-04-01T00:00:00Z"}', 428),
    "the documentation": ("GET", "/docs", {}, None, 200),
    "a file of it": ("GET", "/docs/assets/swagger-ui.css", {}, None, 200),
    "the contract": ("GET", "/openapi.json", {}, None, 200),
    "the page to sign in": ("GET", "/sign-in", {}, None, 200),
    "the page of a refusal": ("POST", "/sign-in", {}, b"key=x", 403),
    "life": ("GET", "/livez", {}, None, 200),
    "readiness": ("GET", "/readyz", {}, None, 200),
    "a preflight": ("OPTIONS", f"{API}/customers", {"Origin": OURS}, None, 405),
}


async def ask(client, tenant, answer):
    method, path, changed, body, status = ANSWERS[answer]
    headers = {**tenant.headers, "Content-Type": JSON, **changed}
    response = await client.request(method, path, headers=headers, content=body)
    client.cookies.clear()
    assert response.status_code == status, response.text
    return response


@asynccontextmanager
async def served(base, **changed):
    """The application with other settings, started."""
    app = create_app(Settings.model_validate({**base, **changed}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            yield client


@pytest.fixture(scope="module")
def base(settings):
    """The settings of the tests, to be changed."""
    return {
        field.validation_alias: value
        for name, field in Settings.model_fields.items()
        if (value := getattr(settings, name)) is not None
    }


@pytest.fixture(scope="module")
async def over_tls(base):
    """A client of the application as it is reached over TLS."""
    async with served(base, JOURNEY_PUBLIC_URL="https://journey.test") as client:
        yield client


@pytest.fixture(scope="module")
async def shared(base):
    """A client of the application that lets one other origin's scripts call."""
    async with served(base, JOURNEY_CORS_ORIGINS=OURS) as client:
        yield client


@pytest.fixture(scope="module")
async def client(api):
    """A client of the application that takes pages for answers too."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as opened:
        yield opened


# ---- headers of every answer


@pytest.mark.parametrize("answer", ANSWERS)
async def test_every_answer_keeps_browsers_from_doing_harm(client, salon, answer):
    response = await ask(client, salon, answer)

    assert {name: response.headers.get(name) for name in ALWAYS} == {**ALWAYS, **OWN_HEADERS.get(answer, {})}
    for feature in ("camera", "geolocation", "microphone", "payment"):
        assert f"{feature}=()" in response.headers["permissions-policy"]
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert policy == NOTHING or response.headers["content-type"].startswith("text/html")
    assert "server" not in response.headers
    assert "x-powered-by" not in response.headers
    names = [name.lower() for name, _ in response.headers.raw]
    assert len(names) == len(set(names)), "each is sent once"


@pytest.mark.parametrize("answer", ANSWERS)
async def test_browsers_are_held_to_tls_where_there_is_tls(client, over_tls, salon, answer):
    plain, secure = await ask(client, salon, answer), await ask(over_tls, salon, answer)

    assert HSTS not in plain.headers
    age = re.search(r"max-age=(\d+)", secure.headers[HSTS])
    assert int(age[1]) >= 365 * 86_400
    assert "includeSubDomains" in secure.headers[HSTS]


async def test_every_environment_but_development_is_assumed_to_use_tls():
    async def told(settings):
        transport = httpx.ASGITransport(app=create_app(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            return (await client.get("/livez")).headers

    secrets = {
        "JOURNEY_KEY_PEPPER": "kq0zX7mGv2YtPb5uLr8sWd1eHj4nCi6a",
        "JOURNEY_ERASURE_KEY": "Tf3oBx9wRk6pZl0yUg7vQh2mJc5sNd8e",
        "JOURNEY_VAULT_KEY": "Hs6tYw2eLk9xQr4vBn7mCz1jPd8gFu3a",
        "DATABASE_URL": "postgresql://nowhere",
    }
    assert HSTS in await told(Settings.model_validate(secrets))
    assert HSTS not in await told(placeholder_settings())


async def test_an_answer_without_its_headers_is_found_out(client, salon, base, monkeypatch):
    monkeypatch.setattr(api_headers, "_ALWAYS", ())
    async with served(base) as bare:
        with pytest.raises(AssertionError):
            await test_every_answer_keeps_browsers_from_doing_harm(bare, salon, "200")
    print("guard removed: detected")


async def test_an_unexpected_error_has_security_headers_too(base):
    app = create_app(Settings.model_validate(base))  # not started: every lookup fails
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        response = await client.get("/readyz")

    assert response.status_code == 500
    assert response.headers["connection"] == "close"
    assert {name: response.headers[name] for name in ALWAYS} == ALWAYS
    assert response.headers["x-request-id"]


# ---- the id of a request


@pytest.mark.parametrize("given", ["a", "4f9c-1.2_b", "A" * 64, "0" * 64])
async def test_a_request_keeps_the_id_it_came_with(client, given):
    assert (await client.get("/livez", headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    [
        *(
            b"",
            b" ",
            b"a b",
            b"A" * 65,
            b"a\tb",
            b"a;b",
            b"<script>",
            b"a,b",
            "schlüssel".encode(),
            b"\xff\xfe",
        ),
        *(b"a\r\nSet-Cookie: x=y", b"a\nb", b"a\r", b"a\x00b", b"%0d%0aSet-Cookie:x=y", b"{}", b"a/b"),
    ],
)
async def test_an_id_that_is_none_is_not_repeated(api, given):
    response = await raw(api, [(b"host", b"journey.test"), (b"x-request-id", given)])

    [text] = [value for name, value in response if name == b"x-request-id"]
    assert re.fullmatch(rb"[0-9a-f]{32}", text)
    assert b"set-cookie" not in {name for name, _ in response}


async def raw(app, headers):
    """The headers of /livez, to a request with any headers."""
    started = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            started.append(message["headers"])

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/livez",
        "raw_path": b"/livez",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("journey.test", 80),
    }
    await app(scope, receive, send)
    [values] = started
    return values


async def test_of_two_ids_the_first_counts_and_one_is_returned(api):
    sent = [(b"host", b"journey.test"), (b"x-request-id", b"one"), (b"x-request-id", b"two")]

    response = await raw(api, sent)

    assert [value for name, value in response if name == b"x-request-id"] == [b"one"]


async def test_requests_without_an_id_are_given_one_each(client):
    given = [(await client.get("/livez")).headers["x-request-id"] for _ in range(20)]

    assert len(set(given)) == 20


async def test_repeating_every_id_is_noticed(api, monkeypatch):
    monkeypatch.setattr(api_headers, "_ID", re.compile(rb".*", re.DOTALL))

    with pytest.raises(AssertionError):
        await test_an_id_that_is_none_is_not_repeated(api, b"a\r\nSet-Cookie: x=y")
    print("guard removed: detected")


# ---- what the pages may run


class Page(HTMLParser):
    """What a page brings along: scripts and styles, its own and others', and handlers in its elements."""

    def __init__(self, text):
        super().__init__()
        self.own = {"script": [], "style": []}
        self.fetched = []
        self.handlers = []
        self._in = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.handlers += [name for name in values if name.startswith("on") or name == "style"]
        if tag in self.own and "src" not in values:
            self._in = tag
            self.own[tag].append("")
        self.fetched += [values[name] for name in ("src", "href") if tag != "a" and name in values]

    def handle_data(self, data):
        if self._in:
            self.own[self._in][-1] += data

    def handle_endtag(self, tag):
        if tag == self._in:
            self._in = None


def directives(answer):
    policy = answer.headers["content-security-policy"]
    parts = [part.split() for part in policy.split(";")]
    assert len({name for name, *_ in parts}) == len(parts)
    return {name: sources for name, *sources in parts}


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def test_the_documentation_runs_its_own_scripts_and_no_others(client):
    answer = await client.get("/docs")
    page, policy = Page(answer.text), directives(answer)

    assert len(page.own["script"]) == 1
    assert sorted(policy["script-src"]) == sorted(["'self'", *map(hash_of, page.own["script"])])
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == ["'self'"]
    assert policy["form-action"] == ["'self'"]
    assert policy.keys() == {
        *("default-src", "script-src", "style-src", "img-src", "connect-src"),
        *("frame-ancestors", "base-uri", "form-action"),
    }
    assert page.handlers == []


async def test_the_documentation_fetches_from_here_alone_and_everything_is_there(client):
    answer = await client.get("/docs")

    fetched = Page(answer.text).fetched
    assert len(fetched) == 3
    for path in [*fetched, *re.findall(r"url: '([^']+)'", answer.text)]:
        assert path.startswith("/"), path
        assert (await client.get(path)).status_code == 200, path


async def test_the_page_to_sign_in_runs_nothing_and_has_its_style(client):
    for answer in (await client.get("/sign-in"), await client.post("/sign-in", content="key=x")):
        page, policy = Page(answer.text), directives(answer)
        assert page.own["script"] == []
        assert page.handlers == []
        assert page.fetched == []
        assert policy == {
            "default-src": ["'none'"],
            "style-src": [hash_of(style) for style in page.own["style"]],
            "form-action": ["'self'"],
            "base-uri": ["'none'"],
            "frame-ancestors": ["'none'"],
        }
        assert len(policy["style-src"]) == 1


def test_a_policy_allows_each_inline_script_by_its_own_hash():
    page = "<script>a()</script><script src='/x.js'></script><script>\n b() \n</script>"

    policy = api_headers.page_policy(page)

    assert f"script-src 'self' {hash_of('a()')} {hash_of(chr(10) + ' b() ' + chr(10))};" in policy
    assert policy.count("sha256-") == 2


async def test_a_script_that_was_changed_is_found_out(client, base, monkeypatch):
    monkeypatch.setattr(
        "journey_service.api.openapi.documentation.page_policy",
        lambda page: api_headers.page_policy(page + " "),
    )
    async with served(base) as same:
        await test_the_documentation_runs_its_own_scripts_and_no_others(same)
    monkeypatch.setattr(
        "journey_service.api.openapi.documentation.page_policy",
        lambda page: api_headers.page_policy(page.replace("<script>", "<script> ")),
    )
    async with served(base) as other:
        with pytest.raises(AssertionError):
            await test_the_documentation_runs_its_own_scripts_and_no_others(other)
    print("guard removed: detected")


# ---- other origins


def preflight(client, origin, method="POST", requested="authorization,content-type"):
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    if requested:
        headers["Access-Control-Request-Headers"] = requested
    return client.options(f"{API}/events", headers=headers)


def shared_with(answer):
    return {name: answer.headers[name] for name in CORS if name in answer.headers}


@pytest.mark.parametrize("origin", [OURS, OTHERS, "null", "http://journey.test"])
async def test_scripts_of_other_origins_may_not_call_by_default(client, salon, origin):
    plain = await client.get(f"{API}/customers", headers={**salon.headers, "Origin": origin})
    before = await preflight(client, origin)

    assert shared_with(plain) == shared_with(before) == {}
    assert before.status_code == 405


async def test_the_origin_that_was_named_may_call_with_a_token_and_without_cookies(shared, salon):
    response = await shared.get(f"{API}/customers", headers={**salon.headers, "Origin": OURS})

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == OURS
    assert "access-control-allow-credentials" not in response.headers
    assert "origin" in response.headers["vary"].lower()
    exposed = response.headers["access-control-expose-headers"].lower().split(", ")
    assert {"etag", "ratelimit", "ratelimit-policy", "retry-after", "x-next-cursor", "x-request-id"} == set(
        exposed
    )


async def test_it_reads_refusals_too(shared):
    response = await shared.get(f"{API}/customers", headers={"Origin": OURS})

    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == OURS


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_preflight_lists_what_may_be_sent(shared, method):
    response = await preflight(
        shared, OURS, method, "authorization,content-type,if-match,idempotency-key,x-request-id"
    )

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == OURS
    assert method in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers
    assert {name: response.headers.get(name) for name in ALWAYS} == ALWAYS


@pytest.mark.parametrize(
    ("method", "requested"), [("TRACE", "authorization"), ("POST", "cookie"), ("POST", "x-forwarded-for")]
)
async def test_a_preflight_refuses_other_headers(shared, method, requested):
    assert (await preflight(shared, OURS, method, requested)).status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        *(OTHERS, "null", "http://app.company.com", f"{OURS}:8443", f"{OURS}.evil.example"),
        *("https://evil.app.company.com", "https://APP.company.com", f"{OURS}/"),
    ],
)
async def test_origins_that_were_not_named_may_not(shared, salon, origin):
    plain = await shared.get(f"{API}/customers", headers={**salon.headers, "Origin": origin})
    before = await preflight(shared, origin)

    assert "access-control-allow-origin" not in plain.headers
    assert "access-control-allow-origin" not in before.headers
    assert before.status_code == 400


async def test_several_origins_may_be_named_each_for_itself(base, salon):
    second = "https://desk.company.com"
    async with served(base, JOURNEY_CORS_ORIGINS=f"{OURS}, {second}") as client:
        for origin in (OURS, second):
            response = await client.get("/livez", headers={"Origin": origin})
            assert response.headers["access-control-allow-origin"] == origin
        response = await client.get("/livez", headers={"Origin": OTHERS})
        assert "access-control-allow-origin" not in response.headers


async def test_in_development_every_origin_may_call_without_cookies(base):
    async with served(base, JOURNEY_CORS_ORIGINS="*") as client:
        response = await client.get("/livez", headers={"Origin": OTHERS, "Cookie": "journey_session=x"})

    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


async def test_sharing_with_every_origin_is_noticed(base, salon):
    async with served(base, JOURNEY_CORS_ORIGINS="*") as client:
        with pytest.raises(AssertionError):
            await test_origins_that_were_not_named_may_not(client, salon, OTHERS)
    print("guard removed: detected")
