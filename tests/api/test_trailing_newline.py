"""JSON responses end with a newline, and their Content-Length counts it."""

import pytest

from api.calls import API, JSON, PROBLEM
from journey_service.api.middleware.trailing_newline import TrailingNewline


async def _send(media, *chunks, length=None):
    """Returns headers and body of a response that passes through the middleware in these chunks."""
    headers = [(b"content-type", media.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, chunk in enumerate(chunks, start=1):
            await send({"type": "http.response.body", "body": chunk, "more_body": number < len(chunks)})

    messages = []

    async def send(message):
        messages.append(message)

    await TrailingNewline(app)({"type": "http"}, None, send)
    assert [message["type"] for message in messages[:1]] == ["http.response.start"]
    assert len(messages) == 1 + len(chunks)
    return dict(messages[0]["headers"]), b"".join(message["body"] for message in messages[1:])


@pytest.mark.parametrize("media", [JSON, PROBLEM, "application/json; charset=utf-8"])
async def test_a_json_body_gets_a_newline(media):
    headers, body = await _send(media, b"{}", length=2)

    assert body == b"{}\n"
    assert headers[b"content-length"] == b"3"


@pytest.mark.parametrize(
    ("media", "body"), [(JSON, b"{}\n"), (JSON, b""), ("text/csv", b"a"), ("text/html", b"<p>"), ("x", b"{}")]
)
async def test_other_bodies_stay_as_they_are(media, body):
    headers, sent = await _send(media, body, length=len(body))

    assert sent == body
    assert headers[b"content-length"] == str(len(body)).encode()


async def test_a_streamed_body_stays_as_it_is():
    headers, body = await _send(JSON, b"[1,", b"2]")

    assert body == b"[1,2]"
    assert b"content-length" not in headers


async def test_responses_and_problems_of_the_service_end_with_a_newline(http, salon):
    for path in ("/customers", "/customers/4711/journey"):
        answer = await http.get(API + path, headers=salon.headers)

        assert answer.text.endswith("}\n")
        assert int(answer.headers["content-length"]) == len(answer.content)
