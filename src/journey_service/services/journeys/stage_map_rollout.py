"""Rollout of a new version of the stage map to the customers it affects, page by page.

The version is in force at once for all customers. A customer who is changed before the page is reached is migrated
first, as of the activation of the version. The result equals that of one transaction, without locking all customers.
"""

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Final

from journey_service.domain.journeys.relationship import TriggerType
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import JobRun, PageResult
from journey_service.services.journeys.policy_rollout import load_pending_changes, migrate_journey
from journey_service.services.journeys.transaction import load, write

ROLL_OUT_STAGE_MAP_JOB: Final = "roll_out_stage_map"
BATCH_SIZE: Final = 200
"""Customers in one page of the job."""
_LOWEST: Final = -(2**63)


async def migrate_all(run: JobRun) -> None:
    """Job handler: migrates every customer that the version affects.

    The parameter `stages` holds the stages whose customers are affected, in addition to overdue customers; None: all
    customers.
    """
    version: int = run.job.parameters["version"]
    stages: Sequence[str] | None = run.job.parameters["stages"]
    due = datetime.fromisoformat(run.job.parameters["due"])

    async def page(uow: UnitOfWork) -> PageResult:
        after = run.cursor.get("after", _LOWEST)
        total = None
        if stages is None:
            customer_ids = await uow.relationships.page_customer_ids(after, limit=BATCH_SIZE)
            if not run.cursor:
                total = await uow.relationships.count()
        else:
            customer_ids = await uow.stage_maps.page_affected(stages, due, after=after, limit=BATCH_SIZE)
            if not run.cursor:
                total = await uow.stage_maps.count_affected(stages, due)
        if not customer_ids:
            await uow.stage_maps.set_migrated_version(version)
            # Customers may have been added meanwhile: the final total is the number of customers migrated.
            return PageResult({"after": after, "ended": True}, total=run.counts.get("migrated", 0))
        counts = await _migrate_page(uow, customer_ids)
        return PageResult({"after": customer_ids[-1]}, counts, done=len(customer_ids), total=total)

    while not run.cursor.get("ended"):
        await run.page(page)


async def _migrate_page(uow: UnitOfWork, customer_ids: Sequence[int]) -> dict[str, int]:
    """Locks and migrates customers, and writes those that changed."""
    transaction = await load(uow, customer_ids)
    changes = await load_pending_changes(uow)
    moved = remapped = 0
    for customer_id, stored in transaction.relationships.items():
        before = copy(stored.relationship)
        # A policy change before or after the version applies from its own instant.
        journey = await migrate_journey(uow, transaction, stored, changes)
        before.map_version = journey.relationship.map_version
        # Unchanged customers keep their version: `set_migrated` marks all as migrated at the end of the job.
        if journey.new_transitions or journey.relationship != before:
            transaction.journeys[customer_id] = journey
        moved += any(row.cause.kind == "map" for row in journey.new_transitions)
        remapped += any(row.trigger_type is TriggerType.SYSTEM for row in journey.new_transitions)
    await write(uow, transaction, as_decided=True)
    return {"migrated": len(customer_ids), "moved": moved, "remapped": remapped}
