"""The documentation in the contract: descriptions, names, and examples that are valid."""

import re

import pytest

from api.calls import JSON, PROBLEM
from api.contract import SchemaChecker
from api.published import published

DOCUMENT = published()
SCHEMAS = DOCUMENT["components"]["schemas"]
CHECKER = SchemaChecker(DOCUMENT)
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
VERBS = re.compile(
    "advance|anonymize|archive|cancel|create|delete|evaluate|export|get|ingest|lint|list|merge|move|pin|preview|rebuild"
    "|repair|replace|replay|request|rescore|reset|retry|revoke|rotate|show|start|stream|test|unpin|unsubscribe|update|upsert"
)
"""First words of operation ids."""


# ---- names


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_operation_id_is_a_verb_and_a_noun(operation):
    assert VERBS.fullmatch(operation.split("_")[0])
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_summary_is_a_short_imperative(operation):
    summary = OPERATIONS[operation][2]["summary"]

    assert summary[0].isupper()
    assert not summary.endswith((".", "?"))
    assert len(summary) <= 60
    # Imperative: the verb of the operation id, or another one, but never its third person.
    assert not summary.split()[0].endswith("s")


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_a_schema_has_a_noun_as_its_name(schema):
    assert re.fullmatch(r"([A-Z][a-z]+)+", schema)
    assert not schema.endswith(("In", "Out", "Model", "Schema", "Response"))


def test_a_list_is_a_page():
    pages = {name for name in SCHEMAS if "next_cursor" in SCHEMAS[name].get("properties", ())}

    assert {name for name in pages if not name.endswith("Page")} == set()


# ---- descriptions


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_parameter_is_described(operation):
    parameters = OPERATIONS[operation][2].get("parameters", ())

    assert [each["name"] for each in parameters if not each.get("description")] == []


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_every_schema_and_each_of_its_fields_is_described(schema):
    assert SCHEMAS[schema].get("description")
    fields = SCHEMAS[schema].get("properties", {})
    assert [name for name, field in fields.items() if not field.get("description")] == []


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_a_field_that_may_be_null_says_what_null_means(schema):
    if schema.endswith("Problem"):
        return
    fields = SCHEMAS[schema].get("properties", {})
    nullable = {
        name: field["description"]
        for name, field in fields.items()
        if any(variant.get("type") == "null" for variant in field.get("anyOf", ()))
    }

    assert [name for name, text in nullable.items() if "null" not in text.lower()] == []


@pytest.mark.parametrize("schema", sorted(SCHEMAS))
def test_every_id_is_within_the_exact_numbers_of_javascript(schema):
    fields = SCHEMAS[schema].get("properties", {})
    for name, field in fields.items():
        if name != "id" and not name.endswith("_id"):
            continue
        for variant in field.get("anyOf", [field]):
            if variant.get("type") == "integer":
                assert variant["minimum"] >= -(2**53 - 1), name
                assert variant["maximum"] <= 2**53 - 1, name


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_id_of_a_parameter_is_within_the_exact_numbers_of_javascript(operation):
    for parameter in OPERATIONS[operation][2].get("parameters", ()):
        if parameter["schema"].get("type") == "integer" and parameter["name"].endswith(("id", "Id", "ID")):
            assert parameter["schema"]["minimum"] >= -(2**53 - 1), parameter["name"]
            assert parameter["schema"]["maximum"] <= 2**53 - 1, parameter["name"]


def test_every_tag_is_described_and_every_described_tag_is_used():
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    used = {tag for _, _, operation in OPERATIONS.values() for tag in operation["tags"]}
    used |= {tag for item in DOCUMENT["webhooks"].values() for tag in item["post"]["tags"]}

    assert used == described


# ---- examples


def _value(example):
    reference = example.get("$ref")
    return (
        DOCUMENT["components"]["examples"][reference.rpartition("/")[2]]["value"]
        if reference
        else example["value"]
    )


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_body_has_an_example_that_is_valid(operation):
    path, method, described = OPERATIONS[operation]
    bodies = described.get("requestBody", {}).get("content", {})
    for media, content in bodies.items():
        if media == "application/gzip" or media.endswith("spreadsheetml.sheet"):  # bytes
            continue
        assert content.get("examples"), media
        for example in content["examples"].values():
            location = ("paths", path, method, "requestBody", "content", media, "schema")
            assert CHECKER.errors(_value(example), *location) == []


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_every_success_and_every_problem_has_an_example_that_is_valid(operation):
    path, method, described = OPERATIONS[operation]
    for status, response in described["responses"].items():
        for media, content in response.get("content", {}).items():
            if media in ("text/html", "text/event-stream") and "schema" not in content:
                continue
            assert content.get("examples"), (status, media)
            for example in content["examples"].values():
                location = ("paths", path, method, "responses", status, "content", media, "schema")
                assert CHECKER.errors(_value(example), *location) == [], (status, media)
            if media == PROBLEM:
                statuses = {_value(example)["status"] for example in content["examples"].values()}
                assert statuses == {int(status)}


@pytest.mark.parametrize("type_", sorted(DOCUMENT["webhooks"]))
def test_every_message_to_webhooks_has_a_payload_with_an_example_that_is_valid(type_):
    content = DOCUMENT["webhooks"][type_]["post"]["requestBody"]["content"][JSON]

    (example,) = content["examples"].values()
    location = ("webhooks", type_, "post", "requestBody", "content", JSON, "schema")
    assert CHECKER.errors(example["value"], *location) == []
    assert example["value"]["type"] == type_


def test_a_value_that_is_not_as_described_is_found():
    """The checks above have something to find."""
    location = ("components", "schemas", "Job")
    job = next(iter(OPERATIONS["get_job"][2]["responses"]["200"]["content"][JSON]["examples"].values()))[
        "value"
    ]

    assert CHECKER.errors(job, *location) == []
    assert CHECKER.errors({**job, "status": "gone"}, *location) != []
    assert CHECKER.errors({name: value for name, value in job.items() if name != "kind"}, *location) != []
