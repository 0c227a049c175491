"""The access log: one line for each request, without personal data; and sign-ins that fail."""

import json
import logging

import httpx
import pytest

from api.calls import API, event
from journey_service.logs import JsonFormatter, RedactingFormatter
from journey_service.main import create_app
from journey_service.settings import placeholder_settings

SECRET = "ada@reader.example"
TOKEN = "jrn_unknown_Zk3T9xQ2mV7bN4cR8wL1yH6pD5sF0gJa"


@pytest.fixture
def lines(caplog):
    """The lines of the access log."""
    caplog.set_level(logging.INFO, "journey_service.access")
    return lambda: [record for record in caplog.records if record.name == "journey_service.access"]


async def test_a_request_is_logged_with_its_route_its_company_and_its_id(http, salon, lines):
    headers = {**salon.headers, "X-Request-Id": "request-17"}
    await http.get(f"{API}/customers/4711/journey", params={"as_of": ""}, headers=headers)

    (line,) = lines()
    assert line.levelno == logging.INFO
    assert line.getMessage().startswith(f"GET {API}/customers/{{customer_id}}/journey 422 ")
    assert line.getMessage().endswith(f" ms company_id={salon.id} request_id=request-17")
    assert (line.method, line.route) == ("GET", f"{API}/customers/{{customer_id}}/journey")
    assert (line.status, line.company_id, line.request_id) == (422, salon.id, "request-17")
    assert line.duration_ms > 0


async def test_a_line_has_nothing_of_the_path_the_query_and_the_body(http, salon, lines):
    await http.get(f"{API}/customers", params={"q": SECRET}, headers=salon.headers)
    await http.post(
        f"{API}/events", headers=salon.headers, json=event("e-1", booking_id=SECRET, customer_id=4711)
    )
    await http.get(f"/{SECRET}", headers={"Authorization": f"Bearer {TOKEN}"})
    await http.get(f"/sign-in/link/{TOKEN}")

    assert len(lines()) == 4
    for line in lines():
        text = JsonFormatter().format(line)
        assert SECRET not in text
        assert "4711" not in text
        assert TOKEN not in text
    assert lines()[2].route == "none"
    assert lines()[3].route == "/sign-in/link/{token}"


async def test_a_secret_as_the_id_of_a_request_is_masked(http, lines):
    await http.get("/livez", headers={"X-Request-Id": TOKEN})

    (line,) = lines()
    assert TOKEN not in JsonFormatter().format(line)
    assert TOKEN not in RedactingFormatter().format(line)


async def test_a_caller_who_is_not_authenticated_has_no_company(http, lines):
    await http.get(f"{API}/customers")

    (line,) = lines()
    assert (line.status, line.company_id) == (401, None)
    assert "company_id=- " in line.getMessage()


async def test_an_operator_is_logged_with_the_company_of_the_request(http, operator, salon, lines):
    await http.get(f"{API}/customers", headers={**operator, "X-Company-Id": str(salon.id)})

    assert [line.company_id for line in lines()] == [salon.id]


async def test_a_line_in_json_has_numbers(http, salon, lines):
    await http.get(f"{API}/customers", headers=salon.headers)

    values = json.loads(JsonFormatter().format(lines()[0]))
    assert (values["status"], values["company_id"]) == (200, salon.id)
    assert isinstance(values["duration_ms"], float)


def test_a_line_in_json_has_no_terminal_colours():
    record = logging.LogRecord("uvicorn.error", logging.INFO, __file__, 1, "Started process", (), None)
    record.color_message = "Started process [\x1b[36m%d\x1b[0m]"

    assert "color_message" not in JsonFormatter().format(record)
    assert "\\u001b" not in JsonFormatter().format(record)


async def test_the_access_log_can_be_switched_off(lines, monkeypatch):
    for value, expected in (("on", 1), ("off", 0)):
        monkeypatch.setenv("JOURNEY_ACCESS_LOG", value)
        app = create_app(placeholder_settings())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        before = len(lines())
        async with httpx.AsyncClient(transport=transport, base_url="http://journey.test") as client:
            assert (await client.get("/livez")).status_code == 200
        assert len(lines()) - before == expected


# ---- sign-ins that fail


def sign_in_warnings(caplog):
    """Returns the warnings about sign-ins; a busy machine causes others."""
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return [message for message in messages if message.startswith("Sign-in with ")]


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("POST", f"{API}/session", {"headers": {"Authorization": f"Bearer {TOKEN}"}}),
        ("POST", "/sign-in", {"data": {"key": TOKEN}, "headers": {"Origin": "http://journey.test"}}),
        ("GET", f"/sign-in/link/{TOKEN}", {}),
        ("GET", "/sign-in/oidc/callback", {}),
    ],
)
async def test_a_sign_in_that_fails_is_a_warning_without_the_credential(http, caplog, method, path, options):
    answer = await http.request(method, path, **options)

    assert answer.status_code == 401
    assert len(sign_in_warnings(caplog)) == 1
    assert TOKEN not in caplog.text


async def test_a_request_with_a_refused_credential_is_no_sign_in(http, caplog):
    await http.get(f"{API}/customers", headers={"Authorization": f"Bearer {TOKEN}"})

    assert sign_in_warnings(caplog) == []
