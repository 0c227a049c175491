"""Floods the API for one company with one kind of work, without regard to refusals, until it is killed.

python flood.py URL TOKEN batch|report|preview|keys CONNECTIONS
"""

import asyncio
import itertools
import sys

import httpx
import orjson

EVENTS = 1_000
_numbers = itertools.count(1)


def _batch() -> bytes:
    """Returns a batch of new events for as many customers."""
    first = next(_numbers) * EVENTS
    return orjson.dumps(
        [
            {
                "id": str(first + number),
                "source": "flood",
                "type": "call_received",
                "customer_id": number,
                "occurred_at": "2025-01-15T10:00:00Z",
                "data": {"call_duration": 60},
            }
            for number in range(EVENTS)
        ]
    )


async def _send(client: httpx.AsyncClient, kind: str, draft: object) -> None:
    if kind == "batch":
        json = {"Content-Type": "application/json"}
        await client.post("/api/v1/events/batch", content=_batch(), headers=json)
    elif kind == "report":
        await client.get("/api/v1/analytics/overview")
    elif kind == "preview":
        await client.post("/api/v1/stages/preview", json=draft)
    else:
        key = {"Authorization": f"Bearer jrn_{next(_numbers):016x}_{'x' * 43}"}
        await client.get("/api/v1/session", headers=key)


async def _repeat(client: httpx.AsyncClient, kind: str, draft: object) -> None:
    while True:
        try:
            await _send(client, kind, draft)
        except httpx.HTTPError:
            await asyncio.sleep(0.1)


async def main(url: str, token: str, kind: str, connections: int) -> None:
    """Sends requests over a number of connections, without end."""
    limits = httpx.Limits(max_connections=connections)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=300) as client:
        current = (await client.get("/api/v1/stages")).json()
        draft = {"version": current["version"], "stages": current["stages"]}
        await asyncio.gather(*(_repeat(client, kind, draft) for _ in range(connections)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))  # type: ignore[call-arg]  # three texts
