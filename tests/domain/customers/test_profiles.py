"""Profiles: language tags and the name in a greeting."""

import pytest

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import Template, select_template
from journey_service.domain.customers.profiles import greeting_name, normalize_language


@pytest.mark.parametrize(
    ("given", "tag"),
    [
        ("de-DE", "de-de"),
        ("pt_BR", "pt-br"),
        (" EN ", "en"),
        ("zh-Hant-TW", "zh-hant-tw"),
        ("es-419", "es-419"),
        ("", None),
        ("German!", None),
        ("d", None),
        ("de-" + "x" * 40, None),
        (None, None),
    ],
)
def test_a_language_is_a_tag_without_case(given, tag):
    assert normalize_language(given) == tag


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("de-de", "de"),
        ("de-at", "de-at"),
        ("zh-hant-tw", "zh-tw"),
        ("pt-br", "pt-pt"),
        ("fr-ca", "en"),
    ],
)
def test_a_template_is_chosen_by_the_closest_language(wanted, chosen):
    languages = ("en", "de", "de-at", "zh-tw", "pt-pt")
    templates = [Template("key", Channel.SMS, language, "text") for language in languages]

    found = select_template(templates, [wanted, "en"])

    assert found is not None
    assert found.language == chosen


@pytest.mark.parametrize(
    ("first_name", "name", "greeting"),
    [
        (None, " Dr. Anna Weber ", "Dr. Anna Weber"),
        ("Anna", "Dr. Anna Weber", "Anna"),
        (" Anna  Maria ", None, "Anna Maria"),
        ("  ", "van der  Berg", "van der Berg"),
        (None, None, None),
        ("", " ", None),
    ],
)
def test_a_greeting_uses_the_first_name_or_the_full_one(first_name, name, greeting):
    assert greeting_name(first_name, name) == greeting
