"""Message templates: parsing of a company's own, selection by language, and the built-in ones."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from journey_service.domain.actions.stage_actions import TEMPLATED_CHANNELS, Channel
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
    """Liquid template of a message on one channel in one language; only emails have a subject and HTML."""

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
        errors.append(FieldError(f"{pointer}/channel", "must be one of email, sms, offer"))
    for name, check in (("key", check_key), ("language", check_language)):
        try:
            check(raw.get(name), f"{pointer}/{name}")
        except InvalidInputError as error:
            errors += error.errors
    max_length = MAX_SMS_LENGTH if channel == Channel.SMS else MAX_TEXT_LENGTH
    is_email = channel == Channel.EMAIL
    messages = {
        "text": _check_text(raw.get("text"), max_length, is_required=True),
        "subject": _check_subject(raw.get("subject"), is_required=is_email),
        "html": _check_text(raw.get("html"), MAX_HTML_LENGTH, is_required=False),
    }
    if channel in TEMPLATED_CHANNELS and not is_email:
        email_fields = [name for name in ("subject", "html") if raw.get(name) is not None]
        messages |= dict.fromkeys(email_fields, "is allowed for emails only")
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


class _MessageFrame(NamedTuple):
    """Greeting and closing of messages in one language. In HTML, `unsubscribe_text[1]` is a link."""

    greeting: str
    farewell: str
    sender: str
    unsubscribe_text: tuple[str, str]


class _EmailText(NamedTuple):
    """Subject and body of an email in Liquid, without greeting and closing. Empty lines end paragraphs."""

    subject: str
    body: str

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The paragraphs of the body, each on one line."""
        return tuple(" ".join(each.split()) for each in self.body.split("\n\n"))


_FRAMES: Final[Mapping[str, _MessageFrame]] = {
    "en": _MessageFrame(
        greeting="{% assign name = customer.first_name | default: customer.name %}"
        "Hello{% if name %} {{ name }}{% endif %},",
        farewell="Kind regards",
        sender="{{ company.name | default: 'Your team' }}",
        unsubscribe_text=("No longer want to receive these emails? ", "Unsubscribe here"),
    ),
    "de": _MessageFrame(
        greeting="{% assign name = customer.name | default: customer.first_name %}"
        "Guten Tag{% if name %} {{ name }}{% endif %},",
        farewell="Herzliche Grüße",
        sender="{{ company.name | default: 'Ihr Team' }}",
        unsubscribe_text=("Sie möchten diese E-Mails nicht mehr erhalten? ", "Hier können Sie sich abmelden"),
    ),
}

_EMAILS: Final[Mapping[str, Mapping[str, _EmailText]]] = {
    "welcome": {
        "en": _EmailText(
            "Thank you for getting in touch{% if company.name %} with {{ company.name }}{% endif %}",
            """
            Thank you for getting in touch. We're glad you found us.

            If you have any questions or would like to book your first appointment, just reply to this email
            or give us a call. We'll be happy to find a time that suits you.
            """,
        ),
        "de": _EmailText(
            "Vielen Dank für Ihr Interesse{% if company.name %} an {{ company.name }}{% endif %}",
            """
            vielen Dank, dass Sie sich bei uns gemeldet haben. Schön, dass Sie uns gefunden haben.

            Haben Sie eine Frage, oder möchten Sie einen ersten Termin vereinbaren? Antworten Sie einfach
            auf diese E-Mail, oder rufen Sie uns an. Wir finden gern eine Zeit, die Ihnen passt.
            """,
        ),
    },
    "onboarding": {
        "en": _EmailText(
            "Good to have you with us",
            """
            Thank you for choosing us. We want you to enjoy every visit.

            Three things help us with that: please arrive a few minutes early, let us know in advance what
            matters to you, and if you can't make it, let us know in good time so we can find another day.

            If you have any questions, just reply to this email. We're happy to help.
            """,
        ),
        "de": _EmailText(
            "Schön, dass Sie bei uns sind",
            """
            vielen Dank für Ihr Vertrauen. Wir möchten, dass jeder Besuch für Sie ein guter wird.

            Drei Dinge helfen dabei: Kommen Sie ein paar Minuten früher, sagen Sie uns vorab, was Ihnen
            wichtig ist, und geben Sie rechtzeitig Bescheid, wenn Sie nicht kommen können, damit wir einen
            anderen Tag für Sie finden.

            Ist noch etwas unklar? Antworten Sie einfach auf diese E-Mail. Wir helfen Ihnen gern.
            """,
        ),
    },
    "feedback_request": {
        "en": _EmailText(
            "How was your visit?",
            """
            You visited us recently, and we'd love to hear how it went.

            What did you like, and what could we do better? A line or two in reply to this email is enough.
            We read every reply.
            """,
        ),
        "de": _EmailText(
            "Wie war Ihr Besuch bei uns?",
            """
            vor Kurzem waren Sie bei uns, und wir möchten gern wissen, wie es für Sie war.

            Was hat Ihnen gefallen, und was können wir besser machen? Ein, zwei Zeilen als Antwort auf diese
            E-Mail genügen. Wir lesen jede Antwort.
            """,
        ),
    },
    "vip_benefits": {
        "en": _EmailText(
            "Thank you for your loyalty",
            """
            You are one of our most loyal customers, and we'd like to thank you for that.

            From now on, you have a personal contact who knows you and what matters to you. Let us know which
            days and times you prefer, and we'll do our best to keep them free for you.

            Once a quarter, we'll also take the time to ask you what we could do better.
            """,
        ),
        "de": _EmailText(
            "Ein Dankeschön für Ihre Treue",
            """
            Sie halten uns seit Langem die Treue, und dafür möchten wir uns bei Ihnen bedanken.

            Ab sofort haben Sie bei uns eine persönliche Ansprechperson, die Sie kennt und weiß, was Ihnen
            wichtig ist. Sagen Sie uns, welche Tage und Zeiten Ihnen am liebsten sind; wir tun unser Bestes,
            sie für Sie freizuhalten.

            Einmal im Quartal nehmen wir uns außerdem die Zeit zu fragen, was wir für Sie besser machen
            können.
            """,
        ),
    },
    "retention_email": {
        "en": _EmailText(
            "We haven't seen you in a while",
            """
            It's been a while since your last visit, and we'd love to welcome you back.

            If you'd like to book an appointment, just reply to this email or give us a call. We'll be happy
            to find a time that suits you.

            And if something wasn't right last time, please let us know. We'd like to make up for it.
            """,
        ),
        "de": _EmailText(
            "Wir haben Sie lange nicht gesehen",
            """
            wir haben Sie lange nicht gesehen und würden uns freuen, Sie wieder bei uns zu begrüßen.

            Ist es Zeit für einen Termin? Antworten Sie einfach auf diese E-Mail, oder rufen Sie uns an. Wir
            finden gern eine Zeit, die Ihnen passt.

            Und wenn etwas nicht so war, wie Sie es sich gewünscht haben: Sagen Sie es uns bitte. Wir
            möchten es wiedergutmachen.
            """,
        ),
    },
    "personal_email": {
        "en": _EmailText(
            "A personal message from {{ company.name | default: 'us' }}",
            """
            {% if note %}{{ note }}{% else %}I wanted to check in and see how you are, and if there is
            anything we can do for you.{% endif %}

            Just reply to this email. I look forward to hearing from you.
            """,
        ),
        "de": _EmailText(
            "Ein persönliches Wort von {{ company.name | default: 'uns' }}",
            """
            {% if note %}{{ note }}{% else %}ich wollte Sie persönlich fragen, wie es Ihnen geht und ob wir
            etwas für Sie tun können.{% endif %}

            Antworten Sie einfach auf diese E-Mail. Ich freue mich, von Ihnen zu hören.
            """,
        ),
    },
}

_OFFER_TEXTS: Final[Mapping[str, str]] = {
    "en": "{{ offer.title | default: 'A small thank-you on your next visit' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Your code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Valid until {{ offer.valid_until }}.{% endif %}",
    "de": "{{ offer.title | default: 'Ein kleines Dankeschön bei Ihrem nächsten Besuch' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Ihr Code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Gültig bis {{ offer.valid_until }}.{% endif %}",
}

_SHORT_MESSAGES: Final[Mapping[str, tuple[Channel, Mapping[str, str]]]] = {
    # Only characters of the GSM-7 alphabet: 160 of them fit into one text message.
    "retention_sms": (
        Channel.SMS,
        {
            "en": " we haven't seen you in a while. Give us a call, and we'll find a time that suits you. ",
            "de": " wir haben Sie lange nicht gesehen. Rufen Sie uns an, wir finden gern einen Termin. ",
        },
    ),
    "retention_offer": (
        Channel.OFFER,
        {"en": " we would love to see you again. ", "de": " wir würden Sie gern wiedersehen. "},
    ),
    "personal_offer": (
        Channel.OFFER,
        {
            "en": "\n\n{{ note | default: 'We have something for you.' }}\n\n",
            "de": "\n\n{{ note | default: 'wir haben etwas für Sie.' }}\n\n",
        },
    ),
}

_UNSUBSCRIBE_URL: Final = "{{ unsubscribe_url }}"
_BODY_STYLE: Final = (
    "margin:0;padding:24px 16px;background:#ffffff;color:#1f2933;"
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:16px;line-height:1.5"
)


def _build_email(key: str, language: str, email: _EmailText) -> Template:
    frame = _FRAMES[language]
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


def _render_html(language: str, email: _EmailText) -> str:
    frame = _FRAMES[language]
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
    frame = _FRAMES[language]
    end = frame.sender if channel is Channel.SMS else _OFFER_TEXTS[language]
    return Template(key, channel, language, f"{frame.greeting}{message}{end}")


BUILT_IN: Final[Mapping[str, tuple[Template, ...]]] = {
    **{
        key: tuple(_build_email(key, language, email) for language, email in emails.items())
        for key, emails in _EMAILS.items()
    },
    **{
        key: tuple(
            _build_short_message(key, channel, language, message) for language, message in messages.items()
        )
        for key, (channel, messages) in _SHORT_MESSAGES.items()
    },
}
"""Built-in templates by key, used unless the company has its own."""
