"""Generated requests to every operation of the contract get documented responses, whoever sends them."""

import json
from dataclasses import replace
from itertools import cycle

import pytest
from fastapi.responses import JSONResponse

from api.calls import API
from api.contract import SchemaChecker
from api.published import published
from fuzz.companies import create_caller
from fuzz.generated_requests import RequestGenerator, RequestSender
from journey_service.domain.access.actors import OPERATE, ROLE_SCOPES, SELF, Role
from journey_service.services.actions.delivery.publisher import publish
from profiles import THOROUGH, active

# The application's thread uses `random` during the generation, which Hypothesis takes for a use by a strategy.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
SEED = 20_260_301
CALLERS = ("company", "agent", "operator", "nobody")
IS_THOROUGH = active() == THOROUGH
OF_EACH = 32 if IS_THOROUGH else 3
"""Random requests to each operation: one by a caller who has access, the next by one of all callers in turn."""
FEWEST = 20_000 if IS_THOROUGH else 500
DOCUMENT = published()
SCOPES = {
    operation["operationId"]: {
        scope for named in operation.get("security", ()) for scope in next(iter(named.values()))
    }
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
}
"""The scopes of each operation, one of which a caller needs; none of an operation that is open to all."""


def fuzz(generator, senders, operations):
    """Sends random requests of each caller to the operations; in a thorough run, all boundary values as well."""
    turns = cycle(senders)
    for id_ in operations:
        sender = senders[0]
        if len(senders) == len(CALLERS):
            sender = senders[CALLERS.index("operator" if OPERATE in SCOPES[id_] else "company")]
        for number, (case, random) in enumerate(generator.random(id_, OF_EACH)):
            (next(turns) if number % 2 else sender).send(id_, case, random)
        if IS_THOROUGH and len(senders) == len(CALLERS):
            for case, random in generator.boundaries(id_):
                sender.send(id_, case, random)


@pytest.mark.big
def test_every_response_is_documented(application):
    generator = RequestGenerator(DOCUMENT, SEED)
    senders = [RequestSender(application, DOCUMENT, create_caller(application, name)) for name in CALLERS]

    fuzz(generator, senders, generator.operations)

    company, agent, operator, nobody = (sender.tally for sender in senders)
    for name, sender in zip(CALLERS, senders, strict=True):
        print(
            f"\n{name}: {sender.tally.requests:,} requests, seed {SEED}, by status: {sender.tally.by_status}"
        )
    findings = {name: sender.tally.findings for name, sender in zip(CALLERS, senders, strict=True)}
    assert not any(findings.values()), "\n\n".join(
        f"{name}: {key}\n{text}" for name, found in findings.items() for key, text in found.items()
    )
    assert sum(sender.tally.requests for sender in senders) >= FEWEST
    allowed = ROLE_SCOPES[Role.AGENT] | {SELF}
    assert agent.accepted <= {id_ for id_, scopes in SCOPES.items() if not scopes or scopes & allowed}
    assert company.accepted <= {id_ for id_, scopes in SCOPES.items() if OPERATE not in scopes}
    assert {status for id_, status in nobody.statuses if SCOPES[id_]} == {401}
    never = set(SCOPES) - company.accepted - agent.accepted - operator.accepted - nobody.accepted
    print(f"operations without a successful response: {sorted(never)}")


def test_each_event_of_a_stream_is_documented(application):
    # In place of the check of schemathesis, which is exempt.
    caller = create_caller(application, "company")
    application.run(publish, application.database, caller.company_id)
    checker = SchemaChecker(DOCUMENT)
    place = ("paths", f"{API}/stream", "get", "responses", "200", "content", "text/event-stream", "schema")

    lines = application.call("GET", "/stream", caller.owner, params={"last_event_id": 0}).text.split("\n")

    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert {each["type"] for each in told} >= {"stage.changed", "customer.at_risk"}
    for each in told:
        assert checker.errors(each, *place, "contentSchema", "items", "contentSchema") == []


# ---- negative controls


async def raising(scope, receive, send):
    raise RuntimeError("planted")


FAULTS = {
    "ServerError": raising,
    "UndefinedStatusCode": JSONResponse({}, 418),
    "UndefinedContentType": JSONResponse({}, media_type="application/xml"),
    "JsonSchemaError": JSONResponse({"next_nightly_run_at": 7}),
}


@pytest.mark.parametrize("found", FAULTS)
def test_a_planted_fault_is_found(application, found):
    async def planted(scope, receive, send):
        app = FAULTS[found] if scope["path"] == f"{API}/admin/schedule" else application.app
        await app(scope, receive, send)

    generator = RequestGenerator(DOCUMENT, SEED)
    caller = create_caller(application, "company")
    sender = RequestSender(replace(application, app=planted), DOCUMENT, caller)

    fuzz(generator, [sender], ["get_schedule", "get_health"])

    assert {key.rpartition(" ")[2] for key in sender.tally.findings} >= {found}
    assert all(key.startswith("get_schedule") for key in sender.tally.findings)
    print("guard removed: detected")


def test_invalid_data_that_is_accepted_is_found(application):
    async def lenient(scope, receive, send):
        await JSONResponse(task, 201)(scope, receive, send)

    generator = RequestGenerator(DOCUMENT, SEED)
    caller = create_caller(application, "company")
    task = application.demand("GET", f"/tasks/{caller.known.values['task_id'][0]}", caller.owner)
    sender = RequestSender(replace(application, app=lenient), DOCUMENT, caller)

    for case, random in generator.random("create_task", 12):
        sender.send("create_task", case, random)

    assert sender.tally.findings.keys() == {"create_task: 201 AcceptedNegativeData"}
    print("guard removed: detected")
