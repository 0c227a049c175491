"""Email: sent through the operator's mail server, or written to a folder in development.

The operator configures the mail server, so it may have a private address. The connection is encrypted and the
certificate is verified, except for a server on the same machine.
"""

import asyncio
import ipaddress
import os
import re
import ssl
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, formataddr
from pathlib import Path
from typing import Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
import httpx

from journey_service.domain.actions.delivery import (
    DeliveryFailedError,
    DeliveryReceipt,
    DeliveryRefusedError,
    Email,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.gateways.response_text import sanitize_response_text

_DEFAULT_PORTS: Final = {"smtp": 587, "smtps": 465}
_AUTHENTICATION_REQUIRED: Final = 530
_PERMANENT_ERRORS: Final = range(500, 600)
_QUIT_SECONDS: Final = 2.0

_MAX_ADDRESS_LENGTH: Final = 254
_MAX_LOCAL_PART_LENGTH: Final = 64
_MAX_NAME_LENGTH: Final = 78
_MAX_PLAIN_SUBJECT_LENGTH: Final = 68
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_HOST: Final = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_SENDER: Final = re.compile(r'(?:"(?P<quoted>[^"\\<>]*)"|(?P<name>[^"\\<>]*?)) *<(?P<address>[^<>]+)>')
_KEY: Final = re.compile(r"[A-Za-z0-9-]{1,128}")
_URL: Final = re.compile(r"https?://[!-;=?-~]{1,900}")
_HEADER_BREAKING_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Relays may support ASCII only; quoted-printable works with all of them.
_POLICY: Final = SMTP_POLICY.clone(cte_type="7bit")
_ENCODING: Final = "quoted-printable"
_LINE_END: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server: address, encryption, and login."""

    host: str
    port: int
    is_tls: bool
    """Implicit TLS: encrypted from the first byte on."""
    is_starttls: bool
    """STARTTLS is required before login; without it no email is sent."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of all emails."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


def read_server(url: str) -> SmtpServer:
    """Parses `smtp://[user:password@]host[:port]` (port 587) or `smtps://` (port 465).

    `smtp` requires STARTTLS, except for the same machine (localhost, 127.0.0.1, ::1), where it uses plain text unless
    the URL ends with `?starttls=always`. Raises InvalidInputError, which does not contain the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _invalid_url() from None
    has_server = _HOST.fullmatch(host) is not None or _is_address(host)
    has_login = bool(parts.username) and bool(parts.password)
    if (
        parts.scheme not in _DEFAULT_PORTS
        or not has_server
        or port == 0
        or has_login != ("@" in parts.netloc)
        or parts.path not in ("", "/")
        or "#" in url
        or not _is_supported_query(parts)
    ):
        raise _invalid_url()
    return SmtpServer(
        host,
        port or _DEFAULT_PORTS[parts.scheme],
        is_tls=parts.scheme == "smtps",
        is_starttls=parts.scheme == "smtp" and (bool(parts.query) or not _is_loopback(host)),
        user=unquote(parts.username) if has_login and parts.username else None,
        password=unquote(parts.password) if has_login and parts.password else None,
    )


def read_sender(text: str) -> Sender:
    """Parses the sender, `address` or `Name <address>`. Raises InvalidInputError."""
    found = _SENDER.fullmatch(text.strip())
    name = (found["quoted"] or found["name"] or "").strip() if found else ""
    address = _address(found["address"] if found else text.strip())
    if address is None or not address.isascii() or _HEADER_BREAKING_CHARACTERS.search(name):
        raise InvalidInputError.at(
            "JOURNEY_MAIL_FROM",
            "must be an email address, such as `Salon <hello@salon.com>` or hello@salon.com",
        )
    return Sender(name, address)


class SmtpMailer:
    """Sends emails over SMTP, with one connection per email. The deadline covers the whole delivery."""

    def __init__(
        self,
        url: str,
        sender: str,
        deadline_seconds: float = 20.0,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._server = read_server(url)
        self._sender = read_sender(sender)
        self._deadline_seconds = deadline_seconds
        self._ssl_context = ssl_context or ssl.create_default_context()

    async def send(self, email: Email) -> DeliveryReceipt:
        """Sends an email.

        Raises DeliveryRefusedError if the email cannot be composed, or if the server permanently rejects it or its
        recipient. Raises DeliveryFailedError for temporary errors, and for errors that the operator can fix (login,
        encryption, sender). Reasons have at most 255 characters and do not contain the recipient's address.
        """
        to = _recipient(email)
        content = _compose(email, to, self._sender)
        connection = self._new_connection()
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await connection.connect()
                response = await self._send_message(connection, to, content)
            await _quit(connection)
        except TimeoutError:
            raise DeliveryFailedError("The mail server did not respond in time.") from None
        except aiosmtplib.SMTPResponseException as error:
            raise _to_delivery_error(error, to) from None
        except ssl.SSLCertVerificationError as error:
            raise _communication_error(f"Its certificate is not valid: {error.verify_message}", to) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _communication_error(str(error), to) from None
        finally:
            _abort(connection)
        return DeliveryReceipt(_short_reason(to, response.message), response.code)

    def _new_connection(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            # Set explicitly: resolving this machine's host name can take longer than the delivery.
            local_hostname=self._sender.domain,
            timeout=None,
            use_tls=self._server.is_tls,
            start_tls=self._server.is_starttls,
            tls_context=self._ssl_context,
        )

    async def _send_message(
        self, connection: aiosmtplib.SMTP, to: str, content: bytes
    ) -> aiosmtplib.SMTPResponse:
        if connection.is_ehlo_or_helo_needed:
            await connection.ehlo()
        options, encoding = [], "ascii"
        if not to.isascii():
            if not connection.supports_extension("smtputf8"):
                raise DeliveryRefusedError(
                    "The mail server does not accept addresses with non-ASCII characters."
                )
            options, encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        await connection.mail(self._sender.address, options=options, encoding=encoding)
        await connection.rcpt(to, encoding=encoding)
        return await connection.data(content)


class FileMailer:
    """Writes each email to `<key>.eml` in a folder, readable by this user only. For development."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder = folder
        self._sender = read_sender(sender)

    async def send(self, email: Email) -> DeliveryReceipt:
        """Writes an email; replaces an earlier one with the same key.

        Raises DeliveryFailedError, DeliveryRefusedError.
        """
        content = _compose(email, _recipient(email), self._sender)
        file = self._folder / f"{email.key}.eml"
        try:
            await asyncio.to_thread(_write_file, file, content)
        except OSError as error:
            raise DeliveryFailedError(
                sanitize_response_text(f"The email could not be written: {error.strerror}")
            ) from error
        return DeliveryReceipt(f"written to {file.name}")


def _write_file(file: Path, content: bytes) -> None:
    # An existing folder keeps its permissions.
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        prefix=".", suffix=".new", dir=file.parent
    )  # creates it with mode 0600
    staged = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        staged.replace(file)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _compose(email: Email, to: str, sender: Sender) -> bytes:
    """Composes the message. Header values are checked, so that none can inject a header."""
    _check_header_values(email)
    head = {
        "From": _from(Sender(_display_name(email.sender_name) or sender.name, sender.address)),
        "To": to,
        "Subject": _subject(email.subject),
        "Date": format_datetime(email.sent_at),
        "Message-ID": f"<{email.key}@{sender.domain}>",
        "Auto-Submitted": "auto-generated",
    }
    if email.reply_to is not None:
        reply_to = _address(email.reply_to)
        if reply_to is None or not reply_to.isascii():
            raise DeliveryRefusedError("The reply-to address is not valid.")
        head["Reply-To"] = reply_to
    url = email.unsubscribe_url
    if url is not None:
        head |= {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    # Headers are written here: the library would fold long URLs into encoded words and drop spaces of subjects.
    return "".join(f"{name}: {value}{_LINE_END}" for name, value in head.items()).encode() + _body(email)


def _check_header_values(email: Email) -> None:
    if not _KEY.fullmatch(email.key):
        raise DeliveryRefusedError("The key of the email must consist of letters, digits, and hyphens.")
    if _HEADER_BREAKING_CHARACTERS.search(email.subject):
        raise DeliveryRefusedError("The subject contains a line break or a control character.")
    if email.unsubscribe_url is not None and not _URL.fullmatch(email.unsubscribe_url):
        raise DeliveryRefusedError("The unsubscribe URL is not valid.")


def _body(email: Email) -> bytes:
    body = EmailMessage(policy=_POLICY)
    try:
        body.set_content(email.text, cte=_ENCODING)
        if email.html is not None:
            body.add_alternative(email.html, subtype="html", cte=_ENCODING)
    except UnicodeEncodeError:
        raise DeliveryRefusedError(
            "The text contains characters that cannot be encoded in an email."
        ) from None
    return body.as_bytes()


def _from(sender: Sender) -> str:
    if sender.name.isascii():
        return formataddr((sender.name, sender.address))
    return f"{Header(sender.name, 'utf-8', header_name='From').encode(linesep=_LINE_END)} <{sender.address}>"


def _display_name(name: str | None) -> str:
    """Returns a display name that fits a header: one line of limited length."""
    return " ".join(_HEADER_BREAKING_CHARACTERS.sub(" ", name or "").split())[:_MAX_NAME_LENGTH]


def _subject(subject: str) -> str:
    is_plain = subject.isascii() and "=?" not in subject and subject == subject.strip()
    if is_plain and len(subject) <= _MAX_PLAIN_SUBJECT_LENGTH:
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode(linesep=_LINE_END)


def _recipient(email: Email) -> str:
    address = _address(email.to)
    if address is None:
        raise DeliveryRefusedError("The recipient's address is not valid.")
    return address


def _address(text: str) -> str | None:
    """Returns an address with its domain in ASCII; None for quoted local parts and IP literals."""
    local, _, domain = text.rpartition("@")
    if not (
        _LOCAL.fullmatch(local) and local.isprintable() and len(local.encode()) <= _MAX_LOCAL_PART_LENGTH
    ):
        return None
    try:
        host = httpx.URL(scheme="https", host=domain).raw_host.decode()
    except (httpx.InvalidURL, UnicodeError):
        return None
    if not _HOST.fullmatch(host) or _is_address(host):
        return None
    address = f"{local}@{host}"
    return address if len(address.encode()) <= _MAX_ADDRESS_LENGTH else None


def _to_delivery_error(
    error: aiosmtplib.SMTPResponseException, to: str
) -> DeliveryFailedError | DeliveryRefusedError:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        # The response is dropped because it may contain the rejected login.
        return DeliveryFailedError("The mail server rejected the login.", status=error.code)
    reason = _short_reason(to, f"The mail server responded {error.code}: {error.message}")
    is_about_message = isinstance(error, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError)
    if is_about_message and error.code in _PERMANENT_ERRORS and error.code != _AUTHENTICATION_REQUIRED:
        return DeliveryRefusedError(reason, status=error.code)
    return DeliveryFailedError(reason, status=error.code)


def _communication_error(cause: str, to: str) -> DeliveryFailedError:
    return DeliveryFailedError(_short_reason(to, f"Communication with the mail server failed. {cause}"))


def _short_reason(to: str, text: str) -> str:
    """Returns a server's response as one line, without the recipient's address, which servers often repeat."""
    return sanitize_response_text(re.sub(re.escape(to), "(the recipient)", text, flags=re.IGNORECASE))


async def _quit(connection: aiosmtplib.SMTP) -> None:
    """Ends the session. Errors are ignored: the server has already accepted the email."""
    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(_QUIT_SECONDS):
            await connection.quit()


def _abort(connection: aiosmtplib.SMTP) -> None:
    """Closes the connection immediately, without waiting for the server."""
    transport = connection.transport
    connection.close()
    if transport is not None:
        cast("asyncio.Transport", transport).abort()


def _invalid_url() -> InvalidInputError:
    return InvalidInputError.at(
        "SMTP_URL",
        "is not a mail server URL such as smtp://user:password@mail.company.com:587; user and password must both"
        " be given, and characters other than letters and digits must be percent-encoded",
    )


def _is_supported_query(parts: SplitResult) -> bool:
    return parts.query == "" or (parts.scheme == "smtp" and parts.query == "starttls=always")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
