"""Automation report: success rate of actions by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS, QueryContext, load_query_context


@dataclass(frozen=True, slots=True)
class NamedActionOutcomes:
    """Actions of one name by outcome. `skipped`: cancelled, because their channel has no receiver."""

    name: str
    done: int
    dead: int
    cancelled: int
    skipped: int
    pending: int

    @property
    def rate(self) -> Decimal | None:
        """Percentage of done among done and dead actions; None without any of them."""
        ended = self.done + self.dead
        return metrics.percent(self.done, ended) if ended else None


@dataclass(frozen=True, slots=True)
class AutomationReport:
    """Outcomes of the actions planned in a date range."""

    query: QueryContext
    actions: Sequence[NamedActionOutcomes]

    @property
    def skipped(self) -> int:
        """Actions of all names that were cancelled because their channel has no receiver."""
        return sum(each.skipped for each in self.actions)

    @property
    def rate(self) -> Decimal | None:
        """Percentage of done among done and dead actions; None without any of them."""
        done = sum(each.done for each in self.actions)
        ended = done + sum(each.dead for each in self.actions)
        return metrics.percent(done, ended) if ended else None


async def get_automation(database: Database, company_id: int, date_range: RequestedRange) -> AutomationReport:
    """Returns the outcomes of actions. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> AutomationReport:
        query = await load_query_context(uow, date_range)
        return AutomationReport(
            query, outcomes_by_name(await uow.ledger_queries.count_actions(query.days, query.zone))
        )

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def outcomes_by_name(counts: Mapping[tuple[str, str], int]) -> list[NamedActionOutcomes]:
    """Builds outcomes by name from counts by name and state."""
    return [
        NamedActionOutcomes(
            name,
            done=counts.get((name, "done"), 0),
            dead=counts.get((name, "dead"), 0),
            cancelled=counts.get((name, "cancelled"), 0),
            skipped=counts.get((name, "skipped"), 0),
            pending=counts.get((name, "pending"), 0) + counts.get((name, "leased"), 0),
        )
        for name in sorted({name for name, _ in counts})
    ]
