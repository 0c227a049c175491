"""Invalid input is reported clearly, with a pointer, and changes nothing."""

import base64
import gzip
import json

import orjson
import pytest

from api.calls import API, JSON, NOON, event, fetch, ingest, journey, problem, without_id, without_updated_at
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES

KIB = 1024
DEEP = 10_000
SEEN = {"If-Match": '"2"'}
TWO_STAGES = [{"key": "new", "name": "New", "order": 1}, {"key": "old", "name": "Old", "order": 2}]

JSON_ROUTES = {
    "one event": ("POST", "/events", {}),
    "a batch": ("POST", "/events/batch", {}),
    "a customer": ("PUT", "/customers/1", {}),
    "notes": ("PATCH", "/customers/1/journey", SEEN),
    "a move": ("POST", "/customers/1/transitions", SEEN),
    "a pin": ("PUT", "/customers/1/pin", SEEN),
    "a company": ("POST", "/admin/companies", {}),
    "a key": ("POST", "/admin/companies/{company}/keys", {}),
}
OBJECT_ROUTES = {name: route for name, route in JSON_ROUTES.items() if name != "a batch"}
VERSIONED = {
    "notes": ("PATCH", "/customers/1/journey", {"notes": "n"}),
    "a move": ("POST", "/customers/1/transitions", {"to_stage": "vip"}),
    "a pin": ("PUT", "/customers/1/pin", {"pin_until": "2026-04-01T00:00:00Z"}),
    "the end of a pin": ("DELETE", "/customers/1/pin", None),
}
OF_A_CUSTOMER = {
    "customer": ("GET", "", None),
    "journey": ("GET", "/journey", None),
    "transitions": ("GET", "/transitions", None),
    "scores": ("GET", "/scores", None),
    "notes": ("PATCH", "/journey", {"notes": "n"}),
    "move": ("POST", "/transitions", {"to_stage": "vip"}),
    "pin": ("PUT", "/pin", {"pin_until": "2026-04-01T00:00:00Z"}),
    "end of pin": ("DELETE", "/pin", None),
    "evaluation": ("POST", "/evaluate", None),
    "dry evaluation": ("POST", "/evaluate?dry_run=true", None),
}


class Shop:
    """A company with one customer at version 2, which no request here may change."""

    def __init__(self, http, tenant, operator, database_owner):
        self._http, self._outside = http, database_owner
        self._tenant, self._operator = tenant, operator
        self._before = None

    async def open(self):
        await ingest(self._http, self._tenant, "known", total_amount=1)
        self._before = await self._outside.rows(self._tenant.id)

    async def ask(self, method, path, headers=(), **request):
        """Send what is to be refused."""
        companies = await self._outside.count_companies()
        credential = self._operator if path.startswith("/admin") else self._tenant.headers
        answer = await self._http.request(
            method,
            API + path.replace("{company}", str(self._tenant.id)),
            headers={**credential, **dict(headers)},
            **request,
        )
        before, self._before = self._before, await self._outside.rows(self._tenant.id)
        changed = sorted(name for name in before if before[name] != self._before[name])
        assert not changed, f"changed: {', '.join(changed)}"
        assert await self._outside.count_companies() == companies
        return answer


@pytest.fixture(scope="module")
async def unchanged(http, create_test_company, operator, database_owner):
    """Ask something of a company that must stay as it is."""
    shop = Shop(http, await create_test_company(test_clock=parse_instant(NOON, "")), operator, database_owner)
    await shop.open()
    return shop.ask


async def test_what_does_change_something_does_not_pass_for_unchanged(unchanged):
    with pytest.raises(AssertionError, match="journey_events"):
        await unchanged("POST", "/events", json=event("fresh", customer_id=99))
    with pytest.raises(AssertionError):
        await unchanged("PATCH", "/customers/1/journey", SEEN, json={"notes": "n"})


def typed(media=JSON, **headers):
    return {"content-type": media, **headers}


def written(body):
    """A body as JSON, with depth where the text NESTED stands."""
    return json.dumps(body).replace(json.dumps(NESTED), "[" * 1_000 + "]" * 1_000).encode()


async def chunks(length):
    for _ in range(length // KIB):
        yield b" " * KIB
    yield b" " * (length % KIB)


# ---- bodies that are none

MALFORMED = {
    "lists 10,000 levels deep": b"[" * DEEP + b"]" * DEEP,
    "objects 10,000 levels deep": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "10,000 levels that never end": b'{"a":' * DEEP,
    "1e309": b'{"id": 1e309}',
    "-1e309": b'{"metadata": {"a": -1e309}}',
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"data": {"total_amount": Infinity}}',
    "-Infinity": b"[-Infinity]",
    "a lone surrogate": b'{"name": "\\ud800"}',
    "a lone surrogate as a key": b'{"\\udc00": 1}',
    "invalid UTF-8": b'{"name": "\xff"}',
    "an encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "UTF-16 without a mark": '{"name": "a"}'.encode("utf-16-le"),
    "UTF-16 that is cut off": '{"name": "a"}'.encode("utf-16")[:-1],
    "UTF-32": '{"name": "a"}'.encode("utf-32"),
    "a NUL byte": b'{"name": "\x00"}',
    "JSON that is cut off": b'{"id": "e-1", "source": ',
    "JSON and more": b'{"notes": "n"} {}',
    "no JSON": b"id=e-1&source=tests",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_the_error_of_a_body_that_is_no_json_names_the_offset(unchanged, body):
    for method, path, headers in JSON_ROUTES.values():
        answer = await unchanged(method, path, typed(**headers), content=body)

        details = problem(answer, 422, "malformed")
        assert 0 <= details["offset"] <= len(body)


@pytest.mark.parametrize("body", [b"[]", b'"e"', b"3", b"null", b"true"])
async def test_a_body_that_is_no_object_is_refused(unchanged, body):
    for method, path, headers in OBJECT_ROUTES.values():
        problem(await unchanged(method, path, typed(**headers), content=body), 422, "invalid-input", "")


@pytest.mark.parametrize(("method", "path", "headers"), OBJECT_ROUTES.values(), ids=OBJECT_ROUTES)
async def test_an_empty_body_is_refused(unchanged, method, path, headers):
    answer = await unchanged(method, path, typed(**headers), content=b"")

    if path == "/events":
        problem(answer, 422, "malformed")
    else:
        problem(answer, 422, "invalid-input", "")


@pytest.mark.parametrize(("method", "path", "headers"), OBJECT_ROUTES.values(), ids=OBJECT_ROUTES)
async def test_an_unknown_field_is_refused_by_its_name(unchanged, method, path, headers):
    answer = await unchanged(method, path, headers, json={"sta/ge~": 1})

    assert answer.status_code == 422
    assert "/sta~1ge~0" in [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "application/xml",
        "text/json",
        "json",
    ],
)
async def test_a_body_declared_as_no_json_is_not_read(unchanged, media):
    for method, path, headers in JSON_ROUTES.values():
        answer = await unchanged(method, path, typed(media, **headers), content=orjson.dumps(event("e-1")))

        problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("media", [None, "application/json; charset=utf-8", "application/vnd.salon+json"])
async def test_json_under_any_of_its_names_is_read(http, salon, media):
    headers = {**salon.headers, **({} if media is None else typed(media))}

    response = await http.post(f"{API}/events", headers=headers, content=orjson.dumps(event("e-1")))
    put = await http.put(f"{API}/customers/1", headers=headers, content=b'{"name": "Ada"}')

    assert (response.status_code, put.status_code) == (200, 200)
    assert put.json()["name"] == "Ada"


LIMITS = {name: 5 * KIB * KIB if name == "a batch" else 256 * KIB for name in JSON_ROUTES}


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("name", JSON_ROUTES)
async def test_a_body_over_the_limit_is_refused(unchanged, name, is_chunked):
    method, path, headers = JSON_ROUTES[name]
    length = LIMITS[name] + 1
    content = chunks(length) if is_chunked else b" " * length

    answer = await unchanged(method, path, typed(**headers), content=content)

    assert ("content-length" in answer.request.headers) is not is_chunked
    problem(answer, 413, "content-too-large")


@pytest.mark.parametrize(("path", "limit"), [("/events", 256 * KIB), ("/events/batch", 5 * KIB * KIB)])
async def test_a_body_at_the_limit_is_read(http, salon, path, limit):
    text = orjson.dumps(event("e-1") if path == "/events" else [event("e-1")])

    answer = await http.post(
        API + path, headers={**salon.headers, **typed()}, content=text + b" " * (limit - len(text))
    )

    assert answer.status_code == 200


# ---- events

NUL = "a\x00b"
NESTED = "1,000 levels"
EVENT_FAULTS = {
    "an unknown type": ({"type": "appointment_dreamt"}, ["/type"]),
    "a type that is no text": ({"type": {"a": 1}}, ["/type"]),
    "a type 1,000 levels deep": ({"type": NESTED}, ["/type"]),
    "no id": ({"id": None}, ["/id"]),
    "an empty id": ({"id": ""}, ["/id"]),
    "a long id": ({"id": "e" * 256}, ["/id"]),
    "an id that is a number": ({"id": 1}, ["/id"]),
    "an id 1,000 levels deep": ({"id": NESTED}, ["/id"]),
    "NUL in the id": ({"id": NUL}, ["/id"]),
    "NUL in the source": ({"source": NUL}, ["/source"]),
    "NUL in the type": ({"type": NUL}, ["/type"]),
    "NUL in the booking": ({"data": {"booking_id": NUL}}, ["/data/booking_id"]),
    "NUL in metadata": ({"data": {"metadata": {"a": [NUL]}}}, ["/data/metadata"]),
    "NUL in a key of metadata": ({"data": {"metadata": {"a": {NUL: 1}}}}, ["/data/metadata"]),
    "NUL in an unknown field": ({NUL: 1}, ["/a\ufffdb"]),
    "a customer beyond 64 bits": ({"customer_id": 2**63}, ["/customer_id"]),
    "a customer far beyond 64 bits": ({"customer_id": 10**30}, ["/customer_id"]),
    "a negative customer": ({"customer_id": -1}, ["/customer_id"]),
    "half a customer": ({"customer_id": 1.5}, ["/customer_id"]),
    "a customer that is a text": ({"customer_id": "one"}, ["/customer_id"]),
    "a customer that is true": ({"customer_id": True}, ["/customer_id"]),
    "no customer": ({"customer_id": None}, ["/customer_id"]),
    "a time without a zone": ({"occurred_at": "2026-03-01T11:00:00"}, ["/occurred_at"]),
    "a bare date": ({"occurred_at": "2026-03-01"}, ["/occurred_at"]),
    "a time that is a number": ({"occurred_at": 1_772_362_800}, ["/occurred_at"]),
    "a day that is not": ({"occurred_at": "2026-02-30T11:00:00Z"}, ["/occurred_at"]),
    "an hour that is not": ({"occurred_at": "2026-03-01T25:00:00Z"}, ["/occurred_at"]),
    "a time before all calendars": ({"occurred_at": "0001-01-01T00:00:00+14:00"}, ["/occurred_at"]),
    "a time after all calendars": ({"occurred_at": "9999-12-31T23:59:59-14:00"}, ["/occurred_at"]),
    "the future": ({"occurred_at": "2026-03-01T12:05:00.000001Z"}, ["/occurred_at"]),
    "data that is no object": ({"data": [1]}, ["/data"]),
    "unknown data": ({"data": {"amount": 1}}, ["/data/amount"]),
    "a negative amount": ({"data": {"total_amount": -0.01}}, ["/data/total_amount"]),
    "a tenth of a cent": ({"data": {"total_amount": 1.001}}, ["/data/total_amount"]),
    "an amount without end": ({"data": {"total_amount": 1e300}}, ["/data/total_amount"]),
    "an amount that is a text": ({"data": {"total_amount": "one"}}, ["/data/total_amount"]),
    "a negative duration": ({"data": {"call_duration": -1}}, ["/data/call_duration"]),
    "a duration beyond 31 bits": ({"data": {"call_duration": 2**31}}, ["/data/call_duration"]),
    "an appointment without a zone": (
        {"data": {"scheduled_for": "2026-03-02T09:00"}},
        ["/data/scheduled_for"],
    ),
    "metadata that is no object": ({"data": {"metadata": []}}, ["/data/metadata"]),
    "metadata 1,000 levels deep": ({"data": {"metadata": {"a": NESTED}}}, ["/data/metadata"]),
    "metadata of more than 8 KiB": ({"data": {"metadata": {"a": "x" * 8_192}}}, ["/data/metadata"]),
    "several errors": (
        {"id": "", "customer_id": -1, "data": {"total_amount": -1, "x": 1}},
        ["/id", "/customer_id", "/data/total_amount", "/data/x"],
    ),
}


@pytest.mark.parametrize(("changes", "pointers"), EVENT_FAULTS.values(), ids=EVENT_FAULTS)
async def test_every_error_of_an_event_has_a_pointer(unchanged, changes, pointers):
    answer = await unchanged("POST", "/events", typed(), content=written({**event("e-1"), **changes}))

    problem(answer, 422, "invalid-input", *pointers)


async def test_five_minutes_ahead_are_not_the_future(http, salon):
    ahead = await ingest(http, salon, "e-1", occurred_at="2026-03-01T12:05:00Z")

    assert ahead["status"] == "applied"


async def test_the_same_id_with_other_content_is_a_conflict(unchanged):
    answer = await unchanged("POST", "/events", json=event("known", total_amount=2))

    problem(answer, 409, "event-id-reused")


# ---- customers and journeys

BODY_FAULTS = {
    "NUL in a name": ("PUT", "/customers/1", {"name": NUL}, ["/name"]),
    "NUL in an address": ("PUT", "/customers/1", {"email": NUL}, ["/email"]),
    "NUL in a number": ("PUT", "/customers/1", {"phone": NUL}, ["/phone"]),
    "a name that is too long": ("PUT", "/customers/1", {"name": "x" * 256}, ["/name"]),
    "a name 1,000 levels deep": ("PUT", "/customers/1", {"name": NESTED}, ["/name"]),
    "an unknown channel": ("PUT", "/customers/1", {"consents": {"fax": "granted"}}, ["/consents/fax"]),
    "an unknown consent": ("PUT", "/customers/1", {"consents": {"email": "maybe"}}, ["/consents/email"]),
    "a new customer's bad name": ("PUT", "/customers/2", {"name": NUL}, ["/name"]),
    "NUL in notes": ("PATCH", "/customers/1/journey", {"notes": NUL}, ["/notes"]),
    "notes that are too long": ("PATCH", "/customers/1/journey", {"notes": "x" * 10_001}, ["/notes"]),
    "NUL in metadata": ("PATCH", "/customers/1/journey", {"metadata": {"a": NUL}}, ["/metadata"]),
    "metadata too deep": ("PATCH", "/customers/1/journey", {"metadata": {"a": NESTED}}, ["/metadata"]),
    "metadata too long": ("PATCH", "/customers/1/journey", {"metadata": {"a": "x" * 8_192}}, ["/metadata"]),
    "nothing to note": ("PATCH", "/customers/1/journey", {}, [""]),
    "no stage": ("POST", "/customers/1/transitions", {}, ["/to_stage"]),
    "an unknown stage": ("POST", "/customers/1/transitions", {"to_stage": "nirvana"}, ["/to_stage"]),
    "NUL in a stage": ("POST", "/customers/1/transitions", {"to_stage": NUL}, ["/to_stage"]),
    "NUL in a move's notes": (
        "POST",
        "/customers/1/transitions",
        {"to_stage": "vip", "notes": NUL},
        ["/notes"],
    ),
    "a person beyond 64 bits": (
        "POST",
        "/customers/1/transitions",
        {"to_stage": "vip", "performed_by": 2**63},
        ["/performed_by"],
    ),
    "a negative person": (
        "POST",
        "/customers/1/transitions",
        {"to_stage": "vip", "performed_by": -1},
        ["/performed_by"],
    ),
    "a pin without a zone": (
        "POST",
        "/customers/1/transitions",
        {"to_stage": "vip", "pin_until": "2026-04-01T00:00:00"},
        ["/pin_until"],
    ),
    "a pin that is over": (
        "POST",
        "/customers/1/transitions",
        {"to_stage": "vip", "pin_until": "2026-03-01T12:00:00Z"},
        ["/pin_until"],
    ),
    "a pin's end without a zone": (
        "PUT",
        "/customers/1/pin",
        {"pin_until": "2026-04-01T00:00:00"},
        ["/pin_until"],
    ),
    "a pin's end that is a number": ("PUT", "/customers/1/pin", {"pin_until": 1}, ["/pin_until"]),
    "no end of a pin": ("PUT", "/customers/1/pin", {}, ["/pin_until"]),
}


@pytest.mark.parametrize(("method", "path", "body", "pointers"), BODY_FAULTS.values(), ids=BODY_FAULTS)
async def test_every_error_of_a_body_has_a_pointer(unchanged, method, path, body, pointers):
    answer = await unchanged(method, path, {**SEEN, **typed()}, content=written(body))

    problem(answer, 422, "invalid-input", *pointers)


async def test_a_pin_that_is_over_before_it_begins_is_refused(unchanged):
    answer = await unchanged("PUT", "/customers/1/pin", SEEN, json={"pin_until": "2026-03-01T12:00:00Z"})

    problem(answer, 422, "invalid-input", "/pin_until")


@pytest.mark.parametrize(("method", "path", "body"), VERSIONED.values(), ids=VERSIONED)
async def test_a_change_without_a_version_is_refused(unchanged, method, path, body):
    problem(await unchanged(method, path, json=body), 428, "precondition-required")


@pytest.mark.parametrize("seen", ["", "*", '"two"', '"2', "2.0", "-2", '"1", "2"', '"2", "2"', "9" * 19])
async def test_a_version_that_is_none_is_refused(unchanged, seen):
    for method, path, body in VERSIONED.values():
        answer = await unchanged(method, path, {"If-Match": seen}, json=body)

        problem(answer, 422, "invalid-input", "header/If-Match")


@pytest.mark.parametrize(("method", "path", "body"), VERSIONED.values(), ids=VERSIONED)
async def test_the_problem_of_a_stale_version_names_the_current_one(
    http, salon, database_owner, method, path, body
):
    await ingest(http, salon, "e-1")
    before, text = await database_owner.rows(salon.id), without_updated_at(await journey(http, salon))

    for seen in ('"1"', '"3"', 'W/"1"', "1"):
        headers = {**salon.headers, "If-Match": seen}
        answer = await http.request(method, API + path, headers=headers, json=body)
        assert problem(answer, 412, "stale-version")["current_version"] == 2

    after = await database_owner.rows(salon.id)
    assert {name for name in before if before[name] != after[name]} <= {"customer_relationships"}
    assert without_updated_at(await journey(http, salon)) == text


async def test_a_stale_change_does_not_touch_a_journey_of_which_nothing_was_due(unchanged):
    headers = {"If-Match": '"1"'}

    problem(
        await unchanged("POST", "/customers/1/transitions", headers, json={"to_stage": "vip"}),
        412,
        "stale-version",
    )


async def test_a_customer_is_not_moved_to_where_they_are(unchanged):
    answer = await unchanged("POST", "/customers/1/transitions", SEEN, json={"to_stage": "customer"})

    problem(answer, 409, "already-in-stage")


async def test_a_customer_is_not_moved_to_a_stage_that_is_no_longer_used(
    http, create_test_company, database_owner
):
    stages = [{**stage, "is_active": stage["key"] != "vip"} for stage in DEFAULT_STAGES]
    tenant = await create_test_company(stages=stages)
    await ingest(http, tenant, "e-1", "appointment_booked")
    before = await database_owner.rows(tenant.id)

    answer = await http.post(
        f"{API}/customers/1/transitions",
        headers={**tenant.headers, "If-Match": '"1"'},
        json={"to_stage": "vip"},
    )

    problem(answer, 409, "stage-inactive")
    assert await database_owner.rows(tenant.id) == before


async def test_a_pin_that_is_not_there_is_not_lifted(unchanged):
    problem(await unchanged("DELETE", "/customers/1/pin", SEEN), 409, "not-pinned")


@pytest.mark.parametrize("key", ["", "a key with spaces", "k" * 256, "schl\xfcssel"])
async def test_an_idempotency_key_is_a_short_word(unchanged, key):
    headers = {**SEEN, "Idempotency-Key": key.encode("latin-1")}

    answer = await unchanged("POST", "/customers/1/transitions", headers, json={"to_stage": "vip"})

    problem(answer, 422, "invalid-input", "header/Idempotency-Key")


@pytest.mark.parametrize(("method", "path", "body"), OF_A_CUSTOMER.values(), ids=OF_A_CUSTOMER)
async def test_a_foreign_customer_is_answered_like_a_missing_one(
    http, salon, create_test_company, database_owner, method, path, body
):
    neighbour = await create_test_company()
    await ingest(http, neighbour, "e-1", customer_id=555)
    before = await database_owner.rows(salon.id), await database_owner.rows(neighbour.id)

    async def ask(customer_id):
        answer = await http.request(
            method,
            f"{API}/customers/{customer_id}{path}",
            headers={**salon.headers, **SEEN},
            json=body,
        )
        problem(answer, 404, "customer-not-found")
        return answer

    foreign, missing = await ask(555), await ask(777)

    assert foreign.content.replace(b"555", b"777") == missing.content
    assert without_id(foreign) == without_id(missing)
    assert (await database_owner.rows(salon.id), await database_owner.rows(neighbour.id)) == before


async def test_a_foreign_import_is_answered_like_a_missing_one(http, salon, create_test_company):
    neighbour = await create_test_company()
    content = b"customer_id,occurred_at,type\n1,2026-01-01,call_received\n"
    response = await http.post(f"{API}/imports", headers=neighbour.headers, content=content)
    foreign, missing = str(response.json()["id"]), "9" * len(str(response.json()["id"]))

    for path in ("", "/errors"):
        assert (
            await http.get(f"{API}/imports/{foreign}{path}", headers=neighbour.headers)
        ).status_code == 200
        answers = [
            await http.get(f"{API}/imports/{id_}{path}", headers=salon.headers) for id_ in (foreign, missing)
        ]
        for answer in answers:
            problem(answer, 404, "import-not-found")
        assert answers[0].text.replace(foreign, missing) == answers[1].text


@pytest.mark.parametrize("id_", [str(2**63), "9" * 30, "9" * 5_000, "-1", "one", "1.5", "%00", "1%00"])
async def test_an_id_that_no_customer_can_have_is_refused(unchanged, id_):
    for method, path, body in OF_A_CUSTOMER.values():
        answer = await unchanged(method, f"/customers/{id_}{path}", SEEN, json=body)

        if id_ == "-1" and method == "GET":  # the journey of an erased customer has a negative id
            problem(answer, 404, "customer-not-found")
        else:
            problem(answer, 422, "invalid-input", "path/customer_id")


@pytest.mark.parametrize("id_", [str(2**63), "9" * 30, "-1", "0", "one", "1.5", ""])
async def test_an_operator_names_a_company_by_an_id(http, operator, id_):
    answer = await http.get(f"{API}/customers", headers={**operator, "X-Company-Id": id_})

    problem(answer, 422, "invalid-input", "header/X-Company-Id")


@pytest.mark.parametrize("id_", [str(2**63), "-1", "0", "one", "%00"])
@pytest.mark.parametrize("path", ["/keys", "/keys?limit=1"])
async def test_an_id_that_no_company_can_have_is_refused(unchanged, id_, path):
    answer = await unchanged("GET", f"/admin/companies/{id_}{path}")

    problem(answer, 422, "invalid-input", "path/company_id")


@pytest.mark.parametrize("id_", ["%00", "a%00", "a_b", "k" * 65, "schl%C3%BCssel"])
async def test_an_id_that_no_key_can_have_is_refused(unchanged, id_):
    answer = await unchanged("DELETE", f"/admin/companies/{{company}}/keys/{id_}")

    problem(answer, 422, "invalid-input", "path/key_id")


# ---- founding companies


def staged(**changes):
    return {"stages": [TWO_STAGES[0], {**TWO_STAGES[1], **changes}]}


def ruled(**rule):
    return staged(auto_rules=rule)


COUNT = "/stages/1/auto_rules/conditions/count"
COMPANY_FAULTS = {
    "an operator the wrong way round": (
        ruled(trigger="appointment_count", conditions={"count": "=>3"}),
        [COUNT],
    ),
    "a condition that is no number": (
        ruled(trigger="appointment_count", conditions={"count": ">abc"}),
        [COUNT],
    ),
    "a condition that is code": (
        ruled(trigger="appointment_count", conditions={"count": ">3; DROP TABLE customers"}),
        [COUNT],
    ),
    "a condition that is a number": (ruled(trigger="appointment_count", conditions={"count": 3}), [COUNT]),
    "a condition 1,000 levels deep": (
        ruled(trigger="appointment_count", conditions={"count": NESTED}),
        [COUNT],
    ),
    "NUL in a condition": (ruled(trigger="appointment_count", conditions={"count": ">3\x00"}), [COUNT]),
    "a condition on something else": (
        ruled(trigger="appointment_count", conditions={"value": ">3"}),
        ["/stages/1/auto_rules/conditions/value"],
    ),
    "a bad condition among several rules": (
        staged(
            auto_rules={
                "any": [
                    {"trigger": "call_received", "conditions": {"call_duration": ">60"}},
                    {"trigger": "lifetime_value", "conditions": {"value": "=>3"}},
                    {"trigger": "risk_score", "conditions": {"score": ">abc"}},
                ]
            }
        ),
        ["/stages/1/auto_rules/any/1/conditions/value", "/stages/1/auto_rules/any/2/conditions/score"],
    ),
    "an unknown trigger": (ruled(trigger="full_moon", conditions={}), ["/stages/1/auto_rules/trigger"]),
    "a trigger 1,000 levels deep": (ruled(trigger=NESTED), ["/stages/1/auto_rules/trigger"]),
    "NUL in a stage's name": (staged(name=NUL), ["/stages/1/name"]),
    "NUL in a stage's key": (staged(key=NUL), ["/stages/1/key"]),
    "a stage that is none": ({"stages": [TWO_STAGES[0], "old"]}, ["/stages/1"]),
    "a single stage": ({"stages": TWO_STAGES[:1]}, ["/stages"]),
    "no stages": ({"stages": []}, ["/stages", "/stages"]),
    "two stages of one key": (staged(key="new"), ["/stages/1/key"]),
    "two stages of one name": (staged(name="New"), ["/stages/1/name"]),
    "no name": ({"name": None}, ["/name"]),
    "NUL in the name": ({"name": NUL}, ["/name"]),
    "NUL in the time zone": ({"timezone": "UTC\x00"}, ["/timezone"]),
    "a time zone that is none": ({"timezone": "Mars/Olympus"}, ["/timezone"]),
    "a time zone that is a path": ({"timezone": "../../etc/passwd"}, ["/timezone"]),
    "a currency in lower case": ({"currency": "eur"}, ["/currency"]),
    "a test clock without a zone": ({"test_clock": "2026-03-01T12:00:00"}, ["/test_clock"]),
    "an id beyond 64 bits": ({"id": 2**63}, ["/id"]),
    "a negative id": ({"id": -1}, ["/id"]),
    "the operators' own id": ({"id": 0}, ["/id"]),
    "an unknown setting": ({"settings": {"colour": "red"}}, ["/settings/colour"]),
    "a bad number of days": ({"settings": {"manual_pin_days": 0}}, ["/settings/manual_pin_days"]),
    "a bad source of revenue": ({"settings": {"revenue_source": []}}, ["/settings/revenue_source"]),
    "a bad weight": (
        {"settings": {"scoring": {"inactive_weight": 1.5, "trend": "down"}}},
        ["/settings/scoring/inactive_weight", "/settings/scoring/trend"],
    ),
    "settings that are none": ({"settings": []}, ["/settings"]),
    "errors everywhere": (
        {"timezone": "Mars/Olympus", "settings": {"colour": "red"}, **staged(order=0)},
        ["/timezone", "/settings/colour", "/stages/1/order"],
    ),
}


@pytest.mark.parametrize(("changes", "pointers"), COMPANY_FAULTS.values(), ids=COMPANY_FAULTS)
async def test_every_error_of_a_company_has_a_pointer(unchanged, changes, pointers):
    body = written({"name": "A salon", **changes})

    problem(
        await unchanged("POST", "/admin/companies", typed(), content=body), 422, "invalid-input", *pointers
    )


KEY_FAULTS = {
    "no scopes": ({"scopes": []}, ["/scopes"]),
    "an unknown scope": ({"scopes": ["*", "root"]}, ["/scopes/1"]),
    "the operators' scope": ({"scopes": ["operate"]}, ["/scopes/0"]),
    "NUL in the name": ({"name": NUL}, ["/name"]),
    "NUL in a scope": ({"scopes": [NUL]}, ["/scopes/0"]),
    "an end without a zone": ({"expires_at": "2026-03-01T12:00:00"}, ["/expires_at"]),
}


@pytest.mark.parametrize(("changes", "pointers"), KEY_FAULTS.values(), ids=KEY_FAULTS)
async def test_every_error_of_a_key_has_a_pointer(unchanged, changes, pointers):
    body = {"name": "k", "scopes": ["*"], **changes}

    answer = await unchanged("POST", "/admin/companies/{company}/keys", json=body)

    problem(answer, 422, "invalid-input", *pointers)


# ---- histories

LINES = b"customer_id,occurred_at,type\n" + b"".join(b"%d,2026-01-01,call_received\n" % n for n in range(500))
BAD_HISTORIES = {
    "nothing": (b"", {}, "malformed", []),
    "blank lines": (b"\n\n  \n", {}, "malformed", []),
    "a gzip of nothing": (gzip.compress(b""), {}, "malformed", []),
    "a gzip cut off at once": (gzip.compress(LINES)[:12], {}, "malformed", []),
    "the beginning of a gzip": (b"\x1f\x8b", {}, "malformed", []),
    "declared as gzip and is not": (LINES, typed("application/gzip"), "malformed", []),
    "declared as encoded and is not": (LINES, {"content-encoding": "gzip"}, "malformed", []),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), {}, "malformed", []),
    "one endless line": (b"x" * 70_000, {}, "malformed", []),
    "a header that lacks columns": (b"name,total_amount\nAda,1\n", {}, "invalid-input", ["line 1"] * 3),
    "a header with a column twice": (
        b"customer_id,occurred_at,type,type\n",
        {},
        "invalid-input",
        ["line 1"],
    ),
    "JSON that is no object": (b"[1, 2]\n", {}, "invalid-input", ["line 1"] * 3),
}


@pytest.mark.parametrize(
    ("content", "headers", "code", "pointers"), BAD_HISTORIES.values(), ids=BAD_HISTORIES
)
async def test_a_body_that_is_no_import_file_is_refused(unchanged, content, headers, code, pointers):
    problem(await unchanged("POST", "/imports", headers, content=content), 422, code, *pointers)


@pytest.mark.parametrize("until", ["2026-03-01T00:00:00", "2026-03-01", "noon", "%00", "1772362800"])
async def test_a_history_s_end_is_an_instant(unchanged, until):
    answer = await unchanged("POST", f"/imports?until={until}", content=LINES)

    problem(answer, 422, "invalid-input", "query/until")


async def test_a_history_does_not_end_in_the_future(unchanged):
    answer = await unchanged("POST", "/imports?until=2026-03-01T12:00:01Z", content=LINES)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/until"]


async def test_a_history_that_is_cut_off_costs_its_last_line_only(http, salon):
    whole = gzip.compress(LINES, compresslevel=0)

    response = await http.post(f"{API}/imports", headers=salon.headers, content=whole[: len(whole) // 2])

    assert response.status_code == 202
    assert response.json()["failed"] == 1
    assert 100 < response.json()["total"] < 400
    [error] = (await fetch(http, salon, f"/imports/{response.json()['id']}/errors"))["items"]
    assert error["line"] == response.json()["lines"]
    assert "ends early" in error["detail"]


NDJSON_LINE = {"customer_id": 1, "occurred_at": "2026-01-01", "type": "call_received"}
UNKEEPABLE = {
    "a lone surrogate as an id": (b'"id": "\\ud800"', "/id"),
    "a lone surrogate in metadata": (b'"metadata": {"a": "\\ud800"}', "/metadata"),
    "a number beyond 64 bits in metadata": (b'"metadata": {"a": 18446744073709551616}', "/metadata"),
    "NUL in the booking": (b'"booking_id": "\\u0000"', "/booking_id"),
    "NUL in an unknown field": (b'"\\u0000": 1', ""),
    "an infinite number": (b'"amount": 1e309', ""),
    "a customer beyond 64 bits": (b'"customer_id": 9223372036854775808', "/customer_id"),
}


@pytest.mark.parametrize(("member", "pointer"), UNKEEPABLE.values(), ids=UNKEEPABLE)
async def test_a_line_that_cannot_be_kept_is_a_faulty_line(http, salon, member, pointer):
    line = orjson.dumps(NDJSON_LINE)
    bad = line[:-1] + b", " + member + b"}"

    response = await http.post(f"{API}/imports", headers=salon.headers, content=b"\n".join([line, bad, line]))

    assert response.status_code == 202, response.text
    assert response.json()["lines"] == 3
    errors = (await fetch(http, salon, f"/imports/{response.json()['id']}/errors"))["items"]
    assert [(error["line"], error["pointer"]) for error in errors] == [(2, pointer)]


# ---- lists


@pytest.mark.parametrize(
    "path",
    [
        "/customers",
        "/customers/1/transitions",
        "/imports",
        "/imports/1/errors",
        "/admin/companies",
        "/admin/companies/{company}/keys",
    ],
)
async def test_a_page_has_from_1_to_200_items(unchanged, path):
    for limit in (0, 201, -1, 2**63, "many", "1.5", "\x00"):
        answer = await unchanged("GET", path, params={"limit": limit})
        problem(answer, 422, "invalid-input", "query/limit")


FILTER_FAULTS = {
    "an unknown order": ({"sort": "colour"}, "query/sort"),
    "an order twice reversed": ({"sort": "--name"}, "query/sort"),
    "no order": ({"sort": ""}, "query/sort"),
    "an order that is SQL": ({"sort": "name; DROP TABLE customers"}, "query/sort"),
    "NUL in a search": ({"q": NUL}, "query/q"),
    "a search that is too long": ({"q": "x" * 256}, "query/q"),
    "NUL in the stage": ({"stage": NUL}, "query/stage"),
    "a stage that is none": ({"stage": "VIP!"}, "query/stage"),
    "a risk beyond 1": ({"risk_min": 1.01}, "query/risk_min"),
    "a negative risk": ({"risk_max": -0.01}, "query/risk_max"),
    "a risk that is no number": ({"risk_min": "nan"}, "query/risk_min"),
    "an infinite risk": ({"risk_max": "-inf"}, "query/risk_max"),
    "a risk of 1e309": ({"risk_min": "1e309"}, "query/risk_min"),
    "negative days": ({"inactive_days_min": -1}, "query/inactive_days_min"),
    "days without end": ({"inactive_days_min": 10**30}, "query/inactive_days_min"),
}


@pytest.mark.parametrize(("params", "pointer"), FILTER_FAULTS.values(), ids=FILTER_FAULTS)
async def test_a_filter_that_makes_no_sense_is_refused(unchanged, params, pointer):
    problem(await unchanged("GET", "/customers", params=params), 422, "invalid-input", pointer)


@pytest.fixture(scope="module")
async def cursors(http, create_test_company, operator):
    """A company with more than a page of everything, and each list's own cursor to its second page."""
    tenant, _ = await create_test_company(), await create_test_company()
    for number in (1, 2, 3):
        await ingest(http, tenant, f"e-{number}", customer_id=number)
        history = b"customer_id,occurred_at,type\nx,y,z\n"
        response = await http.post(f"{API}/imports", headers=tenant.headers, content=history)
        key = {"name": "k", "scopes": ["*"]}
        made = await http.post(f"{API}/admin/companies/{tenant.id}/keys", headers=operator, json=key)
        assert (response.status_code, made.status_code) == (202, 201)
    lists = {
        "customers": ("/customers", {}),
        "customers by name": ("/customers", {"sort": "name"}),
        "customers by name downwards": ("/customers", {"sort": "-name"}),
        "customers by value": ("/customers", {"sort": "lifetime_value"}),
        "customers by risk": ("/customers", {"sort": "risk_score"}),
        "customers by visit": ("/customers", {"sort": "last_appointment_at"}),
        "customers by entry": ("/customers", {"sort": "stage_entered_at"}),
        "transitions": ("/customers/1/transitions", {}),
        "imports": ("/imports", {}),
        "import errors": (f"/imports/{response.json()['id']}/errors", {}),
        "companies": ("/admin/companies", {}),
        "keys": (f"/admin/companies/{tenant.id}/keys", {}),
    }

    async def ask(name, cursor):
        path, params = lists[name]
        headers = operator if path.startswith("/admin") else tenant.headers
        params = {**params, "limit": 1, **({} if cursor is None else {"cursor": cursor})}
        return await http.get(API + path, headers=headers, params=params)

    found = {}
    for name in lists:
        first = await ask(name, None)
        assert first.status_code == 200, first.text
        found[name] = first.json()["next_cursor"]
        assert found[name], name
    return ask, found


LISTS = (
    "customers",
    "customers by name",
    "customers by name downwards",
    "customers by value",
    "customers by risk",
    "customers by visit",
    "customers by entry",
    "transitions",
    "imports",
    "import errors",
    "companies",
    "keys",
)


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_goes_on_from_its_own_cursor(cursors, name):
    ask, found = cursors

    assert (await ask(name, found[name])).json()["items"]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_does_not_go_on_from_the_cursor_of_another_or_of_another_order(cursors, name):
    ask, found = cursors

    for other in LISTS:
        if other != name:
            problem(await ask(name, found[other]), 422, "invalid-input", "query/cursor")


GARBAGE = ["", "x", "\x00", "a\x00b", "null", "====", "W10", "e30", "bnVsbA", "ÿ", "-1", "x" * 4_001]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_does_not_go_on_from_garbage(cursors, name):
    ask, _ = cursors

    for garbage in GARBAGE:
        problem(await ask(name, garbage), 422, "invalid-input", "query/cursor")


HOSTILE = [None, True, 1.5, 2**63, 10**30, [1], {"a": 1}, NUL, b".-5", b"2026-03-01T11:00:00z", b"1" * 2_000]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_does_not_go_on_from_a_forged_cursor(cursors, name):
    ask, found = cursors
    parts = orjson.loads(base64.urlsafe_b64decode(found[name] + "=" * (-len(found[name]) % 4)))
    assert await _asked(ask, name, parts) == 200

    for index, part in enumerate(parts):
        for hostile in HOSTILE:
            if isinstance(hostile, bytes) and isinstance(part, str) and index > 0:
                # Another text in a cursor may be a valid one: it must only be harmless.
                assert await _asked(ask, name, [*parts[:index], hostile.decode(), *parts[index + 1 :]]) < 500
            elif not isinstance(hostile, bytes):
                assert await _asked(ask, name, [*parts[:index], hostile, *parts[index + 1 :]]) == 422
    assert await _asked(ask, name, [*parts, 1]) == 422
    assert await _asked(ask, name, parts[:-1]) == 422


async def _asked(ask, name, parts):
    answer = await ask(name, base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("="))
    return answer.status_code
