"""Companies for generated requests, filled with something of every kind, and the callers that send the requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.calls import NOON, event
from fuzz.application import OPERATOR, Application
from journey_service.domain.access.actors import ROLE_SCOPES, Role
from journey_service.domain.stages.default_stages import DEFAULT_STAGES

CUSTOMERS = range(1, 13)
LAPSED = range(13, 16)


@dataclass
class KnownIds:
    """Values of ids that exist in a company, by the name of the parameter; filled from responses."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        """Remembers an id; of many, the newest."""
        held = self.values.setdefault(name, [])
        if value not in held:
            held.append(value)
            del held[:-20]


@dataclass(frozen=True)
class Caller:
    """Who sends requests: a credential, and the company whose ids the requests name."""

    name: str
    headers: Mapping[str, str]
    company_id: int
    owner: Mapping[str, str]
    """The headers of the company's own key, with which tests look something up."""
    known: KnownIds


def create_company(application: Application, name: str) -> tuple[int, dict[str, str]]:
    """Creates a company with a test clock; returns its id and the headers of a key with all scopes."""
    words = {"name": name, "timezone": "Europe/Berlin", "currency": "EUR", "test_clock": NOON}
    company = application.demand("POST", "/admin/companies", OPERATOR, words)["id"]
    return company, _key(application, company, ["*"])


def _key(application: Application, company: int, scopes: list[str]) -> dict[str, str]:
    path = f"/admin/companies/{company}/keys"
    made = application.demand("POST", path, OPERATOR, {"name": "tests", "scopes": scopes})
    return {"Authorization": f"Bearer {made['secret']}"}


def create_caller(application: Application, name: str) -> Caller:
    """Creates a filled company and the caller of this name: company, agent, operator or nobody."""
    company, owner = create_company(application, name)
    known = _fill(application, company, owner)
    headers = {
        "company": owner,
        "agent": _key(application, company, sorted(ROLE_SCOPES[Role.AGENT])),
        "operator": {**OPERATOR, "X-Company-Id": str(company), "X-Reason": "a test"},
        "nobody": {},
    }[name]
    return Caller(name, headers, company, owner, known)


def _fill(application: Application, company: int, owner: Mapping[str, str]) -> KnownIds:
    def send(method: str, path: str, body: Any = None, **headers: str) -> Any:
        return application.demand(method, path, {**owner, **headers}, body)

    known = KnownIds()
    _tell_of_customers(send)
    for stages in range(2):
        draft = [
            *DEFAULT_STAGES,
            {"key": f"stage_{stages}", "order": 30 + stages, "kind": "progress", "name": "A"},
        ]
        version = send("GET", "/stages")["version"]
        send("PUT", "/stages", {"stages": draft}, **{"If-Match": f'"{version}"'})
    for number in range(2):
        words = {"key": f"template_{number}", "text": "A text", "channel": "sms", "language": "en"}
        known.add("template_id", send("POST", "/templates", words)["id"])
        words = {
            "name": f"source-{number}",
            "secret": f"secret-of-source-{number}-Xk29",
            "template": "generic",
        }
        known.add("source_id", send("POST", "/sources", words)["id"])
        words = {"url": f"https://hooks.example/{number}", "events": ["stage.changed"]}
        known.add("endpoint_id", send("POST", "/webhook-endpoints", words)["id"])
        call = send("POST", f"/customers/{number + 1}/actions", {"type": "call"})
        known.add("action_id", call["id"])
        known.add("task_id", call["task_id"])
        version = send("GET", f"/customers/{number + 1}/journey")["version"]
        path = f"/customers/{number + 1}/transitions"
        send("POST", path, {"to_stage": "at_risk"}, **{"If-Match": f'"{version}"'})
        words = {"name": f"spare-{number}", "scopes": ["customers:read"]}
        known.add("key_id", send("POST", "/admin/keys", words)["id"])
    for campaign in send("GET", "/campaigns")["items"]:
        known.add("campaign_id", campaign["id"])
    _start_jobs(application, send, owner, known)
    known.add("company_id", company)
    for key in ("prospect", "lead", "customer", "vip", "at_risk", "churned", "stage_0"):
        known.add("key", key)
    for version in (1, 2):
        known.add("version", version)
    for customer in (*CUSTOMERS, *LAPSED, "ref:kundin-1"):
        known.add("customer_id", customer)
    return known


def _tell_of_customers(send: Any) -> None:
    for customer in CUSTOMERS:
        words = {
            "name": f"Person {customer}",
            "email": f"p{customer // 2}@example.com",
            "phone": "+49 30 1234567",
        }
        send("PUT", f"/customers/{customer}", {**words, "attributes": {"city": "Bonn"}})
        for visit in range(customer % 4):
            told = event(
                f"e-{customer}-{visit}",
                customer_id=customer,
                occurred_at=f"2026-02-1{visit}T10:00:00Z",
                total_amount=250.5,
                booking_id=f"b-{customer}-{visit}",
            )
            send("POST", "/events", told)
    for customer in LAPSED:
        send(
            "POST",
            "/events",
            event(f"e-{customer}", customer_id=customer, occurred_at="2025-10-15T10:00:00Z"),
        )
    named = {name: value for name, value in event("e-ref").items() if name != "customer_id"}
    send("POST", "/events", {**named, "customer_ref": "kundin-1"})
    send("POST", "/customers/12/anonymize")


def _start_jobs(application: Application, send: Any, owner: Mapping[str, str], known: KnownIds) -> None:
    version = {"If-Match": f'"{send("GET", "/stages")["version"]}"'}
    draft = {"stages": send("GET", "/stages")["stages"]}
    known.add("job_id", send("POST", "/admin/rescore", {"customer_ids": [1, 2]})["job_id"])
    known.add("job_id", send("POST", "/stages/preview", draft, **version)["job_id"])
    key = {"Idempotency-Key": "bulk"}
    moves = {"to_stage": "vip", "customer_ids": [3]}
    known.add("job_id", send("POST", "/transitions/bulk", moves, **key)["job"]["id"])
    calls = {"type": "call", "customer_ids": [3]}
    known.add("job_id", send("POST", "/actions/bulk", calls, **key)["job"]["id"])
    text = "customer_id,occurred_at,event_type\n4,2026-01-02,appointment_completed\n4,2026-01-01,wrong\n"
    headers = {**owner, "content-type": "text/csv"}
    made = application.demand("POST", "/imports", headers, content=text.encode())
    known.add("import_id", made["id"])
