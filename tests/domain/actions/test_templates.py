"""Templates: parsing, selection by language, and the built-in templates."""

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
INVALID_KEY = "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"
INVALID_LANGUAGE = "must be a language tag in lowercase, such as 'en' or 'pt-br'"


def errors_of(raw, pointer=""):
    with pytest.raises(InvalidInputError) as caught:
        parse_template(raw, pointer)
    return [(error.pointer, error.message) for error in caught.value.errors]


def in_languages(*languages):
    return [Template("welcome", Channel.SMS, language, "Hello") for language in languages]


def test_an_email_is_parsed():
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
        ({"key": None}, "/key", INVALID_KEY),
        ({"key": ""}, "/key", INVALID_KEY),
        ({"key": "Welcome"}, "/key", INVALID_KEY),
        ({"key": "1st"}, "/key", INVALID_KEY),
        ({"key": "a" * 51}, "/key", INVALID_KEY),
        ({"key": "welcome\n"}, "/key", INVALID_KEY),
        ({"language": None}, "/language", INVALID_LANGUAGE),
        ({"language": "EN"}, "/language", INVALID_LANGUAGE),
        ({"language": "english"}, "/language", INVALID_LANGUAGE),
        ({"language": "pt_br"}, "/language", INVALID_LANGUAGE),
        ({"language": ["en"]}, "/language", INVALID_LANGUAGE),
        ({"channel": "call"}, "/channel", "must be one of email, sms, offer, notice"),
        ({"channel": None}, "/channel", "must be one of email, sms, offer, notice"),
        ({"channel": {"a": []}}, "/channel", "must be one of email, sms, offer, notice"),
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
        ({"from": "me"}, "/from", "is not a known field"),
        ({"a/b": "me"}, "/a~1b", "is not a known field"),
    ],
)
def test_an_invalid_email_is_rejected_with_the_position_of_the_error(change, pointer, message):
    assert errors_of({**EMAIL, **change}) == [(pointer, message)]


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"text": "a" * 1_001}, "/text", "must be a text of 1 to 1000 characters"),
        ({"subject": "Hello"}, "/subject", "is allowed for emails and notices only"),
        ({"html": "<p>Hello</p>"}, "/html", "is allowed for emails and notices only"),
    ],
)
def test_an_invalid_text_message_is_rejected_with_the_position_of_the_error(change, pointer, message):
    assert errors_of({**SMS, **change}) == [(pointer, message)]


def test_all_errors_are_reported_at_once_below_the_pointer_of_the_template():
    assert [pointer for pointer, _ in errors_of({}, "/templates/3")] == [
        "/templates/3/channel",
        "/templates/3/key",
        "/templates/3/language",
        "/templates/3/text",
    ]


@pytest.mark.parametrize("language", ["en", "pt-br", "gsw", "es-419"])
def test_a_language_may_have_a_region(language):
    assert check_language(language, "/language") == language


def test_a_valid_key_is_returned_unchanged():
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
def test_the_first_wanted_language_that_is_available_is_selected(available, wanted, language):
    found = select_template(iter(in_languages(*available)), wanted)

    assert found is not None
    assert found.language == language


def test_without_templates_none_is_selected():
    assert select_template([], ["en"]) is None


def test_of_two_templates_in_one_language_the_first_is_selected():
    own, built_in = Template("a", Channel.SMS, "en", "own"), Template("a", Channel.SMS, "en", "built in")

    assert select_template([own, built_in], ["en"]) is own


def test_every_default_message_has_a_built_in_template():
    assert list(BUILT_IN) == [
        *("welcome", "onboarding", "onboarding_day_3", "onboarding_day_10", "feedback_request"),
        *("vip_benefits", "retention_email", "personal_email"),
        *("at_risk_notice", "retention_sms", "retention_offer", "personal_offer"),
    ]


@pytest.mark.parametrize("key", BUILT_IN)
def test_every_built_in_template_exists_in_both_languages(key):
    assert [template.language for template in BUILT_IN[key]] == ["en", "de"]
    assert {template.key for template in BUILT_IN[key]} == {key}
    assert len({template.channel for template in BUILT_IN[key]}) == 1
    assert len({template.text for template in BUILT_IN[key]}) == 2


@pytest.mark.parametrize("template", BUILT, ids=lambda each: f"{each.key}-{each.language}")
def test_a_built_in_template_is_accepted_as_a_template_of_a_company(template):
    raw = {
        name: getattr(template, name) for name in ("key", "channel", "language", "subject", "text", "html")
    }

    assert parse_template(raw) == template


@pytest.mark.parametrize(
    "template",
    [template for template in BUILT if template.channel is Channel.EMAIL],
    ids=lambda each: f"{each.key}-{each.language}",
)
def test_a_built_in_email_is_a_plain_page_that_ends_with_an_unsubscribe_link(template):
    assert template.text.splitlines()[-1].endswith(": {{ unsubscribe_url }}")
    paragraphs = re.findall("<p [^>]*>(.*?)</p>", template.html, re.DOTALL)
    assert '<a href="{{ unsubscribe_url }}"' in paragraphs[-1]
    assert f'<html lang="{template.language}">' in template.html
    assert re.findall("<(?:script|img|link|style|iframe)", template.html) == []
