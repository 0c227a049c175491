"""Texts of the built-in templates in English and German."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from journey_service.domain.actions.stage_actions import Channel


class MessageFrame(NamedTuple):
    """Greeting and closing of messages in one language. In HTML, `unsubscribe_text[1]` is a link."""

    greeting: str
    farewell: str
    sender: str
    unsubscribe_text: tuple[str, str]


class EmailText(NamedTuple):
    """Subject and body of an email in Liquid, without greeting and closing. Empty lines end paragraphs."""

    subject: str
    body: str

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The paragraphs of the body, each on one line."""
        return tuple(" ".join(each.split()) for each in self.body.split("\n\n"))


FRAMES: Final[Mapping[str, MessageFrame]] = {
    "en": MessageFrame(
        greeting="{% assign name = customer.first_name | default: customer.name %}"
        "Hello{% if name %} {{ name }}{% endif %},",
        farewell="Kind regards",
        sender="{{ company.name | default: 'Your team' }}",
        unsubscribe_text=("No longer want to receive these emails? ", "Unsubscribe here"),
    ),
    "de": MessageFrame(
        greeting="{% assign name = customer.name | default: customer.first_name %}"
        "Guten Tag{% if name %} {{ name }}{% endif %},",
        farewell="Herzliche Grüße",
        sender="{{ company.name | default: 'Ihr Team' }}",
        unsubscribe_text=("Sie möchten diese E-Mails nicht mehr erhalten? ", "Hier können Sie sich abmelden"),
    ),
}

EMAILS: Final[Mapping[str, Mapping[str, EmailText]]] = {
    "welcome": {
        "en": EmailText(
            "Thank you for getting in touch{% if company.name %} with {{ company.name }}{% endif %}",
            """
            Thank you for getting in touch. We're glad you found us.

            If you have any questions or would like to book your first appointment, just reply to this email
            or give us a call. We'll be happy to find a time that suits you.
            """,
        ),
        "de": EmailText(
            "Vielen Dank für Ihr Interesse{% if company.name %} an {{ company.name }}{% endif %}",
            """
            vielen Dank, dass Sie sich bei uns gemeldet haben. Schön, dass Sie uns gefunden haben.

            Haben Sie eine Frage, oder möchten Sie einen ersten Termin vereinbaren? Antworten Sie einfach
            auf diese E-Mail, oder rufen Sie uns an. Wir finden gern eine Zeit, die Ihnen passt.
            """,
        ),
    },
    "onboarding": {
        "en": EmailText(
            "Good to have you with us",
            """
            Thank you for choosing us. We want you to enjoy every visit.

            Three things help us with that: please arrive a few minutes early, let us know in advance what
            matters to you, and if you can't make it, let us know in good time so we can find another day.

            If you have any questions, just reply to this email. We're happy to help.
            """,
        ),
        "de": EmailText(
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
    "onboarding_day_3": {
        "en": EmailText(
            "How to get the most out of your next visit",
            """
            A few days ago you became our customer. Here is what many of our customers find useful to know.

            The sooner you book your next appointment, the more days and times you can choose from. If you
            have a favourite time, let us know, and we'll try to keep it for you.

            If your plans change, a short message is enough, and we'll find another day.
            """,
        ),
        "de": EmailText(
            "So haben Sie am meisten von Ihrem nächsten Besuch",
            """
            seit ein paar Tagen sind Sie bei uns Kundin oder Kunde. Drei Dinge, die viele gern früher gewusst
            hätten:

            Je eher Sie den nächsten Termin vereinbaren, desto größer ist die Auswahl an Tagen und Zeiten.
            Haben Sie eine Lieblingszeit? Sagen Sie sie uns, wir versuchen, sie für Sie freizuhalten.

            Und wenn etwas dazwischenkommt, genügt eine kurze Nachricht. Wir finden einen anderen Tag.
            """,
        ),
    },
    "onboarding_day_10": {
        "en": EmailText(
            "Is there anything we can do for you?",
            """
            You have been with us for a little while now, and we'd like to know whether everything is to your
            liking.

            Is there a question that is still open, or something you miss? Just reply to this email, and a
            member of our team will answer you personally.

            And if you'd like to come again, we'll be happy to find a time that suits you.
            """,
        ),
        "de": EmailText(
            "Können wir noch etwas für Sie tun?",
            """
            inzwischen kennen Sie uns ein wenig, und wir möchten gern wissen, ob alles so ist, wie Sie es
            sich wünschen.

            Ist noch eine Frage offen, oder fehlt Ihnen etwas? Antworten Sie einfach auf diese E-Mail. Jemand
            aus unserem Team antwortet Ihnen persönlich.

            Und wenn Sie wiederkommen möchten, finden wir gern eine Zeit, die Ihnen passt.
            """,
        ),
    },
    "feedback_request": {
        "en": EmailText(
            "How was your visit?",
            """
            You visited us recently, and we'd love to hear how it went.

            What did you like, and what could we do better? A line or two in reply to this email is enough.
            We read every reply.
            """,
        ),
        "de": EmailText(
            "Wie war Ihr Besuch bei uns?",
            """
            vor Kurzem waren Sie bei uns, und wir möchten gern wissen, wie es für Sie war.

            Was hat Ihnen gefallen, und was können wir besser machen? Ein, zwei Zeilen als Antwort auf diese
            E-Mail genügen. Wir lesen jede Antwort.
            """,
        ),
    },
    "vip_benefits": {
        "en": EmailText(
            "Thank you for your loyalty",
            """
            You are one of our most loyal customers, and we'd like to thank you for that.

            From now on, you have a personal contact who knows you and what matters to you. Let us know which
            days and times you prefer, and we'll do our best to keep them free for you.

            Once a quarter, we'll also take the time to ask you what we could do better.
            """,
        ),
        "de": EmailText(
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
        "en": EmailText(
            "We haven't seen you in a while",
            """
            It's been a while since your last visit, and we'd love to welcome you back.

            If you'd like to book an appointment, just reply to this email or give us a call. We'll be happy
            to find a time that suits you.

            And if something wasn't right last time, please let us know. We'd like to make up for it.
            """,
        ),
        "de": EmailText(
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
        "en": EmailText(
            "A personal message from {{ company.name | default: 'us' }}",
            """
            {% if note %}{{ note }}{% else %}I wanted to check in and see how you are, and if there is
            anything we can do for you.{% endif %}

            Just reply to this email. I look forward to hearing from you.
            """,
        ),
        "de": EmailText(
            "Ein persönliches Wort von {{ company.name | default: 'uns' }}",
            """
            {% if note %}{{ note }}{% else %}ich wollte Sie persönlich fragen, wie es Ihnen geht und ob wir
            etwas für Sie tun können.{% endif %}

            Antworten Sie einfach auf diese E-Mail. Ich freue mich, von Ihnen zu hören.
            """,
        ),
    },
}

OFFER_TEXTS: Final[Mapping[str, str]] = {
    "en": "{{ offer.title | default: 'A small thank-you on your next visit' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Your code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Valid until {{ offer.valid_until }}.{% endif %}",
    "de": "{{ offer.title | default: 'Ein kleines Dankeschön bei Ihrem nächsten Besuch' }}."
    "{% if offer.description %} {{ offer.description }}{% endif %}"
    "{% if offer.code %} Ihr Code: {{ offer.code }}.{% endif %}"
    "{% if offer.valid_until %} Gültig bis {{ offer.valid_until }}.{% endif %}",
}

SHORT_MESSAGES: Final[Mapping[str, tuple[Channel, Mapping[str, str]]]] = {
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

NOTICES: Final[Mapping[str, Mapping[str, EmailText]]] = {
    "at_risk_notice": {
        "en": EmailText(
            "At risk: {{ customer.name | default: 'a customer' }}",
            """
            {{ customer.name | default: 'A customer' }} (customer {{ customer.id }}) is in the stage
            {{ stage.name }} now.

            A task was created for you. Please get in touch with the customer.
            """,
        ),
        "de": EmailText(
            "Gefährdet: {{ customer.name | default: 'ein Kunde' }}",
            """
            {{ customer.name | default: 'Ein Kunde' }} (Kundennummer {{ customer.id }}) ist jetzt in der
            Phase {{ stage.name }}.

            Dazu gibt es eine Aufgabe. Bitte nehmen Sie Kontakt auf.
            """,
        ),
    },
}
"""Emails to employees, by template key and language."""
