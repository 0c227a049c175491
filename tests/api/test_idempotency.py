"""A request with an Idempotency-Key is carried out once, on every route that creates, starts or sends something."""

import asyncio

import pytest

from api.calls import API, fetch, ingest, problem
from api.published import published
from journey_service.domain.access.records import KeyedRequest
from journey_service.repositories.access.idempotency_keys import IdempotencyKeys
from journey_service.services.access import idempotency

TEMPLATE = {"key": "hello", "channel": "sms", "language": "en", "text": "Hello"}
WITHOUT_KEY = {
    "ingest_event": "events have an id",
    "ingest_events": "events have an id",
    "ingest_source_event": "events have an id",
    "create_import": "an import that is repeated changes nothing",
    "create_company": "the caller may choose the id",
    "create_session": "a credential is exchanged for a cookie",
    "anonymize_customer": "an erasure that is repeated changes nothing",
    "unsubscribe": "a withdrawal that is repeated changes nothing",
    "lint_stage_map": "changes nothing",
    "preview_template": "changes nothing",
    "test_source": "changes nothing",
}


async def post(http, tenant, path, body, key="k-1"):
    """A request with a key."""
    headers = {**tenant.headers, "Idempotency-Key": key}
    return await http.post(f"{API}{path}", headers=headers, json=body)


def test_every_post_takes_a_key_or_needs_none():
    operations = {
        operation["operationId"]: [each["name"] for each in operation.get("parameters", ())]
        for methods in published()["paths"].values()
        for method, operation in methods.items()
        if method == "post"
    }
    without = {id_ for id_, names in operations.items() if "Idempotency-Key" not in names}
    assert without == set(WITHOUT_KEY)


async def test_a_repeated_request_gets_the_first_response_and_changes_nothing(http, salon):
    first = await post(http, salon, "/templates", TEMPLATE)
    again = await post(http, salon, "/templates", dict(reversed(TEMPLATE.items())))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert len((await fetch(http, salon, "/templates"))["items"]) == 1


async def test_a_secret_that_is_shown_once_is_shown_to_the_repeated_request(http, salon):
    body = {"url": "https://receiver.example/", "events": ["stage.changed"]}
    first = await post(http, salon, "/webhook-endpoints", body)
    again = await post(http, salon, "/webhook-endpoints", body)

    assert first.status_code == 201, first.text
    assert again.json() == first.json()
    assert len((await fetch(http, salon, "/webhook-endpoints"))["items"]) == 1


async def test_another_request_with_the_key_is_refused(http, salon, operator):
    await post(http, salon, "/templates", TEMPLATE)

    for path, body in (("/templates", {**TEMPLATE, "text": "Bye"}), ("/admin/rescore", {})):
        problem(await post(http, salon, path, body), 422, "idempotency-key-reused")
    headers = {**operator, "X-Company-Id": str(salon.id), "X-Reason": "test", "Idempotency-Key": "k-1"}
    other_caller = await http.post(f"{API}/templates", headers=headers, json=TEMPLATE)
    problem(other_caller, 422, "idempotency-key-reused")


async def test_requests_at_the_same_time_are_carried_out_once(http, salon):
    answers = await asyncio.gather(*(post(http, salon, "/templates", TEMPLATE) for _ in range(5)))

    assert len((await fetch(http, salon, "/templates"))["items"]) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    bodies = {answer.content for answer in answers if answer.status_code == 201}
    assert len(bodies) == 1
    for answer in answers:
        if answer.status_code == 409:
            problem(answer, 409, "idempotency-key-in-use")


async def test_without_the_claim_requests_at_the_same_time_are_carried_out_twice(http, salon, monkeypatch):
    async def claim(_self, _request):
        return False

    monkeypatch.setattr(IdempotencyKeys, "claim", claim)
    source = {"name": "desk", "template": "cal_com", "secret": "s" * 32}
    answers = [await post(http, salon, "/sources", source) for _ in range(2)]

    assert {answer.status_code for answer in answers} == {201}, answers[0].text
    assert len((await fetch(http, salon, "/sources"))["items"]) == 2
    print("guard removed: detected")


async def test_a_refused_request_does_not_use_the_key(http, salon):
    refused = await post(http, salon, "/templates", {**TEMPLATE, "channel": "fax"})
    assert refused.status_code == 422

    accepted = await post(http, salon, "/templates", TEMPLATE)

    assert accepted.status_code == 201, accepted.text


async def test_a_response_that_was_not_stored_is_not_made_up(http, salon, monkeypatch):
    async def lost(*_arguments):
        return None

    monkeypatch.setattr(idempotency, "save_response", lost)
    assert (await post(http, salon, "/templates", TEMPLATE)).status_code == 201

    again = await post(http, salon, "/templates", TEMPLATE)

    problem(again, 409, "idempotency-key-in-use")
    assert len((await fetch(http, salon, "/templates"))["items"]) == 1


async def test_an_erasure_deletes_stored_responses(http, salon, database):
    await ingest(http, salon, "e-1")
    await post(http, salon, "/templates", TEMPLATE)

    erased = await http.post(f"{API}/customers/1/anonymize", headers=salon.headers)

    assert erased.status_code == 200, erased.text
    problem(await post(http, salon, "/templates", TEMPLATE), 409, "idempotency-key-in-use")


async def test_keys_are_known_for_a_day(http, salon, database):
    await post(http, salon, "/templates", TEMPLATE)
    request = KeyedRequest(salon.id, "k-1", b"")

    async def delete(uow):
        return await uow.idempotency_keys.delete_old(hours=idempotency.KEPT_HOURS, limit=10)

    assert await database.run(salon.id, delete) == 0

    async def delete_all(uow):
        return await uow.idempotency_keys.delete_old(hours=0, limit=10)

    assert await database.run(salon.id, delete_all) == 1
    assert request.is_claimed is False


@pytest.mark.parametrize("key", ["", "a b", "ü", "k" * 256])
async def test_a_key_that_is_none_is_refused(http, salon, key):
    answer = await http.post(
        f"{API}/templates", headers={**salon.headers, "Idempotency-Key": key.encode()}, json=TEMPLATE
    )

    problem(answer, 422, "invalid-input", "header/Idempotency-Key")
