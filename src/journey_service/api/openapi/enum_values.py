"""Descriptions of enums in the contract: what each of their values means."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class EnumText(NamedTuple):
    """Description of an enum, and of each of its values."""

    description: str
    values: Mapping[str, str]


ENUMS: Final[Mapping[str, EnumText]] = {
    "ActionOutcome": EnumText(
        "Outcome of an action.",
        {
            "done": "it was carried out",
            "dead": "its delivery failed permanently",
            "cancelled": "it was cancelled",
            "skipped": "it was cancelled, because its channel has no receiver",
            "pending": "it is planned or being delivered",
        },
    ),
    "ActionState": EnumText(
        "State of an action.",
        {
            "pending": "it is planned",
            "leased": "a worker is delivering it",
            "done": "it was carried out",
            "cancelled": "it is not carried out, for the reason in `reason`",
            "dead": "its delivery failed permanently; it can be retried manually",
        },
    ),
    "Activation": EnumText(
        "Customers that a version of the stage map applies to when it is activated.",
        {
            "future_only": "each customer from the next event or due evaluation on",
            "current_silent": "all customers at once, without actions",
            "current_with_actions": "all customers at once, with the actions of the stages that they enter",
        },
    ),
    "BookingState": EnumText(
        "State of a booking.",
        {
            "open": "it has no outcome yet, and its time is less than 24 hours past",
            "completed": "the appointment took place",
            "missed": "the customer did not come",
            "cancelled": "it was cancelled and not booked again",
            "expired": "no outcome was reported within 24 hours after its time",
        },
    ),
    "CampaignStatus": EnumText(
        "Status of a campaign.",
        {"running": "steps are still due", "ended": "no more steps are carried out"},
    ),
    "Channel": EnumText(
        "How an action is carried out.",
        {
            "email": "an email to the customer",
            "sms": "a text message to the customer",
            "call": "a task to call the customer",
            "offer": "a special offer to the customer",
            "crm": "a message to the company's CRM",
            "task": "a task that contacts no customer",
            "assignment": "sets the owner of the customer",
            "notice": "an email to the employee who is responsible for the customer",
            "webhook": "an outbound event for a webhook endpoint",
        },
    ),
    "CohortOutcome": EnumText(
        "How far a customer of a cohort came after a stage of the funnel.",
        {
            "converted": "the customer reached a later stage in time",
            "pending": "the customer has not, and the window has not ended",
            "dropped": "the customer did not before the window ended",
        },
    ),
    "ConsentGrantMethod": EnumText(
        "How a customer gave a consent.",
        {
            "form": "a form",
            "in_person": "in person",
            "phone": "a call",
            "double_opt_in": "a confirmed email",
        },
    ),
    "ConsentStatus": EnumText(
        "Whether a customer may be contacted on a channel.",
        {
            "granted": "the customer may be contacted",
            "withdrawn": "the customer must not be contacted",
            "unknown": "the setting `consent` of the company decides",
        },
    ),
    "DuplicateReason": EnumText(
        "What customers share who may be the same person.",
        {
            "email": "the email address, without case and outer blanks",
            "phone": "the digits of the phone number, in international form if the country is known",
        },
    ),
    "EndReason": EnumText(
        "Why an action was cancelled or waits, or a campaign or task ended.",
        {
            "completed": "all steps of the campaign are done",
            "left_stage": "the customer left the stage",
            "no_consent": "the customer has not consented to the channel",
            "no_address": "the email address or phone number is unknown",
            "capped": "the frequency cap was reached",
            "held_too_long": "quiet hours or a pause lasted longer than `max_hold_hours`",
            "has_booking": "the customer had an open booking when the step of the campaign was due",
            "erased": "the customer was erased",
            "campaign_running": "another campaign of the customer was running",
            "campaign_pause": "an earlier campaign of this type ended less than `campaign_pause_days` ago",
            "campaign_ended": "its campaign ended",
            "manual": "a person cancelled it",
            "no_channel": "the channel has no receiver: no enabled webhook endpoint for this type, or no mail server",
            "awaiting_address": "the action is pending until the customer has an address, at most `address_wait_hours`",
            "already_done": "the step runs once for a customer, and an earlier entry into the stage has run it",
            "endpoint_disabled": "its webhook endpoint was disabled",
        },
    ),
    "EventType": EnumText(
        "Type of an event.",
        {
            "call_received": "the customer called",
            "appointment_requested": "the customer asked for an appointment",
            "appointment_booked": "an appointment was booked",
            "appointment_completed": "an appointment took place",
            "appointment_missed": "the customer did not come to an appointment",
            "appointment_cancelled": "an appointment was cancelled",
            "payment_received": "the customer paid",
            "payment_refunded": "a payment was refunded",
            "ticket_opened": "a support ticket was opened",
            "ticket_resolved": "a support ticket was resolved",
            "event_retracted": "the sender retracted an earlier event of the customer",
        },
    ),
    "FindingSeverity": EnumText(
        "Severity of a finding of the linter.",
        {"error": "the stage map is refused", "warning": "the stage map is accepted"},
    ),
    "HistoryStep": EnumText(
        "Distance of the points of a history.",
        {
            "day": "a point at the end of each local day",
            "week": "a point at the end of each Sunday, and of the last day",
        },
    ),
    "Interval": EnumText(
        "Interval of metrics.",
        {
            "day": "each local day",
            "week": "each week from Monday to Sunday",
            "month": "each calendar month",
        },
    ),
    "Motion": EnumText(
        "Kind of a transition, under the stage map that decided it.",
        {
            "opening": "the first transition, with which the journey begins",
            "entry": "to a progress stage with a higher `order`",
            "down": "to a progress stage with a lower `order`, by a manual move",
            "lapse": "from a progress stage or another risk stage into a risk stage",
            "return": "from a risk stage to a progress stage",
            "remap": "out of an archived or unknown stage, or out of the map by a merge",
        },
    ),
    "OutboundEventType": EnumText(
        "Type of an outbound event.",
        {
            "stage.changed": "a customer moved to another stage, or the journey began",
            "customer.at_risk": "a customer entered the first risk stage",
            "task.created": "a task was created",
            "campaign.started": "a campaign started",
            "campaign.ended": "a campaign ended",
            "task.changed": "a person changed a task, or the service closed it; only on the event stream",
            "action.finished": "an action was done, was cancelled, or failed permanently; only on the event stream",
            "job.progress": "a job progressed or ended; only on the event stream",
            "endpoint.disabled": "the service disabled a webhook endpoint of the company",
        },
    ),
    "Period": EnumText(
        "Number of local days of a range.",
        {"week": "7", "month": "30", "quarter": "90", "year": "365", "all": "all days"},
    ),
    "SignatureScheme": EnumText(
        "How the webhooks of a source are signed.",
        {
            "hmac_sha256": "HMAC of the body",
            "timestamped_hmac_sha256": "a header such as `t=<seconds>,v1=<hmac>`, with the HMAC of the time, a point"
            " and the body",
            "url_hmac_sha256": "HMAC of `url`, followed by the body",
            "token": "the secret itself",
        },
    ),
    "Role": EnumText(
        "Role of a credential. It determines the scopes of a credential that has none of its own.",
        {
            "service": "another system: sends events, reads and writes customers",
            "agent": "works with customers: reads, writes and moves them, and carries out tasks",
            "manager": "like `agent`, and changes the stage map and reads reports",
            "admin": "everything within the company",
            "operator": "runs the service itself, for all companies",
        },
    ),
    "StageKind": EnumText(
        "Kind of a stage.",
        {
            "progress": "the customer advances; a higher `order` is further",
            "risk": "the customer may be lost; a higher `order` is worse",
        },
    ),
    "TaskChannel": EnumText("Kind of a task.", {"call": "call the customer", "task": "anything else"}),
    "TaskStatus": EnumText(
        "Status of a task.",
        {
            "open": "it is still to be done",
            "done": "a person completed it",
            "dismissed": "a person ended it without doing it",
            "closed": "the service ended it, for the reason in `reason`",
        },
    ),
    "DatabaseCondition": EnumText(
        "What the database can do at present.",
        {
            "ok": "it reads and writes",
            "unreachable": "there is no connection, or no response in time",
            "no_connections": "the server has no free connection",
            "read_only": "it reads and refuses writes",
            "disk_full": "its disk is full: it reads and refuses writes",
        },
    ),
    "TriggerType": EnumText(
        "What caused a transition.",
        {"manual": "a person", "automatic": "a rule of the stage map", "system": "the service itself"},
    ),
}
"""Every enum schema of the contract, except lists of names that need no explanation."""


def describe_enums(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Replaces the description of each enum schema by one that lists its values."""
    for name, text in ENUMS.items():
        if name in schemas:
            lines = "\n".join(f"- `{value}`: {meaning}" for value, meaning in text.values.items())
            schemas[name]["description"] = f"{text.description}\n\n{lines}"
