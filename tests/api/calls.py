"""Shared by tests of the API: sending events, expecting problems, reading the database."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import httpx

POLL_SECONDS = 0.02
"""Pause between two looks at a job that has not ended."""
MAX_WAIT_SECONDS = 240
"""Limit of a wait for the end of a job; a passing test needs less than a second."""
API = "/api/v1"
NOON = "2026-03-01T12:00:00Z"
"""The instant at which the clock of most companies here stands still."""
PROBLEM = "application/problem+json"
JSON = "application/json"

_TABLES = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'company_id' ORDER BY table_name
"""


class Tenant(Protocol):
    """A company and the key of a test."""

    id: int
    token: str
    headers: dict[str, str]


def event(
    id_: str, type_: str = "appointment_completed", customer_id: int = 1, **rest: Any
) -> dict[str, Any]:
    """An event as services send it, an hour before noon; keywords that are no fields of it are its data."""
    values = {
        "id": id_,
        "source": rest.pop("source", "tests"),
        "type": type_,
        "customer_id": customer_id,
        "occurred_at": rest.pop("occurred_at", "2026-03-01T11:00:00Z"),
    }
    return {**values, "data": rest} if rest else values


async def ingest(
    http: httpx.AsyncClient, tenant: Tenant, id_: str, *args: Any, **rest: Any
) -> dict[str, Any]:
    """Sends an event that must be applied; returns the answer."""
    answer = await http.post(f"{API}/events", headers=tenant.headers, json=event(id_, *args, **rest))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def fetch(http: httpx.AsyncClient, tenant: Tenant, path: str, **params: Any) -> dict[str, Any]:
    """What a path below the API shows."""
    answer = await http.get(f"{API}{path}", headers=tenant.headers, params=params or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def journey(http: httpx.AsyncClient, tenant: Tenant, customer_id: int = 1) -> dict[str, Any]:
    """Where a customer stands."""
    return await fetch(http, tenant, f"/customers/{customer_id}/journey")


def without_updated_at(text: dict[str, Any]) -> dict[str, Any]:
    """A journey without the instant of its last writing."""
    assert "updated_at" in text
    return {name: value for name, value in text.items() if name != "updated_at"}


async def save_customer(http: httpx.AsyncClient, tenant: Tenant, customer_id: int = 1, **values: Any) -> None:
    """A customer with a name, an address and a number by default."""
    profile = {"name": "Ada Keller", "email": f"ada{customer_id}@reader.example", "phone": "+49 170 1"}
    path = f"{API}/customers/{customer_id}"
    answer = await http.put(path, headers=tenant.headers, json={**profile, **values})
    assert answer.status_code in (200, 201), answer.text


async def move(http: httpx.AsyncClient, tenant: Tenant, to_stage: str, customer_id: int = 1) -> None:
    """A person moves a customer."""
    version = (await journey(http, tenant, customer_id))["version"]
    answer = await http.post(
        f"{API}/customers/{customer_id}/transitions",
        headers={**tenant.headers, "If-Match": f'"{version}"'},
        json={"to_stage": to_stage},
    )
    assert answer.status_code == 201, answer.text


async def request_action(
    http: httpx.AsyncClient, tenant: Tenant, type_: str, customer_id: int = 1, **values: Any
) -> dict[str, Any]:
    """A person acts on a customer; returns the action."""
    answer = await http.post(
        f"{API}/customers/{customer_id}/actions", headers=tenant.headers, json={"type": type_, **values}
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


async def advance(http: httpx.AsyncClient, tenant: Tenant, to: str) -> None:
    """Move a company's clock; all that falls due on the way is done."""
    path = f"{API}/admin/companies/{tenant.id}/clock"
    answer = await http.post(path, headers=tenant.headers, json={"advance_to": to})
    assert (answer.status_code, answer.json()["status"]) == (200, "done"), answer.text


async def wait_until_ended(http: httpx.AsyncClient, tenant: Tenant, path: str) -> dict[str, Any]:
    """Waits until the job or the import at a path is done or has failed, and returns it."""
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        while (found := await fetch(http, tenant, path))["status"] not in ("done", "failed"):
            await asyncio.sleep(POLL_SECONDS)  # the worker runs in this process too
    return found


async def wait_until_done(http: httpx.AsyncClient, tenant: Tenant, path: str) -> dict[str, Any]:
    """Waits until the job or the import at a path has ended, and returns it; it must not have failed."""
    found = await wait_until_ended(http, tenant, path)
    assert found["status"] == "done", found
    return found


async def audit_entries(http: httpx.AsyncClient, tenant: Tenant, action: str) -> list[dict[str, Any]]:
    """Entries of the company's audit log of one action, newest first."""
    return (await fetch(http, tenant, "/admin/audit", action=action))["items"]


def key_of(tenant: Tenant) -> str:
    """How the company's key is named where acts are written down."""
    return f"key:{tenant.token.split('_')[1]}"


async def every_page(
    http: httpx.AsyncClient, headers: Mapping[str, str], path: str, **params: Any
) -> list[list[dict[str, Any]]]:
    """The pages of a list, from the first to the last."""
    pages: list[list[dict[str, Any]]] = []
    while True:
        answer = await http.get(f"{API}{path}", headers=headers, params=params)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()["items"])
        params["cursor"] = answer.json()["next_cursor"]
        if params["cursor"] is None:
            return pages
        assert len(pages) < 1_000, "the list never ends"


def problem(answer: httpx.Response, status: int, code: str, *pointers: str) -> dict[str, Any]:
    """Returns the problem of a response, with this status and type and errors at exactly these pointers."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["type"] == f"/problems/{code}", body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert sorted(error["pointer"] for error in body.get("errors", ())) == sorted(pointers), body
    assert all(error["detail"] for error in body.get("errors", ()))
    return body


def without_id(answer: httpx.Response) -> list[tuple[str, str]]:
    """The headers of an answer, but for its id and for what remains of rate limits: every request has its own."""
    own = ("x-request-id", "ratelimit")
    return sorted((name, value) for name, value in answer.headers.items() if name not in own)


class DatabaseOwner:
    """The database as its owner sees it: no row is hidden, no code of the service in between."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._digests = ""

    async def rows(self, company_id: int) -> dict[str, str]:
        """A digest of each table's rows of the company: the same only if nothing at all has changed."""
        if not self._digests:
            names = [row["table_name"] for row in await self.connection.fetch(_TABLES)]
            assert len(names) > 5
            parts = [_digest(name, "company_id") for name in names] + [_digest("companies", "id")]
            self._digests = " UNION ALL ".join(parts)
        return {row["name"]: row["digest"] for row in await self.connection.fetch(self._digests, company_id)}

    async def count_companies(self) -> int:
        """How many companies there are."""
        return await self.connection.fetchval("SELECT count(*) FROM companies")

    async def expire_key(self, key_id: str) -> None:
        """Let a key's time be over."""
        done = await self.connection.execute(
            "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE key_id = $1", key_id
        )
        assert done == "UPDATE 1"

    async def set_clock(self, company_id: int, instant: str) -> None:
        """Let a company's clock stand at a later instant."""
        at = datetime.fromisoformat(instant)
        done = await self.connection.execute(
            "UPDATE companies SET clock_at = $2 WHERE id = $1 AND clock_at < $2", company_id, at
        )
        assert done == "UPDATE 1"


def _digest(table: str, column: str) -> str:
    assert re.fullmatch(r"[a-z_]+", table)
    # The use of a credential is recorded outside of the request's transaction; wrong signatures are counted.
    row = "(to_jsonb(t) - '{last_used_at,failures,failed_at}'::text[])::text"
    return (
        f"SELECT '{table}' AS name, md5(coalesce(string_agg({row}, ',' ORDER BY {row}), '')) AS digest"
        f" FROM {table} t WHERE {column} = $1"
    )
