"""HEAD of every path that answers GET: the same status and headers, and no body."""

import asyncio
import re

import pytest

from api.calls import API, ingest, problem, without_id
from api.published import published

PATHS = sorted(path for path, methods in published()["paths"].items() if "get" in methods)


def test_there_are_paths():
    assert len(PATHS) > 50
    assert {"/livez", "/readyz", f"{API}/stream", f"{API}/customers.csv"} <= {*PATHS}


def _headers(answer):
    """The headers that are alike in two requests: health shows seconds, an export the requests for it."""
    varies = answer.request.url.path.endswith(("/health", "/export"))
    return [pair for pair in without_id(answer) if not varies or pair[0] != "content-length"]


async def test_head_is_get_without_a_body(http, salon):
    await ingest(http, salon, "e-1")
    different = []
    for path in PATHS:
        url = re.sub(r"\{[a-z_]+\}", "1", path)
        query = "?from=2026-02-01&to=2026-03-01" if "analytics" in path else ""
        read = await http.get(url + query, headers=salon.headers)
        head = await http.head(url + query, headers=salon.headers)
        if (read.status_code, _headers(read)) != (head.status_code, _headers(head)) or head.content:
            different.append((path, read.status_code, head.status_code, head.content[:50]))
    assert different == []


async def test_pages_and_probes_answer_head(http):
    for path in ("/livez", "/readyz", "/docs", "/openapi.json", "/problems/forbidden", "/sign-in"):
        head = await http.head(path)
        assert (head.status_code, head.content) == ((await http.get(path)).status_code, b""), path
    assert (await http.head("/livez")).status_code == 200
    problem(await http.get(f"{API}/events"), 405, "method-not-allowed")
    assert (await http.head(f"{API}/events")).status_code == 405
    assert (await http.head(f"{API}/customers")).status_code == 401
    assert (await http.head(f"{API}/nowhere")).status_code == 404


async def test_an_endless_stream_is_not_started(http, salon, api, monkeypatch):
    stream = api.state.app_state.event_stream
    monkeypatch.setattr(stream, "max_stream_seconds", 3_600)

    async with asyncio.timeout(240):
        head = await http.head(f"{API}/stream", headers=salon.headers)

    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["/assets/none.js", "/docs/assets/favicon.png"])
async def test_files_answer_head(http, path):
    head = await http.head(path)

    assert (head.status_code, head.content) == ((await http.get(path)).status_code, b"")
