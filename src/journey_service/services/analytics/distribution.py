"""Figures about all customers of a company."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.calendar import check_past
from journey_service.domain.stages.stage_map import Stage
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.analytics.overview import customers_by_stage


@dataclass(frozen=True, slots=True)
class Distribution:
    """Customers by stage at an instant, in the order of the map in force then; empty stages count 0.

    Archived stages, and those of a later version, are among them only with customers in them.
    """

    as_of: datetime
    stages: Sequence[tuple[Stage, int]]


async def get_distribution(database: Database, company_id: int, as_of: datetime | None) -> Distribution:
    """How many customers are in each stage now, or were at a past instant, as the ledger has it.

    Raises CompanyNotFoundError, InvalidInputError for an instant that is yet to come.
    """

    async def unit(work: Work) -> Distribution:
        desk = await work.companies.desk()
        if as_of is None:
            stage_map, instant = desk.rulebook.stage_map, desk.now
            customers = await customers_by_stage(work, desk)
        else:
            check_past(as_of, desk.now)
            stage_map = await work.stage_maps.in_force(as_of)
            customers, instant = await work.distribution.at(as_of), as_of
        # Moves may be dated before the version that brought their stage, and lead into stages of a later one.
        others = [stage for stage in desk.rulebook.stage_map.stages if stage.key not in stage_map.by_key]
        shown = [
            *(stage for stage in stage_map.stages if stage.is_active or customers.get(stage.key)),
            *(stage for stage in others if customers.get(stage.key)),
        ]
        return Distribution(instant, [(stage, customers.get(stage.key, 0)) for stage in shown])

    return await database.run(company_id, unit)
