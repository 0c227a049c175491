"""Filling in: what a company writes is checked, what customers are called does no harm, no template runs away."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid import Environment

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import BUILT_IN, Template
from journey_service.domain.errors import InvalidInputError
from journey_service.services.actions.template_rendering import (
    LOOPS,
    VARIABLES,
    check,
    preview,
    render,
    sample_values,
)
from profiles import examples

BUILT = [template for templates in BUILT_IN.values() for template in templates]
EMAILS = [template for template in BUILT if template.channel is Channel.EMAIL]
MESSAGES = [template for template in BUILT if template.channel is Channel.SMS]
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
OUT = "{{ unsubscribe_url }}"

quickly = settings(max_examples=examples(60), deadline=None)
told = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1, max_size=80)
told = told.filter(str.strip)
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
    return [(fault.pointer, fault.message) for fault in caught.value.errors]


def fault_of(source):
    [(pointer, message)] = errors_of(sms(source))
    assert pointer == "/text"
    return message


# ---- what the service brings


@pytest.mark.parametrize("template", BUILT, ids=named)
def test_every_built_in_template_passes_the_check(template):
    check(template)


@pytest.mark.parametrize("template", BUILT, ids=named)
def test_every_built_in_template_reads_well_without_knowing_anything(template):
    sent = render(template, {"unsubscribe_url": "https://example.com/u"})

    assert sent.text.startswith(("Hello,", "Guten Tag,"))
    for part in (sent.subject or "", sent.text, sent.html or ""):
        assert "{{" not in part
        assert " ." not in part
        assert " ," not in part
        assert "  " not in part


@pytest.mark.parametrize("template", EMAILS, ids=named)
def test_a_built_in_email_names_the_customer_the_company_and_the_way_out(template):
    sent = preview(template)

    assert sent.subject
    for part in (sent.text, sent.html):
        assert "Anna" in part
        assert "Atelier Nord" in part
        assert "https://example.com/unsubscribe" in part


@pytest.mark.parametrize("template", MESSAGES, ids=named)
def test_a_built_in_text_message_is_a_single_one_for_a_name_of_twenty_letters(template):
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
def test_what_a_person_writes_is_the_letter(template):
    stored = render(template, {"unsubscribe_url": "u"}).text

    sent = render(template, {"unsubscribe_url": "u", "note": "See you <soon>?\nYours"})

    assert "See you <soon>?\nYours" in sent.text
    assert "See you &lt;soon&gt;?<br />\nYours" in sent.html
    assert stored.splitlines()[2] not in sent.text


def test_an_offer_tells_what_is_known_of_it():
    [english, _] = BUILT_IN["retention_offer"]

    assert preview(english).text == (
        "Hello Anna, we would love to see you again. 10% off your next visit. For every appointment you book this "
        "month. Your code: HELLO10. Valid until 2026-12-31."
    )
    assert render(english, {}).text == (
        "Hello, we would love to see you again. A small thank-you on your next visit."
    )


# ---- values are data


@quickly
@given(name=told, note=told)
@pytest.mark.parametrize("template", BUILT, ids=named)
def test_nobodys_name_breaks_a_letter_or_gets_into_its_markup(template, name, note):
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
    # The same without escaping: what the line above would find, were it missing.
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
def test_no_way_through_the_language_leads_around_escaping(source):
    name = "<script>alert('x')</script>"
    plain = email("{{ customer.name }}", html=source)

    html = render(plain, {"customer": {"name": name}}).html

    assert "<" not in html
    assert "script" in html


def test_a_text_that_claims_to_be_safe_is_escaped_like_any_other():
    class Claiming(str):
        __slots__ = ()

        def __html__(self):
            return self

    sent = render(email(html="{{ note }}"), {"note": Claiming("<b>")})

    assert sent.html == "&lt;b&gt;"


def test_a_value_is_never_a_template():
    assert text_of("{{ note }}", {"note": "{{ customer.id }}{% break %}", "customer": {"id": 7}}) == (
        "{{ customer.id }}{% break %}"
    )


@pytest.mark.parametrize(
    "values", [{}, {"customer": None}, {"customer": {"name": None}}, {"customer": {"name": " "}}]
)
def test_what_is_not_known_becomes_nothing_and_defaults_apply(values):
    assert (
        text_of("[{{ customer.name }}{{ what.ever }}]{{ customer.name | default: 'you' }}", values) == "[]you"
    )


@pytest.mark.parametrize(
    "source", ["{{ now }}{{ today }}", "{{ secret }}{{ customer.email }}", "{{ note.__class__ }}"]
)
def test_nothing_is_told_but_what_templates_may_speak_of(source):
    assert text_of(source, {"secret": "s", "customer": {"email": "e"}, "note": "n"}) == ""


def test_a_half_of_a_surrogate_pair_does_not_stop_a_letter():
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


# ---- no template runs away


NESTED = "{% for i in (1..1000000) %}{% for j in (1..1000000) %}x{% endfor %}{% endfor %}"
SQUARE = "{% for i in (1..50) %}{% for j in (1..50) %}x{% endfor %}{% endfor %}"
IN_A_ROW = "{% for i in (1..900) %}{% endfor %}" * 500
DOUBLING = "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 14
CHAIN = "{% capture a %}" + "x" * 15_000 + "{% endcapture %}{{ a" + " | append: a" * 60 + " | size }}"
CAPTURES = (
    "{% capture a %}" + "x" * 9_000 + "{% endcapture %}" + "{% capture b %}{{ a }}{% endcapture %}" * 400
)
SEARCHES = "{% capture a %}" + "x" * 9_000 + "{% endcapture %}" + "{% if a contains 'y' %}{% endif %}" * 300
LONG = "{% for i in (1..900) %}" + "x" * 300 + "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (NESTED, "loops too often"),
        (SQUARE, "loops too often"),
        (IN_A_ROW, "takes too much work"),
        (DOUBLING, "keeps too much in variables"),
        (CHAIN, "takes too much work"),
        (CAPTURES, "takes too much work"),
        (SEARCHES, "takes too much work"),
        (LONG, "becomes too long"),
        (
            "{% for i in (1..900) %}" + "{% if 1 == 2 %}{% endif %}" * 500 + "{% endfor %}",
            "takes too much work",
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
def test_a_template_that_would_not_end_is_refused_by_check_and_by_render(source, message):
    assert fault_of(source) == f"line 1: {message}"
    assert errors_of(email(html=source), preview) == [("/html", f"line 1: {message}")]


@pytest.mark.parametrize("source", [SQUARE, DOUBLING, CHAIN, CAPTURES, SEARCHES, LONG])
def test_the_same_templates_end_where_nothing_limits_them(source):
    """What is refused above is refused for its size, and for nothing else."""
    Environment().from_string(source).render()
    print("guard removed: detected")


def test_a_template_within_the_limits_is_rendered():
    assert text_of(f"{{% for i in (1..{LOOPS}) %}}x{{% endfor %}}") == "x" * LOOPS
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
def test_what_would_take_long_to_read_is_refused_unread(source, message):
    assert fault_of(source) == message


# ---- what is checked


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
        ("{{ note | remove: note }}", "says nothing"),
        (
            "{% for i in (1..9) %}{{ note }}{{ note }}{{ note }}{% endfor %}",
            "becomes longer than 1000 characters",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_line(source, message):
    assert fault_of(source) == message


@pytest.mark.parametrize(
    "name",
    ["include", "render", "extends", "case", "comment", "raw", "liquid", "echo", "tablerow", "increment"],
)
def test_no_tag_reaches_further_than_letters_need(name):
    assert fault_of(f"\n{{%- {name} 'a' %}}").startswith(
        f"line 2: the tag '{name}' is unknown; known: #, assign, "
    )
    with pytest.raises(InvalidInputError):
        text_of(f"{{% {name} 'a' %}}")


@pytest.mark.parametrize(
    "name", ["date", "replace", "safe", "split", "join", "times", "strip_html", "base64_encode"]
)
def test_no_filter_reaches_further_than_letters_need(name):
    assert fault_of(f"{{% if false %}}{{{{ note | {name}: 'a' }}}}{{% endif %}}x").startswith(
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
def test_a_variable_that_does_not_exist_is_refused(name):
    assert fault_of(f"a\n{{% if note %}}{{{{ {name} }}}}{{% endif %}}").startswith(
        f"line 2: '{name}' is unknown; known: customer.name, "
    )


def test_a_template_may_have_variables_of_its_own():
    check(sms("{% assign who = customer.first_name | default: customer.name %}{{ who }}"))


@pytest.mark.parametrize(
    "part",
    [
        "Hello",
        "{% if note %}{{ unsubscribe_url }}{% endif %}Hello",
        "Hello{{ unsubscribe_url | truncate: 9 }}",
        "{% assign way_out = unsubscribe_url %}Hello",
    ],
    ids=["missing", "for some only", "cut off", "not shown"],
)
def test_an_email_without_a_way_out_is_refused(part):
    message = "must always show {{ unsubscribe_url }}"

    assert errors_of(email(part)) == [("/text", message)]
    assert errors_of(email(html=part)) == [("/html", message)]
    check(sms("Hello"))


def test_a_subject_that_says_nothing_is_refused():
    assert errors_of(email(subject="{{ note | remove: note }}")) == [("/subject", "says nothing")]


def test_what_fails_for_customers_of_whom_nothing_is_known_is_refused():
    source = "{{ note | truncate: customer.id }}"

    assert preview(sms(source)).text
    assert fault_of(source) == (
        "line 1: truncate expected an integer, found Undefined, where nothing is known of a customer"
    )


def test_every_part_is_checked():
    assert [pointer for pointer, _ in errors_of(email("{{", subject="{{", html="{{"))] == [
        "/subject",
        "/text",
        "/html",
    ]


@quickly
@given(st.lists(tokens, max_size=25).map("".join))
def test_whatever_is_written_is_rendered_or_refused(source):
    """Whatever else came out would be an error of ours."""
    for uow in (check, preview):
        with suppress(InvalidInputError):
            uow(email(source, html=source))


def test_a_preview_takes_what_it_is_given_and_keeps_the_rest():
    sent = preview(
        sms("{{ customer.first_name }} {{ customer.id }} {{ note }}"), {"customer": {"id": 9}, "note": "Hi"}
    )

    assert sent.text == "Anna 9 Hi"
