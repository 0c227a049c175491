"""Report of automation: success rate of actions by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from journey_service.domain.analytics import aggregates as figures
from journey_service.domain.analytics.date_ranges import Range
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.query_context import TIMEOUT_MS, Frame, frame_of


@dataclass(frozen=True, slots=True)
class Automated:
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
        return figures.percent(self.done, ended) if ended else None


@dataclass(frozen=True, slots=True)
class Automation:
    """What has become of the actions planned in the days asked for."""

    frame: Frame
    actions: Sequence[Automated]

    @property
    def rate(self) -> Decimal | None:
        """Those done of those done and dead, in percent."""
        done = sum(each.done for each in self.actions)
        ended = done + sum(each.dead for each in self.actions)
        return figures.percent(done, ended) if ended else None


async def get_automation(database: Database, company_id: int, asked: Range) -> Automation:
    """What has become of actions. Raises CompanyNotFoundError, InvalidInputError."""

    async def unit(work: Work) -> Automation:
        frame = await frame_of(work, asked)
        return Automation(frame, automated(await work.figures.actions(frame.days, frame.zone)))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS)


def automated(found: Mapping[tuple[str, str], int]) -> list[Automated]:
    """What has become of actions, from how many of each name are in each state."""
    return [
        Automated(
            name,
            done=found.get((name, "done"), 0),
            dead=found.get((name, "dead"), 0),
            cancelled=found.get((name, "cancelled"), 0),
            pending=found.get((name, "pending"), 0) + found.get((name, "leased"), 0),
        )
        for name in sorted({name for name, _ in found})
    ]
