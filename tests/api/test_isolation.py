"""No byte of one company reaches another: every operation of the contract, called by every caller without access.

Requests are built from the OpenAPI document and from all that one company owns. A new route is covered without being
listed; one with a kind of id, parameter, body or credential that is unknown here fails.
"""

import asyncio
import base64
import gzip
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI

from api.calls import API, NOON, POLL_SECONDS, event, ingest, wait_until_ended
from api.published import published
from conftest import PEPPER, Tenant
from journey_service.api import authentication
from journey_service.api.authentication import CustomerReader
from journey_service.api.authorization import OPEN, UndeclaredRouteError, check_declared
from journey_service.domain.access.actors import OPERATE, ROLE_SCOPES, SELF, Actor, Role
from journey_service.domain.events.values import parse_instant
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.main import create_app
from journey_service.services.access import credentials, key_installation
from journey_service.services.actions.delivery.publisher import publish
from journey_service.services.analytics.snapshots import take_page
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.operations.schedule import IMPORTS, JOBS
from journey_service.settings import placeholder_settings
from journey_service.worker.polling import PollingLoops
from profiles import is_shared_out

FEWEST_PROBES = 2_000
ORIGIN = {"Origin": "http://journey.test"}

# ---- the company's values, and values of no company: texts of one mark, numbers of one beginning, of one length

MARK, NOBODYS_MARK = "qzx7", "qzx9"
# Beyond those that the service gives by itself.
COMPANY, NOBODYS_COMPANY = 2_402_915_631_001, 2_402_915_999_001
NEIGHBOURS = count(2_402_916_000_001)
NEIGHBOURS_DONT_REACH = 11
"""The versions of theirs are lower; the company's have two digits."""
CUSTOMER, NOBODYS_CUSTOMER = 731_084_512_000_000, 731_084_519_000_000
SEQUENCE, STEP, NEVER_GIVEN = 610_000_001_000_000, 1_000_000, 500_000
"""Where the ids begin that the database gives, how far those of two tables are apart, and how far below lie others."""
AMOUNT = "7391.37"
UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
USER = CUSTOMER + 777


def of_nobody(value: str) -> str:
    """The like of an id or a text of the company's, of the same length, that never existed."""
    if re.fullmatch(r"\d\d", value):
        return str(int(value) + 60)  # versions
    if re.fullmatch(r"61\d{13}", value):
        return str(int(value) - NEVER_GIVEN)
    if re.fullmatch(r"-\d+", value):
        return f"{value[:-1]}{9 - int(value[-1])}"  # an erased customer
    if re.fullmatch(UUID, value):
        return value[::-1].replace("-", "")[:8] + value[8:]
    if re.fullmatch(r"(key:)?[0-9a-f]{16}", value):
        head, colon, id_ = value.rpartition(":")
        return f"{head}{colon}{id_[::-1]}"
    for ours, theirs in (
        (MARK, NOBODYS_MARK),
        (str(COMPANY), str(NOBODYS_COMPANY)),
        (str(CUSTOMER)[:9], str(NOBODYS_CUSTOMER)[:9]),
    ):
        value = value.replace(ours, theirs)
    return value


def nobodys_cursor(cursor: str) -> str:
    """The cursor of a page that ends with what never existed."""
    return _to_cursor([_part_of_nobody(part) for part in _read_cursor(cursor)])


def _part_of_nobody(part: Any) -> Any:
    """A part of the same type; times, which are texts of microseconds longer than any id, stay the same."""
    if isinstance(part, str):
        return part if re.fullmatch(r"-?\d{16,}", part) else of_nobody(part)
    return int(of_nobody(str(part))) if _is_large(part) else part


def _is_large(part: Any) -> bool:
    return isinstance(part, int) and abs(part) > 10**9


def _read_cursor(cursor: str) -> list[Any]:
    return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def _from_cursor(cursor: str) -> list[Any]:
    return [str(part) if _is_large(part) else part for part in _read_cursor(cursor)]


def _to_cursor(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


# ---- what the contract may hold: every kind of id in it, and what is no id

PATH_IDS = {
    *("customer_id", "import_id", "job_id", "key_id", "key", "version", "company_id"),
    *("task_id", "campaign_id", "action_id", "endpoint_id", "template_id", "token", "source_id"),
}
QUERY_IDS = {
    "company_id": "company_id",
    "customer_id": "customer_id",
    "with": "other_customer_id",
    "q": "text",
    "stage": "key",
    "from_stage": "key",
    "to_stage": "key",
    "actor": "actor",
    "assignee": "assignee",
    "owner": "assignee",
    "attribute": "attribute",
    "ids": "customer_id",
    "campaign_id": "campaign_id",
    "endpoint_id": "endpoint_id",
    "type": "key",
    "remap_to": "key",
    "get_stage_map_diff.since": "version",
}
"""Query parameters that name something a company owns, and what; some of one operation only. `cursor` is by itself."""
QUERY_REST = {
    "limit": "1",
    "sort": "-name",
    "as_of": NOON,
    "since": "2026-01-01T00:00:00Z",
    "until": "2027-01-01T00:00:00Z",
    "risk_min": "0",
    "risk_max": "1",
    "inactive_days_min": "0",
    "value_min": "-1000000",
    "value_max": "1000000",
    "appointments_min": "0",
    "appointments_max": "1000000",
    "pinned": "false",
    "consent_channel": "email",
    "consent_status": "unknown",
    "reason": "phone",
    "count": "true",
    "dry_run": "true",
    "activation": "current_with_actions",
    "action": "customer.move",
    "period": "year",
    "from": "2026-02-01",
    "to": "2026-03-01",
    "mode": "cohort",
    "window_days": "30",
    "outcome": "converted",
    "open": "true",
    "converted": "true",
    "band": "low",
    "motion": "opening",
    "name": "personal_call",
    "cohort": "2026-03",
    "month": "0",
    "actions": "true",
    "status": "any",
    "state": "done",
    "channel": "call",
    "unassigned": "true",
    "returned": "true",
    "days_min": "0",
    "kind": "rescore",
    "create_import.kind": "events",
    "get_import_proposal.kind": "events",
    "source": "desk",
    "sheet": "Termine",
    "on_changed": "add",
    "header": "customer_id;Datum",
    "due_after": "2026-01-01T00:00:00Z",
    "due_before": "2027-01-01T00:00:00Z",
    "types": "stage.changed",
    "step": "week",
    "interval": "month",
    "list_customer_events.types": "appointment_completed",
    "column": "client:customer_id",
    "decimal_separator": "point",
    "date_format": "DD/MM/YYYY",
    "encoding": "utf-8",
    "last_event_id": "0",
}
FIRST_PAGES: Mapping[str, Mapping[str, str]] = {
    "list_stage_customers": {"stage": "at_risk"},
    "list_funnel_customers": {"stage": "prospect"},
    "list_flow_customers": {"to_stage": "prospect"},
    "list_stage_visits": {"stage": "prospect"},
    "list_moved_customers": {"motion": "opening"},
    "list_action_customers": {"name": "personal_call", "state": "done"},
    "list_risk_band_customers": {"band": "low"},
    "list_cohort_customers": {"cohort": "2026-03", "month": "0"},
}
"""Lists that begin with a question: one to which the company has more than one answer."""
HEADER_IDS = {"If-Match": "version", "Idempotency-Key": "idempotency_key"}
HEADERS_OF_CREDENTIALS = {"x-company-id", "x-reason"}
HEADERS_REST = {"Last-Event-ID", "If-None-Match"}
"""Parameters that are positions in the own outbound events, such as `last_event_id`, or versions that were read."""
BODY_IDS = {
    "customer_id": "customer_id",
    "customer_ids": "customer_id",
    "merge": "other_customer_id",
    "subject": "customer_id",
    "customer_ref": "customer_ref",
    "performed_by": "user",
    "RiskFilter.stage": "key",
    "CompanyCreate.id": "company_id",
    "company_id": "company_id",
    "id": "event_id",
    "source": "source",
    "booking_id": "booking_id",
    "to_stage": "key",
    "template": "template_key",
    "TemplateDefinition.key": "template_key",
    "TemplateDefinition.subject": None,
    "SourceCreate.template": None,
    **{f"SourceMapping.{name}": None for name in ("id", "customer_id", "customer_ref", "booking_id")},
    "version": "version",
    "stages": "key",
    "remap": "key",
}
BODY_REST = {
    "occurred_at": "2026-03-01T11:00:00Z",
    "time": "2026-03-01T11:00:00Z",
    "pin_until": "2026-04-01T12:00:00Z",
    "due_at": "2026-04-01T12:00:00Z",
    "TaskCreate.title": "A title",
    "customer": {"first_name": "Someone"},
    "advance_to": "2026-03-02T12:00:00Z",
    "since": "2026-01-01T00:00:00Z",
    "from": "2025-01-01T00:00:00Z",
    "to": "2026-01-01T00:00:00Z",
    "notes": "a note",
    "metadata": {"a": 1},
    "role": "service",
    "name": "a_name",
    "scopes": ["customers:read"],
    "ActionRequest.type": "email",
    "BulkActionRequest.type": "email",
    "description": "A description",
    "language": "en",
    "outcome": "An outcome",
    "reason": "A reason",
    "subject": "A subject",
    "template": "welcome",
    "TemplateDefinition.text": "{{ unsubscribe_url }}",
    "SourceCreate.template": "generic",
    **{
        f"SourceMapping.{name}": name
        for name in ("id", "customer_id", "customer_ref", "customer_email", "booking_id")
    },
}
LOOKS_LIKE_AN_ID = re.compile(
    r"(^|_)(id|ids|key|keys|version|subject|cursor)$|stage|compan|customer|remap|user"
)
SCHEMES = {"key", "session"}


def _history(ids: "Ids", of: str) -> str:
    return (
        f"customer_id,occurred_at,event_type\n{ids.of(of)['customer_id']},2026-02-01,appointment_completed\n"
    )


def _line(ids: "Ids", of: str) -> str:
    values = {"id": ids.of(of)["event_id"], "source": ids.of(of)["source"], "type": "appointment_completed"}
    values |= {"customer_id": int(ids.of(of)["customer_id"]), "occurred_at": "2026-02-01T11:00:00Z"}
    return json.dumps(values) + "\n"


FILES = {
    "text/csv": _history,
    "application/gzip": _history,
    "application/x-ndjson": _line,
    # The content shows what a file is, not its media type.
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _history,
}


# ---- the requests


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the contract: its parameters by where they are, and every form of body it takes."""

    id: str
    method: str
    path: str
    scope: str | None
    parameters: Mapping[str, Sequence[Mapping[str, Any]]]
    bodies: Sequence[tuple[str, Mapping[str, Any]]]

    @property
    def path_ids(self) -> list[str]:
        """The names of what its path names."""
        return [parameter["name"] for parameter in self.parameters["path"]]

    @property
    def is_reading(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"


class Document:
    """The operations of an OpenAPI document, each checked to contain nothing that is unknown here."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]
        schemes = set(document["components"]["securitySchemes"])
        assert schemes == SCHEMES, f"unknown credentials: {schemes - SCHEMES}"
        self.operations = [
            self._read(path, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def _read(self, path: str, method: str, values: Mapping[str, Any]) -> Operation:
        security = values.get("security", ())
        scopes = {scope for scheme in security for named in scheme.values() for scope in named}
        assert len(scopes) == (0 if path in OPEN else 1), f"{path}: {scopes}"
        parameters: dict[str, list[Mapping[str, Any]]] = {"path": [], "query": [], "header": [], "cookie": []}
        for parameter in values.get("parameters", ()):
            parameters[parameter["in"]].append(parameter)
        content = values.get("requestBody", {}).get("content", {})
        bodies = [(media, form) for media, has in content.items() for form in self._forms(has["schema"])]
        found = Operation(
            values["operationId"],
            method.upper(),
            path,
            min(scopes, default=None),
            parameters,
            bodies or [("", {})],
        )
        self._check(found)
        return found

    def _check(self, operation: Operation) -> None:
        known = {
            "path": PATH_IDS,
            "query": {*QUERY_IDS, *QUERY_REST, "cursor"},
            "header": {*HEADER_IDS, *HEADERS_OF_CREDENTIALS, *HEADERS_REST},
            "cookie": set(),
        }
        for pointer, parameters in operation.parameters.items():
            names = {parameter["name"] for parameter in parameters}
            unknown = names - known[pointer]
            assert not unknown, f"{operation.id}: unknown {pointer} parameters {sorted(unknown)}"
        for media, form in operation.bodies:
            is_known = media in ("", *FILES) or media.endswith(("json", "x-ndjson"))
            assert is_known, f"{operation.id}: unknown {media} bodies"
            for owner, name in self._properties(form):
                is_known_field = _rest(owner, name) is not None or _kind(owner, name) is not None
                assert is_known_field or not LOOKS_LIKE_AN_ID.search(name), (
                    f"{operation.id}: unknown {owner}.{name}"
                )

    def _forms(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Each alternative of a body, lists as a list of one."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return [form for one in schema["anyOf"] if one.get("type") != "null" for form in self._forms(one)]
        if schema.get("type") == "array":
            return [{"type": "array", "items": form} for form in self._forms(schema["items"])]
        return [schema]

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in schema:
            return self._schemas[schema["$ref"].rsplit("/", 1)[1]]
        if "anyOf" in schema:
            present = [one for one in schema["anyOf"] if one.get("type") != "null"]
            return self._resolved(present[0]) if len(present) == 1 else schema
        return schema

    def _properties(self, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Every property of a body, with the name of its schema."""
        schema = self._resolved(schema)
        for name, inner in schema.get("properties", {}).items():
            yield schema.get("title", ""), name
            if name != "stages":
                yield from self._properties(inner)
        if schema.get("type") == "array":
            yield from self._properties(schema["items"])

    def body_ids(self, form: Mapping[str, Any]) -> list[str]:
        """The names of what a body can name."""
        named = {name for owner, name in self._properties(form) if _kind(owner, name) is not None}
        is_file = form.get("type") == "string"
        return sorted(named) or (["customer_id"] if is_file else [])

    def body(self, form: Mapping[str, Any], ids: "Ids", foreign: frozenset[str]) -> Any:
        """A body of a form, whole; what is in `foreign` names what the company owns."""
        return self._sample(self._resolved(form), "", ids, foreign, "")

    def _sample(
        self, schema: Mapping[str, Any], name: str, ids: "Ids", foreign: frozenset[str], owner: str
    ) -> Any:
        schema = self._resolved(schema)
        kind = _kind(owner, name)
        if kind is not None:
            return _sample_value(
                schema, name, ids.of("foreign" if name in foreign else "own")[kind], name in foreign
            )
        rest = _rest(owner, name)
        if rest is not None:
            return rest[: len("2026-01-01")] if schema.get("format") == "date" else rest
        if schema.get("type") == "object":
            return self._object(schema, ids, foreign)
        if schema.get("type") == "array":
            return [self._sample(schema["items"], name, ids, foreign, owner)]
        for example in ("const", "default"):
            if example in schema:
                return schema[example]
        return (schema.get("enum") or schema.get("examples") or [schema.get("minimum", "a text")])[0]

    def _object(self, schema: Mapping[str, Any], ids: "Ids", foreign: frozenset[str]) -> dict[str, Any]:
        owner = schema.get("title", "")
        needed = {*schema.get("required", ()), *foreign}
        needed |= {name for name in schema.get("properties", ()) if _rest(owner, name) is not None}
        values = {}
        for name, inner in schema.get("properties", {}).items():
            within = {found for _, found in self._properties(inner)} if name != "stages" else set()
            if name in needed or within & foreign:
                values[name] = self._sample(inner, name, ids, foreign, owner)
        if "remap" in values and foreign >= {"remap"}:
            values["stages"] = [stage for stage in values["stages"] if stage["key"] not in values["remap"]]
        return values


def _query_rest(operation: Operation, name: str) -> str:
    return QUERY_REST.get(f"{operation.id}.{name}") or QUERY_REST[name]


def _kind(owner: str, name: str) -> str | None:
    return BODY_IDS.get(f"{owner}.{name}", BODY_IDS.get(name))


def _rest(owner: str, name: str) -> Any:
    return BODY_REST.get(f"{owner}.{name}", BODY_REST.get(name))


def _sample_value(schema: Mapping[str, Any], name: str, value: str, is_foreign: bool) -> Any:  # noqa: FBT001
    """An id as a body holds it."""
    if name == "stages":
        another = {"key": value, "name": "Another", "order": 9, "kind": "progress"}
        return [*DEFAULT_STAGES, another] if is_foreign else [*DEFAULT_STAGES]
    if name == "remap":
        return {"lead": value}
    if schema.get("type") == "array":
        item = schema["items"].get("type")
        return [value if item == "string" else int(value)]
    return int(value) if schema.get("type") == "integer" else value


@dataclass(frozen=True, slots=True)
class Ids:
    """An id of each kind: the caller's own, and the company's (or of no company)."""

    own: Mapping[str, str]
    foreign: Mapping[str, str]

    def of(self, whose: str) -> Mapping[str, str]:
        """Either of them."""
        return self.foreign if whose == "foreign" else self.own


@dataclass(frozen=True, slots=True)
class AccessAttempt:
    """A request to be made: which of its parts name what is not the caller's, and which object of each kind."""

    operation: Operation
    label: str
    foreign: frozenset[str]
    number: int = 0
    query: Mapping[str, str] = field(default_factory=dict)
    form: int = 0

    @property
    def names_in_path(self) -> bool:
        """Whether the path names what is not the asker's."""
        return "path" in self.foreign


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request without its credential; `sent_text` is its full content in plain text."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    sent_text: str


def attempts_for(document: Document, operation: Operation, owned: "Owned") -> list[AccessAttempt]:
    """Every way to ask an operation for what the company owns."""
    found: list[AccessAttempt] = []
    path = frozenset(["path"] if operation.path_ids else [])
    if path:
        most = max(len(owned.ids[name]) for name in operation.path_ids)
        found += [AccessAttempt(operation, "path", path, number) for number in range(most)]
    for parameter in operation.parameters["query"]:
        name = parameter["name"]
        kind = _query_kind(operation, name)
        if name == "cursor":
            found += [
                AccessAttempt(operation, "cursor", frozenset(["cursor"]), number, query=query)
                for number, query in enumerate(owned.cursors[operation.id])
            ]
        elif kind is not None:
            values = owned.ids[kind]
            found += [
                AccessAttempt(operation, f"query {name}", frozenset([name]), number)
                for number in range(len(values))
            ]
        else:
            found.append(
                AccessAttempt(operation, f"{name} beside", path, query={name: _query_rest(operation, name)})
            )
    for parameter in operation.parameters["header"]:
        name = parameter["name"]
        if name in HEADER_IDS:
            values = owned.ids[_header_kind(operation, name)]
            found += [
                AccessAttempt(operation, name, frozenset([name]), number) for number in range(len(values))
            ]
    for form, (_, schema) in enumerate(operation.bodies):
        names = document.body_ids(schema)
        found += [AccessAttempt(operation, f"body {name}", frozenset([name]), form=form) for name in names]
        queries = {parameter["name"] for parameter in operation.parameters["query"]}
        everything = path | {*names, *queries, *HEADER_IDS} - {"remap"}
        found.append(AccessAttempt(operation, "everything", frozenset(everything), form=form))
    return found


def _header_kind(operation: Operation, name: str) -> str:
    is_of_customer = name == "If-Match" and "customer_id" in operation.path_ids
    return "journey_version" if is_of_customer else HEADER_IDS[name]


def _query_kind(operation: Operation, name: str) -> str | None:
    return QUERY_IDS.get(f"{operation.id}.{name}", QUERY_IDS.get(name))


def draw(document: Document, attempt: AccessAttempt, ids: Ids) -> PreparedRequest:
    """The request of an attempt."""
    operation = attempt.operation
    path, query, headers, body, text = operation.path, dict(attempt.query), {}, b"", ""
    for name in operation.path_ids:
        path = path.replace(f"{{{name}}}", ids.of("foreign" if attempt.names_in_path else "own")[name])
    for parameter in operation.parameters["query"]:
        name = parameter["name"]
        kind = _query_kind(operation, name)
        if name in attempt.foreign and kind is not None:
            query[name] = ids.foreign[kind]
        elif parameter.get("required") and name not in query:
            query[name] = _query_rest(operation, name) if kind is None else ids.own[kind]
    for parameter in operation.parameters["header"]:
        name = parameter["name"]
        is_needed = name == "If-Match" or parameter.get("required", False)
        if name in HEADER_IDS and (name in attempt.foreign or is_needed):
            value = ids.of("foreign" if name in attempt.foreign else "own")[_header_kind(operation, name)]
            headers[name] = f'"{value}"' if name == "If-Match" else value
    media, form = operation.bodies[attempt.form]
    if media:
        headers["content-type"] = media
        whose = "foreign" if attempt.foreign & {"customer_id"} else "own"
        if form.get("type") == "string":
            text = FILES[media](ids, whose)
            body = gzip.compress(text.encode(), mtime=0) if media == "application/gzip" else text.encode()
        else:
            if "version" in attempt.foreign and "If-Match" not in attempt.foreign:
                headers.pop("If-Match", None)
            text = json.dumps(document.body(form, ids, attempt.foreign))
            body = text.encode()
    content = "\n".join((path, *query.values(), *headers.values(), text))
    return PreparedRequest(operation.method, path, query, headers, body, content)


# ---- who asks


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """The answer to a caller who used one kind of credential."""

    who: str
    attempt: AccessAttempt
    sent_text: str
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    @property
    def operation(self) -> Operation:
        """The operation that was called."""
        return self.attempt.operation

    @property
    def all_text(self) -> str:
        """All that the answer holds, cursors in the clear."""
        return "\n".join((self.text, *(f"{name}: {value}" for name, value in self.headers), *self._cursors()))

    def _cursors(self) -> Iterator[str]:
        yield from (str(_from_cursor(cursor)) for cursor in self.next_cursors)

    @property
    def next_cursors(self) -> list[str]:
        """The cursors of next pages: in the body, or in the header of a CSV table."""
        in_header = [value for name, value in self.headers if name == "x-next-cursor"]
        return re.findall(r'"next_cursor": ?"([^"]+)"', self.text) + in_header

    def __str__(self) -> str:
        return (
            f"{self.operation.id} ({self.attempt.label} {self.attempt.number}) by {self.who}: {self.status}"
        )


async def ask(
    http, who: str, attempt: AccessAttempt, requested: PreparedRequest, credential: Mapping[str, str]
) -> RecordedAnswer:
    """Sends a request as a caller, and records the answer."""
    # A cookie that is set must not be sent by the next caller.
    http.cookies.clear()
    answer = await http.request(
        requested.method,
        requested.path,
        params=requested.query,
        headers={**requested.headers, **credential},
        content=requested.body,
    )
    http.cookies.clear()
    text = "\n".join((requested.sent_text, unquote(str(answer.request.url)), *credential.values()))
    headers = tuple(sorted(answer.headers.items()))
    return RecordedAnswer(who, attempt, text, answer.status_code, headers, answer.text)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def cookie(token: str) -> dict[str, str]:
    return {"Cookie": f"journey_session={token}", **ORIGIN}


async def sign_in(http, credential: Mapping[str, str]) -> str:
    """The token of a session opened with a key."""
    http.cookies.clear()
    answer = await http.post(f"{API}/session", headers=credential)
    http.cookies.clear()
    assert answer.status_code == 201, answer.text
    return re.match("journey_session=([^;]+)", answer.headers["set-cookie"])[1]


# ---- what the company owns


@dataclass(slots=True)
class Owned:
    """Everything of the company: its ids by kind, cursors of its lists, credentials, and values that are its alone."""

    tenant: Tenant
    ids: dict[str, list[str]] = field(default_factory=dict)
    cursors: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    refused: dict[str, dict[str, str]] = field(default_factory=dict)
    lacking: dict[str, dict[str, str]] = field(default_factory=dict)
    agent: dict[str, dict[str, str]] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=dict)
    canaries: tuple[str, ...] = ()

    @property
    def both(self) -> tuple[Collection[str], Collection[str]]:
        """Every id of the company's, and its like that never existed; of versions the one before too."""
        all_ = {value for values in self.ids.values() for value in values}
        all_.add(str(int(self.ids["version"][-1]) - 1))
        return all_, {of_nobody(value) for value in all_}

    def foreign(self, number: int) -> dict[str, str]:
        """One thing of each kind."""
        return {kind: values[number % len(values)] for kind, values in self.ids.items()}


WORD = re.compile(MARK + r"[\w@-]*(?:\.\w+)*")
# No caller may read these, not even the company.
UNSHOWN = {f"{MARK}-idempotency"}


def foreign_bytes(answered: RecordedAnswer, canaries: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    """What an answer reveals of the company that the caller has not sent and must not learn."""
    values = answered.all_text
    found = {*WORD.findall(values), *(canary for canary in canaries if canary in values)}
    return sorted(word for word in found if word not in answered.sent_text and word not in known)


async def _send(http, tenant: Tenant, method: str, path: str, body: Any = None, **headers: str) -> Any:
    answer = await http.request(
        method,
        f"{API}{path}",
        headers={**tenant.headers, **headers},
        **({} if body is None else {"json": body}),
    )
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def _map(*keys: str) -> list[dict[str, Any]]:
    stages = [dict(stage) for stage in DEFAULT_STAGES]
    for order, key in enumerate(keys, start=20):
        words = {"name": f"{key}_name", "description": f"{key}_description"}
        stages.append({"key": key, "order": order, "kind": "progress", **words})
    return stages


async def _settle(http, tenant: Tenant, operator: Mapping[str, str], database_owner: Any) -> Owned:
    """Fills the company with data of every kind, all of it over HTTP."""
    customers = [CUSTOMER + number for number in (1, 2, 3, 4)]
    lapsed = [CUSTOMER + number for number in (5, 6)]
    await _tell_of(http, tenant, customers)
    for customer in lapsed:
        words = {"customer_id": customer, "source": f"{MARK}-source", "occurred_at": "2025-11-15T10:00:00Z"}
        await ingest(http, tenant, f"{MARK}-lapsed-{customer}", **words)
        await _send(http, tenant, "PATCH", f"/customers/{customer}", {"phone": f"{MARK}-phone-9"})
    named = event(f"{MARK}-named", "call_received", customers[0], source=f"{MARK}-source")
    await _send(http, tenant, "POST", "/events", {**named, "customer_ref": f"{MARK}-ref"})
    await _map_out(http, tenant, customers[0])
    acted = await _act(http, tenant, customers, database_owner)
    jobs = await _work(http, tenant, customers)
    owned = Owned(tenant)
    keys = await _hand_out(http, owned, database_owner)
    named = {**operator, "X-Company-Id": str(tenant.id), "X-Reason": f"{MARK}-reason"}
    assert (await http.get(f"{API}/customers", headers=named)).status_code == 200
    await database_owner.connection.execute(
        "INSERT INTO churn_models (company_id, version, fitted_on, sampled_customers, parameters, is_shown, fitted_at)"
        " VALUES ($1, 0, '2026-03-01', 6, '{\"version\": 0}', false, now())",
        tenant.id,
    )
    rows = await database_owner.connection.fetch(
        "SELECT customer_id FROM customers WHERE company_id = $1 AND customer_id < 0", tenant.id
    )
    versions = await _send(http, tenant, "GET", "/stage-versions")
    journey = await _send(http, tenant, "GET", f"/customers/{customers[0]}/journey")
    map_version, journey_version = versions["items"][0]["version"], journey["version"]
    assert NEIGHBOURS_DONT_REACH <= map_version - 1 < 30, map_version
    assert NEIGHBOURS_DONT_REACH <= journey_version < 30, journey_version
    owned.ids = {
        **acted,
        "customer_id": [str(customers[0]), str(customers[1]), str(rows[0]["customer_id"])],
        "other_customer_id": [str(customers[2])],
        "import_id": jobs["imports"],
        "job_id": [*jobs["jobs"], *jobs["imports"]],
        "key_id": keys,
        "key": [f"{MARK}_stage", f"{MARK}_archived"],
        "version": [str(map_version), str(map_version - 1)],
        "journey_version": [str(journey_version)],
        "company_id": [str(tenant.id)],
        "text": [f"{MARK}-name-1", f"{MARK}-2@example.com", str(customers[2])],
        "actor": [f"key:{keys[0]}"],
        "idempotency_key": [f"{MARK}-idempotency"],
        "user": [str(USER)],
        "event_id": [f"{MARK}-event-0"],
        "source": [f"{MARK}-source"],
        "booking_id": [f"{MARK}-booking-0"],
        "customer_ref": [f"{MARK}-ref"],
        "template_key": [f"{MARK}_template_1"],
        "assignee": [f"{MARK}-assignee"],
        "attribute": [f"said:{MARK}-attribute-0"],
    }
    owned.canaries = await _canaries(owned, [*customers, *lapsed], database_owner)
    return owned


async def _tell_of(http, tenant: Tenant, customers: Sequence[int]) -> None:
    for number, customer in enumerate(customers):
        words = {
            "name": f"{MARK}-name-{number}",
            "email": f"{MARK}-{number}@example.com",
            "attributes": {"said": f"{MARK}-attribute-{number}"},
        }
        for status in ("granted", "withdrawn"):
            body = {**words, "phone": f"{MARK}-phone-{number // 2}", "consents": {"email": status}}
            await _send(http, tenant, "PUT", f"/customers/{customer}", body)
        for visit in range(2):
            await ingest(
                http,
                tenant,
                f"{MARK}-event-{number + 10 * visit}",
                customer_id=customer,
                source=f"{MARK}-source",
                occurred_at=f"2026-03-01T1{visit}:00:00Z",
                total_amount=float(AMOUNT),
                booking_id=f"{MARK}-booking-{number + 10 * visit}",
                metadata={"said": f"{MARK}-said-{number}"},
            )
    first = f"/customers/{customers[0]}"
    version = {"If-Match": f'"{(await _send(http, tenant, "GET", f"{first}/journey"))["version"]}"'}
    body = {"notes": f"{MARK}-notes", "metadata": {"kept": f"{MARK}-kept"}}
    await _send(http, tenant, "PATCH", f"{first}/journey", body, **version)
    body = {"to_stage": "lead", "notes": f"{MARK}-move", "performed_by": USER}
    headers = {**version, "Idempotency-Key": f"{MARK}-idempotency"}
    moved = await _send(http, tenant, "POST", f"{first}/transitions", body, **headers)
    version = {"If-Match": f'"{moved["journey"]["version"]}"'}
    await _send(http, tenant, "PUT", f"{first}/pin", {"pin_until": "2026-05-01T00:00:00Z"}, **version)
    await _send(http, tenant, "POST", f"/customers/{customers[3]}/anonymize")


async def _act(http, tenant: Tenant, customers: Sequence[int], database_owner: Any) -> dict[str, list[str]]:
    """Templates, endpoints, tasks, campaigns and deliveries, two of each; returns their ids."""
    found: dict[str, list[str]] = {}

    def keep(kind: str, sent_text: Mapping[str, Any]) -> None:
        found.setdefault(kind, []).append(str(sent_text["id"]))

    for number, customer in enumerate(customers[1:3], start=1):
        words = {"key": f"{MARK}_template_{number}", "text": f"{MARK}-text-{number}"}
        keep(
            "template_id",
            await _send(http, tenant, "POST", "/templates", {**words, "channel": "sms", "language": "en"}),
        )
        body = {
            "url": f"https://hooks.example/{MARK}-url-{number}",
            "events": ["stage.changed", "task.created"],
        }
        source = {"name": f"{MARK}-source-{number}", "secret": f"{MARK}-idempotency", "template": "generic"}
        keep("source_id", await _send(http, tenant, "POST", "/sources", source))
        keep("endpoint_id", await _send(http, tenant, "POST", "/webhook-endpoints", body))
        words = {"title": f"{MARK}-title", "note": f"{MARK}-note-{number}", "assignee": f"{MARK}-assignee"}
        values = await _send(
            http, tenant, "POST", f"/customers/{customer}/actions", {"type": "call", **words}
        )
        keep("action_id", values)
        keep("task_id", {"id": values["task_id"]})
        await database_owner.connection.execute(
            "INSERT INTO action_attempts"
            " (company_id, action_id, number, relationship_id, started_at, outcome, response)"
            " SELECT company_id, id, 1, relationship_id, created_at, 'failed', $3 FROM journey_actions"
            " WHERE company_id = $1 AND id = $2",
            tenant.id,
            values["id"],
            f"{MARK}-answer-{number}",
        )
        version = (await _send(http, tenant, "GET", f"/customers/{customer}/journey"))["version"]
        path = f"/customers/{customer}/transitions"
        await _send(http, tenant, "POST", path, {"to_stage": "at_risk"}, **{"If-Match": f'"{version}"'})
    for campaign in (await _send(http, tenant, "GET", "/campaigns"))["items"]:
        keep("campaign_id", campaign)
    relationship = await database_owner.connection.fetchval(
        "SELECT id FROM customer_relationships WHERE company_id = $1 AND customer_id = $2",
        tenant.id,
        customers[1],
    )
    # Any holder of a link may use it: others have one that is not signed.
    return {**found, "token": [f"{tenant.id}.{relationship}.email.{'u' * 22}"]}


async def _map_out(http, tenant: Tenant, customer: int) -> None:
    """Versions of the map, a customer in a stage of it, a stage that is archived."""
    stages = _map(f"{MARK}_stage", f"{MARK}_archived")
    body = {"stages": stages, "notes": f"{MARK}-version"}
    await _send(http, tenant, "PUT", "/stages", body, **{"If-Match": '"1"'})
    await _send(http, tenant, "DELETE", f"/stages/{MARK}_archived")
    version = (await _send(http, tenant, "GET", f"/customers/{customer}/journey"))["version"]
    path = f"/customers/{customer}/transitions"
    for later in range(NEIGHBOURS_DONT_REACH):
        body = {"to_stage": (f"{MARK}_stage", "lead")[later % 2]}
        await _send(http, tenant, "POST", path, body, **{"If-Match": f'"{version + later}"'})
        await _send(http, tenant, "PATCH", "/stages/vip", {"retention_days": 100 + later})


async def _work(http, tenant: Tenant, customers: Sequence[int]) -> dict[str, list[str]]:
    """Jobs of every kind, and imports, all at their ends."""
    base = {"If-Match": f'"{(await _send(http, tenant, "GET", "/stages"))["version"]}"'}
    draft = {"stages": (await _send(http, tenant, "GET", "/stages"))["stages"]}
    span = {"from": BODY_REST["from"], "to": NOON, "customer_ids": customers[:1]}
    preview = await _send(http, tenant, "POST", "/stages/preview", draft, **base)
    backtest = await _send(http, tenant, "POST", "/stages/backtest", {**draft, **span}, **base)
    some = {"customer_ids": customers[:2]}
    bulk = {"type": "call", "customer_ids": customers[:1], "note": f"{MARK}-bulk"}
    key = {"Idempotency-Key": f"{MARK}-bulk-key"}
    moves = {"to_stage": "vip", "customer_ids": customers[:1], "notes": f"{MARK}-moves"}
    jobs = [
        preview["job_id"],
        (await _send(http, tenant, "POST", "/transitions/bulk", moves, **key))["job"]["id"],
        (await _send(http, tenant, "POST", "/actions/bulk", bulk, **key))["job"]["id"],
        backtest["job_id"],
        (await _send(http, tenant, "POST", "/admin/rescore", some))["job_id"],
        (await _send(http, tenant, "POST", "/admin/evaluate-transitions", some))["job_id"],
        (
            await _send(
                http,
                tenant,
                "POST",
                f"/admin/companies/{tenant.id}/clock",
                {"advance_to": "2026-03-01T13:00:00Z"},
            )
        )["job_id"],
    ]
    imports = [await _import(http, tenant, customers[1], number) for number in range(2)]
    for job in (*jobs, *imports):
        await _end(http, tenant, job)
    return {"jobs": [str(job) for job in jobs], "imports": [str(id_) for id_ in imports]}


async def _import(http, tenant: Tenant, customer: int, number: int) -> int:
    lines = [
        "customer_id,occurred_at,event_type",
        f"{customer},2026-01-0{number + 1},appointment_completed",
        f"{customer},2026-01-01,{MARK}-faulty-{number}",
        f"{customer},2026-01-01,{MARK}-wrong-{number}",
    ]
    headers = {**tenant.headers, "content-type": "text/csv"}
    answer = await http.post(f"{API}/imports", headers=headers, content="\n".join(lines))
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def _end(http, tenant: Tenant, job: int) -> None:
    """Wait for the worker of the fixture."""
    await wait_until_ended(http, tenant, f"/admin/jobs/{job}")


async def _hand_out(http, owned: Owned, database_owner: Any) -> list[str]:
    """Credentials of the company of every kind, alive and not; returns the ids of keys."""
    tenant = owned.tenant

    async def make(name: str, **body: object) -> dict[str, Any]:
        return await _send(http, tenant, "POST", "/admin/keys", {"name": f"{MARK}-key-{name}", **body})

    scopes = [scope for scope in credentials.SCOPES if scope != "*"]
    for scope in scopes:
        others = await make("lacking", scopes=[other for other in scopes if other != scope])
        owned.lacking[scope] = bearer(others["secret"])
    agent = await make("agent", role="agent")
    agent_session = await sign_in(http, bearer(agent["secret"]))
    owned.agent = {"an agent": bearer(agent["secret"]), "an agent's session": cookie(agent_session)}

    expired, revoked, signed_out = [await make(name, scopes=["*"]) for name in ("old", "gone", "left")]
    expired_session = await sign_in(http, bearer(expired["secret"]))
    old_session = await sign_in(http, tenant.headers)
    await database_owner.connection.execute(
        "UPDATE browser_sessions SET expires_at = clock_timestamp() WHERE company_id = $1 AND token_hash = $2",
        tenant.id,
        sha256(old_session.encode()).digest(),
    )
    revoked_session = await sign_in(http, bearer(revoked["secret"]))
    ended_session = await sign_in(http, bearer(signed_out["secret"]))
    await database_owner.expire_key(expired["id"])
    assert (await http.delete(f"{API}/session", headers=cookie(ended_session))).status_code == 204
    rotated = await _send(http, tenant, "POST", f"/admin/keys/{signed_out['id']}/rotate")
    await _send(http, tenant, "DELETE", f"/admin/keys/{revoked['id']}")
    live = await sign_in(http, tenant.headers)
    owned.session = cookie(live)
    owned.refused = {
        "nobody": {},
        "an expired key": bearer(expired["secret"]),
        "a revoked key": bearer(revoked["secret"]),
        "a guessed secret": bearer(f"jrn_{signed_out['id']}_" + "u" * 43),
        "an unsigned token": bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."),
        "an ended session": cookie(ended_session),
        "a session of a revoked key": cookie(revoked_session),
        "a session of an expired key": cookie(expired_session),
        "a session over its time": cookie(old_session),
        "a guessed session": cookie(f"{tenant.id}." + "u" * 43),
        "a session taken elsewhere": cookie(live.replace(str(COMPANY), str(NOBODYS_COMPANY))),
    }
    # The id of a key is part of the key: that key makes no requests here, so that its id is not known to the caller.
    return [signed_out["id"], rotated["id"], expired["id"], revoked["id"]]


async def _canaries(owned: Owned, customers: Sequence[int], database_owner: Any) -> tuple[str, ...]:
    """Values that identify the company: its numbers, the ids the database assigned, its keys and secrets."""
    columns = await database_owner.connection.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND (is_identity = 'YES' AND table_name <> 'companies'"
        " OR (table_name, column_name) IN (('api_keys', 'key_id'), ('journey_actions', 'id')))"
    )
    found = {str(owned.tenant.id), str(USER), AMOUNT, *(str(customer) for customer in customers)}
    found |= {*owned.ids["customer_id"], *owned.ids["import_id"], *owned.ids["source_id"]}
    for table, column in columns:
        rows = await database_owner.connection.fetch(
            f"SELECT {column}::text FROM {table} WHERE company_id = $1", owned.tenant.id
        )
        assert rows, f"the company has nothing in {table}: fill it, so that what is there can be looked for"
        found |= {row[0] for row in rows}
    for credential in (owned.tenant.headers, owned.session, *owned.lacking.values(), *owned.agent.values()):
        found |= {value[-43:] for name, value in credential.items() if name in ("Authorization", "Cookie")}
    return tuple(found)


async def _collect_cursors(http, document: Document, owned: Owned, credential: Mapping[str, str]) -> None:
    """Cursors of the second page of each list of the company, in every order."""
    for operation in document.operations:
        parameters = {parameter["name"]: parameter for parameter in operation.parameters["query"]}
        if "cursor" not in parameters:
            continue
        sorts = parameters.get("sort", {}).get("schema", {}).get("enum", [None])
        found = []
        for sort in sorts:
            query = {
                **FIRST_PAGES.get(operation.id.removesuffix("_csv"), {}),
                **({} if sort is None else {"sort": sort}),
            }
            for number in range(3):
                ids = Ids(owned.foreign(number), owned.foreign(number))
                values = draw(document, AccessAttempt(operation, "first page", frozenset(["path"])), ids)
                values = replace(values, query={**query, "limit": "1"})
                answered = await ask(
                    http, "owner", AccessAttempt(operation, "first page", frozenset()), values, credential
                )
                assert answered.status == 200, f"{answered} {answered.text}"
                if answered.next_cursors:
                    found.append({**query, "cursor": answered.next_cursors[0]})
                    break
        assert len(found) == len(sorts), f"{operation.id} of the company has no second page: fill it"
        owned.cursors[operation.id] = found


# ---- other callers: two equal neighbours; one requests what is the company's, one what no company has


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another company, like its twin in all but its ids."""

    own: Mapping[str, str]
    credentials: Mapping[str, Mapping[str, str]]
    names: tuple[str, ...]


async def _neighbour(http, database, named: int, *, is_busy: bool) -> Neighbour:
    """A company with a customer, a preview and, where it `is_busy`, an import; it claims to act for `named`."""
    id_ = next(NEIGHBOURS)
    await create_company(
        database,
        NewCompany("A neighbour", "UTC", "EUR", id=id_, test_clock=parse_instant(NOON, "")),
        author=Actor("tests"),
    )
    keys = [f"zz-{id_}-{number}" for number in range(2)]
    tokens = [
        await key_installation.install_key(
            database, id_, key_id=key, scopes=["*"], pepper=PEPPER, by=Actor("tests")
        )
        for key in keys
    ]
    tenant = Tenant(id_, tokens[0])
    await ingest(http, tenant, "visit", occurred_at="2026-03-01T10:00:00Z")
    others = await _act_like(http, tenant)
    draft = {"stages": [*DEFAULT_STAGES]}
    preview = await _send(http, tenant, "POST", "/stages/preview", draft, **{"If-Match": '"1"'})
    own = {
        **others,
        "customer_id": "1",
        "import_id": "1",
        "job_id": str(preview["job_id"]),
        "key_id": keys[1],
        "key": "vip",
        "version": "1",
        "company_id": str(id_),
        "text": "1",
        "actor": f"key:{keys[0]}",
        "journey_version": "2",
        "user": "1",
        "other_customer_id": "2",
        "event_id": "told",
        "source": "tests",
        "booking_id": "b-1",
        "customer_ref": "r-1",
        "idempotency_key": "k-1",
    }
    if is_busy:
        headers = {**tenant.headers, "content-type": "text/csv"}
        history = "customer_id,occurred_at,event_type\nx,2026-01-01,x\ny,2026-01-01,y\n"
        answer = await http.post(f"{API}/imports", headers=headers, content=history)
        own["import_id"] = str(answer.json()["id"])
        await _end(http, tenant, int(own["import_id"]))
    # As every import does in the end: reconciliation covers snapshots.
    await database.run(id_, take_page)
    session = await sign_in(http, tenant.headers)
    return Neighbour(
        own,
        {
            "another company": tenant.headers,
            "another company's session": cookie(session),
            "another company, naming it": {**tenant.headers, "X-Company-Id": str(named)},
        },
        (*keys, str(id_), own["job_id"], own["import_id"] if is_busy else str(id_)),
    )


async def _act_like(http, tenant: Tenant) -> dict[str, str]:
    """One of everything that is made by acting on customers; returns the ids."""
    values = await _send(http, tenant, "PUT", "/customers/1", {"name": "A", "phone": "1"})
    values = await _send(http, tenant, "POST", "/customers/1/actions", {"type": "call"})
    version = (await _send(http, tenant, "GET", "/customers/1/journey"))["version"]
    move = {"to_stage": "at_risk"}
    await _send(http, tenant, "POST", "/customers/1/transitions", move, **{"If-Match": f'"{version}"'})
    [campaign] = (await _send(http, tenant, "GET", "/campaigns"))["items"]
    text = {"key": "theirs", "channel": "sms", "language": "en", "text": "A text"}
    template = await _send(http, tenant, "POST", "/templates", text)
    pointer = {"url": "https://hooks.example/", "events": ["stage.changed"]}
    endpoint = await _send(http, tenant, "POST", "/webhook-endpoints", pointer)
    connection = {"name": "theirs", "secret": "no-secret-of-ours", "template": "generic"}
    source = await _send(http, tenant, "POST", "/sources", connection)
    return {
        "action_id": values["id"],
        "task_id": str(values["task_id"]),
        "campaign_id": str(campaign["id"]),
        "template_id": str(template["id"]),
        "endpoint_id": str(endpoint["id"]),
        "source_id": source["id"],
        "template_key": "welcome",
        "token": "0",
    }


INSTANT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"
)
GIVEN = re.compile(
    r"\b61\d{13}\b|\b[0-9a-f]{16}\b|\b[0-9a-f]{32}\b|jrn_[\w-]+|(?<==)<own>\.[\w-]{43}"
    rf"|\b{UUID}\b|whsec_[\w+/=]+"
)
"""Ids and secrets that are given when something is made."""


def equivalence_key(
    answered: RecordedAnswer, requested_ids: Iterable[str], own: Iterable[str]
) -> tuple[object, ...]:
    """An answer without the requested ids, the caller's own, and values that no caller knew before."""
    headers = [
        f"{name}: {value}"
        for name, value in answered.headers
        if name
        not in ("x-request-id", "ratelimit", "content-length")  # the latter reveals no more than the body
    ]
    text = "\n".join((*headers, answered.text, *answered._cursors()))
    text = INSTANT.sub("<instant>", re.sub(r'"next_cursor": ?"[^"]+"', '"next_cursor"', text))
    for value in sorted(requested_ids, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "<asked for>", text)
    for value in own:
        text = text.replace(value, "<own>")
    return answered.status, GIVEN.sub("<given>", text)


@dataclass(frozen=True, slots=True)
class Pair:
    """The answers to a neighbour who requested what is the company's, and to one who requested what no company has."""

    theirs: RecordedAnswer
    of_nobody: RecordedAnswer
    ids: tuple[Collection[str], Collection[str]]
    names: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def is_alike(self) -> bool:
        """Whether the answers are equal, as they are (a number may look like an id) or without the ids."""
        plain = [
            equivalence_key(answered, (), names)
            for answered, names in zip((self.theirs, self.of_nobody), self.names, strict=True)
        ]
        return plain[0] == plain[1] or equivalence_key(
            self.theirs, self.ids[0], self.names[0]
        ) == equivalence_key(self.of_nobody, self.ids[1], self.names[1])


@dataclass(slots=True)
class ProbeResults:
    """All requests and their answers."""

    document: Document
    owned: Owned
    before: dict[str, str]
    answers: list[RecordedAnswer] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    after: dict[str, str] = field(default_factory=dict)

    def of(self, *who: str) -> list[RecordedAnswer]:
        """The answer to a caller."""
        found = [answered for answered in self.answers if answered.who in who]
        assert {answered.who for answered in found} == set(who)
        return found


NAMING_NOBODY = "an operator, naming a company that does not exist"
NAMING_NONE = "an operator, naming no company"


_JOB_IDS = {
    "request_bulk_actions": lambda answer: answer["job"]["id"],
    "request_bulk_moves": lambda answer: answer["job"]["id"],
    "create_import": lambda answer: answer["job_id"],
}
"""The id of the job that a request enqueued, from its answer."""


class Prober:
    """Sends every request as every caller."""

    def __init__(self, http, database, probed: ProbeResults, operator: Mapping[str, str]) -> None:
        self._http, self._database, self._probed, self._operator = http, database, probed, operator
        self._document, self._owned = probed.document, probed.owned

    async def probe(self) -> None:
        """Calls every operation, in every way, as every caller without access."""
        readers, writers = await self._twins(is_busy=True), await self._twins(is_busy=False)
        for turn, operation in enumerate(self._document.operations):
            changes = not operation.is_reading and operation.scope != OPERATE
            twins, first = writers if changes else readers, len(self._probed.pairs)
            for attempt in attempts_for(self._document, operation, self._owned):
                # A quick run shares the further ids of a kind out to the operations.
                if attempt.number and not is_shared_out(turn, attempt.number):
                    continue
                await self._as_neighbours(attempt, twins)
                # A refusal comes before anything is read.
                if attempt.number == 0 and not attempt.label.endswith("beside"):
                    await self._as_others(attempt, twins[0].own)
            if changes and any(pair.theirs.status < 400 for pair in self._probed.pairs[first:]):
                writers = await self._twins(is_busy=False)  # each operation finds them as they were made

    async def _twins(self, *, is_busy: bool) -> tuple[Neighbour, Neighbour]:
        return (
            await _neighbour(self._http, self._database, COMPANY, is_busy=is_busy),
            await _neighbour(self._http, self._database, NOBODYS_COMPANY, is_busy=is_busy),
        )

    async def _as_neighbours(self, attempt: AccessAttempt, twins: tuple[Neighbour, Neighbour]) -> None:
        theirs = self._owned.foreign(attempt.number)
        nobody = {kind: of_nobody(value) for kind, value in theirs.items()}
        there = attempt
        if "cursor" in attempt.query:
            there = replace(
                attempt, query={**attempt.query, "cursor": nobodys_cursor(attempt.query["cursor"])}
            )
        values = draw(self._document, attempt, Ids(twins[0].own, theirs))
        asked_there = draw(self._document, there, Ids(twins[1].own, nobody))
        for who, credential in twins[0].credentials.items():
            if attempt.number > 0 and who != "another company":
                continue  # the first of each kind will do
            answered = await self._ask(who, attempt, values, credential)
            await self._end_job(answered, credential)
            twin = await self._ask(who, there, asked_there, twins[1].credentials[who])
            await self._end_job(twin, twins[1].credentials[who])
            self._probed.pairs.append(
                Pair(answered, twin, self._owned.both, (twins[0].names, twins[1].names))
            )

    async def _end_job(self, answered: RecordedAnswer, credential: Mapping[str, str]) -> None:
        """Waits for the job of a request: what later requests answer depends on how far it is."""
        if answered.operation.id not in _JOB_IDS or answered.status != 202:
            return
        job_id = _JOB_IDS[answered.operation.id](json.loads(answered.text))
        status = None
        while status not in ("done", "failed"):
            await asyncio.sleep(POLL_SECONDS)
            job = await self._http.get(f"{API}/admin/jobs/{job_id}", headers=credential)
            status = job.json()["status"]

    async def _as_others(self, attempt: AccessAttempt, own: Mapping[str, str]) -> None:
        operation, owned = attempt.operation, self._owned
        theirs = owned.foreign(attempt.number)
        values = draw(self._document, attempt, Ids(own, theirs))
        others = dict(owned.refused)
        if operation.scope == OPERATE:
            others["the company"] = owned.tenant.headers
        elif operation.scope not in (None, SELF):
            others["a key that lacks the scope"] = owned.lacking[operation.scope]
        if operation.scope not in (None, SELF, *ROLE_SCOPES[Role.AGENT]):
            others |= owned.agent
        for who, credential in others.items():
            await self._ask(who, attempt, values, credential)
        if "company_id" in operation.path_ids:  # an operator who names the company there is to be answered
            nobody = {"company_id": of_nobody(theirs["company_id"])}
            values = draw(self._document, attempt, Ids({**own, **nobody}, {**theirs, **nobody}))
        await self._ask(NAMING_NONE, attempt, values, self._operator)
        named = {**self._operator, "X-Company-Id": str(NOBODYS_COMPANY)}
        await self._ask(NAMING_NOBODY, attempt, values, named)

    async def _ask(
        self, who: str, attempt: AccessAttempt, requested: PreparedRequest, credential: Mapping[str, str]
    ) -> RecordedAnswer:
        answered = await ask(self._http, who, attempt, requested, credential)
        self._probed.answers.append(answered)
        return answered


@pytest.fixture(scope="module", autouse=True)
async def polling_loops(database):
    """A worker for what is prepared here."""
    working = PollingLoops(database, names=(JOBS, IMPORTS), pause_seconds=0.05)
    working.start()
    yield
    await working.close()


@pytest.fixture(scope="module")
def document():
    """The contract as it is published."""
    return Document(published())


@pytest.fixture(scope="module")
async def owned(http, database, document, create_test_company, operator, database_owner):
    """A company with data of every kind, with ids that identify it."""
    await database_owner.connection.execute(
        "SELECT setval(pg_get_serial_sequence(table_name, column_name), $1 + $2 * row_number() OVER ())"
        " FROM information_schema.columns"
        " WHERE table_schema = 'public' AND is_identity = 'YES' AND table_name <> 'companies'",
        SEQUENCE,
        STEP,
    )
    tenant = await create_test_company(
        id=COMPANY,
        name=f"{MARK}-company",
        test_clock=parse_instant(NOON, ""),
        policy={"scoring": {"monetary_target": float(AMOUNT)}},
    )
    await create_test_company(id=next(NEIGHBOURS))  # so that the list of companies has a second page
    owned = await _settle(http, tenant, operator, database_owner)
    assert await publish(database, tenant.id) > 0
    named = {**operator, "X-Company-Id": str(COMPANY), "X-Reason": f"{MARK}-reason"}
    await _collect_cursors(http, document, owned, named)
    return owned


@pytest.fixture(scope="module")
async def probed(http, database, document, owned, operator, database_owner):
    """Every operation called by every caller without access."""
    probed = ProbeResults(document, owned, await database_owner.rows(COMPANY))
    await Prober(http, database, probed, operator).probe()
    probed.after = await database_owner.rows(COMPANY)
    return probed


def test_no_byte_of_a_company_reaches_another(probed):
    operators = {NAMING_NONE, NAMING_NOBODY}
    names = (f"{MARK}-company", str(COMPANY))  # which companies there are, operators know

    leaks = [
        f"{answered}: {found}"
        for answered in probed.answers
        if (
            found := foreign_bytes(
                answered, probed.owned.canaries, names if answered.who in operators else ()
            )
        )
    ]

    assert leaks == []
    assert len(probed.answers) >= FEWEST_PROBES
    print(f"0 foreign bytes of {len(probed.answers):,} probes")


OF_WHOEVER_HAS_THE_LINK = {"show_unsubscribe_page"}
"""Operations without a credential: called here with links that the service has not created."""
OF_THE_MOMENT = {"get_health", "stream_events"}
"""Values that change by the moment: the service as a whole, and the caller's own outbound events."""


def test_what_is_another_company_s_and_what_never_was_are_answered_alike(probed):
    unlike = [
        f"{pair.theirs} / {pair.of_nobody.status}"
        for pair in probed.pairs
        if not pair.is_alike and pair.theirs.operation.id not in OF_THE_MOMENT
    ]

    assert unlike == []
    print(f"{len(probed.pairs):,} pairs of a foreign and a missing id are answered alike")


def test_what_is_another_company_s_is_not_found(probed):
    own = ("another company", "another company's session")
    # A customer's id is the caller's own: theirs may be the same number.
    values = [
        answered
        for answered in probed.of(*own)
        if answered.attempt.foreign == {"path"} and answered.operation.id != "upsert_customer"
    ]

    def expected(answered):
        if answered.operation.scope == OPERATE:
            return {403}
        if answered.operation.id == "ingest_source_event":
            return {401}  # it has no credential but its signature
        # An id below zero belongs to an erased customer, and no caller may write it.
        return {404, 422} if "/-" in answered.sent_text else {404}

    found = [str(answered) for answered in values if answered.status not in expected(answered)]

    assert found == []
    assert len(values) > 100


def test_what_is_asked_is_refused_for_whose_it_is_and_not_for_its_form(probed):
    own = ("another company", "another company's session")
    reached = {
        answered.operation.id for answered in probed.of(*own) if answered.status not in (413, 415, 422, 428)
    }

    assert reached == {operation.id for operation in probed.document.operations}


def test_an_invalid_credential_is_refused_without_any_detail(probed):
    closed = [
        answered for answered in probed.of(*probed.owned.refused) if answered.operation.scope is not None
    ]

    assert {str(answered) for answered in closed if answered.status != 401} == set()
    assert len({answered.text for answered in closed}) == 1
    headers = {
        tuple(pair for pair in answered.headers if pair[0] not in ("x-request-id", "ratelimit"))
        for answered in closed
    }
    assert len(headers) == 1


def test_a_credential_of_the_company_that_lacks_the_scope_is_forbidden(probed):
    lacking = probed.of("the company", "a key that lacks the scope", *probed.owned.agent)

    assert {str(answered) for answered in lacking if answered.status != 403} == set()
    assert {answered.operation.id for answered in lacking} == {
        operation.id for operation in probed.document.operations if operation.scope not in (None, SELF)
    }


def test_another_company_that_names_it_is_forbidden(probed):
    naming = [
        answered
        for answered in probed.of("another company, naming it")
        if answered.operation.scope not in (None, SELF)
        # The path names the company there, and a foreign one is not found.
        and "company_id" not in answered.operation.path_ids
    ]

    assert {str(answered) for answered in naming if answered.status != 403} == set()


def test_an_operator_acts_for_a_company_that_is_named_and_there(probed):
    def of_a_company(answered):
        operation = answered.operation
        return operation.scope not in (None, SELF, OPERATE) and "company_id" not in operation.path_ids

    def amiss(who, *statuses):
        return {str(answered) for answered in probed.of(who) if of_a_company(answered)} - {
            str(answered) for answered in probed.of(who) if answered.status in statuses
        }

    assert amiss(NAMING_NONE, 403) == set()
    # Where the form is validated first, it may be reported.
    assert amiss(NAMING_NOBODY, 404, 422) == set()
    found = {
        answered.operation.id
        for answered in probed.of(NAMING_NOBODY)
        if of_a_company(answered) and answered.status == 404
    }
    assert found == {answered.operation.id for answered in probed.of(NAMING_NOBODY) if of_a_company(answered)}


def test_nothing_of_a_company_is_changed_by_another(probed):
    assert probed.after == probed.before
    assert len(probed.before) >= 17


async def test_the_company_itself_finds_all_that_was_asked_for(http, document, owned, operator, probed):
    """What was searched for exists: the company itself and an operator who names it get all of it."""
    named = {**operator, "X-Company-Id": str(COMPANY), "X-Reason": f"{MARK}-reason"}
    who = {"the company": owned.tenant.headers, "its session": owned.session, "an operator": named}
    seen, opened = dict.fromkeys(who, frozenset()), {name: set() for name in who}
    for operation in document.operations:
        if not operation.is_reading:
            continue
        for attempt in attempts_for(document, operation, owned):
            if attempt.label.endswith("beside"):
                continue
            ids = Ids(owned.foreign(attempt.number), owned.foreign(attempt.number))
            fields = draw(document, attempt, ids)
            for name, credential in who.items():
                answered = await ask(http, name, attempt, fields, credential)
                seen[name] |= {*WORD.findall(answered.all_text)}
                seen[name] |= {word for word in owned.canaries if word in answered.all_text}
                opened[name] |= {operation.id} if answered.status == 200 else set()

    reading = {operation.id for operation in document.operations if operation.is_reading}
    operators = {operation.id for operation in document.operations if operation.scope == OPERATE}
    reading -= OF_WHOEVER_HAS_THE_LINK
    assert opened["an operator"] == reading
    assert opened["the company"] == opened["its session"] == reading - operators
    acted = ("task_id", "campaign_id", "action_id", "endpoint_id", "template_id", "source_id")
    words = {word for values in owned.ids.values() for value in values for word in WORD.findall(value)}
    fields = {
        f"{MARK}-{word}"
        for word in ("notes", "kept", "move", "version", "said-0", "reason", "phone-0", "attribute-0")
    }
    fields |= {f"{MARK}-{word}" for word in ("key-agent", "source", "event-0", "booking-0")}
    fields |= {f"{MARK}-{word}" for word in ("text-1", "url-1", "title", "note-1", "answer-1")}
    fields |= {id_ for kind in acted for id_ in owned.ids[kind]}
    fields |= {str(USER), AMOUNT, *owned.ids["customer_id"], *owned.ids["job_id"], *owned.ids["key_id"]}
    for name, found in seen.items():
        assert (words | fields) - UNSHOWN - found == set(), name


# ---- each guard taken away, and seen to be missing


@pytest.fixture
async def neighbour(http, database):
    """A company that has nothing to do with the other."""
    return await _neighbour(http, database, COMPANY, is_busy=False)


def _attempt(document, operation_id, *foreign):
    [operation] = [one for one in document.operations if one.id == operation_id]
    return AccessAttempt(operation, "by hand", frozenset(foreign))


async def test_a_company_that_is_taken_for_another_is_noticed(
    http, api, document, owned, neighbour, database_owner, monkeypatch
):
    """The binding of a credential to its company is the guard; without it every check of this file speaks up."""
    theirs = owned.foreign(0)
    nobody = {kind: of_nobody(value) for kind, value in theirs.items()}
    attempt = _attempt(document, "get_customer", "path")
    erase = _attempt(document, "anonymize_customer", "path")
    credential = neighbour.credentials["another company"]

    async def pair():
        answers = [
            await ask(
                http, "another company", attempt, draw(document, attempt, Ids(neighbour.own, ids)), credential
            )
            for ids in (theirs, nobody)
        ]
        return Pair(answers[0], answers[1], owned.both, (neighbour.names, neighbour.names))

    guarded, rows = await pair(), await database_owner.rows(COMPANY)
    assert guarded.theirs.status == 404
    assert guarded.is_alike
    assert foreign_bytes(guarded.theirs, owned.canaries) == []

    authenticate = credentials.authenticate

    async def astray(*args, **kwargs):
        return replace(await authenticate(*args, **kwargs), company_id=COMPANY)

    with monkeypatch.context() as patch:
        patch.setattr(authentication.credentials, "authenticate", astray)
        api.state.app_state.credential_cache.clear()
        unguarded = await pair()
        third = {**theirs, "customer_id": str(CUSTOMER + 3)}
        await ask(
            http, "another company", erase, draw(document, erase, Ids(neighbour.own, third)), credential
        )
        api.state.app_state.credential_cache.clear()

    assert f"{MARK}-name-0" in foreign_bytes(unguarded.theirs, owned.canaries)
    assert not unguarded.is_alike
    assert await database_owner.rows(COMPANY) != rows
    print("guard removed: detected")


@pytest.mark.parametrize(
    ("body", "headers", "values", "is_leak"),
    [
        (f'{{"detail": "No {MARK}-name-1."}}', {}, "", True),
        (f'{{"detail": "No {MARK}-name-1."}}', {}, f"q={MARK}-name-1", False),
        (f'{{"detail": "{MARK}-name-1 of {MARK}-name-2"}}', {}, f"q={MARK}-name-1", True),
        (f'{{"id": {CUSTOMER + 1}}}', {}, "", True),
        (f'{{"id": {CUSTOMER + 1}}}', {}, f"/customers/{CUSTOMER + 1}", False),
        (f'{{"id": {NOBODYS_CUSTOMER + 1}}}', {}, "", False),
        ("", {"etag": f'"{MARK}-name-1"'}, "", True),
        ("", {"location": f"/customers/{CUSTOMER + 1}"}, "", True),
        (f'{{"next_cursor":"{_to_cursor(["customers", f"{MARK}-name-1", 1])}"}}', {}, "", True),
        (f'{{"next_cursor":"{_to_cursor(["customers", "customer_id", CUSTOMER + 1])}"}}', {}, "", True),
        ('{"detail": "No customer."}', {"etag": '"1"'}, "", False),
    ],
)
def test_a_foreign_byte_is_noticed_wherever_it_is(document, body, headers, values, is_leak):
    attempt = _attempt(document, "get_customer")
    answered = RecordedAnswer("somebody", attempt, values, 404, tuple(headers.items()), body)

    assert bool(foreign_bytes(answered, (str(CUSTOMER + 1), str(CUSTOMER + 2)))) is is_leak
    if is_leak:
        print("guard removed: detected")


def test_a_route_without_declared_access_stops_the_start():
    app = create_app(placeholder_settings())
    check_declared(app)

    @app.get("/api/v1/leaky")
    async def leaky():
        return f"{MARK}-name-1"

    with pytest.raises(UndeclaredRouteError, match="GET /api/v1/leaky"):
        check_declared(app)
    print("guard removed: detected")


def _with(path, **routes):
    """The contract of a service that has just this route."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for method, endpoint in routes.items():
        app.add_api_route(path, endpoint, methods=[method.upper()], operation_id=endpoint.__name__)
    check_declared(app)
    return Document(app.openapi())


async def _of_a_thing(thing_id: int, caller: CustomerReader):
    """What a thing is."""


async def _by_a_thing(caller: CustomerReader, thing: str = ""):
    """What fits a thing."""


async def _for_a_thing(caller: CustomerReader, body: dict[str, int]):
    """Whatever."""


def test_an_unknown_kind_of_id_is_noticed():
    with pytest.raises(AssertionError, match=r"_of_a_thing: .*path parameters \['thing_id'\]"):
        _with("/api/v1/things/{thing_id}", get=_of_a_thing)
    with pytest.raises(AssertionError, match=r"_by_a_thing: .*query parameters \['thing'\]"):
        _with("/api/v1/things", get=_by_a_thing)
    openapi = published()
    with pytest.raises(AssertionError, match=r"unknown credentials: .'badge'."):
        Document(_changed(openapi, "components", "securitySchemes", badge={"type": "http"}))
    rotation = ("components", "schemas", "ApiKeyRotation", "properties")
    with pytest.raises(AssertionError, match=r"rotate_company_api_key: unknown ApiKeyRotation\.thing_id"):
        Document(_changed(openapi, *rotation, thing_id={"type": "integer"}))
    assert len(_with("/api/v1/whatever", post=_for_a_thing).operations) == 1
    print("guard removed: detected")


def _changed(openapi, *path, **added):
    """A document with additions at a path."""
    copy = json.loads(json.dumps(openapi))
    pointer = copy
    for step in path:
        pointer = pointer[step]
    pointer.update(added)
    return copy


def test_an_answer_that_differs_by_id_is_noticed(document):
    attempt = _attempt(document, "get_customer", "path")
    ids = ([str(CUSTOMER + 1)], [str(NOBODYS_CUSTOMER + 1)])

    def pair(status, text, **headers):
        said = [
            RecordedAnswer("somebody", attempt, "", 404, (), f"No customer {ids[0][0]}."),
            RecordedAnswer("somebody", attempt, "", status, tuple(headers.items()), text),
        ]
        return Pair(said[0], said[1], ids, ((), ()))

    missing = f"No customer {ids[1][0]}."
    assert pair(404, missing).is_alike
    assert not pair(403, missing).is_alike
    assert not pair(404, f"{missing} Sorry.").is_alike
    assert not pair(404, missing, etag='"1"').is_alike
    assert not pair(404, "No customer 7.").is_alike
    print("guard removed: detected")
