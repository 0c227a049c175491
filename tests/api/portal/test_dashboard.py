"""The dashboard: who gets its page, how its files are sent, and what a sign-in leads to."""

import gzip
import re

import httpx
import pytest

from api.calls import API, problem
from journey_service.api.access import own_paths
from journey_service.api.middleware.compression import MIN_BYTES
from journey_service.api.portal import dashboard
from journey_service.domain.access.actors import Actor, Role
from journey_service.services.access import sessions

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = b"console.log('" + b"dashboard " * 200 + b"')"
HERE = "http://journey.test"
FOREIGN = [
    *("https://evil.example", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example"),
    *("javascript:alert(1)", "evil.example", "", " /customers", "/\t/evil.example", "/\n/evil.example"),
    *(
        "/\x00",
        "/customers\r\nSet-Cookie: a=b",
        "/%0d\r",
        "/ä",
        "/sign-in",
        "/sign-in?next=/",
        "/" + "a" * 2_000,
    ),
]
OWN = [
    "/",
    "/customers",
    "/drill/funnel?stage=vip&period=year",
    "/a%2Fb",
    "/sign-inside",
    "/?as_of=2026-01-01",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small build."""
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text(
        '<meta property="csp-nonce" nonce="__CSP_NONCE__"><style nonce="__CSP_NONCE__"></style>', "utf-8"
    )
    (folder / "assets" / "index-a1.js").write_bytes(SCRIPT)
    (folder / "assets" / "index-a1.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "assets" / "index-a1.js.br").write_bytes(b"brotli")
    (folder / "assets" / "inter-b2.woff2").write_bytes(b"font")
    return dashboard.read_dashboard(folder)


@pytest.fixture(autouse=True)
def served(built, monkeypatch):
    """Has the service serve the small build."""
    monkeypatch.setattr(dashboard, "load_dashboard", lambda: built)


@pytest.fixture
async def client(api):
    """A browser that follows no redirect and has no credential."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as opened:
        yield opened


@pytest.fixture
async def browser(client, salon):
    """A browser that has signed in."""
    await client.post(f"{API}/session", headers=salon.headers)
    return client


@pytest.mark.parametrize("path", ["/", "/today", "/customers/4711", "/apiary"])
async def test_a_signed_in_browser_gets_the_page_with_a_new_nonce_each_time(browser, path):
    nonces = set()
    for _ in range(2):
        answer = await browser.get(path, headers=HTML)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        [policy] = re.findall(
            r"style-src 'self' 'nonce-([\w-]{22})'", answer.headers["content-security-policy"]
        )
        assert answer.text.count(f'nonce="{policy}"') == 2
        nonces.add(policy)
    assert len(nonces) == 2


async def test_the_policy_of_the_page_allows_this_origin_only(browser):
    policy = (await browser.get("/", headers=HTML)).headers["content-security-policy"]

    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == rules["font-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/sign-in"),
        ("/today", "/sign-in?next=/today"),
        ("/drill/funnel?stage=vip&period=year", "/sign-in?next=/drill/funnel%3Fstage%3Dvip%26period%3Dyear"),
        ("//evil.example", "/sign-in"),
    ],
)
async def test_a_browser_without_a_session_signs_in_first_and_comes_back(client, path, target):
    answer = await client.get(httpx.URL(HERE, raw_path=path.encode()), headers=HTML)

    assert (answer.status_code, answer.headers["location"]) == (303, target)


@pytest.mark.parametrize("path", dashboard.RESERVED)
async def test_paths_of_the_api_are_never_the_dashboard(browser, path):
    answer = await browser.get(f"{path}/nowhere-at-all", headers=HTML)

    assert answer.status_code in (401, 404)
    assert "csp-nonce" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [("GET", "/today", {"Accept": "application/json"}), ("POST", "/today", HTML), ("GET", "/api/v2", HTML)],
)
async def test_what_asks_for_no_page_is_answered_with_a_problem(browser, method, path, headers):
    problem(await browser.request(method, path, headers=headers), 404, "not-found")


async def test_without_a_build_the_start_page_says_how_to_build_it(client, monkeypatch):
    monkeypatch.setattr(dashboard, "load_dashboard", lambda: None)

    answer = await client.get("/")

    assert answer.status_code == 200
    assert "make dashboard" in answer.text
    assert 'href="/docs"' in answer.text
    problem(await client.get("/assets/index-a1.js"), 404, "not-found")


def test_a_folder_without_a_page_is_no_build(tmp_path):
    assert dashboard.read_dashboard(tmp_path) is None


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br, gzip", "br"),
        ("gzip, deflate, br;q=0.5", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("identity", None),
        ("gzip;q=0.0", None),
        ("", None),
    ],
)
async def test_files_are_sent_in_the_best_encoding_and_kept_for_good(client, accepted, encoding):
    async with client.stream("GET", "/assets/index-a1.js", headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])

    assert answer.headers.get("content-encoding") == encoding
    assert (gzip.decompress(raw) if encoding == "gzip" else raw) == (
        b"brotli" if encoding == "br" else SCRIPT
    )
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "Accept-Encoding"


async def test_a_file_without_encodings_is_sent_as_it_is(client):
    answer = await client.get("/assets/inter-b2.woff2")

    assert (answer.content, answer.headers["content-type"]) == (b"font", "font/woff2")


@pytest.mark.parametrize("name", ["nothing.js", "index-a1.js.br", "../index.html", "%2e%2e/index.html", ""])
async def test_there_are_no_other_files(browser, name):
    answer = await browser.get(httpx.URL(HERE, raw_path=f"/assets/{name}".encode()))

    problem(answer, 404, "not-found")


# ---- where a sign-in leads


@pytest.mark.parametrize("text", FOREIGN)
def test_an_address_of_another_site_is_never_a_path_of_this_one(text):
    assert own_paths.own_path(text) == "/"


@pytest.mark.parametrize("text", OWN)
def test_a_path_of_this_service_is_kept(text):
    assert own_paths.own_path(text) == text


@pytest.mark.parametrize(("text", "location"), [(OWN[2], OWN[2]), *((each, "/") for each in FOREIGN[:6])])
async def test_the_form_leads_back_to_where_the_browser_was(client, salon, text, location):
    shown = await client.get("/sign-in", params={"next": text})
    field = f'name="next" value="{location.replace("&", "&amp;")}"'
    assert (field in shown.text) == (location != "/")
    assert "evil" not in shown.text

    answer = await client.post("/sign-in", data={"key": salon.token, "next": text}, headers={"Origin": HERE})

    assert (answer.status_code, answer.headers["location"]) == (303, location)


async def test_a_refused_form_keeps_where_the_browser_was(client):
    data = {"key": "jrn_x", "next": "/today"}
    answer = await client.post("/sign-in", data=data, headers={"Origin": HERE})

    assert answer.status_code == 401
    assert 'name="next" value="/today"' in answer.text


@pytest.mark.parametrize(("text", "location"), [("/today?x=1", "/today?x=1"), ("//evil.example", "/")])
async def test_a_link_leads_on_even_through_its_confirmation(client, database, salon, text, location):
    link = await sessions.create_link(database, salon.id, Role.MANAGER, by=Actor("tests"))
    confirmation = await client.get(
        f"/sign-in/link/{link}", params={"next": text}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    [action] = re.findall(r'action="([^"]+)"', confirmation.text)
    answer = await client.post(action.replace("&amp;", "&"), headers={"Origin": HERE})

    assert (answer.status_code, answer.headers["location"]) == (303, location)


# ---- compression of other responses


@pytest.mark.parametrize("path", ["/api/v1/stages", "/api/v1/analytics/metrics.csv"])
async def test_long_json_and_csv_is_compressed_for_clients_that_accept_it(client, salon, path):
    plain = await client.get(path, headers={**salon.headers, "Accept-Encoding": "identity"})
    packed = await client.get(path, headers={**salon.headers, "Accept-Encoding": "gzip"})

    is_long = len(plain.content) >= MIN_BYTES
    assert packed.content == plain.content
    assert packed.headers.get("content-encoding") == ("gzip" if is_long else None)
    assert "content-encoding" not in plain.headers
    for answer in (plain, packed):
        assert answer.headers["vary"] == "Accept-Encoding"
    if is_long:
        assert int(packed.headers["content-length"]) < len(plain.content) / 2


async def test_the_event_stream_and_short_answers_are_sent_as_they_are(client, salon):
    for path in ("/api/v1/stream", "/livez"):
        answer = await client.get(path, headers={**salon.headers, "Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
