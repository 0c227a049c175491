"""Logs: private values are masked by name and by format; other text stays."""

import logging
import os
import subprocess
import sys

import httpx
import pytest

from conftest import ERASURE_KEY, OPERATOR_KEY, PEPPER, VAULT_KEY
from journey_service.domain.customers.personal_data import PRIVATE_NAMES, REGISTER, SECRET_NAMES, ColumnKind
from journey_service.logs import MASK, RedactingFormatter, redact
from processes import free_port

MARK = "mark-Ada-Lovelace"
TOKEN = "jrn_0123456789abcdef_" + "s3cr3t" * 8
SECRETS = {
    "an API key": TOKEN,
    "a bearer header": f"Authorization: Bearer {'x9' * 20}",
    "a JSON web token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "a session": "4711." + "Ab-_9" * 8 + "xyz",
    "a database's address": "postgresql://login:hunter2hunter2@db:5432/journey",
    "an e-mail address": "ada.lovelace+news@mail.example.org",
    "a telephone number": "+49 (170) 123-45 67",
}


def written(message: str, *args: object) -> str:
    """Returns the log line of a message."""
    record = logging.LogRecord("tests", logging.WARNING, __file__, 1, message, args, None)
    return RedactingFormatter("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_or_an_address_is_not_written(secret):
    line = written("could not continue with %s, trying again", secret)

    assert MASK in line
    assert line.startswith("WARNING could not continue with ")
    assert line.endswith(", trying again")
    for part in ("x9x9", "s3cr3t", "eyJ", "Ab-_9", "hunter2", "ada.lovelace", "123-45"):
        assert part not in line


@pytest.mark.parametrize("name", sorted(PRIVATE_NAMES))
def test_what_the_register_calls_personal_is_masked_by_its_name(name):
    values = {"customer": {name: MARK, "stage": "vip"}}
    for shown in (str(values), f'{{"{name}": "{MARK}", "stage": "vip"}}', f"{name}={MARK} stage=vip"):
        line = written("%s", shown)
        assert MARK not in line
        assert "vip" in line


def test_every_personal_column_is_among_the_names():
    columns = {
        column
        for columns in REGISTER.values()
        for column, kind in columns.items()
        if kind in (ColumnKind.IDENTITY, ColumnKind.TEXT)
    }
    assert columns - {"reason", "request_id"} <= PRIVATE_NAMES
    assert {"email", "phone", "notes", "metadata"} <= columns
    assert SECRET_NAMES <= PRIVATE_NAMES


def test_a_traceback_is_no_way_around():
    try:
        raise ValueError(f"email={MARK} and {TOKEN}")  # noqa: TRY301
    except ValueError:
        record = logging.LogRecord("tests", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    line = RedactingFormatter().format(record)

    assert "Traceback" in line
    assert MARK not in line
    assert TOKEN not in line


@pytest.mark.parametrize(
    "line",
    [
        "sweep of company 7 failed; retrying its customers one by one",
        "job 12 of company 3 is delayed: Try again shortly.",
        "2026-03-01T12:00:00.000001+00:00 next_evaluation_at 2026-03-02 09:30:00.5",
        "polling task 'due_customers' recovered",
        "Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
    ],
)
def test_what_helps_stays_as_it_is(line):
    assert redact(line) == line


def test_without_the_register_names_would_be_written(monkeypatch):
    monkeypatch.setattr("journey_service.logs._FORMS", ())
    assert MARK in written("%s", {"email": MARK})
    print("guard removed: detected")


def test_no_personal_data_of_any_request_is_logged(servers, tenant, tmp_path):
    port = free_port()
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "JOURNEY_ENVIRONMENT": "development",
        "DATABASE_URL": servers.database_url,
        "JOURNEY_KEY_PEPPER": PEPPER,
        "JOURNEY_ERASURE_KEY": ERASURE_KEY,
        "JOURNEY_VAULT_KEY": VAULT_KEY,
        "JOURNEY_BOOTSTRAP_KEY": OPERATOR_KEY,
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "journey_service.cli", "api", "--port", str(port)],
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=20), timeout=300
        ) as http:
            while http.get("/readyz").status_code != 200:
                pass
            _tell_everything(http, tenant)
    finally:
        process.terminate()
        process.wait(120)
    said = log.read_text()
    assert "Uvicorn running" in said
    for private in (
        MARK,
        tenant.token,
        tenant.token.split("_", 2)[2],
        PEPPER,
        ERASURE_KEY,
        VAULT_KEY,
        OPERATOR_KEY,
        "4711815",
    ):
        assert private not in said


def _tell_everything(http: httpx.Client, tenant) -> None:
    api, own = "/api/v1", tenant.headers
    profile = {"name": MARK, "email": f"{MARK}@example.org", "phone": MARK}
    event = {"id": MARK, "source": "t", "type": "ticket_opened", "customer_id": 4711815}
    event |= {"occurred_at": "2026-03-01T09:00:00Z", "data": {"metadata": {"said": MARK}}}
    assert http.put(f"{api}/customers/4711815", headers=own, json=profile).status_code == 201
    assert http.post(f"{api}/events", headers=own, json=event).status_code == 200
    http.post(f"{api}/events", headers=own, json={**event, "type": MARK})
    http.post(f"{api}/events", headers=own, content=f'{{"{MARK}'.encode())
    http.get(f"{api}/customers", headers=own, params={"q": MARK, "sort": MARK})
    http.get(f"{api}/customers", headers={"Authorization": f"Bearer {TOKEN}{MARK}"})
    http.get(f"/sign-in/link/{MARK}")
    http.post("/sign-in", data={"key": tenant.token}, headers={"Origin": str(http.base_url)})
    http.get(f"{api}/customers/4711815/export", headers=own)
    assert http.post(f"{api}/customers/4711815/anonymize", headers=own).status_code == 200
