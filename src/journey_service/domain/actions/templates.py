"""Message templates: parsing of a company's own, selection by language, and the built-in ones."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.domain.actions.built_in.texts import (
    EMAILS,
    FRAMES,
    NOTICES,
    OFFER_TEXTS,
    SHORT_MESSAGES,
    EmailText,
)
from journey_service.domain.actions.stage_actions import MAIL_CHANNELS, TEMPLATED_CHANNELS, Channel
from journey_service.domain.customers.profiles import language_fallbacks
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token

MAX_SUBJECT_LENGTH: Final = 200
MAX_TEXT_LENGTH: Final = 20_000
MAX_HTML_LENGTH: Final = 60_000
MAX_SMS_LENGTH: Final = 1_000
"""Characters of a text message; it counts before and after rendering."""

KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-(?:[a-z]{2}|[0-9]{3}))?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIELDS: Final = ("key", "channel", "language", "subject", "text", "html")


@dataclass(frozen=True, slots=True)
class Template:
    """Liquid template of a message on one channel in one language; only emails and notices have a subject and HTML."""

    key: str
    channel: Channel
    language: str
    text: str
    subject: str | None = None
    html: str | None = None


def select_template(available: Iterable[Template], wanted: Sequence[str]) -> Template | None:
    """Returns the template in the first wanted language that is available, else the first template.

    A language matches exactly, else without its region, else with another region.
    """
    templates = tuple(available)
    by_language = {each.language: each for each in reversed(templates)}
    by_primary = {each.language.partition("-")[0]: each for each in reversed(templates)}
    for language in wanted:
        tags = language_fallbacks(language)
        found = next((by_language[tag] for tag in tags if tag in by_language), by_primary.get(tags[-1]))
        if found is not None:
            return found
    return templates[0] if templates else None


# ---- templates of companies


def check_key(value: object, pointer: str) -> str:
    """Returns a valid template key. Raises InvalidInputError."""
    if not isinstance(value, str) or not KEY.fullmatch(value):
        raise InvalidInputError.at(
            pointer, "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"
        )
    return value


def check_language(value: object, pointer: str) -> str:
    """Returns a valid language tag, with or without a region. Raises InvalidInputError."""
    if not isinstance(value, str) or not LANGUAGE.fullmatch(value):
        raise InvalidInputError.at(pointer, "must be a language tag in lowercase, such as 'en' or 'pt-br'")
    return value


def parse_template(raw: Mapping[str, object], pointer: str = "") -> Template:
    """Parses a template from JSON; its Liquid is not checked.

    Raises InvalidInputError with every error.
    """
    errors = [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not a known field")
        for name in raw
        if name not in _FIELDS
    ]
    channel = raw.get("channel")
    if channel not in TEMPLATED_CHANNELS:
        errors.append(FieldError(f"{pointer}/channel", f"must be one of {', '.join(TEMPLATED_CHANNELS)}"))
    for name, check in (("key", check_key), ("language", check_language)):
        try:
            check(raw.get(name), f"{pointer}/{name}")
        except InvalidInputError as error:
            errors += error.errors
    messages = _part_errors(raw, channel)
    errors += [
        FieldError(f"{pointer}/{name}", message) for name, message in messages.items() if message is not None
    ]
    if errors:
        raise InvalidInputError(errors)
    subject, html = raw.get("subject"), raw.get("html")
    return Template(
        key=str(raw["key"]),
        channel=Channel(str(channel)),
        language=str(raw["language"]),
        text=str(raw["text"]),
        subject=None if subject is None else str(subject),
        html=None if html is None else str(html),
    )


def _part_errors(raw: Mapping[str, object], channel: object) -> dict[str, str | None]:
    """Returns the error of each part of a message; None for a valid one."""
    max_length = MAX_SMS_LENGTH if channel == Channel.SMS else MAX_TEXT_LENGTH
    is_email = channel in MAIL_CHANNELS
    messages = {
        "text": _check_text(raw.get("text"), max_length, is_required=True),
        "subject": _check_subject(raw.get("subject"), is_required=is_email),
        "html": _check_text(raw.get("html"), MAX_HTML_LENGTH, is_required=False),
    }
    if channel in TEMPLATED_CHANNELS and not is_email:
        email_fields = [name for name in ("subject", "html") if raw.get(name) is not None]
        messages |= dict.fromkeys(email_fields, "is allowed for emails and notices only")
    return messages


def _check_subject(value: object, *, is_required: bool) -> str | None:
    message = _check_text(value, MAX_SUBJECT_LENGTH, is_required=is_required)
    if message is None and isinstance(value, str) and len(value.splitlines()) > 1:
        return "must be a single line"
    return message


def _check_text(value: object, max_length: int, *, is_required: bool) -> str | None:
    if value is None:
        return "is required" if is_required else None
    if not isinstance(value, str) or not 1 <= len(value) <= max_length:
        return f"must be a text of 1 to {max_length} characters"
    if "\x00" in value:
        return "must not contain NUL"
    return "must be Unicode text" if _SURROGATE.search(value) else None


# ---- built-in templates


_UNSUBSCRIBE_URL: Final = "{{ unsubscribe_url }}"
_BODY_STYLE: Final = (
    "margin:0;padding:24px 16px;background:#ffffff;color:#1f2933;"
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:16px;line-height:1.5"
)


def _build_email(key: str, language: str, email: EmailText) -> Template:
    frame = FRAMES[language]
    before, link = frame.unsubscribe_text
    text = (
        frame.greeting,
        *email.paragraphs,
        f"{frame.farewell}\n{frame.sender}",
        f"{before}{link}: {_UNSUBSCRIBE_URL}",
    )
    return Template(
        key, Channel.EMAIL, language, "\n\n".join(text) + "\n", email.subject, _render_html(language, email)
    )


def _build_notice(key: str, language: str, email: EmailText) -> Template:
    """Builds an email to an employee: without greeting, closing and unsubscribe link."""
    return Template(key, Channel.NOTICE, language, "\n\n".join(email.paragraphs) + "\n", email.subject)


def _render_html(language: str, email: EmailText) -> str:
    frame = FRAMES[language]
    before, link = frame.unsubscribe_text
    lines = (frame.greeting, *email.paragraphs, f"{frame.farewell}<br>\n{frame.sender}")
    paragraphs = "\n".join(
        f'<p style="margin:0 0 16px">{line.replace("{{ note }}", "{{ note | newline_to_br }}")}</p>'
        for line in lines
    )
    unsubscribe = f'{before}<a href="{_UNSUBSCRIBE_URL}" style="color:#1d4ed8">{link}</a>.'
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{email.subject}</title>
</head>
<body style="{_BODY_STYLE}">
<main style="max-width:36em;margin:0 auto">
{paragraphs}
<p style="margin:32px 0 0;font-size:14px;color:#52606d">{unsubscribe}</p>
</main>
</body>
</html>
"""


def _build_short_message(key: str, channel: Channel, language: str, message: str) -> Template:
    frame = FRAMES[language]
    end = frame.sender if channel is Channel.SMS else OFFER_TEXTS[language]
    return Template(key, channel, language, f"{frame.greeting}{message}{end}")


BUILT_IN: Final[Mapping[str, tuple[Template, ...]]] = {
    **{
        key: tuple(_build_email(key, language, email) for language, email in emails.items())
        for key, emails in EMAILS.items()
    },
    **{
        key: tuple(_build_notice(key, language, email) for language, email in notices.items())
        for key, notices in NOTICES.items()
    },
    **{
        key: tuple(
            _build_short_message(key, channel, language, message) for language, message in messages.items()
        )
        for key, (channel, messages) in SHORT_MESSAGES.items()
    },
}
"""Built-in templates by key, used unless the company has its own."""
