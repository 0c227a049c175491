"""Examples of the contract: they agree with the texts, with each other, and with what the service does."""

import json

import pytest
import typer

from api.calls import JSON
from api.published import published
from journey_service.api.input_errors import describe_error
from journey_service.api.openapi.enum_values import ENUMS
from journey_service.api.openapi.example_overrides import REQUESTS, RESPONSES, SETTINGS_REQUEST
from journey_service.api.operations.problem_kinds import all_kinds
from journey_service.api.problems import RETRY_AFTER_SECONDS
from journey_service.cli.customer_options import CustomerFilterOption, CustomerOption, CustomersOption
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.companies.policy_parsing import parse_policy, policy_to_json
from journey_service.domain.events.event import MAX_ID

DOCUMENT = published()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: operation
    for paths in (DOCUMENT["paths"], DOCUMENT["webhooks"])
    for methods in paths.values()
    for operation in methods.values()
}
UNFINISHED = ("queued", "running", "reading")


def _example(content):
    examples = content.get("examples", {})
    return examples["example"]["value"] if "example" in examples else None


def _responses():
    for id_, operation in OPERATIONS.items():
        for status, response in operation["responses"].items():
            value = _example(response.get("content", {}).get(JSON, {}))
            if value is not None:
                yield id_, status, value


def _response(id_, status):
    return next(value for name, each, value in _responses() if (name, each) == (id_, str(status)))


def _request(id_):
    return _example(OPERATIONS[id_]["requestBody"]["content"][JSON])


def _objects(value):
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


# ---- jobs

ACCEPTED = sorted(id_ for id_, status, _ in _responses() if status == "202")


@pytest.mark.parametrize("operation", ACCEPTED)
def test_an_accepted_request_has_a_job_that_is_not_finished(operation):
    response = _response(operation, 202)
    jobs = [each for each in _objects(response) if each.get("status") and "total" in each]

    for job in jobs:
        assert job["status"] in UNFINISHED
        assert job["done"] < job["total"]
        assert job.get("finished_at") is None
        assert job.get("result") is None
    assert jobs or response.get("job_id") or response["status"] in UNFINISHED


@pytest.mark.parametrize("operation", [each for each in ACCEPTED if "200" in OPERATIONS[each]["responses"]])
def test_a_completed_request_has_a_job_that_is_finished(operation):
    jobs = [each for each in _objects(_response(operation, 200)) if each.get("status") and "total" in each]

    for job in jobs:
        assert job["status"] == "done"
        assert job["done"] == job["total"]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("replace_settings", "apply_settings"),
        ("replace_stage_map", "roll_out_stage_map"),
        ("update_stage", "roll_out_stage_map"),
        ("archive_stage", "roll_out_stage_map"),
    ],
)
@pytest.mark.parametrize("status", [200, 202])
def test_a_change_has_the_job_of_its_kind(operation, kind, status):
    job = _response(operation, status)["job"]

    assert job["kind"] == kind
    assert job["actor"].startswith("key:")


def test_a_repair_has_a_job_and_its_dry_run_has_the_issues():
    dry_run, repair = _response("repair_data", 200), _response("repair_data", 202)

    assert (dry_run["dry_run"], dry_run["job_id"], bool(dry_run["issues"])) == (True, None, True)
    assert (repair["dry_run"], bool(repair["job_id"]), repair["issues"]) == (False, True, [])


# ---- agreement of requests and responses


@pytest.mark.parametrize("status", [200, 202])
def test_changed_settings_are_those_that_were_sent(status):
    assert _request("replace_settings") == SETTINGS_REQUEST
    response = _response("replace_settings", status)
    before, after = policy_to_json(DEFAULT_POLICY), policy_to_json(parse_policy(SETTINGS_REQUEST))
    changed = {name for name in before if name != "scoring" and before[name] != after[name]}
    changed |= {
        f"scoring.{name}" for name in before["scoring"] if before["scoring"][name] != after["scoring"][name]
    }

    assert response["settings"] == json.loads(json.dumps(after))
    assert set(response["changed"]) == changed


def test_a_requested_action_is_the_one_that_was_sent():
    request, action = _request("request_action"), _response("request_action", 201)

    assert action["channel"] == request["type"]
    assert action["offer"] == request["offer"]
    assert (action["template"], action["note"]) == (request["template"], request["note"])
    assert action["actor"].startswith("key:")
    assert action["transition_seq"] is None


def test_a_rotated_key_names_the_previous_one():
    for operation in ("rotate_api_key", "rotate_company_api_key"):
        key = _response(operation, 201)

        assert key["rotated_from"] not in (None, key["id"])
        assert key["id"] in key["secret"]


def test_states_after_a_change_are_those_of_the_change():
    assert _response("pin_customer", 200)["pin_until"] == _request("pin_customer")["pin_until"]
    cancelled = _response("cancel_campaign", 200)
    assert (cancelled["status"], cancelled["reason"]) == ("ended", "manual")
    moved = _response("move_customer", 201)
    assert moved["journey"]["current_stage"] == _request("move_customer")["to_stage"]
    assert moved["journey"]["version"] == moved["transition"]["seq"]
    company = _response("create_company", 201)
    assert company["map_version"] == company["stages"]["version"] == 1
    assert company["stages"]["activated_at"] is None
    assert _response("update_task", 200)["status"] == _request("update_task")["status"]
    assert _response("get_readiness", 503)["status"] == "unavailable"


def test_warnings_are_the_messages_of_the_findings():
    for each in _objects([value for *_, value in _responses()]):
        if "findings" in each and "warnings" in each:
            assert each["warnings"] == [finding["message"] for finding in each["findings"]]


def test_one_customer_has_one_name_and_one_stage():
    profiles, stages = set(), set()
    for id_, _, value in _responses():
        for each in _objects(value):
            if each.get("customer_id") == 4711 and "email" in each and isinstance(each["email"], str):
                profiles.add((each["name"], each["email"]))
            if (
                each.get("customer_id") == 4711
                and "stage_name" in each
                and id_ not in ("move_customer", "upsert_customer")
            ):
                stages.add((each["current_stage"], each["stage_name"]))

    assert profiles == {("Ada Lovelace", "ada@customers.example")}
    assert stages == {("regular", "Regular Customer")}


def test_scores_are_the_sums_of_their_factors():
    scores = _response("get_scores", 200)

    for name in ("engagement", "risk"):
        total = sum(factor["contribution"] for factor in scores[name]["factors"])
        assert round(total, 2) == scores[name]["score"]
    assert {factor["name"] for factor in scores["engagement"]["factors"]}.isdisjoint(
        factor["name"] for factor in scores["risk"]["factors"]
    )


def test_every_override_belongs_to_an_operation():
    assert {id_ for id_, _ in RESPONSES} | REQUESTS.keys() <= OPERATIONS.keys()
    for id_, status in RESPONSES:
        assert str(status) in OPERATIONS[id_]["responses"]


# ---- problems


def test_the_example_of_an_input_error_is_an_error_of_validation():
    (error,) = all_kinds()["invalid-input"]["errors"]

    assert (error["code"], error["detail"], error["params"]) == describe_error(
        {"type": "greater_than_equal", "ctx": {"ge": 0}}
    )


def test_examples_of_problems_have_values_that_occur():
    kinds = all_kinds()

    assert kinds["task-closed"]["detail"].split()[3] in ("done", "dismissed", "closed")
    assert "action." in kinds["event-type-conflict"]["detail"]
    assert min(RETRY_AFTER_SECONDS) > 0


# ---- ids of customers


def _customer_ids(part, name=""):
    if isinstance(part, dict):
        if part.get("name") == "customer_id" and "schema" in part:
            yield from _customer_ids({"customer_id": part["schema"]})
        if "maximum" in part and name in ("customer_id", "customer_ids"):
            yield part["minimum"], part["maximum"]
        for key, inner in part.items():
            yield from _customer_ids(
                inner, key if key.startswith("customer_id") else name if key in ("items", "anyOf") else ""
            )
    elif isinstance(part, list):
        for inner in part:
            yield from _customer_ids(inner, name)


def test_ids_of_customers_have_one_limit():
    limits = set(_customer_ids(DOCUMENT["paths"])) | set(_customer_ids(SCHEMAS))

    assert limits == {(0, MAX_ID), (-MAX_ID, MAX_ID)}
    assert "2^52 - 1" in DOCUMENT["info"]["description"]
    for annotation in (CustomerOption, CustomersOption, CustomerFilterOption):
        parser = annotation.__metadata__[0].parser
        assert parser(str(MAX_ID)) == str(MAX_ID)
        with pytest.raises(typer.BadParameter):
            parser(str(MAX_ID + 1))


# ---- descriptions


def test_every_enum_lists_the_meaning_of_its_values():
    enums = {name: schema for name, schema in SCHEMAS.items() if "enum" in schema and name != "StageIcon"}

    assert enums.keys() == ENUMS.keys()
    for name, schema in enums.items():
        assert list(ENUMS[name].values) == schema["enum"]
        assert all(f"`{value}`: " in schema["description"] for value in schema["enum"])


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_a_description_can_be_read_alone(schema):
    for name, field in SCHEMAS[schema].get("properties", {}).items():
        text = field.get("description", "")
        assert not text.startswith(("The same", "Likewise")), name
        assert "since then" not in text, name
        for phrase in (
            "for good",
            "in force",
            "mildest",
            "most severe",
            "not yet",
            "former",
            "Colour",
            "null: ",
        ):
            assert phrase not in text, (name, phrase)
        for phrase in ("null: it was", "null: not", "null: none"):
            assert phrase not in text, (name, phrase)


def test_the_base_of_a_draft_may_be_in_the_header_or_in_the_body():
    header = next(
        each for each in OPERATIONS["replace_stage_map"]["parameters"] if each["name"] == "If-Match"
    )
    required = {
        id_
        for id_, operation in OPERATIONS.items()
        for each in operation.get("parameters", ())
        if each["name"] == "If-Match" and each.get("required")
    }

    assert not header.get("required")
    assert required == {
        *("merge_customers", "move_customer", "pin_customer", "unpin_customer"),
        *("update_journey", "update_task"),
    }
