"""Request and response schemas of customers' consents."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticKnownError

from journey_service.api.journeys.schemas.contact import (
    ConsentChannel,
    ConsentStatus,
)
from journey_service.api.schema_fields import (
    Instant,
    RequestModel,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.customers import records

CREATED_AT: Final = "2025-08-20T08:12:00Z"
"""Time of the creation of the customer in examples."""


class ConsentGrantMethod(StrEnum):
    """How a customer gave a consent."""

    FORM = "form"
    IN_PERSON = "in_person"
    PHONE = "phone"
    DOUBLE_OPT_IN = "double_opt_in"


class ConsentUpdate(RequestModel):
    """A consent with how and when the customer gave it. Only this form lifts a withdrawal by the customer."""

    status: ConsentStatus = Field(
        description="Whether the customer may be contacted. `granted`: yes; `withdrawn`: no; `unknown`: the setting"
        " `consent` of the company decides",
        examples=["granted"],
    )
    method: ConsentGrantMethod | None = Field(
        default=None,
        description="How the customer granted the consent. `form`: a form; `in_person`: in person; `phone`: a call;"
        " `double_opt_in`: a confirmed email. Null or omitted: it is not known",
        examples=["form"],
    )
    granted_at: Instant | None = Field(
        default=None,
        description="When the customer granted the consent, not in the future; null or omitted: it is not known",
        examples=["2026-02-27T10:15:00Z"],
    )


def _to_update(value: object) -> object:
    """Returns the object that a plain status stands for."""
    if not isinstance(value, str):
        return value
    if value not in tuple(ConsentStatus):
        raise PydanticKnownError("enum", {"expected": ", ".join(ConsentStatus)})
    return {"status": value}


ConsentInput = Annotated[
    ConsentUpdate, BeforeValidator(_to_update, json_schema_input_type=ConsentStatus | ConsentUpdate)
]


class Consent(ResponseModel):
    """The consent of a customer on one channel."""

    status: ConsentStatus = Field(
        description="Whether the customer may be contacted. `granted`: yes; `withdrawn`: no; `unknown`: the setting"
        " `consent` of the company decides",
        examples=["granted"],
    )
    at: Timestamp | None = Field(
        default=None,
        description="When the consent was last changed; null if it never was",
        examples=[CREATED_AT],
    )
    source: str | None = Field(
        default=None,
        description="Credential or system that made the last change; null if there was none",
        examples=["key:console"],
    )
    method: ConsentGrantMethod | None = Field(
        default=None,
        description="How the customer last granted the consent. `form`: a form; `in_person`: in person; `phone`: a"
        " call; `double_opt_in`: a confirmed email. Null if it is not known",
        examples=[None],
    )
    granted_at: Timestamp | None = Field(
        default=None,
        description="When the customer last granted the consent; null if it is not known",
        examples=[None],
    )


class CustomerConsents(ResponseModel):
    """The consents of a customer, by channel."""

    email: Consent = Field(description="Consent to emails")
    sms: Consent = Field(
        description="Consent to text messages",
        examples=[{"status": "withdrawn", "at": CREATED_AT, "source": "key:console"}],
    )
    call: Consent = Field(description="Consent to calls", examples=[{"status": "unknown"}])
    offer: Consent = Field(description="Consent to special offers", examples=[{"status": "unknown"}])


class ConsentChange(ResponseModel):
    """A change of a consent."""

    channel: ConsentChannel = Field(
        description="Channel of the consent. `email`: emails; `sms`: text messages; `call`: calls; `offer`: special"
        " offers",
        examples=["email"],
    )
    previous_status: ConsentStatus = Field(description="Status before the change", examples=["unknown"])
    status: ConsentStatus = Field(description="Status after the change", examples=["granted"])
    at: Timestamp = Field(description="When the consent was changed", examples=[CREATED_AT])
    source: str = Field(description="Credential or system that made the change", examples=["key:console"])
    method: ConsentGrantMethod | None = Field(
        description="How the customer granted the consent. `form`: a form; `in_person`: in person; `phone`: a call;"
        " `double_opt_in`: a confirmed email. Null if it is not known",
        examples=[None],
    )
    granted_at: Timestamp | None = Field(
        description="When the customer granted the consent; null if it is not known", examples=[None]
    )

    @classmethod
    def of(cls, change: records.ConsentChange) -> "ConsentChange":
        """Builds the response from a stored change."""
        return cls.model_validate(change, from_attributes=True)


class ConsentChangeList(ResponseModel):
    """All changes of a customer's consents, oldest first."""

    items: list[ConsentChange] = Field(description="All changes of the customer's consents")
