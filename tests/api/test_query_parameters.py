"""Query parameters: unknown and repeated ones are refused by every operation of the contract."""

import pytest

from api.calls import API, problem
from api.published import published

DOCUMENT = published()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
LENIENT = {"get_liveness", "get_readiness", "show_unsubscribe_page", "unsubscribe", "ingest_source_event"}
"""Operations without a credential: probes, pages that are opened from emails, and signed webhooks."""
PATHS = {
    "customer_id": 1,
    "key": "vip",
    "key_id": "no-such-key",
    "source_id": "1-0123456789abcdef",
    "action_id": "9b2d4c1e-6f0a-4f57-9d1c-3f6a2b8e7c55",
    **dict.fromkeys(
        ("task_id", "template_id", "endpoint_id", "campaign_id", "import_id", "job_id", "version"), 1
    ),
}


def _query(operation):
    return {each["name"]: each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"}


SINGLE = sorted(
    (id_, name)
    for id_, (_, _, operation) in OPERATIONS.items()
    for name, schema in _query(operation).items()
    if schema.get("type") != "array"
)


@pytest.fixture
def ask(http, operator, salon):
    """Call an operation with a query."""

    async def call(id_, query):
        method, path, operation = OPERATIONS[id_]
        is_of_operators = operation["security"][0]["key"] == ["operate"]
        headers = {**(operator if is_of_operators else salon.headers), "If-Match": '"1"'}
        url = path.format(company_id=salon.id, **PATHS)
        return await http.request(method, f"{url}?{query}", headers=headers)

    return call


@pytest.mark.parametrize("id_", sorted(OPERATIONS.keys() - LENIENT))
async def test_an_unknown_parameter_is_refused_with_the_names_of_the_known_ones(ask, id_):
    known = sorted(_query(OPERATIONS[id_][2]))

    answer = await ask(id_, "no_such_parameter=1")

    errors = problem_errors(answer)
    (error,) = [each for each in errors if each["pointer"] == "query/no_such_parameter"]
    allowed = ", ".join(known) if known else "none"
    assert error["detail"] == f"is not a query parameter of this operation; allowed: {allowed}"
    assert (error["code"], error["params"]) == ("unknown", {"known": known})


def problem_errors(answer):
    """The errors of an invalid request; others than those of the query may be among them."""
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/problems/invalid-input", answer.text
    return answer.json()["errors"]


@pytest.mark.parametrize(("id_", "name"), SINGLE)
async def test_a_parameter_that_takes_one_value_is_not_repeated(ask, id_, name):
    answer = await ask(id_, f"{name}=1&{name}=2")

    errors = [each for each in problem_errors(answer) if each["code"] == "repeated"]
    assert [(each["pointer"], each["detail"]) for each in errors] == [
        (f"query/{name}", "must be given only once")
    ]


async def test_unknown_parameters_are_reported_with_all_other_errors(http, salon):
    answer = await http.get(f"{API}/customers?limit=0&owner_name=x&cursor_=y", headers=salon.headers)

    problem(answer, 422, "invalid-input", "query/limit", "query/owner_name", "query/cursor_")


async def test_an_operation_that_is_refused_for_its_query_changes_nothing(http, salon, database_owner):
    before = await database_owner.rows(salon.id)

    answer = await http.put(f"{API}/customers/1?dry_run=1", headers=salon.headers, json={"name": "Ada"})

    problem(answer, 422, "invalid-input", "query/dry_run")
    assert await database_owner.rows(salon.id) == before


async def test_a_caller_without_a_credential_does_not_learn_the_parameters(http, salon):
    problem(await http.get(f"{API}/customers?owner_name=x"), 401, "unauthenticated")
    problem(await http.get(f"{API}/admin/companies?x=1", headers=salon.headers), 403, "forbidden")


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/docs", "/sign-in", "/problems/not-found", "/metrics"]
)
async def test_pages_and_probes_ignore_unknown_parameters(http, path):
    answer = await http.get(f"{path}?no_such_parameter=1")

    assert answer.status_code == 200
