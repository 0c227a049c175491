"""Texts of errors: no caller reads a text of pydantic or a regular expression."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.calls import API, JSON
from api.published import published
from journey_service.api.input_errors import describe_error
from journey_service.api.schema_fields import PATTERN_SENTENCES
from profiles import examples

DOCUMENT = published()
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "security" in operation
}
FOREIGN = re.compile(
    r"should |Value error|Assertion|Field required|Extra inputs|Input |unable to|pattern|pydantic|\\x|\^\[|\]\*"
    r"|type=|None|True|False|dict|instance of|decimal_(?!separator)|loc=",
)
"""Words of pydantic's own messages, of Python, and of regular expressions."""
VALUES = st.sampled_from(
    ["", " ", "\x00", "x" * 300, "vip!", "-1", "0", "1.5", "9" * 30, "2026-13-01", "none", "true", "[]", "é"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(VALUES, inner, max_size=3),
    max_leaves=8,
)


def _texts(answer):
    body = answer.json()
    yield body["title"]
    yield body["detail"]
    for error in body.get("errors", ()):
        yield error["detail"]


def _body_names(operation):
    content = operation.get("requestBody", {}).get("content", {}).get(JSON)
    if content is None:
        return None
    found, waiting = set(), [content["schema"]]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if "$ref" in part:
                waiting.append(DOCUMENT["components"]["schemas"][part["$ref"].rpartition("/")[2]])
            elif part.get("properties", {}).keys() <= found:
                waiting += [inner for inner in part.values() if isinstance(inner, dict | list)]
            else:
                found |= part["properties"].keys()
                waiting += [part]
    return sorted(found)


@pytest.mark.parametrize("id_", sorted(OPERATIONS))
@given(data=st.data())
@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)
async def test_no_answer_shows_a_text_of_the_framework(http, operator, module_tenant, id_, data):
    method, path, operation = OPERATIONS[id_]
    query = {
        each["name"]: data.draw(VALUES)
        for each in operation.get("parameters", ())
        if each["in"] == "query" and data.draw(st.booleans())
    }
    names = {name: data.draw(VALUES) for name in re.findall(r"\{(\w+)\}", path)}
    names["company_id"] = module_tenant.id if data.draw(st.booleans()) else names.get("company_id", "")
    body_names = _body_names(operation)
    body = None
    if body_names is not None:
        body = data.draw(
            JSON_VALUES | st.dictionaries(st.sampled_from(body_names or ["x"]), JSON_VALUES, max_size=4)
        )
        if isinstance(body, dict) and id_ == "create_company":
            body["id"] = "none"  # no company is to be made
    is_of_operators = operation["security"][0]["key"] == ["operate"]

    answer = await http.request(
        method,
        path.format(**{name: _escaped(value) for name, value in names.items()}),
        params=query,
        headers={
            **(operator if is_of_operators else module_tenant.headers),
            "If-Match": data.draw(st.sampled_from(['"1"', "one", ""])),
            **({"content-type": JSON} if body_names is not None else {}),
        },
        content=b"" if body is None else json.dumps(body).encode(),
    )

    if answer.status_code >= 400:
        for text in _texts(answer):
            assert FOREIGN.search(_without_quotes(text)) is None, text


def _escaped(value):
    return "".join(f"%{byte:02x}" for byte in str(value).encode()) or "%20"


def _without_quotes(text):
    """A text without what it quotes of the request."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)


@pytest.fixture(scope="module")
async def module_tenant(create_test_company, generated_ids):
    """A company for all requests of the module."""
    return await create_test_company()


PARSED_BY_THE_DOMAIN = (
    "SettingsUpdate",
    "ScoringUpdate",
    "StageDefinition",
    "StageUpdate",
    "TemplateDefinition",
)


def test_every_pattern_of_the_contract_has_a_sentence():
    """Patterns of values that the domain parses itself have sentences of the domain."""
    schemas = DOCUMENT["components"]["schemas"]
    parsed_by_the_domain = set(_patterns({name: schemas[name] for name in PARSED_BY_THE_DOMAIN}))

    assert set(_patterns(DOCUMENT["paths"])) - parsed_by_the_domain <= PATTERN_SENTENCES.keys()


def _patterns(part):
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for inner in part.values():
            yield from _patterns(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _patterns(inner)


@pytest.mark.parametrize(
    ("error", "described"),
    [
        ({"type": "missing"}, ("missing", "is required", {})),
        ({"type": "extra_forbidden"}, ("unknown", "is not a known field", {})),
        ({"type": "int_parsing"}, ("type", "must be a whole number", {})),
        ({"type": "greater_than_equal", "ctx": {"ge": 1}}, ("too_small", "must be at least 1", {"min": 1})),
        ({"type": "less_than_equal", "ctx": {"le": 9}}, ("too_large", "must be at most 9", {"max": 9})),
        (
            {"type": "string_too_short", "ctx": {"min_length": 1}},
            ("too_short", "must not be empty", {"min_length": 1}),
        ),
        (
            {"type": "string_too_long", "ctx": {"max_length": 255}},
            ("too_long", "must have at most 255 characters", {"max_length": 255}),
        ),
        (
            {"type": "literal_error", "ctx": {"expected": "'json' or 'csv'"}},
            ("not_allowed", "must be one of json, csv", {"allowed": ["json", "csv"]}),
        ),
        (
            {"type": "string_pattern_mismatch", "ctx": {"pattern": "^[A-Z]{3}$"}},
            ("pattern", "must be a currency code of three upper-case letters, such as EUR", {}),
        ),
        (
            {"type": "string_pattern_mismatch", "ctx": {"pattern": "^unknown$"}},
            ("pattern", "is not in the required format", {}),
        ),
        ({"type": "value_error", "ctx": {"error": ValueError("must be so")}}, ("invalid", "must be so", {})),
        ({"type": "of a later version"}, ("invalid", "is not valid", {})),
    ],
)
def test_an_error_of_validation_is_a_sentence(error, described):
    assert describe_error(error) == described


async def test_errors_have_a_pointer_a_sentence_a_code_and_parameters(http, salon):
    answer = await http.get(f"{API}/admin/jobs", headers=salon.headers, params={"limit": 1_000})

    assert answer.json()["errors"] == [
        {
            "pointer": "query/limit",
            "detail": "must be at most 200",
            "code": "too_large",
            "params": {"max": 200},
        }
    ]
