"""Schemas of companies."""

from typing import Annotated, Any

from pydantic import Field

from journey_service.api.companies.schemas.settings import SettingsUpdate
from journey_service.api.schema_fields import (
    Id,
    Instant,
    NextCursor,
    PatchModel,
    RequestModel,
    ResponseModel,
    Text,
    Timestamp,
    described_by,
    omittable,
)
from journey_service.api.stages.schemas.stage_maps import StageMap
from journey_service.api.stages.schemas.stages import StageDefinition
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.companies import records
from journey_service.domain.companies.currencies import Currency
from journey_service.domain.events.event import MAX_ID
from journey_service.services.stages.stage_maps import MapView


class CompanyCreate(RequestModel):
    """A company to be created."""

    id: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ID,
        description="Id of the company; null or omitted: the service assigns one",
        examples=[None],
    )
    name: Text = Field(
        min_length=1, max_length=255, description="Name of the company", examples=["Salon Lumière"]
    )
    timezone: Text = Field(
        default="UTC",
        max_length=64,
        description="IANA time zone of local days and quiet hours",
        examples=["Europe/Berlin"],
    )
    currency: str = Field(
        default="EUR",
        pattern="^[A-Z]{3}$",
        description="Currency of all amounts of the company, as in ISO 4217, with at most three decimals. Default"
        " thresholds in money (VIP from 1000, `monetary_target` 1000) are in euros; for a currency of smaller units"
        " they are multiplied by a power of ten, which the response names as `default_money_factor`",
        examples=["EUR"],
    )
    test_clock: Instant | None = Field(
        default=None,
        description="Time of the company's test clock, which stands still until it is advanced; null or omitted: the"
        " company runs in real time",
        examples=["2026-03-01T00:00:00Z"],
    )
    deliver: bool = Field(
        default=False,
        description="Whether messages that are due by the test clock are sent; if not, they are only logged as done."
        " Requires `test_clock`",
    )
    settings: Annotated[dict[str, Any], described_by(SettingsUpdate)] = Field(
        default_factory=dict,
        description="Settings of the company; an omitted setting takes its default",
        examples=[{"scoring": {"inactive_days": 45}}],
    )
    stages: Annotated[list[dict[str, Any]], described_by(list[StageDefinition])] | None = Field(
        default=None,
        description="Stages of the stage map; null or omitted: the seven default stages",
        examples=[None],
    )


class Company(ResponseModel):
    """A company."""

    id: Id = Field(description="Id of the company", examples=[42])
    name: str = Field(description="Name of the company", examples=["Salon Lumière"])
    timezone: str = Field(description="IANA time zone", examples=["Europe/Berlin"])
    currency: str = Field(
        description="Currency of all amounts of the company, as in ISO 4217", examples=["EUR"]
    )
    test_clock: Timestamp | None = Field(
        description="Time of the test clock; null if the company runs in real time",
        examples=["2026-03-01T00:00:00Z"],
    )
    map_version: int = Field(ge=1, description="Version of the current stage map", examples=[1])
    created_at: Timestamp = Field(description="When the company was created, in real time")

    @classmethod
    def of(cls, company: records.Company) -> "Company":
        """Returns the schema of a company."""
        return cls(**_fields(company))


class CompanyCreated(Company):
    """A new company with its stage map."""

    stages: StageMap = Field(description="The stage map of the company")
    default_money_factor: int = Field(
        ge=1,
        description="Power of ten by which default thresholds in euros were multiplied for `currency`: 100 for JPY,"
        " 1000 for KRW. Thresholds that the request contains were not multiplied",
        examples=[1],
    )
    notes: list[str] = Field(
        description="What was decided for the company and is not in the request, in words",
        examples=[[]],
    )

    @classmethod
    def of_context(cls, context: CompanyContext, view: MapView, request: CompanyCreate) -> "CompanyCreated":
        """Returns the schema of a new company, with the defaults that were chosen for it."""
        currency = context.rulebook.policy.currency
        return cls(
            **_fields(context.company),
            stages=StageMap.of_view(view),
            default_money_factor=currency.factor,
            notes=_notes(currency, request),
        )


def _fields(company: records.Company) -> dict[str, Any]:
    return {
        "id": company.id,
        "name": company.name,
        "timezone": company.timezone,
        "currency": company.currency,
        "test_clock": company.clock_at,
        "map_version": company.map_version,
        "created_at": company.created_at,
    }


def _notes(currency: Currency, request: CompanyCreate) -> list[str]:
    """Returns a note on the default thresholds that were multiplied for the currency."""
    scoring = request.settings.get("scoring")
    thresholds = {
        "VIP from": request.stages is None,
        "monetary target": not (isinstance(scoring, dict) and "monetary_target" in scoring),
    }
    names = [f"{name} {1000 * currency.factor}" for name, is_default in thresholds.items() if is_default]
    if currency.factor == 1 or not names:
        return []
    note = f"Default thresholds are those in euros multiplied by {currency.factor}, in {currency.code}"
    return [f"{note}: {', '.join(names)}. Thresholds of the request were not changed."]


class CompanyUpdate(PatchModel):
    """Corrections of a company. Omitted fields do not change."""

    name: Annotated[
        Text,
        Field(min_length=1, max_length=255, description="Name of the company", examples=["Salon Lumière"]),
    ] = omittable()
    timezone: Annotated[
        Text,
        Field(
            max_length=64,
            description="IANA time zone of local days and quiet hours. It counts from its next midnight on; days"
            " before keep the zone in which they were counted",
            examples=["Europe/Berlin"],
        ),
    ] = omittable()
    currency: Annotated[
        str,
        Field(
            pattern="^[A-Z]{3}$",
            description="Currency of all amounts of the company, as in ISO 4217. It can be changed only while no amount"
            " is stored; thresholds of the stage map and the settings are not converted",
            examples=["EUR"],
        ),
    ] = omittable()


class CompanyPage(ResponseModel):
    """A page of companies, by id."""

    items: list[Company] = Field(description="The companies of the page")
    next_cursor: NextCursor
