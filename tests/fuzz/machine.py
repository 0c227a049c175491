"""A machine that sends random sequences of requests and compares each response with the model's."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from api.calls import NOON
from fuzz.application import Application
from fuzz.companies import create_company
from fuzz.model import DAY, HOUR, SOURCE, CompanyModel, Expected, parse

CUSTOMERS = st.sampled_from(range(1, 5))
STAGES = st.sampled_from(["prospect", "lead", "customer", "regular", "vip", "at_risk", "churned"])
AGES = st.sampled_from([timedelta(0), HOUR, DAY, 40 * DAY, 100 * DAY, 200 * DAY])
VERSIONS = st.sampled_from(["current"] * 6 + ["stale", "missing"])
NAMES = st.sampled_from([None, "Ada", "Bo", "Cleo"])
EMAILS = st.sampled_from([None, "ada@reader.example", "bo@reader.example"])
AMOUNTS = st.sampled_from([0, 49.9, 400, 1000])
BOOKINGS = st.sampled_from([None, None, "b-1", "b-2"])
OUTCOMES = ("appointment_completed", "appointment_missed", "appointment_cancelled")
TYPES = st.sampled_from(
    [
        *OUTCOMES,
        *OUTCOMES[:1] * 3,
        "call_received",
        "ticket_opened",
        "appointment_requested",
        "appointment_booked",
    ]
)
MAX_ADVANCES = 4


class ApiMachine(RuleBasedStateMachine):
    """One company and its model."""

    def __init__(self, application: Application, responses: Counter[str]) -> None:
        super().__init__()
        self._application, self._responses = application, responses
        self.company, self._headers = create_company(application, "A model")
        self.model = CompanyModel(parse(NOON))
        self._numbers, self._new_customers = count(1), count(100)
        self._advances = 0

    def _call(self, method: str, path: str, body: Any = None, **rest: Any) -> httpx.Response:
        headers = {**self._headers, **rest.pop("headers", {})}
        response = self._application.call(method, path, headers, body, **rest)
        self._responses[f"{method} {re.sub('/[0-9]+', '', path)} {response.status_code}"] += 1
        return response

    def _compare(self, response: httpx.Response, expected: Expected) -> dict[str, Any]:
        where = f"{response.request.method} {response.request.url}: {response.text[:1500]}"
        assert response.status_code == expected.status, f"expected {expected}: {where}"
        body = response.json()
        assert_contains(body, expected.fields, where)
        return body

    def _match(self, choice: str, version: int) -> tuple[int | None, dict[str, str]]:
        """Returns a version and the header that names it."""
        if choice == "missing":
            return None, {}
        version += choice == "stale"
        return version, {"If-Match": f'"{version}"'}

    @initialize(ages=st.lists(AGES, min_size=3, max_size=6), amount=AMOUNTS)
    def begin(self, ages: list[timedelta], amount: float) -> None:
        """Sends visits of customers, so that there is something to change."""
        visits = [
            self._event(1 + number % 3, "appointment_completed", age, amount, None)
            for number, age in enumerate(ages)
        ]
        for sent in visits:
            self._compare(self._call("POST", "/events", sent), self.model.send_event(sent))

    # ---- profiles

    @rule(customer=CUSTOMERS, name=NAMES, email=EMAILS)
    def put_profile(self, customer: int, name: str | None, email: str | None) -> None:
        profile = {"name": name, "email": email}
        expected = self.model.put_profile(customer, profile)
        self._compare(self._call("PUT", f"/customers/{customer}", profile), expected)

    @rule(customer=CUSTOMERS, name=NAMES)
    def patch_profile(self, customer: int, name: str | None) -> None:
        expected = self.model.patch_profile(customer, {"name": name})
        self._compare(self._call("PATCH", f"/customers/{customer}", {"name": name}), expected)

    # ---- events

    def _event(
        self, customer: int, type_: str, age: timedelta, amount: float, booking: str | None
    ) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if type_.startswith("appointment_completed"):
            data["total_amount"] = amount
        if type_ == "call_received":
            data["call_duration"] = 30 if amount == 0 else 90
        if booking is not None and (type_ in OUTCOMES or type_ == "appointment_booked"):
            data["booking_id"] = booking
        if type_ == "appointment_booked" and booking is not None:
            data["scheduled_for"] = text(self.model.now + 100 * DAY - age)
        id_ = f"{customer}-{next(self._numbers)}"
        occurred = text(self.model.now - age)
        told = {"id": id_, "source": SOURCE, "type": type_, "customer_id": customer, "occurred_at": occurred}
        return {**told, "data": data} if data else told

    @rule(customer=CUSTOMERS, type_=TYPES, age=AGES, amount=AMOUNTS, booking=BOOKINGS)
    def send_event(
        self, customer: int, type_: str, age: timedelta, amount: float, booking: str | None
    ) -> None:
        sent = self._event(customer, type_, age, amount, booking)
        self._compare(self._call("POST", "/events", sent), self.model.send_event(sent))

    @precondition(lambda self: self.model.events)
    @rule(data=st.data())
    def send_a_known_event(self, data: st.DataObject) -> None:
        sent = self.model.events[data.draw(st.sampled_from(sorted(self.model.events)))][0]
        self._compare(self._call("POST", "/events", sent), self.model.send_event(sent))

    @precondition(lambda self: self.model.events)
    @rule(data=st.data())
    def send_a_known_event_with_other_content(self, data: st.DataObject) -> None:
        sent = self.model.events[data.draw(st.sampled_from(sorted(self.model.events)))][0]
        other = {**sent, "occurred_at": text(parse(sent["occurred_at"]) - HOUR)}
        self._compare(self._call("POST", "/events", other), self.model.send_event(other))

    @precondition(lambda self: self.model.events)
    @rule(data=st.data())
    def retract_an_event(self, data: st.DataObject) -> None:
        retracted = self.model.events[data.draw(st.sampled_from(sorted(self.model.events)))][0]
        if retracted["type"] == "event_retracted":
            return
        sent = self._event(retracted["customer_id"], "event_retracted", timedelta(0), 0, None)
        sent["data"] = {"retracts": {"source": SOURCE, "id": retracted["id"]}}
        self._compare(self._call("POST", "/events", sent), self.model.send_event(sent))

    @rule(
        customers=st.lists(CUSTOMERS, min_size=1, max_size=5),
        type_=TYPES,
        age=AGES,
        amount=AMOUNTS,
        data=st.data(),
    )
    def send_batch(
        self, customers: list[int], type_: str, age: timedelta, amount: float, data: st.DataObject
    ) -> None:
        events = [self._event(customer, type_, age, amount, None) for customer in customers]
        events.append(data.draw(st.sampled_from(events)))
        known = sorted(self.model.events)
        if known:
            events.append(self.model.events[data.draw(st.sampled_from(known))][0])
        self._compare(self._call("POST", "/events/batch", events), self.model.send_batch(events))

    @rule(
        types=st.lists(st.sampled_from(OUTCOMES[:2]), min_size=1, max_size=4),
        amount=AMOUNTS,
        is_repeated=st.booleans(),
    )
    def import_history(self, types: list[str], amount: float, is_repeated: bool) -> None:  # noqa: FBT001
        customer = next(self._new_customers)
        events = [
            self._event(customer, type_, (number * 50 + 1) * DAY, amount, None)
            for number, type_ in enumerate(types)
        ]
        for _ in range(1 + is_repeated):
            lines = b"".join(httpx.Request("POST", "http://x", json=each).content + b"\n" for each in events)
            made = self._call(
                "POST", "/imports", content=lines, headers={"content-type": "application/x-ndjson"}
            )
            assert made.status_code == 202, made.text
            expected = self.model.import_events(customer, events)
            self._compare(self._finished(f"/imports/{made.json()['id']}"), expected)
        self._read(customer)

    def _finished(self, path: str) -> httpx.Response:
        while True:
            response = self._call("GET", path)
            if response.json()["status"] not in ("queued", "running"):
                return response

    # ---- journeys

    @rule(customer=CUSTOMERS, to_stage=STAGES, choice=VERSIONS, pin=st.sampled_from([None, None, 10 * DAY]))
    def move(self, customer: int, to_stage: str, choice: str, pin: timedelta | None) -> None:
        version, headers = self._match(choice, self.model.version(customer))
        until = None if pin is None else self.model.now + pin
        body = {"to_stage": to_stage, **({} if until is None else {"pin_until": text(until)})}
        response = self._call("POST", f"/customers/{customer}/transitions", body, headers=headers)
        self._compare(response, self.model.move(customer, version, to_stage, until))

    @rule(customer=CUSTOMERS, choice=VERSIONS, days=st.sampled_from([1, 40]))
    def pin(self, customer: int, choice: str, days: int) -> None:
        version, headers = self._match(choice, self.model.version(customer))
        until = self.model.now + days * DAY
        response = self._call(
            "PUT", f"/customers/{customer}/pin", {"pin_until": text(until)}, headers=headers
        )
        self._compare(response, self.model.pin(customer, version, until))

    @rule(customer=CUSTOMERS, choice=VERSIONS)
    def unpin(self, customer: int, choice: str) -> None:
        version, headers = self._match(choice, self.model.version(customer))
        response = self._call("DELETE", f"/customers/{customer}/pin", headers=headers)
        self._compare(response, self.model.unpin(customer, version))

    @rule(customer=CUSTOMERS, choice=VERSIONS, notes=st.sampled_from(["a note", "another"]))
    def write_notes(self, customer: int, choice: str, notes: str) -> None:
        version, headers = self._match(choice, self.model.version(customer))
        response = self._call("PATCH", f"/customers/{customer}/journey", {"notes": notes}, headers=headers)
        self._compare(response, self.model.write_notes(customer, version, notes))

    @rule(customer=CUSTOMERS)
    def evaluate(self, customer: int) -> None:
        response = self._call("POST", f"/customers/{customer}/evaluate")
        self._compare(response, self.model.evaluate(customer))

    @precondition(lambda self: self._advances < MAX_ADVANCES)
    @rule(step=st.sampled_from([HOUR, DAY, 31 * DAY, 61 * DAY, 95 * DAY]))
    def advance(self, step: timedelta) -> None:
        self._advances += 1
        self.model.advance(self.model.now + step)
        body = {"advance_to": text(self.model.now)}
        response = self._call("POST", f"/admin/companies/{self.company}/clock", body)
        assert response.status_code in (200, 202), response.text
        assert self._finished(f"/admin/jobs/{response.json()['job_id']}").json()["status"] == "done"

    # ---- privacy

    @rule(customer=CUSTOMERS, chance=st.sampled_from(range(4)))
    def erase(self, customer: int, chance: int) -> None:
        if chance > 0:  # few erasures: nothing more can be told of an erased customer
            return
        self._compare(self._call("POST", f"/customers/{customer}/anonymize"), self.model.erase(customer))

    @rule(customer=CUSTOMERS, other=CUSTOMERS, choice=VERSIONS)
    def merge(self, customer: int, other: int, choice: str) -> None:
        version, headers = self._match(choice, self.model.version(customer))
        response = self._call("POST", f"/customers/{customer}/merge", {"merge": other}, headers=headers)
        self._compare(response, self.model.merge(customer, other, version))

    # ---- lists and tasks

    @rule(customer=CUSTOMERS)
    def read(self, customer: int) -> None:
        self._read(customer)

    def _read(self, customer: int) -> None:
        path = f"/customers/{customer}"
        self._compare(self._call("GET", f"{path}/journey"), self.model.get_journey(customer))
        self._compare(self._call("GET", f"{path}/transitions"), self.model.list_transitions(customer))

    @rule(
        query=st.fixed_dictionaries(
            {},
            optional={
                "stage": STAGES,
                "appointments_min": st.sampled_from([1, 3]),
                "value_min": st.sampled_from([49.9, 1000]),
                "pinned": st.sampled_from(["true", "false"]),
                "q": EMAILS.filter(bool),
            },
        )
    )
    def list_customers(self, query: Mapping[str, Any]) -> None:
        found: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            response = self._call("GET", "/customers", params={**query, "limit": 2, **cursor})
            assert response.status_code == 200, response.text
            found += [each["customer_id"] for each in response.json()["items"]]
            if response.json()["next_cursor"] is None:
                break
            cursor = {"cursor": response.json()["next_cursor"]}
        # An erased customer is kept under a negative id.
        known = sorted(each for each in found if each > 0)
        assert known == sorted(self.model.list_ids(query)), f"{query}: {found}"

    @rule(title=st.sampled_from(["Call back", "Write"]))
    def create_task(self, title: str) -> None:
        body = {"title": title, "due_at": text(self.model.now + DAY)}
        response = self._call("POST", "/tasks", body)
        assert response.status_code == 201, response.text
        expected = self.model.create_task(response.json()["id"], {"title": title})
        self._compare(response, expected)

    @precondition(lambda self: self.model.tasks)
    @rule(
        data=st.data(),
        choice=VERSIONS,
        values=st.sampled_from(
            [{"assignee": "ada"}, {"assignee": "bo"}, {"status": "done"}, {"status": "open"}]
        ),
    )
    def update_task(self, data: st.DataObject, choice: str, values: dict[str, str]) -> None:
        task = data.draw(st.sampled_from(sorted(self.model.tasks)))
        version, headers = self._match(choice, self.model.tasks[task]["version"])
        response = self._call("PATCH", f"/tasks/{task}", values, headers=headers)
        self._compare(response, self.model.update_task(task, version, values))

    def teardown(self) -> None:
        """Reads all customers and tasks once more."""
        for customer in range(1, 5):
            self._read(customer)
        for id_, task in self.model.tasks.items():
            self._compare(self._call("GET", f"/tasks/{id_}"), Expected(200, task))


def text(instant: datetime) -> str:
    """Returns an instant as it is sent."""
    return instant.isoformat()


def assert_contains(actual: Any, expected: Any, where: str) -> None:
    """Checks that a value of a response has the expected values; fields that are not expected may have any."""
    match expected:
        case Mapping():
            assert isinstance(actual, dict), where
            for name, value in expected.items():
                assert name in actual, f"{name} is missing: {where}"
                assert_contains(actual[name], value, f"{name}: {where}")
        case list():
            assert len(actual) == len(expected), where
            for one, other in zip(actual, expected, strict=True):
                assert_contains(one, other, where)
        case datetime():
            assert parse(actual or "0001-01-01") == expected, f"{actual} is not {expected}: {where}"
        case Decimal() | Fraction():
            assert Fraction(str(actual)) == Fraction(expected), f"{actual} is not {expected}: {where}"
        case _:
            assert actual == expected, f"{actual!r} is not {expected!r}: {where}"
