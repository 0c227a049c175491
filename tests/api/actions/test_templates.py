"""The words a company writes in: its own beside those that come with the service, checked before they are kept."""

import pytest

from api.calls import API, NOON, audited, every_page, key_of, look, problem
from journey_service.domain.actions.templates import BUILT_IN
from journey_service.domain.events.parsing import parse_instant

TEMPLATES = f"{API}/templates"
TEMPLATE = {
    *("id", "key", "channel", "language", "subject", "text", "html", "author", "created_at", "updated_at"),
}
EMAIL = {
    "key": "spring",
    "channel": "email",
    "language": "en",
    "subject": "Spring, {{ customer.first_name | default: 'you' }}",
    "text": "Hello {{ customer.name }}, spring is here. {{ unsubscribe_url }}",
    "html": "<p>Hello {{ customer.name }}</p><a href='{{ unsubscribe_url }}'>No more</a>",
}
SMS = {"key": "short", "channel": "sms", "language": "en", "text": "Spring is here, {{ customer.name }}."}


@pytest.fixture
async def shop(found_tenant):
    """A company of the test's own."""
    return await found_tenant(test_clock=parse_instant(NOON, ""))


async def add(http, tenant, **told):
    return await http.post(TEMPLATES, headers=tenant.headers, json=told)


async def replace(http, tenant, template_id, **told):
    return await http.put(f"{TEMPLATES}/{template_id}", headers=tenant.headers, json=told)


async def remove(http, tenant, template_id):
    return await http.delete(f"{TEMPLATES}/{template_id}", headers=tenant.headers)


async def preview(http, tenant, template_id, body=None):
    return await http.post(f"{TEMPLATES}/{template_id}/preview", headers=tenant.headers, json=body)


async def use(http, tenant, key, channel="email"):
    """Have a stage write by a template."""
    actions = [{"name": "write", "steps": [{"channel": channel, "template": key}]}]
    answer = await http.put(f"{API}/stages/vip/actions", headers=tenant.headers, json={"actions": actions})
    assert answer.status_code == 200, answer.text


async def listed(http, tenant, limit=200):
    return [
        stored
        for page in await every_page(http, tenant.headers, "/templates", limit=limit)
        for stored in page
    ]


@pytest.fixture
async def email(http, shop):
    """A template of the company's own."""
    return (await add(http, shop, **EMAIL)).json()


# ---- written and read


async def test_a_template_is_written_and_read_as_it_was_told(http, shop):
    answer = await add(http, shop, **EMAIL)

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told.keys() == TEMPLATE
    assert {name: told[name] for name in EMAIL} == EMAIL
    assert told["author"] == key_of(shop)
    assert await look(http, shop, f"/templates/{told['id']}") == told
    assert await listed(http, shop) == [told]
    [row] = await audited(http, shop, "template.add")
    assert (row["target"], row["detail"]) == (f"template:{told['id']}", {"key": "spring", "language": "en"})
    assert (row["before_hash"], len(row["after_hash"])) == (None, 64)


async def test_what_belongs_to_emails_is_null_elsewhere_and_may_be_told_so(http, shop):
    told = (await add(http, shop, **SMS, subject=None, html=None)).json()

    assert (told["subject"], told["html"], told["channel"]) == (None, None, "sms")
    assert (await add(http, shop, **{**SMS, "key": "deal", "channel": "offer"})).status_code == 201


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_templates_are_read_page_by_page_without_gaps_and_none_twice(http, shop, limit):
    keys = [f"short_{number}" for number in range(5)]
    for key in keys:
        assert (await add(http, shop, **{**SMS, "key": key})).status_code == 201

    pages = await every_page(http, shop.headers, "/templates", limit=limit)

    assert [stored["key"] for page in pages for stored in page] == keys
    assert all(len(page) == limit for page in pages[:-1])
    problem(
        await http.get(TEMPLATES, headers=shop.headers, params={"cursor": "x"}),
        422,
        "invalid-input",
        "query/cursor",
    )


async def test_the_service_s_own_are_shown_as_they_are_written(http, shop):
    told = (await look(http, shop, "/templates/built-in"))["items"]

    assert [(one["key"], one["language"]) for one in told] == [
        (template.key, template.language) for templates in BUILT_IN.values() for template in templates
    ]
    assert {one["channel"] for one in told} == {"email", "sms", "offer"}
    assert all(one.keys() == {"key", "channel", "language", "subject", "text", "html"} for one in told)
    assert await listed(http, shop) == [], "they are nobody's own"
    for number, one in enumerate(told):
        answer = await add(http, shop, **one)
        assert answer.status_code == 201, (number, answer.text)


@pytest.mark.parametrize(
    ("changed", "pointers"),
    [
        ({"key": None}, ["/key"]),
        ({"key": "Spring"}, ["/key"]),
        ({"key": "x" * 51}, ["/key"]),
        ({"channel": "call"}, ["/channel"]),
        ({"channel": None}, ["/channel"]),
        ({"language": "english"}, ["/language"]),
        ({"subject": None}, ["/subject"]),
        ({"subject": "a\nb"}, ["/subject"]),
        ({"subject": "x" * 201}, ["/subject"]),
        ({"text": None}, ["/text"]),
        ({"text": ""}, ["/text"]),
        ({"text": "a\x00 {{ unsubscribe_url }}"}, ["/text"]),
        ({"text": "x" * 20_001}, ["/text"]),
        ({"html": "x" * 60_001}, ["/html"]),
        ({"text": "There is no way out."}, ["/text"]),
        ({"html": "<p>There is no way out.</p>"}, ["/html"]),
        ({"text": "{{ unsubscribe_url }} {{ customer.phone }}"}, ["/text"]),
        ({"text": "{{ unsubscribe_url }} {% include 'x' %}"}, ["/text"]),
        ({"subject": "{{ customer.name", "html": "{% if %}"}, ["/subject", "/html"]),
        ({"channel": "sms"}, ["/subject", "/html"]),
        ({"author": "me", "key": "Spring"}, ["/author", "/key"]),
    ],
)
async def test_what_could_not_be_sent_is_refused_with_the_place_of_every_fault(
    http, shop, email, outside, changed, pointers
):
    before = await outside.rows(shop.id)

    problem(await add(http, shop, **{**EMAIL, "key": "other", **changed}), 422, "invalid-input", *pointers)
    problem(await replace(http, shop, email["id"], **{**EMAIL, **changed}), 422, "invalid-input", *pointers)

    assert await outside.rows(shop.id) == before


async def test_a_body_that_is_no_object_is_refused(http, shop):
    for body in ([], "x", 7, None):
        answer = await http.post(TEMPLATES, headers=shop.headers, json=body)
        problem(answer, 422, "invalid-input", "")


async def test_a_key_is_written_once_in_a_language_and_is_of_one_channel(http, shop, email, outside):
    assert (await add(http, shop, **{**EMAIL, "language": "de"})).status_code == 201
    before = await outside.rows(shop.id)

    for taken in (
        EMAIL,
        {**SMS, "key": "spring", "language": "fr"},
        {**SMS, "key": "welcome", "language": "fr"},
        {**EMAIL, "key": "retention_sms", "language": "fr"},
    ):
        problem(await add(http, shop, **taken), 409, "template-exists")
    assert await outside.rows(shop.id) == before
    other = (await add(http, shop, **{**EMAIL, "key": "summer"})).json()
    problem(await replace(http, shop, other["id"], **EMAIL), 409, "template-exists")


# ---- replaced, and taken away


async def test_a_template_is_replaced_as_a_whole(http, shop, email):
    new = {**EMAIL, "subject": "Summer", "language": "en-gb"}
    del new["html"]

    answer = await replace(http, shop, email["id"], **new)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["subject"], told["language"], told["html"]) == ("Summer", "en-gb", None)
    assert told["created_at"] == email["created_at"] < told["updated_at"]
    assert await look(http, shop, f"/templates/{email['id']}") == told
    [changed], [added] = (
        await audited(http, shop, "template.change"),
        await audited(http, shop, "template.add"),
    )
    assert changed["before_hash"] == added["after_hash"] != changed["after_hash"]


async def test_saying_the_same_again_changes_nothing(http, shop, email, outside):
    before = await outside.rows(shop.id)

    answer = await replace(http, shop, email["id"], **EMAIL)

    assert (answer.status_code, answer.json()) == (200, email)
    assert await outside.rows(shop.id) == before


async def test_a_template_is_taken_away(http, shop, email):
    answer = await remove(http, shop, email["id"])

    assert (answer.status_code, answer.content) == (204, b"")
    assert await listed(http, shop) == []
    problem(await remove(http, shop, email["id"]), 404, "template-not-found")
    [row] = await audited(http, shop, "template.remove")
    assert (row["target"], row["after_hash"]) == (f"template:{email['id']}", None)


async def test_no_stage_is_left_without_words(http, shop, email, outside):
    await use(http, shop, "spring")
    before = await outside.rows(shop.id)

    told = problem(await remove(http, shop, email["id"]), 409, "template-in-use")
    assert "vip" in told["detail"]
    problem(await replace(http, shop, email["id"], **{**EMAIL, "key": "summer"}), 409, "template-in-use")
    assert await outside.rows(shop.id) == before

    assert (
        await replace(http, shop, email["id"], **{**EMAIL, "text": "{{ unsubscribe_url }}"})
    ).status_code == 200
    german = (await add(http, shop, **{**EMAIL, "language": "de"})).json()
    assert (await remove(http, shop, email["id"])).status_code == 204, "there is another language"
    problem(await remove(http, shop, german["id"]), 409, "template-in-use")


async def test_where_the_service_has_words_its_own_may_always_be_taken_away(http, shop):
    own = (await add(http, shop, **{**EMAIL, "key": "welcome"})).json()
    await use(http, shop, "welcome")

    assert (await remove(http, shop, own["id"])).status_code == 204


# ---- looked at


async def test_a_preview_shows_a_sample_and_escapes_what_is_filled_in(http, shop, email, outside):
    before = await outside.rows(shop.id)
    told = (await preview(http, shop, email["id"])).json()
    assert told == {
        "subject": "Spring, Anna",
        "text": "Hello Anna Keller, spring is here. https://example.com/unsubscribe",
        "html": "<p>Hello Anna Keller</p><a href='https://example.com/unsubscribe'>No more</a>",
    }

    values = {"customer": {"name": "<b>Ben</b>", "first_name": None}, "unsubscribe_url": "https://x/"}
    told = (await preview(http, shop, email["id"], {"values": values})).json()

    assert told == {
        "subject": "Spring, you",
        "text": "Hello <b>Ben</b>, spring is here. https://x/",
        "html": "<p>Hello &lt;b&gt;Ben&lt;/b&gt;</p><a href='https://x/'>No more</a>",
    }
    assert await outside.rows(shop.id) == before


async def test_an_sms_has_a_text_alone(http, shop):
    made = (await add(http, shop, **SMS)).json()

    for body in (None, {}, {"values": None}, {"values": {}}):
        told = await preview(http, shop, made["id"], body)
        assert told.json() == {"subject": None, "text": "Spring is here, Anna Keller.", "html": None}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({"value": {}}, "/value"),
        ({"values": []}, "/values"),
        ({"values": {"note": "a\x00"}}, "/values"),
        ({"values": {"note": "x" * 9_000}}, "/values"),
    ],
)
async def test_values_that_are_none_are_refused(http, shop, email, body, pointer):
    problem(await preview(http, shop, email["id"], body), 422, "invalid-input", pointer)


async def test_values_of_strange_kinds_are_data_only(http, shop, email):
    for value in (7, True, [1, 2], {"name": {"deep": [1]}}, "{{ unsubscribe_url }}", "{% if %}"):
        answer = await preview(http, shop, email["id"], {"values": {"customer": value, "note": value}})
        assert answer.status_code == 200, answer.text


# ---- whose they are


async def test_another_company_s_template_is_answered_like_one_that_is_not_there(
    http, shop, email, found_tenant, outside
):
    neighbour = await found_tenant()
    before = await outside.rows(shop.id)

    for id_ in (email["id"], 10**15):
        for answer in (
            await http.get(f"{TEMPLATES}/{id_}", headers=neighbour.headers),
            await replace(http, neighbour, id_, **EMAIL),
            await remove(http, neighbour, id_),
            await preview(http, neighbour, id_),
        ):
            assert problem(answer, 404, "template-not-found")["detail"] == f"There is no template {id_}."

    assert await listed(http, neighbour) == []
    assert (await add(http, neighbour, **EMAIL)).status_code == 201, "keys are a company's own"
    assert await outside.rows(shop.id) == before
