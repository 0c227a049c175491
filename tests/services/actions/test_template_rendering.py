"""Template rendering: templates are checked, values are escaped, and every rendering is limited."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import Environment

from journey_service.domain.actions.stage_actions import AT_RISK_NOTICE, Channel
from journey_service.domain.actions.templates import BUILT_IN, Template
from journey_service.domain.errors import InvalidInputError
from journey_service.services.actions.template_language import MAX_LOOP_ITERATIONS
from journey_service.services.actions.template_rendering import (
    VARIABLES,
    check,
    preview,
    render,
    sample_values,
)
from profiles import examples

BUILT = [template for templates in BUILT_IN.values() for template in templates]
TO_CUSTOMERS = [template for template in BUILT if template.key != AT_RISK_NOTICE.template]
"""Templates of messages to customers; notices go to employees."""
EMAILS = [template for template in BUILT if template.channel is Channel.EMAIL]
MESSAGES = [template for template in BUILT if template.channel is Channel.SMS]
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
OUT = "{{ unsubscribe_url }}"

few_examples = settings(max_examples=examples(60), deadline=None)
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1, max_size=80
)
texts = texts.filter(str.strip)
tokens = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{%",
            "%}",
            " ",
            "\n",
            "-",
            "if",
            "endif",
            "for",
            "i",
            "in",
            "(1..3)",
            "endfor",
            "assign",
        ),
        *("=", "|", "customer.name", "note", "append", "truncate", ":", ",", "'", '"', "[", "]", "0", "-1"),
        *("limit", "<", "case", "endcase", "when", "raw", "endraw", "comment", "break", "capture", "x"),
        *("endcapture", "#", ".", "é"),
    ]
)


def named(template):
    return f"{template.key}-{template.language}"


def email(text=OUT, *, subject="Hello", html=None):
    return Template("mine", Channel.EMAIL, "en", text, subject, html)


def sms(text):
    return Template("mine", Channel.SMS, "en", text)


def text_of(source, values=None):
    return render(sms(source), values or {}).text


def errors_of(template, action=check):
    with pytest.raises(InvalidInputError) as caught:
        action(template)
    return [(error.pointer, error.message) for error in caught.value.errors]


def error_of(source):
    [(pointer, message)] = errors_of(sms(source))
    assert pointer == "/text"
    return message


# ---- built-in templates


@pytest.mark.parametrize("template", BUILT, ids=named)
def test_every_built_in_template_passes_the_check(template):
    check(template)


@pytest.mark.parametrize("template", TO_CUSTOMERS, ids=named)
def test_every_built_in_template_reads_well_without_any_values(template):
    sent = render(template, {"unsubscribe_url": "https://example.com/u"})

    assert sent.text.startswith(("Hello,", "Guten Tag,"))
    for part in (sent.subject or "", sent.text, sent.html or ""):
        assert "{{" not in part
        assert " ." not in part
        assert " ," not in part
        assert "  " not in part


@pytest.mark.parametrize("template", EMAILS, ids=named)
def test_a_built_in_email_contains_the_customer_the_company_and_the_unsubscribe_link(template):
    sent = preview(template)

    assert sent.subject
    for part in (sent.text, sent.html):
        assert "Anna" in part
        assert "Atelier Nord" in part
        assert "https://example.com/unsubscribe" in part


@pytest.mark.parametrize("template", MESSAGES, ids=named)
def test_a_built_in_text_message_fits_into_one_sms_for_a_name_of_twenty_letters(template):
    name = "Wilhelmine Grünewald"
    assert len(name) == 20
    sent = preview(
        template,
        {"customer": {"name": name, "first_name": name}, "company": {"name": "Friseur & Spa Müller"}},
    )

    assert name in sent.text
    assert len(sent.text) <= 160
    assert set(sent.text) <= GSM


@pytest.mark.parametrize("template", BUILT_IN["personal_email"], ids=named)
def test_the_note_of_a_person_is_the_body_of_a_personal_email(template):
    without_note = render(template, {"unsubscribe_url": "u"}).text

    sent = render(template, {"unsubscribe_url": "u", "note": "See you <soon>?\nYours"})

    assert "See you <soon>?\nYours" in sent.text
    assert "See you &lt;soon&gt;?<br />\nYours" in sent.html
    assert without_note.splitlines()[2] not in sent.text


def test_an_offer_contains_the_known_values():
    [english, _] = BUILT_IN["retention_offer"]

    assert preview(english).text == (
        "Hello Anna, we would love to see you again. 10% off your next visit. For every appointment you book this "
        "month. Your code: HELLO10. Valid until 2026-12-31."
    )
    assert render(english, {}).text == (
        "Hello, we would love to see you again. A small thank-you on your next visit."
    )


# ---- values are data


@few_examples
@given(name=texts, note=texts)
@pytest.mark.parametrize("template", BUILT, ids=named)
def test_no_name_breaks_an_email_or_gets_into_its_markup(template, name, note):
    values = {**sample_values(), "customer": {"name": name, "first_name": name, "id": 1}, "note": note}
    harmless = {
        **values,
        "customer": {"name": "Anna", "first_name": "Anna", "id": 1},
        "note": "\n" * note.count("\n"),
    }
    harmless["note"] += "x"

    sent = render(template, values)

    assert name in sent.text
    if sent.html is not None:
        assert sent.html.count("<") == render(template, harmless).html.count("<")


def test_html_is_escaped_and_text_is_not():
    sent = render(
        email("{{ customer.name }}", html="<p>{{ customer.name }}</p>"),
        {"customer": {"name": "<script>&\"'"}},
    )

    assert sent.html == "<p>&lt;script&gt;&amp;&#34;&#39;</p>"
    # The same without escaping: what the assertion above would find if escaping were missing.
    assert sent.text == "<script>&\"'"
    print("guard removed: detected")


@pytest.mark.parametrize(
    "source",
    [
        "{{ customer.name | upcase | downcase }}",
        "{{ customer.name | append: '<br>' | remove: '<br>' }}",
        "{{ '<br>' | append: customer.name | remove: '<br>' }}",
        "{{ customer.name | prepend: '<br>' | remove: '<br>' }}",
        "{{ customer.name | truncate: 100 }}",
        "{{ customer.name | newline_to_br }}",
        "{{ customer.name | strip_newlines | squish }}",
        "{{ nothing | default: customer.name }}",
        "{% capture it %}{{ customer.name }}{% endcapture %}{{ it }}",
        "{% assign it = customer.name %}{{ it }}",
        "{% for it in customer.name %}{{ it }}{% endfor %}",
    ],
)
def test_no_language_construct_bypasses_escaping(source):
    name = "<script>alert('x')</script>"
    plain = email("{{ customer.name }}", html=source)

    html = render(plain, {"customer": {"name": name}}).html

    assert "<" not in html
    assert "script" in html


def test_a_text_marked_as_safe_is_escaped():
    class MarkedSafe(str):
        __slots__ = ()

        def __html__(self):
            return self

    sent = render(email(html="{{ note }}"), {"note": MarkedSafe("<b>")})

    assert sent.html == "&lt;b&gt;"


def test_a_value_is_never_parsed_as_a_template():
    assert text_of("{{ note }}", {"note": "{{ customer.id }}{% break %}", "customer": {"id": 7}}) == (
        "{{ customer.id }}{% break %}"
    )


@pytest.mark.parametrize(
    "values", [{}, {"customer": None}, {"customer": {"name": None}}, {"customer": {"name": " "}}]
)
def test_unknown_values_render_as_nothing_and_defaults_apply(values):
    assert (
        text_of("[{{ customer.name }}{{ un.known }}]{{ customer.name | default: 'you' }}", values) == "[]you"
    )


@pytest.mark.parametrize(
    "source", ["{{ now }}{{ today }}", "{{ secret }}{{ customer.email }}", "{{ note.__class__ }}"]
)
def test_values_of_unknown_variables_are_not_rendered(source):
    assert text_of(source, {"secret": "s", "customer": {"email": "e"}, "note": "n"}) == ""


def test_half_a_surrogate_pair_is_replaced():
    assert text_of("{{ note }}", {"note": "a\ud800b"}) == "a\ufffdb"


@pytest.mark.parametrize(
    ("note", "subject"),
    [
        ("a\r\nBcc: b@example.com", "a Bcc: b@example.com"),
        ("  a \x07\u2028 b ", "a b"),
        ("a" * 300, "a" * 200),
    ],
)
def test_a_subject_is_one_short_line(note, subject):
    assert render(email(subject="{{ note }}"), {"note": note}).subject == subject


# ---- limits


NESTED = "{% for i in (1..1000000) %}{% for j in (1..1000000) %}x{% endfor %}{% endfor %}"
SQUARE = "{% for i in (1..50) %}{% for j in (1..50) %}x{% endfor %}{% endfor %}"
IN_A_ROW = "{% for i in (1..900) %}{% endfor %}" * 500
DOUBLING = "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 14
CHAIN = "{% capture a %}" + "x" * 15_000 + "{% endcapture %}{{ a" + " | append: a" * 60 + " | size }}"
CAPTURES = (
    "{% capture a %}" + "x" * 9_000 + "{% endcapture %}" + "{% capture b %}{{ a }}{% endcapture %}" * 400
)
SEARCHES = "{% capture a %}" + "x" * 9_000 + "{% endcapture %}" + "{% if a contains 'y' %}{% endif %}" * 300
TIMEOUT_SECONDS = "{% for i in (1..900) %}" + "x" * 300 + "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (NESTED, "has too many loop iterations"),
        (SQUARE, "has too many loop iterations"),
        (IN_A_ROW, "exceeds the rendering limit"),
        (DOUBLING, "exceeds the variable size limit"),
        (CHAIN, "exceeds the rendering limit"),
        (CAPTURES, "exceeds the rendering limit"),
        (SEARCHES, "exceeds the rendering limit"),
        (TIMEOUT_SECONDS, "renders too much text"),
        (
            "{% for i in (1..900) %}" + "{% if 1 == 2 %}{% endif %}" * 500 + "{% endfor %}",
            "exceeds the rendering limit",
        ),
        ("{% if 1 %}" * 11 + "{% endif %}" * 11, "is nested too deeply"),
        ("{% for i in (1..99999999999999999999) %}{% endfor %}", "range literal length limit reached"),
    ],
    ids=[
        "nested",
        "square",
        "in a row",
        "doubling",
        "chain",
        "captures",
        "searches",
        "long",
        "empty",
        "deep",
        "endless",
    ],
)
def test_a_template_beyond_a_limit_is_rejected_by_check_and_by_render(source, message):
    assert error_of(source) == f"line 1: {message}"
    assert errors_of(email(html=source), preview) == [("/html", f"line 1: {message}")]


@pytest.mark.parametrize("source", [SQUARE, DOUBLING, CHAIN, CAPTURES, SEARCHES, TIMEOUT_SECONDS])
def test_the_same_templates_render_without_limits(source):
    """The templates above are rejected for their size only."""
    Environment().from_string(source).render()
    print("guard removed: detected")


def test_a_template_within_the_limits_is_rendered():
    assert text_of(f"{{% for i in (1..{MAX_LOOP_ITERATIONS}) %}}x{{% endfor %}}") == "x" * MAX_LOOP_ITERATIONS
    assert (
        text_of("{% for i in (1..3) %}{{ i }}{% unless forloop.last %}, {% endunless %}{% endfor %}")
        == "1, 2, 3"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{" + " " * 50_000, "line 1: {{ is not closed by }}"),
        ("\n{{" * 20_000, "line 2: {{ is not closed by }}"),
        ("{{ '" + "x" * 1_000 + "' }}", "line 1: a tag is longer than 1000 characters"),
        ("{{ note" + " " * 51 + "}}", "line 1: a tag has more than 50 blanks in a row"),
    ],
    ids=["spaces", "braces", "long", "blank"],
)
def test_a_template_that_takes_long_to_parse_is_rejected_before_parsing(source, message):
    assert error_of(source) == message


# ---- checks


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a\n\n{{ note | }}", "line 3: expected word, found end of expression"),
        ("a\n{% if note %}b", "at the end: expected tag endif, found end of expression"),
        ("{% endif %}", "line 1: unexpected tag 'endif'"),
        ("\n{% break %}", "line 2: unexpected 'break'"),
        ("{{ note note }}", "line 1: expected end of expression, found word"),
        ("{{ }}", "line 1: expected a primitive expression, found end of expression"),
        ("{% for i in (1..3) limit: -1 %}a{% endfor %}", "cannot be rendered"),
        ("{{ note | truncate: 'x' }}", "line 1: truncate expected an integer, found str"),
        ("{{ note | remove: note }}", "must not be empty when rendered"),
        (
            "{% for i in (1..9) %}{{ note }}{{ note }}{{ note }}{% endfor %}",
            "must not be longer than 1000 characters when rendered",
        ),
    ],
)
def test_a_template_that_cannot_be_sent_is_rejected_with_the_line_of_the_error(source, message):
    assert error_of(source) == message


@pytest.mark.parametrize(
    "name",
    ["include", "render", "extends", "case", "comment", "raw", "liquid", "echo", "tablerow", "increment"],
)
def test_other_tags_are_rejected(name):
    assert error_of(f"\n{{%- {name} 'a' %}}").startswith(
        f"line 2: the tag '{name}' is unknown; known: #, assign, "
    )
    with pytest.raises(InvalidInputError):
        text_of(f"{{% {name} 'a' %}}")


@pytest.mark.parametrize(
    "name", ["date", "replace", "safe", "split", "join", "times", "strip_html", "base64_encode"]
)
def test_other_filters_are_rejected(name):
    assert error_of(f"{{% if false %}}{{{{ note | {name}: 'a' }}}}{{% endif %}}x").startswith(
        f"line 1: the filter '{name}' is unknown; known: append, "
    )
    with pytest.raises(InvalidInputError):
        text_of(f"{{{{ note | {name}: 'a' }}}}")


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_may_be_used_and_has_a_sample(name):
    root, _, part = name.partition(".")
    value = sample_values()[root]

    check(sms(f"Hello {{{{ {name} }}}}"))

    assert preview(sms(f"{{{{ {name} }}}}")).text == str(value[part] if part else value)


@pytest.mark.parametrize(
    "name",
    ["customer.email", "customer", "customer[note]", "names", "customer.name.size", "now", "company.name[0]"],
)
def test_an_unknown_variable_is_rejected(name):
    assert error_of(f"a\n{{% if note %}}{{{{ {name} }}}}{{% endif %}}").startswith(
        f"line 2: '{name}' is unknown; known: customer.name, "
    )


def test_a_template_may_have_variables_of_its_own():
    check(sms("{% assign name = customer.first_name | default: customer.name %}{{ name }}"))


@pytest.mark.parametrize(
    "part",
    [
        "Hello",
        "{% if note %}{{ unsubscribe_url }}{% endif %}Hello",
        "Hello{{ unsubscribe_url | truncate: 9 }}",
        "{% assign link = unsubscribe_url %}Hello",
    ],
    ids=["missing", "conditional", "cut off", "not rendered"],
)
def test_an_email_without_an_unsubscribe_link_is_rejected(part):
    message = "must contain {{ unsubscribe_url }} for every customer"

    assert errors_of(email(part)) == [("/text", message)]
    assert errors_of(email(html=part)) == [("/html", message)]
    check(sms("Hello"))


def test_an_empty_subject_is_rejected():
    assert errors_of(email(subject="{{ note | remove: note }}")) == [
        ("/subject", "must not be empty when rendered")
    ]


def test_a_template_that_fails_without_values_is_rejected():
    source = "{{ note | truncate: customer.id }}"

    assert preview(sms(source)).text
    assert error_of(source) == (
        "line 1: truncate expected an integer, found Undefined, for a customer without any values"
    )


def test_every_part_is_checked():
    assert [pointer for pointer, _ in errors_of(email("{{", subject="{{", html="{{"))] == [
        "/subject",
        "/text",
        "/html",
    ]


@few_examples
@given(st.lists(tokens, max_size=25).map("".join))
def test_any_source_is_rendered_or_rejected(source):
    """Any other exception would be a defect."""
    for function in (check, preview):
        with suppress(InvalidInputError):
            function(email(source, html=source))


def test_a_preview_overrides_sample_values_by_name():
    sent = preview(
        sms("{{ customer.first_name }} {{ customer.id }} {{ note }}"), {"customer": {"id": 9}, "note": "Hi"}
    )

    assert sent.text == "Anna 9 Hi"
