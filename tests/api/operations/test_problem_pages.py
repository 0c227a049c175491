"""Pages of problem types: each explains what it means and what to do."""

import re

import pytest

from api.calls import JSON, problem
from api.published import published
from journey_service.api.operations.problem_kinds import all_kinds
from journey_service.api.operations.problem_pages import GUIDES

PUBLISHED_TYPES = {
    schema["properties"]["type"]["const"].removeprefix("/problems/")
    for name, schema in published()["components"]["schemas"].items()
    if name.endswith("Problem") and name != "Problem"
}


def test_every_type_of_the_contract_is_explained_and_nothing_else():
    assert GUIDES.keys() == all_kinds().keys() == PUBLISHED_TYPES


@pytest.mark.parametrize("code", sorted(GUIDES))
def test_an_explanation_has_whole_sentences(code):
    for text in GUIDES[code]:
        assert text[0].isupper()
        assert text.endswith(".")


@pytest.mark.parametrize("code", sorted(GUIDES))
async def test_a_page_says_what_a_problem_means_without_a_credential(http, code):
    answer = await http.get(f"/problems/{code}", headers={"Accept": "text/html"})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    text = re.sub(r"&#x27;", "'", re.sub(r"&quot;", '"', re.sub(r"<[^>]+>", "", answer.text)))
    assert GUIDES[code].meaning in text
    assert GUIDES[code].action in text
    assert code in text


async def test_a_program_gets_the_same_as_json(http):
    answer = await http.get("/problems/stale-version", headers={"Accept": JSON})

    assert answer.headers["content-type"] == JSON
    assert answer.json() == {
        "type": "/problems/stale-version",
        "title": "The journey has changed",
        "status": 412,
        **GUIDES["stale-version"]._asdict(),
    }


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", ""])
async def test_a_browser_gets_the_page(http, accept):
    answer = await http.get("/problems/not-found", headers={"Accept": accept})

    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("code", ["nowhere", "Stale-Version", "x" * 65, "%00", "<script>"])
async def test_an_unknown_type_is_not_found(http, code):
    answer = await http.get(f"/problems/{code}")

    problem(answer, 404, "not-found")
    assert "<script>" not in answer.text


async def test_the_type_of_a_problem_is_the_path_of_its_page(http, salon):
    answer = await http.get("/api/v1/customers/4711/journey", headers=salon.headers)
    page = await http.get(problem(answer, 404, "customer-not-found")["type"])

    assert page.status_code == 200
    assert "Customer not found" in page.text
