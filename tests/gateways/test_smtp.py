"""Emails over a real local mail server: delivered, refused permanently, and failed temporarily."""

import asyncio
import base64
import email
import email.policy
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from journey_service.domain.actions.delivery import (
    DeliveryFailedError,
    DeliveryReceipt,
    DeliveryRefusedError,
    Email,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.gateways import smtp as mail
from journey_service.gateways.smtp import FileMailer, SmtpMailer, read_sender, read_server

SENDER = "Salon Lumière <hello@salon.example>"
USER, PASSWORD = "salon@mails", "p@ss:wörd/+%"
LOGIN = "salon%40mails:p%40ss%3Aw%C3%B6rd%2F%2B%25"
URL = "https://journey.company.com/u/" + "Ab3_-" * 60
SENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "0198c0de-7000-7000-8000-00000000cafe"
LETTER = Email(
    KEY, "ada@reader.example", "A word", "Dear Ada,\nhello.\n", "<p>Dear Ada,</p>", URL, sent_at=SENT_AT
)
LONG = 240.0


def changed(**properties):
    return replace(LETTER, **properties)


def read(content):
    """An email as the server received it."""
    return email.message_from_bytes(content, policy=email.policy.default)


def text_of(part):
    """The text of the email, with LF line ends."""
    return part.get_content().replace("\r\n", "\n")


class Inbox:
    """Messages that a mail server received; `answers` are its replies by command."""

    def __init__(self, **answers):
        self.envelopes = []
        self.logins = []
        self.answers = answers

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802  # the library's name
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(self, _server, _session, envelope, address, _options):  # noqa: N802  # likewise
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # likewise
        self.envelopes.append(envelope)
        return self.answers.get("DATA", "250 2.0.0 queued as 4711")

    def authenticator(self, _server, session, _envelope, _mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        is_known = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_known, handled=False)

    @property
    def emails(self):
        return [read(envelope.content) for envelope in self.envelopes]


@dataclass
class Certificate:
    """SSL contexts of a local server and of clients that trust its certificate."""

    server: ssl.SSLContext
    trust: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)  # noqa: TID251  # a certificate is judged by the real clock
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return Certificate(server, ssl.create_default_context(cafile=str(file)))


@asynccontextmanager
async def serving(inbox, *, over_tls=None, **options):
    """Runs a local mail server; yields its port."""
    loop = asyncio.get_running_loop()
    options = {"authenticator": inbox.authenticator, "enable_SMTPUTF8": True, **options}

    def connected():
        return SMTP(inbox, hostname="mail.example", loop=loop, **options)

    async with await loop.create_server(connected, "127.0.0.1", 0, ssl=over_tls) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def saying(*lines, then_silent=True):
    """Runs a server that sends one line per received line; yields port, received lines, and a disconnect event."""
    heard, is_left = [], asyncio.Event()

    async def handle(reader, writer):
        try:
            for line in lines:
                writer.write(line.encode() + b"\r\n")
                heard.append(await reader.readline())
            while then_silent and await reader.read(65_536):
                pass
        except ConnectionError:
            pass  # the caller disconnected
        finally:
            writer.close()
            is_left.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], heard, is_left


@pytest.fixture
async def inbox():
    return Inbox()


@pytest.fixture
async def mailer(inbox):
    async with serving(inbox) as port:
        yield SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER)


async def failure(mailer, mail=LETTER):
    with pytest.raises((DeliveryFailedError, DeliveryRefusedError)) as failed:
        await mailer.send(mail)
    error = failed.value
    assert error.reason
    assert error.reason.isprintable()
    assert len(error.reason) <= 255
    for hidden in (PASSWORD, USER, LOGIN, mail.to):
        assert hidden not in str(error)
    return error


async def test_an_email_arrives_with_both_its_texts_and_its_sender(mailer, inbox):
    receipt = await mailer.send(LETTER)

    [mail], [envelope] = inbox.emails, inbox.envelopes
    assert receipt == DeliveryReceipt("2.0.0 queued as 4711", 250)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("hello@salon.example", ["ada@reader.example"])
    assert (str(mail["From"]), str(mail["To"])) == (SENDER, "ada@reader.example")
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [text_of(part) for part in mail.iter_parts()] == [LETTER.text, f"{LETTER.html}\n"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["MIME-Version"] == "1.0"
    assert parsedate_to_datetime(mail["Date"]) == SENT_AT
    assert not mail.defects
    assert envelope.content.isascii()


async def test_a_letter_without_a_page_is_plain_text(mailer, inbox):
    await mailer.send(changed(html=None))

    [mail] = inbox.emails
    assert mail.get_content_type() == "text/plain"
    assert text_of(mail) == LETTER.text


async def test_a_reader_can_unsubscribe_with_one_click_by_an_address_that_is_whole(mailer, inbox):
    await mailer.send(LETTER)
    await mailer.send(changed(unsubscribe_url=None))

    offered, bare = inbox.emails
    assert f"\r\nList-Unsubscribe: <{URL}>\r\n".encode() in inbox.envelopes[0].content
    assert offered["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert bare["List-Unsubscribe"] is None
    assert bare["List-Unsubscribe-Post"] is None


async def test_every_attempt_has_the_same_message_id(mailer, inbox):
    await mailer.send(LETTER)
    await mailer.send(LETTER)
    await mailer.send(changed(key="another"))

    ids = [mail["Message-ID"] for mail in inbox.emails]
    assert ids == [f"<{KEY}@salon.example>"] * 2 + ["<another@salon.example>"]


SUBJECTS = [
    "",
    "A word",
    "Ihr Termin in 日本: schön, daß Sie kommen 👩\u200d👩\u200d👧",
    "日本語" * 60,
    "a" * 500,
    "=?utf-8?q?not=0D=0ABcc:_encoded?=",
    " blanks  at both ends ",
    "Salon Lumière — 10\u00a0% auf „alles“, " * 8,
]


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_a_subject_arrives_as_it_was_written(mailer, inbox, subject):
    await mailer.send(changed(subject=subject))

    [content] = [envelope.content for envelope in inbox.envelopes]
    head = content.split(b"\r\n\r\n")[0]
    assert read(content)["Subject"].strip() == subject.strip()
    assert max(len(line) for line in head.split(b"\r\n") if line.startswith((b"Subject", b" ="))) <= 78
    assert "Bcc" not in read(content)


TEXTS = ["", ".\n..\n.leading\n", "grüße\n" * 3, "x" * 5_000 + "\n", "日本語\n", "From here\n", "no end"]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_arrives_as_it_was_written_in_lines_that_every_server_takes(mailer, inbox, text):
    await mailer.send(changed(text=text, html=None))

    [content] = [envelope.content for envelope in inbox.envelopes]
    assert text_of(read(content)).rstrip("\n") == text.rstrip("\n")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("break_", BREAKS, ids=map(ascii, BREAKS))
async def test_no_line_break_begins_a_header_of_its_own(mailer, inbox, tmp_path, break_):
    values = f"A word{break_}Bcc: all@reader.example"
    for message in (
        changed(subject=values),
        changed(to=f"ada@reader.example{break_}Bcc: all@reader.example"),
        changed(to=f"ada{break_}@reader.example"),
        changed(key=f"key{break_}"),
        changed(unsubscribe_url=f"{URL}{break_}Bcc: all@reader.example"),
    ):
        for one in (mailer, FileMailer(tmp_path / "mail", SENDER)):
            assert isinstance(await failure(one, message), DeliveryRefusedError)
    with pytest.raises(InvalidInputError):
        SmtpMailer("smtp://localhost", f"Salon{break_}Bcc: a@b.example <hello@salon.example>")
    assert inbox.envelopes == []
    assert not (tmp_path / "mail").exists()


async def test_without_the_check_a_line_break_would_begin_one(mailer, inbox, monkeypatch):
    monkeypatch.setattr(mail, "_HEADER_BREAKING_CHARACTERS", mail.re.compile("(?!)"))
    await mailer.send(changed(subject="A word\r\nBcc: all@reader.example"))

    assert inbox.emails[0]["Bcc"] == "all@reader.example"
    print("guard removed: detected")


@pytest.mark.parametrize(
    "to",
    [
        *("", "ada", "@", "ada@", "@reader.example", "ada@@reader.example", "a@b@reader.example"),
        *("ada@reader.example,bob@reader.example", "ada@reader.example bob@reader.example"),
        *("Ada <ada@reader.example>", "<ada@reader.example>", '"ada"@reader.example', "ada@[127.0.0.1]"),
        *("ada@127.0.0.1", "ada@reader..example", "ada@-reader.example", "ada@reader.example:25"),
        *(".ada@reader.example", "a..da@reader.example", "ada @reader.example", "ada\u00a0@reader.example"),
        *(
            "ada\u200b@reader.example",
            "ada\ud800@reader.example",
            "ada@\ud800.example",
            "ada@rea der.example",
        ),
        *(
            f"{'a' * 65}@reader.example",
            f"ada@{'a' * 64}.example",
            f"ada@{'a.' * 127}example",
            "ada@reader/x",
        ),
        *(
            f"{'ü' * 33}@reader.example",
            "ada@reader.example>",
            "ada@reader.example SIZE=1",
            "ada(x)@reader.example",
        ),
    ],
)
async def test_what_is_no_address_is_refused_before_a_server_is_called(to):
    nowhere = SmtpMailer("smtp://127.0.0.1:1", SENDER)

    with pytest.raises(DeliveryRefusedError, match="address is not valid"):
        await nowhere.send(changed(to=to))


@pytest.mark.parametrize(
    ("to", "reached"),
    [
        ("o'hara+news@reader.example", "o'hara+news@reader.example"),
        ("a%b!c/d=e{f}@reader.example", "a%b!c/d=e{f}@reader.example"),
        ("Ada@READER.example", "Ada@reader.example"),
        ("ada@localhost", "ada@localhost"),
        ("ada@straße.example", "ada@xn--strae-oqa.example"),
        ("ada@日本.example", "ada@xn--wgv71a.example"),
        ("jürgen@straße.example", "jürgen@xn--strae-oqa.example"),
        ("अदा@reader.example", "अदा@reader.example"),
    ],
)
async def test_an_address_of_any_letters_is_reached(mailer, inbox, to, reached):
    await mailer.send(changed(to=to))

    [envelope] = inbox.envelopes
    assert envelope.rcpt_tos == [reached]
    assert envelope.smtp_utf8 is not reached.isascii()
    assert f"\r\nTo: {reached}\r\n".encode() in envelope.content


async def test_letters_beyond_ascii_before_the_at_are_only_for_servers_that_take_them(inbox):
    async with serving(inbox, enable_SMTPUTF8=False) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER)
        await mailer.send(changed(to="ada@straße.example"))
        assert isinstance(await failure(mailer, changed(to="jürgen@reader.example")), DeliveryRefusedError)

    assert len(inbox.envelopes) == 1


async def test_nothing_is_sent_in_plain_text_to_a_server_that_must_encrypt(inbox, certificate):
    async with serving(inbox, tls_context=certificate.server, require_starttls=True) as port:
        url = f"smtp://{LOGIN}@127.0.0.1:{port}?starttls=always"
        await SmtpMailer(url, SENDER, ssl_context=certificate.trust).send(LETTER)

    assert inbox.logins == [(USER, PASSWORD, True)]
    assert len(inbox.envelopes) == 1


async def test_a_server_is_spoken_with_over_tls_from_the_first_byte_on(inbox, certificate):
    async with serving(inbox, over_tls=certificate.server, auth_require_tls=False) as port:
        mailer = SmtpMailer(f"smtps://{LOGIN}@127.0.0.1:{port}", SENDER, ssl_context=certificate.trust)
        await mailer.send(LETTER)

    assert [(user, password) for user, password, _ in inbox.logins] == [(USER, PASSWORD)]
    assert len(inbox.envelopes) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_server_with_an_untrusted_certificate_receives_nothing(inbox, certificate, scheme):
    is_first = scheme == "smtps"
    options = {"over_tls": certificate.server} if is_first else {"tls_context": certificate.server}
    async with serving(inbox, **options) as port:
        url = f"{scheme}://{LOGIN}@127.0.0.1:{port}{'' if is_first else '?starttls=always'}"
        error = await failure(SmtpMailer(url, SENDER))

    assert isinstance(error, DeliveryFailedError)
    assert "certificate" in error.reason.lower()
    assert inbox.logins == inbox.envelopes == []


async def test_a_server_without_encryption_receives_neither_login_nor_email():
    async with saying("220 mail.example", "250-mail.example\r\n250 AUTH PLAIN LOGIN") as (
        port,
        heard,
        is_left,
    ):
        url = f"smtp://{LOGIN}@127.0.0.1:{port}?starttls=always"
        error = await failure(SmtpMailer(url, SENDER))
        await asyncio.wait_for(is_left.wait(), LONG)

    assert isinstance(error, DeliveryFailedError)
    assert "STARTTLS" in error.reason
    assert [line.split()[0] for line in heard if line] == [b"EHLO"]


async def test_a_login_that_is_not_accepted_is_the_operators_to_mend(inbox):
    async with serving(inbox, auth_require_tls=False) as port:
        error = await failure(SmtpMailer(f"smtp://someone:else@127.0.0.1:{port}", SENDER))

    assert isinstance(error, DeliveryFailedError)
    assert error.status == 535
    assert "else" not in str(error)
    assert inbox.envelopes == []


async def test_a_server_that_repeats_the_login_has_it_kept_from_the_reason():
    values = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    lines = ["220 mail.example", "250-mail.example\r\n250 AUTH PLAIN", f"535 {values} {PASSWORD} {USER}"]
    async with saying(*lines) as (port, heard, is_left):
        error = await failure(SmtpMailer(f"smtp://{LOGIN}@127.0.0.1:{port}", SENDER))
        await asyncio.wait_for(is_left.wait(), LONG)

    assert values.encode() in heard[1] + heard[2]
    assert values not in str(error)


REFUSED, FAILED = DeliveryRefusedError, DeliveryFailedError
ANSWERS = [
    ("RCPT", "550 5.1.1 <ADA@reader.example>: no such user here", REFUSED),
    ("RCPT", "553 no", REFUSED),
    ("RCPT", "451 4.7.1 greylisted, come back later", FAILED),
    ("RCPT", "450 the mailbox of ada@reader.example is busy", FAILED),
    ("RCPT", "530 5.7.0 log in first", FAILED),
    ("RCPT", "421 closing", FAILED),
    ("DATA", "554 5.7.1 this looks like spam", REFUSED),
    ("DATA", "552 too long", REFUSED),
    ("DATA", "452 the disk is full", FAILED),
    ("MAIL", "550 5.7.1 not a sender of ours", FAILED),
    ("MAIL", "451 later", FAILED),
]


@pytest.mark.parametrize(("command", "said", "kind"), ANSWERS, ids=[" ".join(case[:2]) for case in ANSWERS])
async def test_what_a_server_refuses_for_good_is_not_tried_again_and_all_else_is(command, said, kind):
    inbox = Inbox(**{command: said})
    async with serving(inbox) as port:
        error = await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER))

    assert type(error) is kind
    assert error.status == int(said[:3])
    assert said[:3] in error.reason
    assert "reader.example" not in error.reason.lower()
    assert kind is FAILED or not error.is_gone


async def test_an_answer_is_kept_as_one_short_printable_line():
    lines = "".join(f"550-\x1b[31m{'long ' * 30}\x00\x07\xff\r\n" for _ in range(20)) + "550 end"
    dialogue = ["220 mail.example", "250 mail.example", "250 OK", lines]
    async with saying(*dialogue) as (port, _, _):
        error = await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER))

    assert isinstance(error, DeliveryRefusedError)
    assert error.reason.startswith("The mail server responded 550:")


GREETED = ["220 mail.example", "250 mail.example"]
ACCEPTING = [*GREETED, "250 OK", "250 OK", "354 go on"]


@pytest.mark.parametrize("said", range(len(ACCEPTING) + 1))
async def test_a_server_that_falls_silent_is_waited_for_until_the_deadline_and_left(said):
    async with saying(*ACCEPTING[:said]) as (port, _, is_left):
        error = await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER, deadline_seconds=0.05))
        await asyncio.wait_for(is_left.wait(), LONG)

    assert isinstance(error, DeliveryFailedError)
    assert "in time" in error.reason


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_handshake_that_is_never_answered_ends_at_the_deadline(scheme, certificate):
    greeting = (
        ["220 mail.example", "250-mail.example\r\n250 STARTTLS", "220 go on"] if scheme == "smtp" else []
    )
    async with saying(*greeting) as (port, _, is_left):
        wish = "?starttls=always" if scheme == "smtp" else ""
        url = f"{scheme}://127.0.0.1:{port}{wish}"
        error = await failure(SmtpMailer(url, SENDER, deadline_seconds=0.1, ssl_context=certificate.trust))
        await asyncio.wait_for(is_left.wait(), LONG)

    assert isinstance(error, DeliveryFailedError)


@pytest.mark.parametrize("said", range(len(ACCEPTING) + 1))
async def test_a_server_that_hangs_up_may_do_better_later(said):
    async with saying(*ACCEPTING[:said], then_silent=False) as (port, _, _):
        assert isinstance(await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER)), DeliveryFailedError)


@pytest.mark.parametrize("greeting", ["554 no service here", "421 later", "hello", "x" * 70_000, "\xff\xff"])
async def test_a_server_that_greets_strangely_may_do_better_later(greeting):
    async with saying(greeting, then_silent=False) as (port, _, _):
        assert isinstance(await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER)), DeliveryFailedError)


async def test_a_server_that_is_not_there_may_be_later():
    async with saying() as (port, _, _):
        pass

    assert isinstance(await failure(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER)), DeliveryFailedError)


async def test_a_letter_that_was_accepted_stays_accepted_if_the_server_then_falls_silent(monkeypatch):
    monkeypatch.setattr(mail, "_QUIT_SECONDS", 0.05)

    async def handle(reader, writer):
        for line in ACCEPTING:
            writer.write(f"{line}\r\n".encode())
            if line is not ACCEPTING[-1]:
                await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 OK\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER).send(LETTER) == DeliveryReceipt("OK", 250)


@pytest.mark.parametrize("said", range(len(ACCEPTING) + 1))
async def test_a_cancelled_delivery_leaves_no_connection_open(said):
    is_reached = asyncio.Event()
    is_left = asyncio.Event()

    async def handle(reader, writer):
        for line in ACCEPTING[:said]:
            writer.write(f"{line}\r\n".encode())
            await reader.readline()
        is_reached.set()
        while await reader.read(65_536):
            pass
        writer.close()
        is_left.set()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        sending = asyncio.create_task(SmtpMailer(f"smtp://127.0.0.1:{port}", SENDER).send(LETTER))
        await asyncio.wait_for(is_reached.wait(), LONG)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.wait_for(is_left.wait(), LONG)


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls", "is_starttls"),
    [
        ("smtp://mail.company.com", "mail.company.com", 587, False, True),
        ("smtp://mail.company.com:25/", "mail.company.com", 25, False, True),
        ("smtp://mail.company.com?starttls=always", "mail.company.com", 587, False, True),
        ("smtp://10.0.0.1", "10.0.0.1", 587, False, True),
        ("smtp://127.0.0.1.company.com", "127.0.0.1.company.com", 587, False, True),
        ("smtp://localhost.company.com", "localhost.company.com", 587, False, True),
        ("smtps://mail.company.com", "mail.company.com", 465, True, False),
        ("smtps://localhost:1465", "localhost", 1465, True, False),
        ("smtp://localhost:1025", "localhost", 1025, False, False),
        ("smtp://127.8.8.8", "127.8.8.8", 587, False, False),
        ("smtp://[::1]:25", "::1", 25, False, False),
        ("smtp://[::1]:25?starttls=always", "::1", 25, False, True),
    ],
)
def test_everything_but_a_server_on_this_machine_is_to_encrypt(url, host, port, is_tls, is_starttls):
    server = read_server(url)

    assert (server.host, server.port, server.is_tls, server.is_starttls) == (host, port, is_tls, is_starttls)
    assert (server.user, server.password) == (None, None)


def test_the_login_is_read_from_the_url_and_shown_nowhere():
    server = read_server(f"smtp://{LOGIN}@mail.company.com")

    assert (server.user, server.password) == (USER, PASSWORD)
    assert PASSWORD not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        *("", "smtp", "smtp://", "smtp:///x", "mail.company.com", "http://mail.company.com", "smtp://:25"),
        *(
            "smtp://hidden@mail.company.com",
            "smtp://hidden:@mail.company.com",
            "smtp://:hidden@mail.company.com",
        ),
        *(
            "smtp://@mail.company.com",
            "smtp://u:hid#den@mail.company.com",
            "smtp://u:hid/den@mail.company.com",
        ),
        *("smtp://u:hid?den@mail.company.com", "smtp://mail.company.com:0", "smtp://mail.company.com:99999"),
        *(
            "smtp://mail.company.com:port",
            "smtp://mail.company.com/hidden",
            "smtp://mail.company.com?starttls=never",
        ),
        *("smtp://localhost?starttls=never", "smtps://localhost?starttls=always", "smtp://mail company.com"),
        *("smtp://[::1", "smtp://mail.company.com?hidden", "smtp://mail..company.com"),
    ],
)
def test_what_is_no_mail_server_is_refused_without_being_repeated(url):
    with pytest.raises(InvalidInputError, match="SMTP_URL") as refused:
        read_server(url)

    assert "hid" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("hello@salon.com", "", "hello@salon.com"),
        (" Salon <hello@salon.com> ", "Salon", "hello@salon.com"),
        ('"Salon, Berlin" <hello@salon.com>', "Salon, Berlin", "hello@salon.com"),
        ("Salon, Berlin (West) <hello@salon.com>", "Salon, Berlin (West)", "hello@salon.com"),
        ("<hello@straße.de>", "", "hello@xn--strae-oqa.de"),
        ("日本語の美容院 <hello@salon.com>", "日本語の美容院", "hello@salon.com"),
    ],
)
async def test_a_sender_is_an_address_with_or_without_a_name(tmp_path, text, name, address):
    sender = read_sender(text)
    assert (sender.name, sender.address) == (name, address)

    await FileMailer(tmp_path, text).send(LETTER)
    [values] = read((tmp_path / f"{KEY}.eml").read_bytes())["From"].addresses
    assert (values.display_name, values.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Salon",
        "a@b.c, d@e.f",
        "Salon <>",
        "<a@b.c> Salon",
        'Sa"lon <a@b.c>',
        "jürgen@salon.com",
        "A <B <a@b.c>>",
    ],
)
def test_what_is_no_sender_is_refused(text):
    with pytest.raises(InvalidInputError, match="JOURNEY_MAIL_FROM"):
        read_sender(text)


async def test_a_developers_letters_become_files_that_a_mail_program_opens(tmp_path):
    folder = tmp_path / "data" / "mail"
    drop = FileMailer(folder, SENDER)
    receipt = await drop.send(LETTER)

    [file] = folder.iterdir()
    mail = read(file.read_bytes())
    assert receipt == DeliveryReceipt(f"written to {KEY}.eml")
    assert file.name == f"{KEY}.eml"
    assert (mail["To"], mail["Message-ID"]) == (LETTER.to, f"<{KEY}@salon.example>")
    assert mail["List-Unsubscribe"] == f"<{URL}>"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_letter_that_is_tried_again_replaces_its_file(tmp_path):
    drop = FileMailer(tmp_path, SENDER)
    await drop.send(LETTER)
    await drop.send(changed(subject="Again", to="jürgen@reader.example"))

    [file] = tmp_path.iterdir()
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.SMTPUTF8)
    assert (mail["Subject"], str(mail["To"])) == ("Again", "jürgen@reader.example")


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".", "..", "a.eml", "a b", "ä", "a" * 129, "a\x00"])
async def test_a_key_never_names_another_place(tmp_path, key):
    folder = tmp_path / "mail"

    assert isinstance(await failure(FileMailer(folder, SENDER), changed(key=key)), DeliveryRefusedError)
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_to_may_be_later_and_keeps_no_half_of_a_letter(tmp_path):
    (tmp_path / "mail").write_text("a file")
    assert isinstance(await failure(FileMailer(tmp_path / "mail", SENDER)), DeliveryFailedError)

    folder = tmp_path / "taken"
    (folder / f"{KEY}.eml" / "inside").mkdir(parents=True)
    assert isinstance(await failure(FileMailer(folder, SENDER)), DeliveryFailedError)
    assert [entry.name for entry in folder.iterdir()] == [f"{KEY}.eml"]


async def test_a_folder_that_was_there_stays_as_open_as_it_was(tmp_path):
    tmp_path.chmod(0o755)
    await FileMailer(tmp_path, SENDER).send(LETTER)

    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("properties", [{"text": "\ud800"}, {"html": "\udfff"}, {"subject": "\ud800"}])
async def test_a_letter_that_no_mail_can_carry_is_refused(tmp_path, properties):
    assert isinstance(
        await failure(FileMailer(tmp_path, SENDER), changed(**properties)), DeliveryRefusedError
    )
