"""Rules of HTTP that hold on every route: methods and Allow, repeated credentials, booleans, If-None-Match."""

import re

import httpx
import pytest

from api.calls import API, event, problem
from api.published import application, published
from journey_service.api.authorization import served
from journey_service.api.middleware import request_checks
from journey_service.gateways.http_client import HttpClient, OutgoingRefusedError


@pytest.fixture(scope="module")
async def client(api):
    """A client of requests that are in no contract."""
    transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
        yield client


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "X-UNKNOWN")
PATHS = {
    path: frozenset(method.upper() for method in methods)
    for path, methods in application().openapi()["paths"].items()
}


def schemas(path):
    """The schemas of the parameters in a path."""
    operation = next(iter(application().openapi()["paths"][path].values()))
    return {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "path"}


def filled(path):
    """The path with a value for each parameter: a number where ids are numbers."""
    known = schemas(path)
    return re.sub(r"\{(\w+)\}", lambda found: "1" if "integer" in str(known[found[1]]) else "vip", path)


def pattern(path):
    """The paths that a template stands for, by the types of its parameters."""
    known = schemas(path)

    def segment(found):
        schema = str(known[found[1]])
        return r"\d+" if "integer" in schema else "[0-9a-f-]{36}" if "uuid" in schema else "[^/]+"

    return re.sub(r"\{(\w+)\}", segment, path)


@pytest.mark.parametrize("path", PATHS)
async def test_a_method_that_a_path_lacks_is_answered_with_those_it_has(client, path):
    named = filled(path)
    # A stage may have the name of another path, such as `preview`.
    allowed = set().union(*(methods for each, methods in PATHS.items() if re.fullmatch(pattern(each), named)))
    allowed = (allowed or PATHS[path]) | ({"HEAD"} if "GET" in (allowed or PATHS[path]) else set())
    for method in METHODS:
        if method not in allowed:
            answer = await client.request(method, named)

            problem(answer, 405, "method-not-allowed")
            assert set(answer.headers["allow"].split(", ")) == allowed, (method, path)


async def test_all_routes_of_the_contract_are_known(api):
    assert len(PATHS) > 80
    assert len(list(served(api.routes))) >= len(PATHS)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{API}/templates/built-in", {"GET", "HEAD"}),
        ("DELETE", f"{API}/customers/duplicates", {"GET", "HEAD"}),
        ("POST", f"{API}/imports/proposal", {"GET", "HEAD"}),
        ("TRACE", f"{API}/customers/ref:a%2Fb", {"GET", "HEAD", "PUT", "PATCH"}),
        ("TRACE", "/livez", {"GET", "HEAD"}),
        ("TRACE", "/docs/assets/swagger-ui.css", {"GET", "HEAD"}),
    ],
)
async def test_the_name_of_a_list_is_not_taken_for_an_id(client, method, path, allowed):
    answer = await client.request(method, path)

    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_without_the_check_the_name_of_a_list_is_taken_for_an_id(http, salon, monkeypatch):
    monkeypatch.setattr(request_checks.RequestChecks, "_methods_of", lambda _self, _path: frozenset())

    answer = await http.put(f"{API}/templates/built-in", headers=salon.headers, json={})

    assert answer.status_code != 405
    print("guard removed: detected")


async def test_a_stage_may_have_the_name_of_another_path(http, salon):
    answer = await http.get(f"{API}/stages/preview", headers=salon.headers)

    problem(answer, 404, "stage-not-found")


async def test_a_response_without_a_body_has_no_type_of_one(http, salon):
    body = {"key": "a_template", "channel": "sms", "language": "en", "text": "A text"}
    made = await http.post(f"{API}/templates", headers=salon.headers, json=body)

    answer = await http.delete(f"{API}/templates/{made.json()['id']}", headers=salon.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers


async def test_two_credentials_are_refused(client, salon, operator):
    token = f"Bearer {salon.token}"
    for second in (token, operator["Authorization"], ""):
        answer = await client.get(
            f"{API}/customers", headers=[("Authorization", token), ("Authorization", second)]
        )

        problem(answer, 400, "bad-request")


# ---- booleans are no numbers


@pytest.mark.parametrize("value", [0, 1, "false", "yes"])
async def test_a_number_or_text_is_no_boolean(http, operator, value):
    words = {"name": "Salon", "timezone": "UTC", "currency": "EUR", "test_clock": "2026-03-01T00:00:00Z"}

    answer = await http.post(f"{API}/admin/companies", headers=operator, json={**words, "deliver": value})

    problem(answer, 422, "invalid-input", "/deliver")


def _numbers():
    """Operations, and the fields of their bodies that are numbers."""
    document = published()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schema = (
                operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            )
            for name, field in _fields(document, schema or {}).items():
                kinds = {each.get("type") for each in (field, *field.get("anyOf", ()))}
                # A session chooses its company with its cookie.
                if kinds & {"integer", "number"} and "boolean" not in kinds and "/session" not in path:
                    yield method.upper(), path, name


def _fields(document, schema):
    if "$ref" in schema:
        return _fields(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    found = dict(schema.get("properties", {}))
    for inner in schema.get("anyOf", ()):
        found |= _fields(document, inner)
    return found


@pytest.mark.parametrize(("method", "path", "name"), list(_numbers()))
async def test_a_boolean_is_no_number(http, salon, operator, method, path, name):
    credential = operator if "/admin/companies" in path else salon.headers
    filled_path = filled(path).replace("/companies/1/", f"/companies/{salon.id}/")
    for value in (True, False):
        answer = await http.request(
            method,
            filled_path,
            headers={**credential, "If-Match": '"1"', "Idempotency-Key": "k"},
            json={name: value},
        )

        assert answer.status_code == 422, answer.text
        pointers = [error["pointer"] for error in answer.json()["errors"]]
        assert any(pointer.startswith(f"/{name}") for pointer in pointers), answer.text


# ---- If-None-Match

CONDITIONAL = sorted(
    path
    for path, methods in PATHS.items()
    if "GET" in methods and "304" in application().openapi()["paths"][path]["get"]["responses"]
)


async def test_an_unchanged_resource_is_not_sent_again(http, salon):
    for path in ("/settings", "/stages", "/stages/vip", "/stages/vip/actions", "/stage-versions/1"):
        first = await http.get(f"{API}{path}", headers=salon.headers)
        tag = first.headers["etag"]
        for given in (tag, f'"other", {tag}', f"W/{tag.removeprefix('W/')}", "*"):
            again = await http.get(f"{API}{path}", headers={**salon.headers, "If-None-Match": given})
            assert (again.status_code, again.content) == (304, b""), (path, given)
            assert again.headers["etag"] == tag
            assert "accept-encoding" in again.headers["vary"].lower()
        other = await http.get(f"{API}{path}", headers={**salon.headers, "If-None-Match": '"other"'})
        assert (other.status_code, other.json()) == (200, first.json())


async def test_a_changed_resource_has_another_tag(http, salon):
    body = {"key": "hello", "channel": "sms", "language": "en", "text": "Hello"}
    made = await http.post(f"{API}/templates", headers=salon.headers, json=body)
    assert made.status_code == 201, made.text
    path = f"{API}/templates/{made.json()['id']}"
    first = await http.get(path, headers=salon.headers)
    tag = first.headers["etag"]
    assert (await http.get(path, headers={**salon.headers, "If-None-Match": tag})).status_code == 304

    changed = await http.put(path, headers=salon.headers, json={**body, "text": "Hello again"})

    assert changed.status_code == 200, changed.text
    again = await http.get(path, headers={**salon.headers, "If-None-Match": tag})
    assert again.status_code == 200
    assert again.headers["etag"] != tag


async def test_a_refused_caller_learns_nothing_by_if_none_match(http, salon):
    answer = await http.get(f"{API}/settings", headers={"If-None-Match": "*"})

    problem(answer, 401, "unauthenticated")
    missing = await http.get(f"{API}/templates/1", headers={**salon.headers, "If-None-Match": "*"})
    problem(missing, 404, "template-not-found")


def test_the_contract_names_the_header_and_the_tag():
    assert len(CONDITIONAL) == 15
    for path in CONDITIONAL:
        operation = published()["paths"][path]["get"]
        assert "If-None-Match" in [each["name"] for each in operation["parameters"]]
        assert all("ETag" in operation["responses"][status]["headers"] for status in ("200", "304"))


# ---- addresses of webhooks


@pytest.mark.parametrize(
    "url",
    [
        *("https://localhost/", "https://localhost.:443/", "https://a.localhost/x", "https://printer.local/"),
        *("https://127.0.0.1/", "https://2130706433/", "https://[::1]/", "https://10.0.0.8:8443/"),
        *("https://metadata.google.internal/", "https://169.254.169.254/"),
    ],
)
async def test_an_address_that_is_not_public_is_refused_when_it_is_registered(http, salon, url):
    answer = await http.post(
        f"{API}/webhook-endpoints",
        headers=salon.headers,
        json={"url": url, "events": ["stage.changed"]},
    )

    problem(answer, 422, "invalid-input", "/url")


async def test_a_name_of_a_private_address_is_refused_when_it_is_registered():
    async def resolve(host, _port):
        if host == "unknown.example":
            raise OSError
        return ["93.184.216.34", "10.0.0.8"] if host == "inside.example" else ["93.184.216.34"]

    client = HttpClient(resolve=resolve)
    with pytest.raises(OutgoingRefusedError):
        await client.check_addresses("https://inside.example/")
    await client.check_addresses("https://outside.example/")
    await client.check_addresses("https://unknown.example/")


async def test_a_move_is_not_performed_by_false(http, salon):
    await http.post(f"{API}/events", headers=salon.headers, json=event("e-1"))
    answer = await http.post(
        f"{API}/customers/1/transitions",
        headers={**salon.headers, "If-Match": '"2"'},
        json={"to_stage": "vip", "performed_by": False},
    )

    problem(answer, 422, "invalid-input", "/performed_by")
