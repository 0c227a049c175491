"""The routes of imports: dry runs, proposals of columns, remembered formats, and the report of errors."""

import csv
import io

import pytest

from api.calls import API, fetch, problem, save_customer, wait_until_done
from journey_service.api.customers.schemas import customer_lines

SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
GERMAN = (
    "Kunden-Nr;Wann;Was;Wert;Notiz\n"
    "1;02/03/2026;appointment_completed;80,50;=1+1\n"
    '2;02/03/2026;teleported;abc;"two\nlines"\n'
    "x;02/03/2026;appointment_completed;1;Ann\n"
    "3;02/03/2026;appointment_completed;1;a;b;c\n"
)
NAMED = {
    "column": ["Kunden-Nr:customer_id", "Wann:occurred_at", "Was:event_type", "Wert:amount"],
    "date_format": "MM/DD/YYYY",
}


async def send(http, tenant, content, **params):
    """Sends a file; returns the answer."""
    return await http.post(f"{API}/imports", headers=tenant.headers, params=params, content=content)


async def finished(http, tenant, answer):
    """Waits until an import has ended; returns it."""
    assert answer.status_code == 202, answer.text
    return await wait_until_done(http, tenant, f"/imports/{answer.json()['id']}")


async def test_columns_and_formats_are_remembered_for_a_source(http, salon, create_test_company):
    problem(await send(http, salon, GERMAN, source="desk"), 422, "invalid-input", *["line 1"] * 3)
    # Neither a dry run nor an import of another source, kind or company is remembered.
    assert (await send(http, salon, GERMAN, source="desk", dry_run=True, **NAMED)).status_code == 200
    await finished(http, salon, await send(http, salon, GERMAN, source="other", **NAMED))
    problem(await send(http, salon, GERMAN, source="desk"), 422, "invalid-input", *["line 1"] * 3)

    first = await finished(http, salon, await send(http, salon, GERMAN, source="desk", **NAMED))
    again = await finished(http, salon, await send(http, salon, GERMAN, source="desk"))
    assert (first["source"], first["duplicates"], again["duplicates"]) == ("desk", 1, 1)
    assert again["format"] == first["format"]
    assert (first["format"]["columns"]["Wann"], first["format"]["date_format"]) == (
        "occurred_at",
        "MM/DD/YYYY",
    )
    problem(await send(http, salon, GERMAN, source="desk", kind="customers"), 422, "invalid-input", "line 1")
    neighbour = await create_test_company()
    problem(await send(http, neighbour, GERMAN, source="desk"), 422, "invalid-input", *["line 1"] * 3)

    proposal = await fetch(
        http, salon, "/imports/proposal", header="kunden-nr;Wann;Was;Dauer;Notiz", source="desk"
    )
    assert proposal["column"] == [
        *("kunden-nr:customer_id", "Wann:occurred_at", "Was:event_type"),
        "Dauer:call_duration",
    ]
    assert [each["field"] for each in proposal["columns"]] == [
        *("customer_id", "occurred_at", "event_type", "call_duration"),
        None,
    ]
    assert (proposal["missing"], proposal["format"]["date_format"]) == ([], "MM/DD/YYYY")


async def test_the_source_of_an_import_is_that_of_ids_without_one(http, salon):
    text = "id,source,customer_id,occurred_at,type\n7,,1,2026-02-01,call_received\n8,web,1,2026-02-01,call_received\n"
    text += ",,1,2026-02-01,call_received\n"
    await finished(http, salon, await send(http, salon, text, source="desk"))
    items = (await fetch(http, salon, "/customers/1/events"))["items"]
    assert sorted(item["source"] for item in items) == ["desk", "import", "web"]


async def test_a_proposal_names_columns_and_what_is_missing(http, salon):
    answer = await http.get(f"{API}/imports/proposal", headers=salon.headers, params={"header": '"a,b'})
    problem(answer, 422, "invalid-input", "query/header")
    proposal = await fetch(http, salon, "/imports/proposal", header="Kundennummer;Datum;Betrag (EUR);Ort")
    assert proposal["column"] == [
        *("Kundennummer:customer_id", "Datum:occurred_at"),
        "Betrag (EUR):total_amount",
    ]
    assert (proposal["delimiter"], proposal["missing"], proposal["format"]) == (";", ["type"], None)
    proposal = await fetch(http, salon, "/imports/proposal", header="Name,Telefon", kind="customers")
    assert (proposal["column"], proposal["missing"]) == (["Telefon:phone"], ["customer_id"])


async def test_lines_with_errors_are_returned_with_their_reasons(http, salon):
    done = await finished(http, salon, await send(http, salon, GERMAN, **NAMED))
    assert (done["applied"], done["failed"]) == (1, 3)
    answer = await http.get(f"{API}/imports/{done['id']}/errors.csv", headers=salon.headers)
    assert answer.headers["content-disposition"] == 'attachment; filename="errors.csv"'
    header, *lines = csv.reader(io.StringIO(answer.text))
    assert header == ["reason", "Kunden-Nr", "Wann", "Was", "Wert", "Notiz"]
    assert [line[1:] for line in lines] == [
        ["2", "02/03/2026", "teleported", "abc", "two\nlines"],
        [],  # without the id of a customer, an erasure could not find the cells
        ["3", "02/03/2026", "appointment_completed", "1", "a", "b", "c"],
    ]
    assert lines[0][0].startswith("line 3: Wert must be a number") or "line 3: amount must" in lines[0][0]
    assert (
        lines[1][0]
        == "line 5: customer_id must be a whole number from 0 to 4503599627370495; use customer_ref for other ids"
    )
    problem(
        await http.get(f"{API}/imports/{done['id'] + 10**9}/errors.csv", headers=salon.headers),
        404,
        "import-not-found",
    )


async def test_formulas_in_cells_are_not_evaluated(http, salon):
    text = "customer_id,occurred_at,type,note\n1,nonsense,call_received,=1+1\n"
    done = await finished(http, salon, await send(http, salon, text))
    answer = await http.get(f"{API}/imports/{done['id']}/errors.csv", headers=salon.headers)
    assert '"\'=1+1"' in answer.text


async def test_cells_are_returned_to_callers_who_may_read_customers(http, create_test_company):
    events_only = await create_test_company(scopes=("events:write",))
    done = await finished(
        http, events_only, await send(http, events_only, "customer_id,occurred_at,type\n1,x,y\n")
    )
    answer = await http.get(f"{API}/imports/{done['id']}/errors.csv", headers=events_only.headers)
    header, line = csv.reader(io.StringIO(answer.text))
    assert (header[1:], len(line)) == (["customer_id", "occurred_at", "type"], 1)


async def test_customers_need_the_scope_of_profiles(http, create_test_company):
    events_only = await create_test_company(scopes=("events:write",))
    text = "customer_id,name\n1,Ada\n"
    for dry_run in (True, False):
        answer = await send(http, events_only, text, kind="customers", dry_run=dry_run)
        problem(answer, 403, "forbidden")
    both = await create_test_company(scopes=("events:write", "customers:write", "customers:read"))
    done = await finished(http, both, await send(http, both, text, kind="customers"))
    assert (done["kind"], done["applied"]) == ("customers", 1)
    assert (await fetch(http, both, "/customers/1"))["name"] == "Ada"
    check = await send(http, both, text + "2,Bob\n", kind="customers", dry_run=True)
    assert (check.json()["new"], check.json()["known"], check.json()["columns"][1]["field"]) == (1, 1, "name")


async def test_a_damaged_spreadsheet_is_an_error_of_the_file(http, salon):
    answer = await http.post(
        f"{API}/imports", headers={**salon.headers, "content-type": SHEET}, content=b"PK\x03\x04 nonsense"
    )
    assert (
        "is not a spreadsheet that can be read"
        in problem(answer, 422, "invalid-input", "")["detail"] + answer.text
    )


@pytest.mark.parametrize("columns", [100, 2])
async def test_an_import_reads_the_table_of_customers_that_the_service_writes(
    http, salon, create_test_company, monkeypatch, columns
):
    monkeypatch.setattr(customer_lines, "MAX_ATTRIBUTE_COLUMNS", columns)
    attributes = {"plan": "=gold", "visits": 12, "rate": 0.000001, "sum": 1200.5, "is_member": True}
    attributes |= {"renewed_on": "2026-01-31", "sign": "\uff1d1", "quoted": "'s"}
    await save_customer(
        http, salon, name="-Ada", phone="+49 30 1234567", attributes=attributes, consents={"email": "granted"}
    )
    table = await http.get(f"{API}/customers.csv", headers=salon.headers)
    assert all(f"\"'{each}" in table.text for each in ("-Ada", "+49")), table.text
    other = await create_test_company()
    done = await finished(http, other, await send(http, other, table.content, kind="customers"))
    assert (done["applied"], done["failed"]) == (1, 0), done
    names = ("name", "email", "phone", "language", "attributes")
    ours, theirs = [await fetch(http, each, "/customers/1") for each in (salon, other)]
    assert {name: theirs[name] for name in names} == {name: ours[name] for name in names}
    assert theirs["consents"]["email"]["status"] == "granted"
