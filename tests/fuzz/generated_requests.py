"""Requests that schemathesis generates from the contract, and the checks of their responses."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from api.calls import API, JSON
from fuzz.application import BASE_URL, Application
from fuzz.companies import Caller

load_all_checks()
CHECKS = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.missing_required_header,
    checks.unsupported_method,
)
EXEMPT = {
    # The schema describes the whole text of the response; schemathesis takes it for that of one event.
    checks.response_schema_conformance: {"stream_events"},
    # They take what is valid, and name each of the others in the response.
    checks.negative_data_rejection: {"ingest_events", "create_import"},
}
"""Checks that say nothing about a response of these operations."""
REFUSALS = {
    "negative_data_rejection": {"expected-statuses": ["4xx", "503"]},
    "missing_required_header": {"expected-statuses": ["401", "403", "404", "415", "422", "428"]},
}
"""The statuses of refusals: 428 without `If-Match`, 404 before it is looked at."""
LAST = {"advance_test_clock"}
"""Operations that are called last: they carry the company into another century."""
MOSTLY = 0.8
"""How often an id that exists takes the place of a generated one."""
OWN_HEADERS = {"authorization", "cookie", "x-company-id", "x-reason", "accept-encoding"}
"""Headers that are the caller's: its credential, and that it reads uncompressed responses."""
KEPT = {"company_id"}
"""Ids that are not collected: other companies are out of the caller's reach."""
QUERY_IDS = {
    "customer_id": "customer_id",
    "with": "customer_id",
    "company_id": "company_id",
    "campaign_id": "campaign_id",
    "endpoint_id": "endpoint_id",
    "remap_to": "key",
    "since": "version",
    **dict.fromkeys(("stage", "from_stage", "to_stage"), "key"),
}
BODY_IDS = {
    "customer_id": "customer_id",
    "customer_ids": "customer_id",
    "merge": "customer_id",
    "company_id": "company_id",
    **dict.fromkeys(("stage", "to_stage"), "key"),
}


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, str | bytes):
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    return json.dumps(value).encode()


@schemathesis.serializer(
    "application/x-ndjson", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)
def serialize_file(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Returns the body of a file that is a text."""
    return _as_bytes(value)


@schemathesis.serializer("application/gzip")
def serialize_compressed(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Returns the body of a compressed file; an odd one is not compressed."""
    content = _as_bytes(value)
    return content if len(content) % 2 else gzip.compress(content)


@dataclass
class Tally:
    """The responses to one caller: by operation and status, and what was wrong with them."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)
    """The first response of each kind that was wrong."""

    @property
    def requests(self) -> int:
        """The number of requests."""
        return self.statuses.total()

    @property
    def by_status(self) -> dict[int, int]:
        """The number of requests by status."""
        found = Counter[int]()
        for (_, status), number in self.statuses.items():
            found[status] += number
        return dict(sorted(found.items()))

    @property
    def accepted(self) -> set[str]:
        """Operations with a successful response."""
        return {id_ for id_, status in self.statuses if status < 300}


class RequestGenerator:
    """Generates requests of the operations of an OpenAPI document, without credentials."""

    def __init__(self, document: Mapping[str, Any], number: int) -> None:
        config = schemathesis.Config.from_dict({"checks": REFUSALS})
        self._schema = schemathesis.openapi.from_dict(_without_credentials(document), config=config)
        self._number = number
        operations = (each.ok() for each in self._schema.get_all_operations())
        self.operations: dict[str, APIOperation] = {
            each.definition.raw["operationId"]: each for each in operations
        }
        """In the order in which they are called."""
        for id_ in LAST & self.operations.keys():
            self.operations[id_] = self.operations.pop(id_)

    def random(self, id_: str, count: int) -> list[tuple[Case, Random]]:
        """Returns requests of an operation, valid, invalid and from examples; each with chance for the caller."""
        operation, found = self.operations[id_], []
        valid, invalid = (operation.as_strategy(mode) for mode in GenerationMode)
        examples = self._schema.get_strategies_from_examples(operation)[:1]

        @seed(self._number)
        @settings(
            # The first example is the simplest one, whatever the seed is.
            max_examples=count + 1,
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(valid, invalid, *examples), st.integers(0, 2**32))
        def generate(case: Case, chance: int) -> None:
            found.append((case, Random(chance)))

        generate()
        return found[1 : count + 1]

    def boundaries(self, id_: str) -> Iterator[tuple[Case, Random]]:
        """Yields requests of an operation with each value of each parameter at and beyond its bounds."""
        operation = self.operations[id_]
        cases = self._schema.iter_coverage_cases(
            operation,
            generation_modes=list(GenerationMode),
            generation_config=self._schema.config.generation_for(operation=operation),
        )
        random = Random(f"{self._number} {id_}")
        for case in cases:
            yield case, random


class RequestSender:
    """Sends generated requests of one caller and checks the responses against the contract."""

    def __init__(self, application: Application, document: Mapping[str, Any], caller: Caller) -> None:
        self.tally = Tally()
        self.caller = caller
        self._application, self._document = application, document

    def send(self, id_: str, case: Case, random: Random) -> None:
        """Sends a request, most of whose ids are replaced by those that exist."""
        self._fill_in(id_, case, random)
        kwargs = case.as_transport_kwargs(base_url=BASE_URL)
        names = ("method", "url", "headers", "params", "data", "json", "cookies", "files")
        sent = requests.Request(**{name: kwargs[name] for name in names if name in kwargs}).prepare()
        headers = {
            name: value.encode("latin-1") if isinstance(value, str) else value
            for name, value in {**sent.headers, **self.caller.headers}.items()
            if name.lower() not in OWN_HEADERS or name in self.caller.headers
        }
        request = httpx.Request(sent.method, sent.url, headers=headers, content=sent.body)
        response = self._application.send(request)
        self.tally.statuses[id_, response.status_code] += 1
        if response.is_success:
            self._remember(id_, response)
        self._check(id_, case, response)

    def _check(self, id_: str, case: Case, response: httpx.Response) -> None:
        chosen = [each for each in CHECKS if id_ not in EXEMPT.get(each, ())]
        try:
            case.validate_response(Response.from_any(response), checks=chosen)
        except FailureGroup as failures:
            for failure in failures.exceptions:
                key = f"{id_}: {response.status_code} {type(failure).__name__}"
                text = f"{failure}\n{_shown(response.request)}\n{response.text[:600]}"
                self.tally.findings.setdefault(key, text)

    def _fill_in(self, id_: str, case: Case, random: Random) -> None:
        known = self.caller.known.values
        for name in list(case.path_parameters or ()):
            if known.get(name) and random.random() < MOSTLY:
                case.path_parameters[name] = str(random.choice(known[name]))
        for name in list(case.query or ()):
            kind = f"{id_}.cursor" if name == "cursor" else QUERY_IDS.get(name, "")
            if known.get(kind) and random.random() < MOSTLY:
                chosen = str(random.choice(known[kind]))
                case.query[name] = [chosen] if isinstance(case.query[name], list) else chosen
        if isinstance(case.body, dict | list):
            case.body = _with_ids(case.body, known, random)
        if "If-Match" in case.headers and random.random() < MOSTLY:
            case.headers["If-Match"] = self._current_tag(case)

    def _current_tag(self, case: Case) -> str:
        """Returns the entity tag of what a request changes."""
        path = case.formatted_path
        if case.path.startswith(f"{API}/customers/"):
            path = f"{'/'.join(path.split('/')[:5])}/journey"
        elif case.path.startswith(f"{API}/stages"):
            path = f"{API}/stages"
        request = httpx.Request("GET", f"{BASE_URL}{path}", headers=self.caller.owner)
        return self._application.send(request).headers.get("etag", '"1"')

    def _remember(self, id_: str, response: httpx.Response) -> None:
        """Collects the ids in a response."""
        is_json = response.headers.get("content-type") == JSON
        body = response.json() if is_json and response.content else None
        if not isinstance(body, dict):
            return
        known, name = self.caller.known, self._collections.get(id_)
        if name is not None and name not in KEPT:
            for item in (body, *body.get("items", ())):
                if "id" in item:
                    known.add(name, item["id"])
        if body.get("next_cursor") is not None:
            known.add(f"{id_}.cursor", body["next_cursor"])
        if body.get("job_id") is not None:
            known.add("job_id", body["job_id"])

    @cached_property
    def _collections(self) -> dict[str, str]:
        """What the `id` in the responses of an operation is, by operation: the parameter of the path below."""
        paths = self._document["paths"]
        below = {path.rpartition("/")[0]: path.rpartition("/")[2] for path in paths if path.endswith("}")}
        return {
            operation["operationId"]: below[path].strip("{}")
            for path in paths.keys() & below.keys()
            for operation in paths[path].values()
        }


def _without_credentials(document: Mapping[str, Any]) -> dict[str, Any]:
    changed = deepcopy(dict(document))
    for operation in (each for methods in changed["paths"].values() for each in methods.values()):
        operation.pop("security", None)
        kept = [each for each in operation.get("parameters", ()) if each["name"].lower() not in OWN_HEADERS]
        operation["parameters"] = kept
    return changed


def _shown(request: httpx.Request) -> str:
    body = request.content[:600].decode("utf-8", "backslashreplace")
    headers = {
        name: value for name, value in request.headers.items() if name not in ("authorization", "host")
    }
    return f"{request.method} {request.url} {headers} {body}"


def _with_ids(value: Any, known: Mapping[str, Sequence[Any]], random: Random, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _with_ids(inner, known, random, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_ids(inner, known, random, name) for inner in value]
    choices = [id_ for id_ in known.get(BODY_IDS.get(name, ""), ()) if type(id_) is type(value)]
    return random.choice(choices) if choices and random.random() < MOSTLY else value
