"""Signed webhooks to a real local receiver, which verifies the signatures."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from journey_service.domain.actions.delivery import (
    DeliveryFailedError,
    DeliveryReceipt,
    DeliveryRefusedError,
    WebhookMessage,
)
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.webhooks import Webhooks

NEW, OLD, OTHERS = b"n" * 32, bytes(range(24)), b"o" * 32
KEY = "msg_0198c0de70007000800000000000cafe"
BODY = '{"type":"journey.moved","data":{"name":"Zoë",  "n":1.0,"none":null}}\n'.encode()
LONG = 240.0


def answer_of(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} said", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


class Receiver:
    """A webhook receiver; `requests` contains method, path, headers and body of each request."""

    def __init__(self, answer, url=""):
        self.answer = answer
        self.url = url
        self.requests = []
        self.is_left = asyncio.Event()

    async def handle(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append((method, path, headers, body))
            if self.answer is not None:
                writer.write(self.answer)
                await writer.drain()
            else:
                await reader.read()
        except ConnectionError:
            pass  # the caller disconnected
        finally:
            writer.close()
            self.is_left.set()


@asynccontextmanager
async def receiving(answer):
    """A receiver that sends the same response to every message, or none."""
    receiver = Receiver(answer)
    async with await asyncio.start_server(receiver.handle, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield receiver


def now():
    """Returns the present time: receivers compare it with their clock."""
    return datetime.now(UTC).replace(microsecond=0)  # noqa: TID251


async def send(receiver, secrets=(NEW,), body=BODY, **options):
    webhooks = Webhooks(HttpClient(trusted=[receiver.url]), **options)
    return await webhooks.send(
        WebhookMessage(KEY, f"{receiver.url}/hooks?of=7", body, secrets, sent_at=now())
    )


async def failure(receiver, kind=DeliveryFailedError, **options):
    with pytest.raises(kind) as failed:
        await send(receiver, **options)
    assert type(failed.value) is kind
    assert failed.value.reason.isprintable()
    assert 0 < len(failed.value.reason) <= 255
    return failed.value


async def test_a_message_arrives_byte_by_byte_and_a_receiver_verifies_it():
    before = now()
    async with receiving(answer_of(204)) as receiver:
        assert await send(receiver) == DeliveryReceipt("", 204)

    [(method, path, headers, body)] = receiver.requests
    assert (method, path, body) == ("POST", "/hooks?of=7", BODY)
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == f"journey-service/{version('journey-service')}"
    assert headers["webhook-id"] == headers["idempotency-key"] == KEY
    assert before.timestamp() <= int(headers["webhook-timestamp"]) <= now().timestamp()
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", headers["webhook-signature"])
    assert Webhook(NEW).verify(body, headers) == json.loads(BODY)


async def test_while_a_secret_is_replaced_both_of_them_verify_and_no_other():
    async with receiving(answer_of(200)) as receiver:
        await send(receiver, (NEW, OLD))

    [(_, _, headers, body)] = receiver.requests
    first, second = headers["webhook-signature"].split(" ")
    assert first != second
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHERS).verify(body, headers)


@pytest.mark.parametrize("altered", ["body", "webhook-id", "webhook-timestamp"])
async def test_a_message_that_was_altered_is_found_out(altered):
    async with receiving(answer_of(200)) as receiver:
        await send(receiver)

    [(_, _, headers, body)] = receiver.requests
    if altered == "body":
        body += b" "
    elif altered == "webhook-id":
        headers["webhook-id"] += "0"
    else:
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)


async def test_no_secret_is_sent_or_logged():
    async with receiving(answer_of(500, NEW)) as receiver:
        await failure(receiver, secrets=(NEW, OLD))

    [(_, _, headers, body)] = receiver.requests
    assert NEW.decode() not in str(headers) + body.decode()


async def test_a_message_without_a_secret_is_not_sent():
    async with receiving(answer_of(200)) as receiver:
        await failure(receiver, DeliveryRefusedError, secrets=())

    assert receiver.requests == []


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_success_accepts_a_message(status):
    body = b"" if status == 204 else b"taken"
    async with receiving(answer_of(status, body)) as receiver:
        assert await send(receiver) == DeliveryReceipt(body.decode(), status)


@pytest.mark.parametrize(
    "status",
    [
        *(300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 418, 422, 425, 429, 451),
        *(499, 500, 501, 502, 503, 504, 521, 599),
    ],
)
async def test_any_other_status_is_a_failure_that_another_try_may_mend(status):
    async with receiving(answer_of(status)) as receiver:
        error = await failure(receiver)

    assert error.status == status
    assert error.reason == f"The receiver responded {status}."
    assert error.retry_after is None


async def test_a_receiver_that_is_gone_wants_no_more():
    async with receiving(answer_of(410, b"moved away")) as receiver:
        error = await failure(receiver, DeliveryRefusedError)

    assert (error.is_gone, error.status) == (True, 410)
    assert error.reason == "The receiver responded 410: moved away"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status):
    async with receiving(answer_of(200)) as elsewhere:
        location = f"{elsewhere.url}/elsewhere"
        async with receiving(answer_of(status, Location=location)) as receiver:
            webhooks = Webhooks(HttpClient(trusted=[receiver.url, elsewhere.url]))
            with pytest.raises(DeliveryFailedError) as failed:
                await webhooks.send(WebhookMessage(KEY, receiver.url, BODY, [NEW], sent_at=now()))

    assert failed.value.status == status
    assert (len(receiver.requests), elsewhere.requests) == (1, [])


@pytest.mark.parametrize("status", [413, 429, 500, 503])
@pytest.mark.parametrize(
    ("values", "seconds"),
    [("0", 0), ("120", 120), (" 7 ", 7), ("007", 7), ("999999999", 999_999_999)],
)
async def test_a_receiver_may_wish_to_be_left_alone_for_some_seconds(status, values, seconds):
    async with receiving(answer_of(status, Retry_After=values)) as receiver:
        assert (await failure(receiver)).retry_after == timedelta(seconds=seconds)


FORMS = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"]


@pytest.mark.parametrize("form", FORMS, ids=["today's", "RFC 850", "asctime"])
async def test_a_receiver_may_wish_to_be_left_alone_until_an_instant(form):
    until = now() + timedelta(hours=2)
    async with receiving(answer_of(503, Retry_After=until.strftime(form))) as receiver:
        wish = (await failure(receiver)).retry_after

    assert timedelta(hours=1) < wish <= timedelta(hours=2)


PAST = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
GARBAGE = ["", "-5", "+5", "1.5", "1e3", "soon", "5, 10", "9" * 10, "9" * 5_000, "\xb2", "0x10", PAST]
GARBAGE += [
    "Thu, 99 Foo 2099 99:99:99 GMT",
    "Thu, 01 Jan 99999 00:00:00 GMT",
    "2099-01-01T00:00:00Z",
    "(" * 50,
]


@pytest.mark.parametrize("values", GARBAGE, ids=[ascii(values)[:20] for values in GARBAGE])
async def test_a_wish_that_means_nothing_or_lies_in_the_past_is_ignored(values):
    async with receiving(answer_of(503, Retry_After=values)) as receiver:
        error = await failure(receiver)

    assert error.retry_after is None
    assert error.status == 503


async def test_the_response_of_a_receiver_is_stored_as_one_short_printable_line():
    said = b"\x1b[31m\x00line one\r\nline\ttwo \xff " + "ü\u2028\u202e".encode() + b"x" * 100_000
    async with receiving(answer_of(200, said)) as receiver:
        kept = (await send(receiver)).response
    async with receiving(answer_of(500, said)) as receiver:
        reason = (await failure(receiver)).reason

    assert kept.startswith("[31m line one line two \ufffd ü x")
    assert kept.isprintable()
    assert len(kept) == len(reason) == 255
    assert reason.startswith("The receiver responded 500: [31m line one")


@pytest.mark.parametrize("body", [b"", b"\x00\xff\r\n", b"z" * 60_000], ids=["none", "no text", "much"])
async def test_any_body_is_sent_as_it_is(body):
    async with receiving(answer_of(200)) as receiver:
        await send(receiver, body=body)

    assert receiver.requests[0][3] == body


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://hooks.example/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::1]/",
            "ftp://x/",
            "",
        ),
        *("https://user:hidden@hooks.example/", "https://169.254.169.254/latest", "https://1.1.1.1:22/"),
        f"https://hooks.example/{'a' * 3_000}",
    ],
)
async def test_a_destination_that_may_not_be_called_is_refused_for_good(url):
    with pytest.raises(DeliveryRefusedError) as refused:
        await Webhooks(HttpClient()).send(WebhookMessage(KEY, url, BODY, [NEW], sent_at=now()))

    assert not refused.value.is_gone
    assert refused.value.status is None
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("key", ["a\r\nx-forged: 1", "a\nb", "ä", " a"])
async def test_a_key_never_begins_a_header_of_its_own(key):
    async with receiving(answer_of(200)) as receiver:
        webhooks = Webhooks(HttpClient(trusted=[receiver.url]))
        with pytest.raises(DeliveryRefusedError):
            await webhooks.send(WebhookMessage(key, receiver.url, BODY, [NEW], sent_at=now()))

    assert receiver.requests == []


async def test_a_receiver_that_falls_silent_is_waited_for_until_the_deadline_and_left():
    async with receiving(None) as receiver:
        error = await failure(receiver, deadline_seconds=0.1)
        if receiver.requests:
            await asyncio.wait_for(receiver.is_left.wait(), LONG)

    assert (error.status, error.retry_after) == (None, None)
    assert "deadline passed" in error.reason


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200"])
async def test_a_receiver_that_answers_improperly_may_do_better_later(answer):
    async with receiving(answer) as receiver:
        assert (await failure(receiver)).status is None


async def test_a_receiver_that_is_not_there_may_be_later():
    async with receiving(b"") as receiver:
        pass

    assert (await failure(receiver)).status is None
