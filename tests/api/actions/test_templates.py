"""Routes of templates: the company's own and the built-in ones; validation and previews."""

import pytest

from api.calls import API, NOON, audit_entries, every_page, fetch, key_of, problem
from journey_service.domain.actions.templates import BUILT_IN
from journey_service.domain.events.values import parse_instant

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
async def shop(create_test_company):
    """A company of the test's own."""
    return await create_test_company(test_clock=parse_instant(NOON, ""))


async def add(http, tenant, **values):
    return await http.post(TEMPLATES, headers=tenant.headers, json=values)


async def replace(http, tenant, template_id, **values):
    return await http.put(f"{TEMPLATES}/{template_id}", headers=tenant.headers, json=values)


async def remove(http, tenant, template_id):
    return await http.delete(f"{TEMPLATES}/{template_id}", headers=tenant.headers)


async def preview(http, tenant, template_id, body=None):
    return await http.post(f"{TEMPLATES}/{template_id}/preview", headers=tenant.headers, json=body)


async def use(http, tenant, key, channel="email"):
    """Lets a stage send a template."""
    actions = [{"name": "write", "steps": [{"channel": channel, "template": key}]}]
    answer = await http.put(f"{API}/stages/vip/actions", headers=tenant.headers, json={"actions": actions})
    assert answer.status_code == 200, answer.text


async def list_all(http, tenant, limit=200):
    return [
        stored
        for page in await every_page(http, tenant.headers, "/templates", limit=limit)
        for stored in page
    ]


@pytest.fixture
async def email(http, shop):
    """A template of the company."""
    return (await add(http, shop, **EMAIL)).json()


# ---- created and read


async def test_a_template_is_created_and_returned_unchanged(http, shop):
    answer = await add(http, shop, **EMAIL)

    assert answer.status_code == 201, answer.text
    payload = answer.json()
    assert payload.keys() == TEMPLATE
    assert {name: payload[name] for name in EMAIL} == EMAIL
    assert payload["author"] == key_of(shop)
    assert await fetch(http, shop, f"/templates/{payload['id']}") == payload
    assert await list_all(http, shop) == [payload]
    [row] = await audit_entries(http, shop, "template.create")
    assert (row["target"], row["detail"]) == (
        f"template:{payload['id']}",
        {"key": "spring", "language": "en"},
    )
    assert (row["before_hash"], len(row["after_hash"])) == (None, 64)


async def test_fields_of_emails_are_null_for_other_channels_and_may_be_sent_as_null(http, shop):
    payload = (await add(http, shop, **SMS, subject=None, html=None)).json()

    assert (payload["subject"], payload["html"], payload["channel"]) == (None, None, "sms")
    assert (await add(http, shop, **{**SMS, "key": "deal", "channel": "offer"})).status_code == 201


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_templates_are_paged_without_gaps_or_duplicates(http, shop, limit):
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


async def test_built_in_templates_are_returned_unrendered(http, shop):
    payload = (await fetch(http, shop, "/templates/built-in"))["items"]

    assert [(one["key"], one["language"]) for one in payload] == [
        (template.key, template.language) for templates in BUILT_IN.values() for template in templates
    ]
    assert {one["channel"] for one in payload} == {"email", "sms", "offer", "notice"}
    assert all(one.keys() == {"key", "channel", "language", "subject", "text", "html"} for one in payload)
    assert await list_all(http, shop) == [], "they do not belong to the company"
    for number, one in enumerate(payload):
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
async def test_an_invalid_template_is_refused_with_a_pointer_for_each_error(
    http, shop, email, database_owner, changed, pointers
):
    before = await database_owner.rows(shop.id)

    problem(await add(http, shop, **{**EMAIL, "key": "other", **changed}), 422, "invalid-input", *pointers)
    problem(await replace(http, shop, email["id"], **{**EMAIL, **changed}), 422, "invalid-input", *pointers)

    assert await database_owner.rows(shop.id) == before


async def test_a_body_that_is_not_an_object_is_refused(http, shop):
    for body in ([], "x", 7, None):
        answer = await http.post(TEMPLATES, headers=shop.headers, json=body)
        problem(answer, 422, "invalid-input", "")


async def test_a_key_exists_once_per_language_and_has_one_channel(http, shop, email, database_owner):
    assert (await add(http, shop, **{**EMAIL, "language": "de"})).status_code == 201
    before = await database_owner.rows(shop.id)

    for taken in (
        EMAIL,
        {**SMS, "key": "spring", "language": "fr"},
        {**SMS, "key": "welcome", "language": "fr"},
        {**EMAIL, "key": "retention_sms", "language": "fr"},
    ):
        problem(await add(http, shop, **taken), 409, "template-exists")
    assert await database_owner.rows(shop.id) == before
    other = (await add(http, shop, **{**EMAIL, "key": "summer"})).json()
    problem(await replace(http, shop, other["id"], **EMAIL), 409, "template-exists")


# ---- replaced and deleted


async def test_a_template_is_replaced_as_a_whole(http, shop, email):
    new = {**EMAIL, "subject": "Summer", "language": "en-gb"}
    del new["html"]

    answer = await replace(http, shop, email["id"], **new)

    assert answer.status_code == 200, answer.text
    payload = answer.json()
    assert (payload["subject"], payload["language"], payload["html"]) == ("Summer", "en-gb", None)
    assert payload["created_at"] == email["created_at"] < payload["updated_at"]
    assert await fetch(http, shop, f"/templates/{email['id']}") == payload
    [changed], [added] = (
        await audit_entries(http, shop, "template.update"),
        await audit_entries(http, shop, "template.create"),
    )
    assert changed["before_hash"] == added["after_hash"] != changed["after_hash"]


async def test_a_repeated_replacement_changes_nothing(http, shop, email, database_owner):
    before = await database_owner.rows(shop.id)

    answer = await replace(http, shop, email["id"], **EMAIL)

    assert (answer.status_code, answer.json()) == (200, email)
    assert await database_owner.rows(shop.id) == before


async def test_a_template_is_deleted(http, shop, email):
    answer = await remove(http, shop, email["id"])

    assert (answer.status_code, answer.content) == (204, b"")
    assert await list_all(http, shop) == []
    problem(await remove(http, shop, email["id"]), 404, "template-not-found")
    [row] = await audit_entries(http, shop, "template.delete")
    assert (row["target"], row["after_hash"]) == (f"template:{email['id']}", None)


async def test_a_template_that_a_stage_needs_is_not_deleted(http, shop, email, database_owner):
    await use(http, shop, "spring")
    before = await database_owner.rows(shop.id)

    payload = problem(await remove(http, shop, email["id"]), 409, "template-in-use")
    assert "vip" in payload["detail"]
    problem(await replace(http, shop, email["id"], **{**EMAIL, "key": "summer"}), 409, "template-in-use")
    assert await database_owner.rows(shop.id) == before

    assert (
        await replace(http, shop, email["id"], **{**EMAIL, "text": "{{ unsubscribe_url }}"})
    ).status_code == 200
    german = (await add(http, shop, **{**EMAIL, "language": "de"})).json()
    assert (await remove(http, shop, email["id"])).status_code == 204, "there is another language"
    problem(await remove(http, shop, german["id"]), 409, "template-in-use")


async def test_a_template_that_replaces_a_built_in_one_can_be_deleted(http, shop):
    own = (await add(http, shop, **{**EMAIL, "key": "welcome"})).json()
    await use(http, shop, "welcome")

    assert (await remove(http, shop, own["id"])).status_code == 204


# ---- previewed


async def test_a_preview_renders_a_sample_and_escapes_values(http, shop, email, database_owner):
    before = await database_owner.rows(shop.id)
    payload = (await preview(http, shop, email["id"])).json()
    assert payload == {
        "subject": "Spring, Anna",
        "text": "Hello Anna Keller, spring is here. https://example.com/unsubscribe",
        "html": "<p>Hello Anna Keller</p><a href='https://example.com/unsubscribe'>No more</a>",
    }

    values = {"customer": {"name": "<b>Ben</b>", "first_name": None}, "unsubscribe_url": "https://x/"}
    payload = (await preview(http, shop, email["id"], {"values": values})).json()

    assert payload == {
        "subject": "Spring, you",
        "text": "Hello <b>Ben</b>, spring is here. https://x/",
        "html": "<p>Hello &lt;b&gt;Ben&lt;/b&gt;</p><a href='https://x/'>No more</a>",
    }
    assert await database_owner.rows(shop.id) == before


async def test_an_sms_has_only_a_text(http, shop):
    made = (await add(http, shop, **SMS)).json()

    for body in (None, {}, {"values": None}, {"values": {}}):
        payload = await preview(http, shop, made["id"], body)
        assert payload.json() == {"subject": None, "text": "Spring is here, Anna Keller.", "html": None}


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
async def test_invalid_values_are_refused(http, shop, email, body, pointer):
    problem(await preview(http, shop, email["id"], body), 422, "invalid-input", pointer)


async def test_values_of_unusual_types_are_only_data(http, shop, email):
    for value in (7, True, [1, 2], {"name": {"deep": [1]}}, "{{ unsubscribe_url }}", "{% if %}"):
        answer = await preview(http, shop, email["id"], {"values": {"customer": value, "note": value}})
        assert answer.status_code == 200, answer.text


# ---- other companies


async def test_another_company_s_template_is_not_found(
    http, shop, email, create_test_company, database_owner
):
    neighbour = await create_test_company()
    before = await database_owner.rows(shop.id)

    for id_ in (email["id"], 10**15):
        for answer in (
            await http.get(f"{TEMPLATES}/{id_}", headers=neighbour.headers),
            await replace(http, neighbour, id_, **EMAIL),
            await remove(http, neighbour, id_),
            await preview(http, neighbour, id_),
        ):
            assert problem(answer, 404, "template-not-found")["detail"] == f"There is no template {id_}."

    assert await list_all(http, neighbour) == []
    assert (await add(http, neighbour, **EMAIL)).status_code == 201, "keys are a company's own"
    assert await database_owner.rows(shop.id) == before
