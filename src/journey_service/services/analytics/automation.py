"""Report of automation: success rate of actions by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from journey_service.domain.analytics import aggregates as metrics
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.query_context import TIMEOUT_MS, QueryContext, load_query_context


@dataclass(frozen=True, slots=True)
class ActionOutcomes:
    """What has become of the actions of one name; of none that ended the rate is unknown."""

    name: str
    done: int
    dead: int
    cancelled: int
    pending: int

    @property
    def rate(self) -> Decimal | None:
        """Those done of those done and dead, in percent."""
        ended = self.done + self.dead
        return metrics.percent(self.done, ended) if ended else None


@dataclass(frozen=True, slots=True)
class Automation:
    """What has become of the actions planned in the days asked for."""

    query: QueryContext
    actions: Sequence[ActionOutcomes]

    @property
    def rate(self) -> Decimal | None:
        """Those done of those done and dead, in percent."""
        done = sum(each.done for each in self.actions)
        ended = done + sum(each.dead for each in self.actions)
        return metrics.percent(done, ended) if ended else None


async def get_automation(database: Database, company_id: int, asked: RequestedRange) -> Automation:
    """What has become of actions. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(uow: UnitOfWork) -> Automation:
        query = await load_query_context(uow, asked)
        return Automation(query, automated(await uow.ledger_queries.actions(query.days, query.zone)))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def automated(found: Mapping[tuple[str, str], int]) -> list[ActionOutcomes]:
    """What has become of actions, from how many of each name are in each state."""
    return [
        ActionOutcomes(
            name,
            done=found.get((name, "done"), 0),
            dead=found.get((name, "dead"), 0),
            cancelled=found.get((name, "cancelled"), 0),
            pending=found.get((name, "pending"), 0) + found.get((name, "leased"), 0),
        )
        for name in sorted({name for name, _ in found})
    ]
