"""A model of the API: what a company's customers, events and tasks are, in dictionaries, and what is answered.

Journeys are those of the oracle. Statuses and fields are the documented ones; nothing of the service is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from oracle.literal import (
    ApplyEvent,
    JourneyOracle,
    LiteralCustomer,
    LiteralEvent,
    LiteralTransition,
    ManualMove,
    RemovePin,
    SetPin,
)

PROFILE = ("name", "email", "phone")
SOURCE = "model"


@dataclass(frozen=True)
class Expected:
    """An expected response: its status, and the values of the fields that the model knows."""

    status: int
    fields: Mapping[str, Any] = field(default_factory=dict)


UNKNOWN = Expected(404, {"type": "/problems/customer-not-found"})
ERASED = Expected(409, {"type": "/problems/customer-erased"})
STALE = Expected(412, {"type": "/problems/stale-version"})
MISSING = Expected(428, {"type": "/problems/precondition-required"})


@dataclass
class ModelCustomer:
    """A customer: the journey, the profile, and what was written beside the journey."""

    id: int
    journey: LiteralCustomer
    profile: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(PROFILE))
    notes: str | None = None

    @property
    def version(self) -> int:
        """The version of the journey: the number of its transitions."""
        return len(self.journey.transitions)

    def fields(self, now: datetime) -> dict[str, Any]:
        """Returns the fields of the journey as of the present time of the company."""
        facts, moves = self.journey.facts, self.journey.transitions
        return {
            "customer_id": self.id,
            "current_stage": self.journey.stage.key,
            "previous_stage": moves[-1].from_stage,
            "stage_entered_at": moves[-1].at,
            "version": self.version,
            "pin_until": self.journey.pin_until,
            "lifetime_value": facts.lifetime_value(),
            "total_appointments": facts.total_appointments,
            "last_appointment_at": facts.last_appointment_at(),
            "risk_score": facts.risk(now),
            "engagement_score": facts.engagement(now),
            "notes": self.notes,
        }


def fields_of(move: LiteralTransition | None) -> dict[str, Any] | None:
    """Returns the fields of a transition."""
    if move is None:
        return None
    return {
        "seq": move.seq,
        "from_stage": move.from_stage,
        "to_stage": move.to_stage,
        "transitioned_at": move.at,
        "trigger_type": move.trigger_type,
        "trigger_event": move.trigger_event,
    }


class CompanyModel:
    """A company with the default stage map and a test clock."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.customers: dict[int, ModelCustomer] = {}
        self.erased: set[int] = set()
        self.survivors: dict[int, int] = {}
        self.events: dict[str, tuple[Mapping[str, Any], LiteralTransition | None]] = {}
        self.tasks: dict[int, dict[str, Any]] = {}
        self._oracle = JourneyOracle()

    def resolve(self, customer_id: int) -> int:
        """Returns the id of the customer that an id leads to."""
        while customer_id in self.survivors:
            customer_id = self.survivors[customer_id]
        return customer_id

    def find(self, customer_id: int) -> ModelCustomer | None:
        """Returns the customer that an id leads to; None for an unknown or erased one."""
        return self.customers.get(self.resolve(customer_id))

    def version(self, customer_id: int) -> int:
        """Returns the version of a journey; 1 for an unknown one."""
        found = self.find(customer_id)
        return 1 if found is None else found.version

    def _open(self, customer_id: int, at: datetime) -> ModelCustomer:
        own_id = self.resolve(customer_id)
        return self.customers.setdefault(own_id, ModelCustomer(own_id, self._oracle.open(at)))

    # ---- profiles

    def put_profile(self, customer_id: int, profile: Mapping[str, Any]) -> Expected:
        """A profile is replaced, or created with its journey."""
        if self.resolve(customer_id) in self.erased:
            return ERASED
        is_new = self.find(customer_id) is None
        customer = self._open(customer_id, self.now)
        customer.profile = {**dict.fromkeys(PROFILE), **profile}
        return Expected(201 if is_new else 200, self._written(customer))

    def patch_profile(self, customer_id: int, profile: Mapping[str, Any]) -> Expected:
        """Fields of a profile are changed."""
        if self.resolve(customer_id) in self.erased:
            return ERASED
        customer = self.find(customer_id)
        if customer is None:
            return UNKNOWN
        customer.profile |= profile
        return Expected(200, self._written(customer))

    def _written(self, customer: ModelCustomer) -> dict[str, Any]:
        return {**customer.profile, "customer_id": customer.id, "journey": customer.fields(self.now)}

    # ---- events

    def send_event(self, sent: Mapping[str, Any]) -> Expected:
        """An event is applied, known, in conflict with a known one, or about an erased customer."""
        if self.resolve(sent["customer_id"]) in self.erased:
            return Expected(200, {"status": "ignored_erased", "journey": None, "transition": None})
        known = self.events.get(sent["id"])
        if known is not None and known[0] != sent:
            return Expected(409, {"type": "/problems/event-id-reused"})
        status = "applied" if known is None else "duplicate"
        if known is None:
            self.events[sent["id"]] = (sent, self._apply(sent, self.now))
        customer = self.find(sent["customer_id"])
        assert customer is not None
        answer = {"status": status, "journey": customer.fields(self.now)}
        if customer.id == sent["customer_id"]:  # else the transition may be that of a customer who was merged
            answer["transition"] = fields_of(self.events[sent["id"]][1])
        return Expected(200, answer)

    def _apply(self, sent: Mapping[str, Any], at: datetime) -> LiteralTransition | None:
        journey = self._open(sent["customer_id"], at).journey
        journey.catch_up(at)
        before = len(journey.transitions)
        journey.apply_operation(ApplyEvent(at, literal(sent)))
        return journey.transitions[before] if len(journey.transitions) > before else None

    def send_batch(self, events: Sequence[Mapping[str, Any]]) -> Expected:
        """Each event of a batch has the result that it would have on its own."""
        return Expected(200, {"results": list(self._results(events))})

    def _results(self, events: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for index, sent in enumerate(events):
            expected = self.send_event(sent)
            if expected.status == 200:
                # The journey of a result is that after the event, or after later ones of the customer.
                yield {"index": index, "status": expected.fields["status"]}
            else:
                yield {"index": index, "status": "refused", "problem": expected.fields}

    def import_events(self, customer_id: int, events: Sequence[Mapping[str, Any]]) -> Expected:
        """The history of an unknown customer is replayed in the order of time."""
        new = [sent for sent in events if sent["id"] not in self.events]
        for sent in sorted(new, key=lambda each: (each["occurred_at"], each["id"])):
            self.events[sent["id"]] = (sent, self._apply(sent, parse(sent["occurred_at"])))
        customer = self.find(customer_id)
        assert customer is not None
        customer.journey.catch_up(self.now)
        counts = {"applied": len(new), "duplicates": len(events) - len(new), "failed": 0, "erased": 0}
        return Expected(200, {"status": "done", **counts})

    # ---- journeys

    def get_journey(self, customer_id: int) -> Expected:
        """The journey is read."""
        customer = self.find(customer_id)
        return UNKNOWN if customer is None else Expected(200, customer.fields(self.now))

    def list_transitions(self, customer_id: int) -> Expected:
        """The transitions are read, newest first."""
        customer = self.find(customer_id)
        if customer is None:
            return UNKNOWN
        return Expected(200, {"items": [fields_of(move) for move in reversed(customer.journey.transitions)]})

    def _changed(
        self, customer_id: int, version: int | None, *, is_decided: bool = True
    ) -> ModelCustomer | Expected:
        """Returns the customer of a change, after what was due for them; or why the change is refused."""
        customer = self.find(customer_id)
        if version is None:
            return MISSING
        if customer is None:
            return UNKNOWN
        if is_decided:
            customer.journey.catch_up(self.now)
        return customer if version == customer.version else STALE

    def move(self, customer_id: int, version: int | None, to_stage: str, pin: datetime | None) -> Expected:
        """A person moves a customer."""
        customer = self._changed(customer_id, version)
        if isinstance(customer, Expected):
            return customer
        if not customer.journey.apply_operation(ManualMove(self.now, to_stage, pin)):
            return Expected(409, {"type": "/problems/already-in-stage"})
        until = customer.journey.pin_until
        automatic = {"until": until} if pin is None and until is not None else None
        moved = fields_of(customer.journey.transitions[-1])
        return Expected(201, {"transition": moved, "pinned": automatic, "journey": customer.fields(self.now)})

    def pin(self, customer_id: int, version: int | None, until: datetime) -> Expected:
        """A customer is pinned to the stage."""
        customer = self._changed(customer_id, version)
        if isinstance(customer, Expected):
            return customer
        customer.journey.apply_operation(SetPin(self.now, until))
        return Expected(200, customer.fields(self.now))

    def unpin(self, customer_id: int, version: int | None) -> Expected:
        """A pin is removed, and the customer evaluated."""
        customer = self._changed(customer_id, version)
        if isinstance(customer, Expected):
            return customer
        if not customer.journey.apply_operation(RemovePin(self.now)):
            return Expected(409, {"type": "/problems/not-pinned"})
        return Expected(200, customer.fields(self.now))

    def write_notes(self, customer_id: int, version: int | None, notes: str) -> Expected:
        """Notes are written beside the journey, which is not decided for them."""
        customer = self._changed(customer_id, version, is_decided=False)
        if isinstance(customer, Expected):
            return customer
        customer.notes = notes
        return Expected(200, customer.fields(self.now))

    def evaluate(self, customer_id: int) -> Expected:
        """What is due is decided; the transitions are returned."""
        customer = self.find(customer_id)
        if customer is None:
            return UNKNOWN
        before = customer.version
        customer.journey.catch_up(self.now)
        made = [fields_of(move) for move in customer.journey.transitions[before:]]
        return Expected(200, {"transitions": made, "journey": customer.fields(self.now)})

    def advance(self, to: datetime) -> None:
        """The clock is advanced; all that falls due on the way happens."""
        self.now = to
        for customer in self.customers.values():
            customer.journey.catch_up(to)

    # ---- privacy

    def erase(self, customer_id: int) -> Expected:
        """A customer is erased, with all who were merged into them."""
        own_id = self.resolve(customer_id)
        if own_id in self.erased:
            return Expected(200, {"status": "already_anonymized"})
        if own_id not in self.customers:
            return UNKNOWN
        merged = {id_ for id_ in self.survivors if self.resolve(id_) == own_id}
        for id_ in merged:
            del self.survivors[id_]
        del self.customers[own_id]
        self.erased |= {own_id, *merged}
        return Expected(200, {"status": "anonymized"})

    def merge(self, customer_id: int, other_id: int, version: int | None) -> Expected:
        """A customer is merged into another one."""
        if version is None:
            return MISSING
        refusal = self._merge_refusal(customer_id, other_id)
        if refusal is not None:
            return refusal
        own, other = self.customers[self.resolve(customer_id)], self.customers[other_id]
        for each in (own, other):
            each.journey.catch_up(self.now)
        if version != own.version:
            return STALE
        del self.customers[other_id]
        self.survivors[other_id] = own.id
        filled = [name for name in PROFILE if own.profile[name] is None and other.profile[name] is not None]
        own.profile |= {name: other.profile[name] for name in filled}
        own.notes = own.notes or other.notes
        from_stage = own.journey.stage.key
        own.journey.absorb(other.journey.events, self.now)
        customer = {"customer_id": own.id, **own.profile, "journey": own.fields(self.now)}
        return Expected(200, {"merged_id": other_id, "from_stage": from_stage, "customer": customer})

    def _merge_refusal(self, customer_id: int, other_id: int) -> Expected | None:
        own_id = self.resolve(customer_id)
        if other_id in self.survivors:
            return Expected(409, {"type": "/problems/customer-merged"})
        if own_id == other_id:
            return Expected(409, {"type": "/problems/merge-with-itself"})
        for id_ in (own_id, other_id):
            if id_ in self.erased:
                return ERASED
            if id_ not in self.customers:
                return UNKNOWN
        return None

    # ---- lists and tasks

    def list_ids(self, query: Mapping[str, Any]) -> set[int]:
        """Returns the ids of the customers that a list with these filters contains."""
        filters = {
            "stage": lambda customer, value: customer.journey.stage.key == value,
            "appointments_min": lambda customer, value: customer.journey.facts.total_appointments >= value,
            "value_min": lambda customer, value: customer.journey.facts.lifetime_value() >= value,
            "pinned": lambda customer, value: (customer.journey.pin_until is not None) == (value == "true"),
            "q": lambda customer, value: customer.profile["email"] == value,
        }
        return {
            customer.id
            for customer in self.customers.values()
            if all(filters[name](customer, value) for name, value in query.items())
        }

    def create_task(self, task_id: int, values: Mapping[str, Any]) -> Expected:
        """A task is created under an id of the service's."""
        self.tasks[task_id] = {"id": task_id, "status": "open", "version": 1, "assignee": None, **values}
        return Expected(201, dict(self.tasks[task_id]))

    def update_task(self, task_id: int, version: int | None, values: Mapping[str, Any]) -> Expected:
        """A task is reassigned, completed or reopened."""
        task = self.tasks[task_id]
        if version is None:
            return MISSING
        if all(task[name] == value for name, value in values.items()):
            return Expected(200, dict(task))
        if version != task["version"]:
            return Expected(412, {"type": "/problems/stale-task"})
        if task["status"] != "open" and values != {"status": "open"}:
            return Expected(409, {"type": "/problems/task-closed"})
        task |= {**values, "version": task["version"] + 1}
        return Expected(200, dict(task))


def parse(text: str) -> datetime:
    """Returns the instant that a text names."""
    return datetime.fromisoformat(text)


def literal(sent: Mapping[str, Any]) -> LiteralEvent:
    """Returns an event in the form of the oracle."""
    data = sent.get("data", {})
    retracted = data.get("retracts")
    return LiteralEvent(
        sent["type"],
        parse(sent["occurred_at"]),
        Decimal(str(data.get("total_amount", 0))),
        data.get("call_duration"),
        (sent["source"], sent["id"]),
        data.get("booking_id"),
        parse(data["scheduled_for"]) if "scheduled_for" in data else None,
        None,
        None if retracted is None else (retracted["source"], retracted["id"]),
    )


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
