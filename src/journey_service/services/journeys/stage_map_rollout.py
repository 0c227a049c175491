"""A new version of the stage map reaches the customers it concerns, page by page.

The version is in force at once and for everybody. Whoever is touched before their page comes goes over first,
as of the instant it was put in force: the result is that of one great transaction, without holding anybody.
"""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Final

from journey_service.domain.journeys.relationship import TriggerType
from journey_service.repositories.unit_of_work import Work
from journey_service.services.jobs import Page, Run
from journey_service.services.journeys.policy_rollout import changes_under_way, taken_over
from journey_service.services.journeys.transaction import load, write

ADOPT: Final = "adopt_stage_map"
CHUNK: Final = 200
_LOWEST: Final = -(2**63)


async def adopt_all(run: Run) -> None:
    """The job: have every customer whom the version concerns go over to it.

    `stages` of its parameters are those whose customers it concerns, beside whoever is overdue; None: everybody.
    """
    version: int = run.job.parameters["version"]
    stages: Sequence[str] | None = run.job.parameters["stages"]
    due = datetime.fromisoformat(run.job.parameters["due"])

    async def page(work: Work) -> Page:
        after = run.cursor.get("after", _LOWEST)
        total = None
        if stages is None:
            some = await work.relationships.next_customers(after, limit=CHUNK)
            if not run.cursor:
                total = await work.relationships.count()
        else:
            some = await work.stage_maps.next_concerned(stages, due, after=after, limit=CHUNK)
            if not run.cursor:
                total = await work.stage_maps.count_concerned(stages, due)
        if not some:
            await work.stage_maps.set_adopted(version)
            # Customers may have come meanwhile: in the end there were as many as were seen.
            return Page({"after": after, "ended": True}, total=run.counts.get("adopted", 0))
        counts = await _go_over(work, some)
        return Page({"after": some[-1]}, counts, done=len(some), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _go_over(work: Work, customer_ids: Sequence[int]) -> dict[str, int]:
    """Hold customers, have them go over, and write those for whom that changes anything."""
    docket = await load(work, customer_ids)
    changes = await changes_under_way(work)
    moved = remapped = 0
    for customer_id, standing in docket.standings.items():
        before = copy(standing.relationship)
        # A policy that has changed since, or before, counts from its own instant on.
        journey = await taken_over(work, docket, standing, changes)
        before.map_version = journey.relationship.map_version
        # Whoever is left as they are keeps their version: that everybody has gone over is noted once, at the end.
        if journey.written or journey.relationship != before:
            docket.journeys[customer_id] = journey
        moved += any(row.cause.kind == "map" for row in journey.written)
        remapped += any(row.trigger_type is TriggerType.SYSTEM for row in journey.written)
    await write(work, docket, as_decided=True)
    return {"adopted": len(customer_ids), "moved": moved, "remapped": remapped}
