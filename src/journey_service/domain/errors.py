"""Every expected failure, named; nothing here knows HTTP."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import Repr
from typing import ClassVar, Final

_SHORTLY: Final = Repr()
_SHORTLY.maxlevel = 2
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
"""What no database and no JSON can keep: NUL, and halves of surrogate pairs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input, and where.

    `pointer` is a JSON pointer (RFC 6901) into the body, or names a parameter, header or line.
    """

    pointer: str
    message: str


def escaped(name: object) -> str:
    """A name as a step of a JSON pointer; what cannot be kept as text is shown as a replacement character."""
    told = _UNFIT.sub("\ufffd", str(name))
    return told.replace("~", "~0").replace("/", "~1")


def quoted(value: object, longest: int = 60) -> str:
    """What was told, short enough for a sentence, however long or deep it is."""
    return (repr(value) if isinstance(value, str) else _SHORTLY.repr(value))[:longest]


class JourneyServiceError(Exception):
    """Something expected went wrong; the caller can be told what."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def context(self) -> Mapping[str, object]:
        """Machine-readable details that go beside the sentence."""
        return {}


class NotFoundError(JourneyServiceError):
    """Nothing with this id exists for the caller's company."""


class ConflictError(JourneyServiceError):
    """The request contradicts what is already stored."""


class ForbiddenError(JourneyServiceError):
    """The credential is known, and not allowed to do this."""

    code = "forbidden"
    title = "Not allowed"


class UnauthenticatedError(JourneyServiceError):
    """No credential, or none that is known and alive."""

    code = "unauthenticated"
    title = "A valid credential is required"


class InvalidInputError(JourneyServiceError):
    """The input breaks a rule of the contract; every fault says where."""

    code = "invalid-input"
    title = "The input is invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.message}" for fault in faults[:3]))
        self.faults = tuple(faults)

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInputError":
        """Name a single fault."""
        return cls([Fault(pointer, message)])

    def renamed(self, places: Mapping[str, str]) -> "InvalidInputError":
        """The same faults, told in the words of whoever was asked for: some pointers are others there."""
        return InvalidInputError([Fault(places.get(f.pointer, f.pointer), f.message) for f in self.faults])


class MalformedError(JourneyServiceError):
    """The body could not be read at all: no JSON, no gzip, cut off."""

    code = "malformed"
    title = "The body could not be read"

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset

    def context(self) -> Mapping[str, object]:
        """Say at which byte reading stopped, where that is known."""
        return {} if self.offset is None else {"offset": self.offset}


class CustomerNotFoundError(NotFoundError):
    """No customer has this id."""

    code = "customer-not-found"
    title = "Customer not found"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"No customer {customer_id}.")


class CompanyNotFoundError(NotFoundError):
    """No company has this id."""

    code = "company-not-found"
    title = "Company not found"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"No company {company_id}.")


class ImportNotFoundError(NotFoundError):
    """No import has this id."""

    code = "import-not-found"
    title = "Import not found"

    def __init__(self, import_id: int) -> None:
        super().__init__(f"No import {import_id}.")


class KeyNotFoundError(NotFoundError):
    """No API key has this id."""

    code = "key-not-found"
    title = "API key not found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"No API key {key_id}.")


class CustomerErasedError(ConflictError):
    """The customer was erased: under this id nobody is known any more, for good."""

    code = "customer-erased"
    title = "The customer was erased"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"Customer {customer_id} was erased; whoever comes back gets a new id.")


class RotationUnderWayError(ConflictError):
    """Two keys are live already, where one is to take the place of the other."""

    code = "rotation-under-way"
    title = "Two keys are live already"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"API key {key_id} is one of two that are alive already; revoke one of them first.")


class JobNotFoundError(NotFoundError):
    """No job has this id."""

    code = "job-not-found"
    title = "Job not found"

    def __init__(self, job_id: int) -> None:
        super().__init__(f"No job {job_id}.")


class StageNotFoundError(NotFoundError):
    """The company's map has no stage of this key."""

    code = "stage-not-found"
    title = "Stage not found"

    def __init__(self, key: str) -> None:
        super().__init__(f"No stage {quoted(key)}.")


class MapVersionNotFoundError(NotFoundError):
    """The company's stage map never had this version."""

    code = "map-version-not-found"
    title = "Version of the stage map not found"

    def __init__(self, version: int) -> None:
        super().__init__(f"The stage map has no version {version}.")


class TaskNotFoundError(NotFoundError):
    """No task has this id."""

    code = "task-not-found"
    title = "Task not found"

    def __init__(self, task_id: int) -> None:
        super().__init__(f"No task {task_id}.")


class CampaignNotFoundError(NotFoundError):
    """No campaign has this id."""

    code = "campaign-not-found"
    title = "Campaign not found"

    def __init__(self, campaign_id: int) -> None:
        super().__init__(f"No campaign {campaign_id}.")


class ActionNotFoundError(NotFoundError):
    """No action has this id."""

    code = "action-not-found"
    title = "Action not found"

    def __init__(self, action_id: str) -> None:
        super().__init__(f"No action {quoted(action_id)}.")


class EndpointNotFoundError(NotFoundError):
    """No webhook endpoint has this id."""

    code = "endpoint-not-found"
    title = "Webhook endpoint not found"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"No webhook endpoint {endpoint_id}.")


class TemplateNotFoundError(NotFoundError):
    """No template of the company has this id."""

    code = "template-not-found"
    title = "Template not found"

    def __init__(self, template_id: int) -> None:
        super().__init__(f"No template {template_id}.")


class LinkNotValidError(NotFoundError):
    """A link that this service has not written."""

    code = "link-not-valid"
    title = "The link is not valid"

    def __init__(self) -> None:
        super().__init__("The link is not complete, or not one of this service.")


class NoJourneyYetError(NotFoundError):
    """The customer's journey began after the instant that was asked about."""

    code = "no-journey-yet"
    title = "The journey had not begun"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"The journey of customer {customer_id} began later.")


class StageArchivedError(ConflictError):
    """The stage is archived; nothing of it is changed any more."""

    code = "stage-archived"
    title = "The stage is archived"

    def __init__(self, key: str) -> None:
        super().__init__(f"Stage {key!r} is archived; nothing was changed.")


class StageOccupiedError(ConflictError):
    """A stage cannot be archived without saying where the customers in it go."""

    code = "stage-occupied"
    title = "Customers are in the stage"

    def __init__(self, customers: Mapping[str, int]) -> None:
        told = ", ".join(f"{number} in {key!r}" for key, number in customers.items())
        super().__init__(f"Customers are in what is to be archived ({told}); say where they go, by remap_to.")
        self.customers = dict(customers)

    def context(self) -> Mapping[str, object]:
        """Tell how many customers are in each stage."""
        return {"customers": self.customers}


class AdoptionPendingError(ConflictError):
    """A stage is to be archived while customers may be on their way into it."""

    code = "adoption-pending"
    title = "Customers are still being taken over"

    def __init__(self, version: int, stages: Sequence[str]) -> None:
        super().__init__(
            f"Customers are still being taken over to version {version}, some perhaps to {', '.join(stages)}: "
            "say where they go, or try again shortly."
        )


class NoTestClockError(ConflictError):
    """The company lives in real time; its clock is nobody's to move."""

    code = "no-test-clock"
    title = "The company has no test clock"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} lives in real time: only a test clock can be moved.")


class CompanyExistsError(ConflictError):
    """A company with this id exists already."""

    code = "company-exists"
    title = "The company exists already"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} exists already.")


class EventConflictError(ConflictError):
    """The same event id was used before with other content."""

    code = "event-id-reused"
    title = "The event id was used with other content"

    def __init__(self, source: str, event_id: str) -> None:
        super().__init__(
            f"Event {event_id!r} of source {source!r} is already known with other content; nothing was changed."
        )


class TaskClosedError(ConflictError):
    """A task that is over is to be changed."""

    code = "task-closed"
    title = "The task is closed"

    def __init__(self, task_id: int, status: str) -> None:
        super().__init__(f"Task {task_id} is {status}; nothing was changed.")


class CampaignEndedError(ConflictError):
    """A campaign that has ended is to be ended by hand."""

    code = "campaign-ended"
    title = "The campaign has ended"

    def __init__(self, campaign_id: int, reason: str) -> None:
        super().__init__(f"Campaign {campaign_id} has ended already ({reason}); nothing was changed.")


class ActionNotDeadError(ConflictError):
    """An action is to be tried again that is not dead."""

    code = "action-not-dead"
    title = "The action is not dead"

    def __init__(self, action_id: str, state: str) -> None:
        super().__init__(f"Action {action_id} is {state}: only what is dead is tried again by hand.")


class EndpointTakenError(ConflictError):
    """Two endpoints would act on the same, and a customer would get everything twice."""

    code = "endpoint-taken"
    title = "Another endpoint takes these already"

    def __init__(self, endpoint_id: int, events: Sequence[str]) -> None:
        super().__init__(
            f"Endpoint {endpoint_id} takes {', '.join(events)} already; only one can act on these."
        )


class EndpointDisabledError(ConflictError):
    """Something is to be sent again to an endpoint that takes nothing."""

    code = "endpoint-disabled"
    title = "The endpoint is disabled"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"Endpoint {endpoint_id} is disabled; enable it first, nothing was changed.")


class EndpointInUseError(ConflictError):
    """An endpoint is to be taken away that the log of deliveries names."""

    code = "endpoint-in-use"
    title = "The endpoint is in use"

    def __init__(self, endpoint_id: int) -> None:
        super().__init__(f"The log of deliveries names endpoint {endpoint_id}; disable it instead.")


class TemplateExistsError(ConflictError):
    """There is a template of this key and language, or the key means another channel."""

    code = "template-exists"
    title = "The template exists"

    def __init__(self, key: str, language: str | None) -> None:
        what = "is of another channel" if language is None else f"exists in {language!r} already"
        super().__init__(f"Template {key!r} {what}; nothing was changed.")


class TemplateInUseError(ConflictError):
    """A template is to be taken away without which a stage would have no words."""

    code = "template-in-use"
    title = "The template is in use"

    def __init__(self, key: str, stages: Sequence[str]) -> None:
        super().__init__(f"Template {key!r} is used by the actions of {', '.join(stages)}.")


class StageConflictError(ConflictError):
    """A manual move asks for the stage the customer is in."""

    code = "already-in-stage"
    title = "The customer is in this stage already"

    def __init__(self, stage: str) -> None:
        super().__init__(f"The customer is in stage {stage!r} already; nothing was changed.")


class InactiveStageError(ConflictError):
    """A manual move asks for a stage that is no longer used."""

    code = "stage-inactive"
    title = "The stage is not active"

    def __init__(self, stage: str) -> None:
        super().__init__(f"Stage {stage!r} is not active; nothing was changed.")


class NotPinnedError(ConflictError):
    """There is no pin to lift."""

    code = "not-pinned"
    title = "The customer is not pinned"

    def __init__(self) -> None:
        super().__init__("The customer is not pinned; there is nothing to lift.")


class IdempotencyKeyReusedError(JourneyServiceError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another request"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key belongs to an earlier, different request; nothing was changed."
        )


class StaleVersionError(JourneyServiceError):
    """Somebody or something moved the customer since the caller looked."""

    code = "stale-version"
    title = "The journey has changed"

    def __init__(self, current: int) -> None:
        super().__init__(f"The journey is at version {current} now; read it again.")
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Tell the version that would have been accepted."""
        return {"current_version": self.current}


class StaleMapError(JourneyServiceError):
    """Somebody changed the stage map since the draft was begun."""

    code = "stale-map"
    title = "The stage map has changed"

    def __init__(self, current: int) -> None:
        super().__init__(f"The stage map is at version {current} now; read it again.")
        self.current = current

    def context(self) -> Mapping[str, object]:
        """Tell the version that would have been accepted."""
        return {"current_version": self.current}


class StalePolicyError(JourneyServiceError):
    """Somebody changed the company's policy since it was seen."""

    code = "stale-settings"
    title = "The settings have changed"

    def __init__(self) -> None:
        super().__init__("The settings are others than those that were seen; read them again.")


class StaleActionsError(JourneyServiceError):
    """Somebody changed a stage's actions since they were seen."""

    code = "stale-actions"
    title = "The actions have changed"

    def __init__(self, stage_key: str) -> None:
        super().__init__(
            f"The actions of stage {stage_key!r} are others than those that were seen; read them again."
        )


class PreconditionMissingError(JourneyServiceError):
    """A change that needs If-Match came without it."""

    code = "precondition-required"
    title = "If-Match is required"

    def __init__(self, message: str = 'Send the version you saw as If-Match: "<version>".') -> None:
        super().__init__(message)


class UnavailableError(JourneyServiceError):
    """A store is out of reach or saturated; trying again shortly is right."""

    code = "unavailable"
    title = "The service cannot answer right now"

    def __init__(self, message: str = "Try again shortly.") -> None:
        super().__init__(message)


class RacesLostError(UnavailableError):
    """A change was tried again and again, and somebody else was always first; or it can never be made."""

    def __init__(self) -> None:
        super().__init__("Too many changes at once; try again shortly.")
