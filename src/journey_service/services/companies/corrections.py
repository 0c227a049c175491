"""Corrections of a company: its name, its time zone, and its currency while it has no amounts."""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from zoneinfo import ZoneInfo

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import FormerZone, begin_of_zone
from journey_service.domain.companies.currencies import Currency, currency_error, get_currency
from journey_service.domain.companies.errors import CurrencyInUseError, StaleSettingsError
from journey_service.domain.companies.policy_parsing import amount_errors
from journey_service.domain.companies.records import Company
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.access.audit import record_operator_access
from journey_service.services.companies.provisioning import (
    get_company_context,
    schedule_first_nightly_run,
    zone_error,
)
from journey_service.services.jobs import run_exclusive


@dataclass(frozen=True, slots=True)
class CompanyCorrection:
    """Corrected properties of a company; None: unchanged. `seen` holds the accepted tags; None: any."""

    author: Actor
    name: str | None = None
    timezone: str | None = None
    currency: str | None = None
    seen: Collection[str] | None = None


async def get_company(database: Database, company_id: int, *, by: Actor) -> Company:
    """Returns a company. Raises CompanyNotFoundError."""
    company = (await get_company_context(database, company_id)).company
    await record_operator_access(database, company_id, "get_company", by=by)
    return company


def tag_of(company: Company) -> str:
    """Returns the entity tag of a company: a hash of what can be corrected."""
    content = orjson.dumps((company.name, company.timezone, company.currency))
    return sha256(content).hexdigest()[:32]


async def correct_company(database: Database, company_id: int, correction: CompanyCorrection) -> Company:
    """Corrects a company.

    A new time zone counts from its next midnight on; days before keep the former one. Raises CompanyNotFoundError,
    InvalidInputError, CurrencyInUseError and StaleSettingsError.
    """
    if correction.timezone is not None and (message := zone_error(correction.timezone)) is not None:
        raise InvalidInputError.at("/timezone", message)
    if correction.currency is not None and (message := currency_error(correction.currency)) is not None:
        raise InvalidInputError.at("/currency", message)

    async def unit(uow: UnitOfWork) -> Company:
        return await _correct(uow, correction)

    # Exclusive: no event brings an amount while the currency changes.
    return await run_exclusive(database, company_id, unit)


async def _correct(uow: UnitOfWork, correction: CompanyCorrection) -> Company:
    context = await uow.companies.get_context()
    company = context.company
    if correction.seen is not None and tag_of(company) not in correction.seen:
        raise StaleSettingsError
    before = _identity(company)
    after = {
        "name": correction.name or company.name,
        "timezone": correction.timezone or company.timezone,
        "currency": correction.currency or company.currency,
    }
    changed = [name for name in before if before[name] != after[name]]
    if not changed:
        await uow.audit_log.record_operator_access(correction.author, "update_company")
        return company
    currency = get_currency(after["currency"])
    if "currency" in changed:
        await _check_currency(uow, context, currency)
    former = company.former_zones
    if "timezone" in changed:
        former = _former_zones(context, after["timezone"])
    await uow.companies.set_identity(after["name"], after["timezone"], former, currency)
    corrected = await uow.companies.get_context()
    is_night_due = company.next_nightly_run_at is not None and company.next_nightly_run_at <= context.now
    if "timezone" in changed and not is_night_due:  # a due one plans the next
        await schedule_first_nightly_run(uow, corrected)
    await uow.audit_log.record(
        correction.author,
        AuditEntry(
            "company.update",
            target=f"company:{company.id}",
            detail={"changed": changed},
            before=before,
            after=after,
        ),
    )
    return (await uow.companies.get_context()).company


def _identity(company: Company) -> dict[str, str]:
    return {"name": company.name, "timezone": company.timezone, "currency": company.currency}


def _former_zones(context: CompanyContext, timezone: str) -> tuple[FormerZone, ...]:
    """Returns the former zones of a company once its zone is corrected."""
    company, former = context.company, context.company.former_zones
    current = company.timezone
    if former and former[-1].until > context.now:  # the last correction has not come into force
        current, former = former[-1].name, former[:-1]
    if current == timezone:
        return former
    begin = begin_of_zone(company.zone, ZoneInfo(timezone), context.now)
    return (*former, FormerZone(current, begin))


async def _check_currency(uow: UnitOfWork, context: CompanyContext, currency: Currency) -> None:
    if await uow.companies.has_amounts():
        raise CurrencyInUseError(context.company.currency)
    stages = stage_map_to_json(context.rulebook.stage_map)
    errors = amount_errors(context.rulebook.policy.scoring, currency)
    try:
        parse_stage_map(stages, version=context.company.map_version, currency=currency)
    except InvalidInputError as error:
        errors += error.errors
    if errors:
        message = f"does not fit the stage map or the settings: {errors[0].pointer} {errors[0].message}"
        raise InvalidInputError.at("/currency", message)
