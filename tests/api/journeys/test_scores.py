"""Routes of scores and explanations: the past, and the history of scores."""

from api.calls import API, NOON, advance, fetch, ingest, problem


async def test_scores_and_explanations_of_the_past_are_those_that_were_shown_then(http, salon):
    await ingest(http, salon, "v-1", total_amount=300)
    then = await fetch(http, salon, "/customers/1/scores")
    explained = await fetch(http, salon, "/customers/1/explanation")

    await advance(http, salon, "2026-07-01T00:00:00Z")

    assert (await fetch(http, salon, "/customers/1/scores"))["risk"] != then["risk"]
    assert await fetch(http, salon, "/customers/1/scores", as_of=NOON) == then
    assert await fetch(http, salon, "/customers/1/explanation", as_of=NOON) == explained


async def test_a_history_has_a_point_for_each_local_day(http, salon):
    await ingest(http, salon, "v-1", total_amount=300)
    await advance(http, salon, "2026-07-01T12:00:00Z")

    history = await fetch(http, salon, "/customers/1/scores/history", **{"from": "2026-02-01"})
    weeks = await fetch(http, salon, "/customers/1/scores/history", **{"from": "2026-02-01"}, step="week")

    items = history["items"]
    assert items[0].keys() == {"at", "stage_key", "risk", "engagement"}
    assert len(items) == 31 + 30 + 31 + 30 + 1  # from the first of March, when the journey began, to today
    assert items[-1]["at"] == "2026-07-01T12:00:00Z"
    assert [items[0]["stage_key"], items[-1]["stage_key"]] == ["customer", "at_risk"]
    assert items[0]["risk"] < items[-1]["risk"]
    assert [point for point in items if point in weeks["items"]] == weeks["items"]
    middle = items[60]
    scores = await fetch(http, salon, "/customers/1/scores", as_of=middle["at"])
    assert (scores["risk"]["score"], scores["engagement"]["score"]) == (middle["risk"], middle["engagement"])


async def test_a_history_before_the_journey_is_empty(http, salon):
    await ingest(http, salon, "v-1")

    path = "/customers/1/scores/history"
    assert await fetch(http, salon, path, **{"from": "2026-01-01", "to": "2026-01-31"}) == {"items": []}


async def test_invalid_requests_for_the_past_are_refused(http, salon):
    await ingest(http, salon, "v-1")

    async def get(path):
        return await http.get(f"{API}/customers/1{path}", headers=salon.headers)

    for path in ("/scores", "/explanation"):
        problem(await get(f"{path}?as_of=2026-02-28T00:00:00Z"), 404, "journey-not-started")
        problem(await get(f"{path}?as_of=2026-03-02T00:00:00Z"), 422, "invalid-input", "query/as_of")
    problem(await get("/scores/history?from=2020-01-01"), 422, "invalid-input", "query/from")
    problem(await get("/scores/history?to=2026-03-02"), 422, "invalid-input", "query/to")
    problem(await get("/scores/history?step=hour"), 422, "invalid-input", "query/step")
    missing = await http.get(f"{API}/customers/9/scores/history", headers=salon.headers)
    problem(missing, 404, "customer-not-found")
