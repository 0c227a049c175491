"""The work of the staff: at the end of each working day they close the tasks that are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.records import StoredTask, TaskFilter
from journey_service.repositories.database import Database
from journey_service.services.actions.tasks import TaskChange, change_task, list_tasks

_LIMIT: Final = 500
_DONE_SHARE: Final = 0.7
_DISMISSED_SHARE: Final = 0.88
_CALL_OUTCOMES: Final = (
    "Reached, has booked an appointment",
    "Left a message on the answering machine",
    "Reached, will call back next week",
    "No answer, tried twice",
)
_TASK_OUTCOMES: Final = (
    "Looked at the history, nothing unusual",
    "Wrote a personal note",
    "Talked to the customer at the front desk",
)
_REASONS: Final = ("Already has an appointment", "Asked us not to call", "Has moved to another city")


@dataclass(frozen=True)
class Staff:
    """The people at the front desk of one company."""

    names: Sequence[str]
    seed: int

    async def work(
        self, database: Database, company_id: int, *, until: datetime, left: Sequence[str] = ()
    ) -> None:
        """Closes or postpones the tasks that are due before a time, except those with a title in `left`.

        What happens to a task depends on the seed, the customer and the task alone.
        """
        due = TaskFilter(_LIMIT, due_before=until)
        tasks, _ = await list_tasks(database, company_id, due)
        for task in sorted(tasks, key=lambda each: (each.customer_id or 0, each.name)):
            if task.title not in left:
                name = task.assignee or self.names[(task.customer_id or 0) % len(self.names)]
                await change_task(database, company_id, task.id, self._decide(task), by=Actor(name))

    def _decide(self, task: StoredTask) -> TaskChange:
        # Every postponement is an earlier version, so that the next decision is another one.
        random = Random(f"{self.seed}/{task.customer_id}/{task.name}/{task.version}")  # noqa: S311  # seeded test data
        drawn = random.random()
        if drawn < _DONE_SHARE:
            outcomes = _CALL_OUTCOMES if task.channel == "call" else _TASK_OUTCOMES
            return TaskChange(task.version, status="done", outcome=random.choice(outcomes))
        if drawn < _DISMISSED_SHARE:
            return TaskChange(task.version, status="dismissed", outcome=random.choice(_REASONS))
        return TaskChange(task.version, due_at=task.due_at + timedelta(days=2))
