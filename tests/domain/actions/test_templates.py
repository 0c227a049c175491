"""Templates: what a company may write, which language a customer gets, and what the service brings."""

import re

import pytest

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import (
    BUILT_IN,
    Template,
    check_key,
    check_language,
    parse_template,
    select_template,
)
from journey_service.domain.errors import InvalidInputError

EMAIL = {
    "key": "welcome",
    "channel": "email",
    "language": "en",
    "subject": "Welcome",
    "text": "Hello {{ customer.name }}",
    "html": "<p>Hello {{ customer.name }}</p>",
}
SMS = {"key": "reminder", "channel": "sms", "language": "pt-br", "text": "Oi"}
BUILT = [template for templates in BUILT_IN.values() for template in templates]
KEYS = "must be 1 to 50 lower-case letters, digits and underscores, a letter first"
LANGUAGES = "must be a language such as 'en' or 'pt-br', in lower case"


def faults_of(raw, pointer=""):
    with pytest.raises(InvalidInputError) as caught:
        parse_template(raw, pointer)
    return [(fault.pointer, fault.message) for fault in caught.value.errors]


def in_languages(*languages):
    return [Template("welcome", Channel.SMS, language, "Hello") for language in languages]


def test_an_email_is_read_as_it_is_written():
    assert parse_template(EMAIL) == Template(
        key="welcome",
        channel=Channel.EMAIL,
        language="en",
        text="Hello {{ customer.name }}",
        subject="Welcome",
        html="<p>Hello {{ customer.name }}</p>",
    )


@pytest.mark.parametrize("nothing", [{}, {"subject": None, "html": None}], ids=["left out", "null"])
def test_a_text_message_needs_neither_subject_nor_html(nothing):
    assert parse_template({**SMS, **nothing}) == Template("reminder", Channel.SMS, "pt-br", "Oi")


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"key": None}, "/key", KEYS),
        ({"key": ""}, "/key", KEYS),
        ({"key": "Welcome"}, "/key", KEYS),
        ({"key": "1st"}, "/key", KEYS),
        ({"key": "a" * 51}, "/key", KEYS),
        ({"key": "welcome\n"}, "/key", KEYS),
        ({"language": None}, "/language", LANGUAGES),
        ({"language": "EN"}, "/language", LANGUAGES),
        ({"language": "english"}, "/language", LANGUAGES),
        ({"language": "pt_br"}, "/language", LANGUAGES),
        ({"language": ["en"]}, "/language", LANGUAGES),
        ({"channel": "call"}, "/channel", "must be 'email', 'sms' or 'offer'"),
        ({"channel": None}, "/channel", "must be 'email', 'sms' or 'offer'"),
        ({"channel": {"a": []}}, "/channel", "must be 'email', 'sms' or 'offer'"),
        ({"text": None}, "/text", "is required"),
        ({"text": ""}, "/text", "must be a text of 1 to 20000 characters"),
        ({"text": "a" * 20_001}, "/text", "must be a text of 1 to 20000 characters"),
        ({"text": 7}, "/text", "must be a text of 1 to 20000 characters"),
        ({"text": "a\x00"}, "/text", "must not contain NUL"),
        ({"text": "a\ud800"}, "/text", "must be Unicode text"),
        ({"subject": None}, "/subject", "is required"),
        ({"subject": ""}, "/subject", "must be a text of 1 to 200 characters"),
        ({"subject": "a" * 201}, "/subject", "must be a text of 1 to 200 characters"),
        ({"subject": "a\r\nBcc: b"}, "/subject", "must be a single line"),
        ({"subject": "a\u2028b"}, "/subject", "must be a single line"),
        ({"html": "a" * 60_001}, "/html", "must be a text of 1 to 60000 characters"),
        ({"html": "a\udfff"}, "/html", "must be Unicode text"),
        ({"from": "me"}, "/from", "is not known here"),
        ({"a/b": "me"}, "/a~1b", "is not known here"),
    ],
)
def test_what_is_wrong_with_an_email_is_said_where_it_is(change, pointer, message):
    assert faults_of({**EMAIL, **change}) == [(pointer, message)]


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"text": "a" * 1_001}, "/text", "must be a text of 1 to 1000 characters"),
        ({"subject": "Hello"}, "/subject", "belongs to emails only"),
        ({"html": "<p>Hello</p>"}, "/html", "belongs to emails only"),
    ],
)
def test_what_is_wrong_with_a_text_message_is_said_where_it_is(change, pointer, message):
    assert faults_of({**SMS, **change}) == [(pointer, message)]


def test_every_fault_is_named_at_once_below_the_place_of_the_template():
    assert [pointer for pointer, _ in faults_of({}, "/templates/3")] == [
        "/templates/3/channel",
        "/templates/3/key",
        "/templates/3/language",
        "/templates/3/text",
    ]


@pytest.mark.parametrize("language", ["en", "pt-br", "gsw", "es-419"])
def test_a_language_may_have_a_region(language):
    assert check_language(language, "/language") == language


def test_a_key_is_taken_as_it_is():
    assert check_key("a" * 50, "/key") == "a" * 50


@pytest.mark.parametrize(
    ("available", "wanted", "language"),
    [
        (["en", "de"], ["de", "en"], "de"),
        (["en", "de"], ["de-at", "en"], "de"),
        (["en", "de", "de-at"], ["de-at"], "de-at"),
        (["de-at", "de"], ["de"], "de"),
        (["en", "pt-br"], ["pt", "en"], "pt-br"),
        (["en", "pt-br"], ["pt-pt", "en"], "pt-br"),
        (["en", "de"], ["fr", "de", "en"], "de"),
        (["en", "de"], ["DE_at"], "de"),
        (["de", "en"], ["fr"], "de"),
        (["de", "en"], [], "de"),
        (["en", "de"], ["d"], "en"),
    ],
)
def test_a_customer_gets_the_first_wanted_language_there_is(available, wanted, language):
    found = select_template(iter(in_languages(*available)), wanted)

    assert found is not None
    assert found.language == language


def test_of_nothing_nothing_is_chosen():
    assert select_template([], ["en"]) is None


def test_of_two_in_one_language_the_first_is_chosen():
    own, built_in = Template("a", Channel.SMS, "en", "own"), Template("a", Channel.SMS, "en", "built in")

    assert select_template([own, built_in], ["en"]) is own


def test_the_service_brings_a_template_for_every_default_message():
    assert list(BUILT_IN) == [
        *("welcome", "onboarding", "feedback_request", "vip_benefits", "retention_email", "personal_email"),
        *("retention_sms", "retention_offer", "personal_offer"),
    ]


@pytest.mark.parametrize("key", BUILT_IN)
def test_every_built_in_template_is_there_in_both_languages(key):
    assert [template.language for template in BUILT_IN[key]] == ["en", "de"]
    assert {template.key for template in BUILT_IN[key]} == {key}
    assert len({template.channel for template in BUILT_IN[key]}) == 1
    assert len({template.text for template in BUILT_IN[key]}) == 2


@pytest.mark.parametrize("template", BUILT, ids=lambda each: f"{each.key}-{each.language}")
def test_a_built_in_template_could_have_been_written_by_a_company(template):
    told = {
        name: getattr(template, name) for name in ("key", "channel", "language", "subject", "text", "html")
    }

    assert parse_template(told) == template


@pytest.mark.parametrize(
    "template",
    [template for template in BUILT if template.channel is Channel.EMAIL],
    ids=lambda each: f"{each.key}-{each.language}",
)
def test_a_built_in_email_is_a_plain_page_that_ends_with_the_way_out(template):
    assert template.text.splitlines()[-1].endswith(": {{ unsubscribe_url }}")
    paragraphs = re.findall("<p [^>]*>(.*?)</p>", template.html, re.DOTALL)
    assert '<a href="{{ unsubscribe_url }}"' in paragraphs[-1]
    assert f'<html lang="{template.language}">' in template.html
    assert re.findall("<(?:script|img|link|style|iframe)", template.html) == []
