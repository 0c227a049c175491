"""Profiles: languages and names as people write them, phone numbers by their digits, and partial updates."""

import pytest

from api.calls import API, fetch, problem


async def put(http, tenant, customer_id=1, **profile):
    answer = await http.put(f"{API}/customers/{customer_id}", headers=tenant.headers, json=profile)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def patch(http, tenant, customer_id=1, **profile):
    return await http.patch(f"{API}/customers/{customer_id}", headers=tenant.headers, json=profile)


@pytest.mark.parametrize(
    ("given", "stored"), [("de-DE", "de-de"), ("PT_br", "pt-br"), ("zh-Hant-TW", "zh-hant-tw")]
)
async def test_a_language_is_read_without_case(http, salon, given, stored):
    answer = await put(http, salon, language=given)

    assert (answer["language"], answer["warnings"]) == (stored, [])


@pytest.mark.parametrize("language", ["Deutsch (Schweiz)", "x" * 300, "d"])
async def test_text_that_is_no_language_does_not_refuse_the_profile(http, salon, language):
    answer = await put(http, salon, name="Ada", language=language)

    assert (answer["name"], answer["language"]) == ("Ada", None)
    assert len(answer["warnings"]) == 1


async def test_a_patch_leaves_alone_what_it_does_not_name(http, salon):
    created = await put(
        http,
        salon,
        name="Dr. Anna Weber",
        first_name="Anna",
        email="anna@example.com",
        language="de",
        consents={"sms": "granted"},
    )

    answer = (await patch(http, salon, phone="+49 30 1234567", consents={"email": "withdrawn"})).json()
    assert {name: answer[name] for name in ("name", "first_name", "email", "language")} == {
        name: created[name] for name in ("name", "first_name", "email", "language")
    }
    assert answer["phone"] == "+49 30 1234567"
    assert (answer["consents"]["sms"]["status"], answer["consents"]["email"]["status"]) == (
        "granted",
        "withdrawn",
    )
    cleared = (await patch(http, salon, first_name=None, language=None)).json()
    assert (cleared["first_name"], cleared["language"], cleared["name"]) == (None, None, "Dr. Anna Weber")
    audited = (await fetch(http, salon, "/admin/audit", action="customer.update"))["items"]
    assert [row["detail"]["fields"] for row in audited][:2] == [["first_name", "language"], ["phone"]]

    problem(await patch(http, salon), 422, "invalid-input", "")
    problem(await patch(http, salon, customer_id=2, name="B"), 404, "customer-not-found")
    await http.post(f"{API}/customers/1/anonymize", headers=salon.headers)
    problem(await patch(http, salon, name="Anna"), 409, "customer-erased")


@pytest.mark.parametrize(
    ("phone", "q", "is_found"),
    [
        ("+49 30 1234567", "+49301234567", True),
        ("+49 (0)30 1234567", "+49 30 1234567", True),
        ("0049 30 1234567", "+49 (0)30 1234567", True),
        ("030-1234567", "0301234567", True),
        ("+49 30 1234567", "+49301234568", False),
    ],
)
async def test_a_phone_number_is_found_by_its_digits(http, salon, phone, q, is_found):
    await put(http, salon, name="Ada", phone=phone)

    assert bool((await fetch(http, salon, "/customers", q=q))["items"]) is is_found


async def test_a_national_number_is_found_in_international_form_by_the_zone_of_the_company(
    http, create_test_company
):
    berlin = await create_test_company(timezone="Europe/Berlin")
    await put(http, berlin, phone="030 1234567")

    assert len((await fetch(http, berlin, "/customers", q="+49301234567"))["items"]) == 1


async def test_a_customer_without_a_full_name_is_found_by_the_first_one(http, salon):
    await put(http, salon, first_name="Zoe\u0308")  # decomposed

    for q in ("zoe", "ZOË", "Zo\u00eb"):
        assert len((await fetch(http, salon, "/customers", q=q))["items"]) == 1
