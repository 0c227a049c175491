"""Plays the recorded requests against an API process, and notes what was not answered as recorded."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx

RECORDING = json.loads((Path(__file__).parent / "traffic.json").read_text(encoding="utf-8"))
SENDERS = 4


@dataclass
class Traffic:
    """Recorded requests, played for one customer after the other until `stop` is set.

    `failures` are the requests that were answered otherwise than recorded, and the checks of readiness that failed;
    `acknowledged` are the ids of events with a 2xx response; `longest` is the longest time of a request in seconds.
    """

    url: str
    headers: dict[str, str]
    at: datetime
    failures: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    longest: float = 0.0
    answered: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def play(self) -> None:
        """Plays the recording with several senders, and checks readiness, until `stop` is set."""
        async with httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=300) as client:
            await asyncio.gather(self._check_readiness(client), *(self._send(client) for _ in range(SENDERS)))

    async def _send(self, client: httpx.AsyncClient) -> None:
        while not self.stop.is_set():
            number = next(self._numbers)
            for recorded in RECORDING:
                await self._request(client, recorded, number)

    async def _request(self, client: httpx.AsyncClient, recorded: dict[str, Any], number: int) -> None:
        text = json.dumps(recorded["body"]).replace('"{n}"', str(number)).replace("{n}", str(number))
        body = json.loads(text.replace("{at}", self.at.isoformat()))
        path = recorded["path"].replace("{n}", str(number))
        began = time.monotonic()
        answer = await client.request(recorded["method"], path, json=body)
        self.longest = max(self.longest, time.monotonic() - began)
        self.answered += 1
        if answer.status_code != recorded["status"]:
            self.failures.append(f"{recorded['method']} {path}: {answer.status_code} {answer.text[:200]}")
        elif path.startswith("/api/v1/events"):
            self.acknowledged |= {event["id"] for event in (body if isinstance(body, list) else [body])}

    async def _check_readiness(self, client: httpx.AsyncClient) -> None:
        while not self.stop.is_set():
            answer = await client.get("/readyz")
            if answer.status_code != 200:
                self.failures.append(f"/readyz: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.05)
