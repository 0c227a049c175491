"""Companies: creates and lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import latest_nightly_run_date, next_nightly_run_date, nightly_run_at
from journey_service.domain.companies.currencies import EUR, currency_error, get_currency
from journey_service.domain.companies.errors import CompanyExistsError
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.companies.records import Company, CompanyRecord
from journey_service.domain.errors import FieldError, InvalidInputError, UnavailableError, quote_value
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter import LinterFinding
from journey_service.domain.stages.default_stages import default_stages
from journey_service.domain.stages.parsing import parse_stage_map
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.stages.linting import findings_to_json, lint_or_raise

_ATTEMPTS = 20
# Names that denote no fixed zone.
_EXCLUDED_ZONES = frozenset(("localtime", "posixrules", "Factory"))


@dataclass(frozen=True, slots=True)
class NewCompany:
    """Properties of a company to be created. `stages` and `policy` are JSON, with defaults.

    With a test clock, actions are recorded and not delivered unless `deliver` is set.
    """

    name: str
    timezone: str
    currency: str
    id: int | None = None
    test_clock: datetime | None = None
    deliver: bool = False
    policy: Mapping[str, object] = field(default_factory=dict)
    stages: Sequence[object] | None = None


async def create_company(database: Database, new: NewCompany, *, author: Actor) -> CompanyContext:
    """Creates a company with its first stage map.

    Raises InvalidInputError, CompanyExistsError, and UnavailableError if no free id was found.
    """
    rulebook = _check(new)
    stages = default_stages(rulebook.policy.currency) if new.stages is None else new.stages
    places = {
        str(stage["key"]): f"/stages/{index}"
        for index, stage in enumerate(stages)
        if isinstance(stage, Mapping)
    }
    findings = await lint_or_raise(rulebook, places)

    insert = partial(_insert, new=new, rulebook=rulebook, findings=findings, author=author)
    if new.id is not None:
        context = await database.run(new.id, insert)
        if context is None:
            raise CompanyExistsError(new.id)
        return context
    for _ in range(_ATTEMPTS):
        company_id = await database.read_due_work(lambda reader: reader.companies.next_id())
        context = await database.run(company_id, insert)
        if context is not None:
            return context
    raise UnavailableError("No free company id was found. Try again shortly.")


async def _insert(
    uow: UnitOfWork,
    *,
    new: NewCompany,
    rulebook: Rulebook,
    findings: Sequence[LinterFinding],
    author: Actor,
) -> CompanyContext | None:
    """Inserts a company under the id of the transaction; None if the id is taken."""
    is_new = await uow.companies.insert(
        CompanyRecord(new.name, new.timezone, new.currency, new.test_clock, new.deliver),
        rulebook,
        findings=findings_to_json(findings),
        author=author.name,
    )
    if not is_new:
        return None
    context = await uow.companies.get_context()
    await schedule_first_nightly_run(uow, context)
    await uow.audit_log.record(author, AuditEntry("company.create", target=f"company:{uow.company_id}"))
    return context


async def list_companies(database: Database, *, after: int, limit: int) -> Sequence[Company]:
    """Returns a page of companies, in order of id."""
    return await database.read_due_work(lambda reader: reader.companies.page(after=after, limit=limit))


async def get_company_context(database: Database, company_id: int) -> CompanyContext:
    """Returns a company with its rules and its present time. Raises CompanyNotFoundError."""
    return await database.run(company_id, lambda uow: uow.companies.get_context())


def _check(new: NewCompany) -> Rulebook:
    errors: list[FieldError] = []
    if (message := zone_error(new.timezone)) is not None:
        errors.append(FieldError("/timezone", message))
    if new.deliver and new.test_clock is None:
        errors.append(FieldError("/deliver", "requires test_clock"))
    if (message := currency_error(new.currency)) is not None:
        errors.append(FieldError("/currency", message))
    currency = EUR if message is not None else get_currency(new.currency)
    policy, stage_map = None, None
    try:
        policy = parse_policy(new.policy, "/settings", currency=currency)
    except InvalidInputError as error:
        errors += error.errors
    try:
        stages = default_stages(currency) if new.stages is None else new.stages
        stage_map = parse_stage_map(stages, version=1, pointer="/stages", currency=currency)
    except InvalidInputError as error:
        errors += error.errors
    if policy is None or stage_map is None or errors:
        raise InvalidInputError(errors)
    return Rulebook(stage_map, policy)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _EXCLUDED_ZONES)


def zone_error(name: str) -> str | None:
    """Returns why a company cannot have a time zone, or None."""
    try:
        is_known = name in _zones() and ZoneInfo(name) is not None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        is_known = False
    return None if is_known else f"{quote_value(name)} is not an IANA time zone, such as Europe/Berlin"


async def schedule_first_nightly_run(uow: UnitOfWork, context: CompanyContext) -> None:
    """Stores when the next nightly run of a company is due, whose time zone is new."""
    zone = context.company.zone
    await uow.companies.set_next_nightly_run(
        nightly_run_at(next_nightly_run_date(latest_nightly_run_date(context.now, zone), zone), zone)
    )
