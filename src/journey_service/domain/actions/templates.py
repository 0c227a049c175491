"""What the service writes to customers, before anybody's name is in it: built-in texts, and those of companies."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token

WRITTEN: Final = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""The channels that have templates."""
SUBJECT_LENGTH: Final = 200
TEXT_LENGTH: Final = 20_000
HTML_LENGTH: Final = 60_000
SMS_LENGTH: Final = 1_000

KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-(?:[a-z]{2}|[0-9]{3}))?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIELDS: Final = ("key", "channel", "language", "subject", "text", "html")


@dataclass(frozen=True, slots=True)
class Template:
    """A message on one channel in one language, in Liquid; subject and HTML belong to emails."""

    key: str
    channel: Channel
    language: str
    text: str
    subject: str | None = None
    html: str | None = None


def select_template(available: Iterable[Template], wanted: Sequence[str]) -> Template | None:
    """The template in the first wanted language there is, or the first of all.

    A language is served exactly, else without its region, else with another region.
    """
    templates = tuple(available)
    by_language = {each.language: each for each in reversed(templates)}
    by_primary = {each.language.partition("-")[0]: each for each in reversed(templates)}
    for language in (each.lower().replace("_", "-") for each in wanted):
        primary = language.partition("-")[0]
        found = by_language.get(language) or by_language.get(primary) or by_primary.get(primary)
        if found is not None:
            return found
    return templates[0] if templates else None


# ---- what a company writes


def check_key(value: object, pointer: str) -> str:
    """Read the name of a template. Raises InvalidInputError."""
    if not isinstance(value, str) or not KEY.fullmatch(value):
        raise InvalidInputError.at(
            pointer, "must be 1 to 50 lower-case letters, digits and underscores, a letter first"
        )
    return value


def check_language(value: object, pointer: str) -> str:
    """Read a language with or without a region. Raises InvalidInputError."""
    if not isinstance(value, str) or not LANGUAGE.fullmatch(value):
        raise InvalidInputError.at(pointer, "must be a language such as 'en' or 'pt-br', in lower case")
    return value


def parse_template(raw: Mapping[str, object], pointer: str = "") -> Template:
    """Read a template from JSON; whether its Liquid can be rendered is not looked at.

    Raises InvalidInputError with the place of every fault.
    """
    faults = [
        FieldError(f"{pointer}/{pointer_token(name)}", "is not known here")
        for name in raw
        if name not in _FIELDS
    ]
    channel = raw.get("channel")
    if channel not in WRITTEN:
        faults.append(FieldError(f"{pointer}/channel", "must be 'email', 'sms' or 'offer'"))
    for name, check in (("key", check_key), ("language", check_language)):
        try:
            check(raw.get(name), f"{pointer}/{name}")
        except InvalidInputError as error:
            faults += error.errors
    longest = SMS_LENGTH if channel == Channel.SMS else TEXT_LENGTH
    is_email = channel == Channel.EMAIL
    told = {
        "text": _text_fault(raw.get("text"), longest, is_required=True),
        "subject": _subject_fault(raw.get("subject"), is_required=is_email),
        "html": _text_fault(raw.get("html"), HTML_LENGTH, is_required=False),
    }
    if channel in WRITTEN and not is_email:
        foreign = [name for name in ("subject", "html") if raw.get(name) is not None]
        told |= dict.fromkeys(foreign, "belongs to emails only")
    faults += [FieldError(f"{pointer}/{name}", fault) for name, fault in told.items() if fault is not None]
    if faults:
        raise InvalidInputError(faults)
    subject, html = raw.get("subject"), raw.get("html")
    return Template(
        key=str(raw["key"]),
        channel=Channel(str(channel)),
        language=str(raw["language"]),
        text=str(raw["text"]),
        subject=None if subject is None else str(subject),
        html=None if html is None else str(html),
    )


def _subject_fault(value: object, *, is_required: bool) -> str | None:
    fault = _text_fault(value, SUBJECT_LENGTH, is_required=is_required)
    if fault is None and isinstance(value, str) and len(value.splitlines()) > 1:
        return "must be a single line"
    return fault


def _text_fault(value: object, longest: int, *, is_required: bool) -> str | None:
    if value is None:
        return "is required" if is_required else None
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        return f"must be a text of 1 to {longest} characters"
    if "\x00" in value:
        return "must not contain NUL"
    return "must be Unicode text" if _SURROGATE.search(value) else None


# ---- what the service brings


class _Manner(NamedTuple):
    """How a language begins and ends a message. `unsubscribing` is a sentence; its second part becomes a link."""

    greeting: str
    farewell: str
    sender: str
    unsubscribing: tuple[str, str]


class _Letter(NamedTuple):
    """An email before its greeting and its end are around it: Liquid, paragraphs apart by an empty line."""

    subject: str
    body: str

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The paragraphs, without the breaks of lines that they are written in here."""
        return tuple(" ".join(each.split()) for each in self.body.split("\n\n"))


_MANNERS: Final[Mapping[str, _Manner]] = {
    "en": _Manner(
        greeting="{% assign name = customer.first_name | default: customer.name %}"
        "Hello{% if name %} {{ name }}{% endif %},",
        farewell="Kind regards",
        sender="{{ company.name | default: 'Your team' }}",
        unsubscribing=("If you would rather not get emails like this, ", "unsubscribe here"),
    ),
    "de": _Manner(
        greeting="{% assign name = customer.name | default: customer.first_name %}"
        "Guten Tag{% if name %} {{ name }}{% endif %},",
        farewell="Herzliche Grüße",
        sender="{{ company.name | default: 'Ihr Team' }}",
        unsubscribing=("Sie möchten solche E-Mails nicht mehr bekommen? ", "Hier können Sie sich abmelden"),
    ),
}

_LETTERS: Final[Mapping[str, Mapping[str, _Letter]]] = {
    "welcome": {
        "en": _Letter(
            "Thank you for getting in touch{% if company.name %} with {{ company.name }}{% endif %}",
            """
            Thank you for getting in touch. We are glad that you have found us.

            If you have a question, or would like to arrange a first appointment, simply reply to this email
            or give us a call. We will gladly find a time that suits you.
            """,
        ),
        "de": _Letter(
            "Vielen Dank für Ihr Interesse{% if company.name %} an {{ company.name }}{% endif %}",
            """
            vielen Dank, dass Sie sich bei uns gemeldet haben. Schön, dass Sie uns gefunden haben.

            Haben Sie eine Frage, oder möchten Sie einen ersten Termin vereinbaren? Antworten Sie einfach
            auf diese E-Mail, oder rufen Sie uns an. Wir finden gern eine Zeit, die Ihnen passt.
            """,
        ),
    },
    "onboarding": {
        "en": _Letter(
            "Good to have you with us",
            """
            Thank you for your trust. We want every visit to be a good one for you.

            Three things help with that: come a few minutes early, tell us beforehand what matters to you,
            and let us know in good time if you cannot come, so that we can find another day for you.

            If anything is unclear, simply reply to this email. We are happy to help.
            """,
        ),
        "de": _Letter(
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
        "en": _Letter(
            "How was your visit?",
            """
            You were with us recently, and we would like to know how it was for you.

            What did you like, and what could we do better? A line or two in reply to this email is enough.
            We read every answer.
            """,
        ),
        "de": _Letter(
            "Wie war Ihr Besuch bei uns?",
            """
            vor Kurzem waren Sie bei uns, und wir möchten gern wissen, wie es für Sie war.

            Was hat Ihnen gefallen, und was können wir besser machen? Ein, zwei Zeilen als Antwort auf diese
            E-Mail genügen. Wir lesen jede Antwort.
            """,
        ),
    },
    "vip_benefits": {
        "en": _Letter(
            "A thank-you for your loyalty",
            """
            You are one of our most loyal customers, and we would like to thank you for it.

            From now on you have a personal contact with us who knows you and what matters to you. Tell us
            which days and times you prefer, and we will do our best to keep them free for you.

            Once a quarter we will also take the time to ask what we can do better for you.
            """,
        ),
        "de": _Letter(
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
        "en": _Letter(
            "We have not seen you for a while",
            """
            We have not seen you for a while, and we would love to welcome you back.

            If it is time for an appointment, simply reply to this email or give us a call. We will gladly
            find a time that suits you.

            And if something was not as you had hoped, please tell us. We would like to put it right.
            """,
        ),
        "de": _Letter(
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
        "en": _Letter(
            "A personal word from {{ company.name | default: 'us' }}",
            """
            {% if note %}{{ note }}{% else %}I wanted to ask in person how you are, and whether there is
            anything we can do for you.{% endif %}

            Simply reply to this email. I look forward to hearing from you.
            """,
        ),
        "de": _Letter(
            "Ein persönliches Wort von {{ company.name | default: 'uns' }}",
            """
            {% if note %}{{ note }}{% else %}ich wollte Sie persönlich fragen, wie es Ihnen geht und ob wir
            etwas für Sie tun können.{% endif %}

            Antworten Sie einfach auf diese E-Mail. Ich freue mich, von Ihnen zu hören.
            """,
        ),
    },
}

_OFFERED: Final[Mapping[str, str]] = {
    "en": "{{ offer.title | default: 'A small thank-you on your next visit' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Your code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Valid until {{ offer.valid_until }}.{% endif %}",
    "de": "{{ offer.title | default: 'Ein kleines Dankeschön bei Ihrem nächsten Besuch' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Ihr Code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Gültig bis {{ offer.valid_until }}.{% endif %}",
}

_SHORT: Final[Mapping[str, tuple[Channel, Mapping[str, str]]]] = {
    # In characters every phone has, so that 160 of them are one message.
    "retention_sms": (
        Channel.SMS,
        {
            "en": " we have not seen you for a while. Give us a call, and we will find a time for you. ",
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
            "en": "\n\n{{ note | default: 'This is for you.' }}\n\n",
            "de": "\n\n{{ note | default: 'das ist für Sie.' }}\n\n",
        },
    ),
}

_URL: Final = "{{ unsubscribe_url }}"
_BODY: Final = (
    "margin:0;padding:24px 16px;background:#ffffff;color:#1f2933;"
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;font-size:16px;line-height:1.5"
)


def _email(key: str, language: str, email: _Letter) -> Template:
    manner = _MANNERS[language]
    before, link = manner.unsubscribing
    text = (
        manner.greeting,
        *email.paragraphs,
        f"{manner.farewell}\n{manner.sender}",
        f"{before}{link}: {_URL}",
    )
    return Template(
        key, Channel.EMAIL, language, "\n\n".join(text) + "\n", email.subject, _page(language, email)
    )


def _page(language: str, email: _Letter) -> str:
    manner = _MANNERS[language]
    before, link = manner.unsubscribing
    lines = (manner.greeting, *email.paragraphs, f"{manner.farewell}<br>\n{manner.sender}")
    paragraphs = "\n".join(
        f'<p style="margin:0 0 16px">{line.replace("{{ note }}", "{{ note | newline_to_br }}")}</p>'
        for line in lines
    )
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{email.subject}</title>
</head>
<body style="{_BODY}">
<main style="max-width:36em;margin:0 auto">
{paragraphs}
<p style="margin:32px 0 0;font-size:14px;color:#52606d">{before}<a href="{_URL}" style="color:#1d4ed8">{link}</a>.</p>
</main>
</body>
</html>
"""


def _short(key: str, channel: Channel, language: str, message: str) -> Template:
    manner = _MANNERS[language]
    end = manner.sender if channel is Channel.SMS else _OFFERED[language]
    return Template(key, channel, language, f"{manner.greeting}{message}{end}")


BUILT_IN: Final[Mapping[str, tuple[Template, ...]]] = {
    **{
        key: tuple(_email(key, language, email) for language, email in emails.items())
        for key, emails in _LETTERS.items()
    },
    **{
        key: tuple(_short(key, channel, language, message) for language, message in messages.items())
        for key, (channel, messages) in _SHORT.items()
    },
}
"""The templates that are used where a company has written none of its own, by key."""
