"""A new version of the stage map reaches the customers it concerns, page by page.

The version is in force at once and for everybody. Whoever is touched before their page comes goes over first,
as of the instant it was put in force: the result is that of one great transaction, without holding anybody.
"""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Final

from journey_service.domain.journeys.relationship import TriggerType
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobPage, JobRun
from journey_service.services.journeys.policy_rollout import changes_under_way, migrate_journey
from journey_service.services.journeys.transaction import load, write

ADOPT: Final = "adopt_stage_map"
CHUNK: Final = 200
_LOWEST: Final = -(2**63)


async def adopt_all(run: JobRun) -> None:
    """The job: have every customer whom the version concerns go over to it.

    `stages` of its parameters are those whose customers it concerns, beside whoever is overdue; None: everybody.
    """
    version: int = run.job.parameters["version"]
    stages: Sequence[str] | None = run.job.parameters["stages"]
    due = datetime.fromisoformat(run.job.parameters["due"])

    async def page(uow: UnitOfWork) -> JobPage:
        after = run.cursor.get("after", _LOWEST)
        total = None
        if stages is None:
            some = await uow.relationships.next_customers(after, limit=CHUNK)
            if not run.cursor:
                total = await uow.relationships.count()
        else:
            some = await uow.stage_maps.next_concerned(stages, due, after=after, limit=CHUNK)
            if not run.cursor:
                total = await uow.stage_maps.count_concerned(stages, due)
        if not some:
            await uow.stage_maps.set_adopted(version)
            # Customers may have come meanwhile: in the end there were as many as were seen.
            return JobPage({"after": after, "ended": True}, total=run.counts.get("adopted", 0))
        counts = await _migrate_page(uow, some)
        return JobPage({"after": some[-1]}, counts, done=len(some), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _migrate_page(uow: UnitOfWork, customer_ids: Sequence[int]) -> dict[str, int]:
    """Hold customers, have them go over, and write those for whom that changes anything."""
    transaction = await load(uow, customer_ids)
    changes = await changes_under_way(uow)
    moved = remapped = 0
    for customer_id, stored in transaction.relationships.items():
        before = copy(stored.relationship)
        # A policy that has changed since, or before, counts from its own instant on.
        journey = await migrate_journey(uow, transaction, stored, changes)
        before.map_version = journey.relationship.map_version
        # Whoever is left as they are keeps their version: that everybody has gone over is noted once, at the end.
        if journey.new_transitions or journey.relationship != before:
            transaction.journeys[customer_id] = journey
        moved += any(row.cause.kind == "map" for row in journey.new_transitions)
        remapped += any(row.trigger_type is TriggerType.SYSTEM for row in journey.new_transitions)
    await write(uow, transaction, as_decided=True)
    return {"adopted": len(customer_ids), "moved": moved, "remapped": remapped}
