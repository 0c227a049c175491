"""Which companies have something due, read across all of them by the dispatcher."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# One walk down the index a company: nobody's crowd, and nobody's clock that stands still, hides the others.
# now() and not clock_timestamp(): a stable value can be looked up in an index, and the transaction is new.
_CUSTOMERS: Final = text(
    "SELECT c.id FROM companies c CROSS JOIN LATERAL (SELECT r.next_evaluation_at AS due_at"
    " FROM customer_relationships r WHERE r.company_id = c.id"
    " AND r.next_evaluation_at <= coalesce(c.clock_at, now()) ORDER BY r.next_evaluation_at LIMIT 1) first"
    " WHERE c.id > 0 ORDER BY coalesce(c.clock_at, now()) - first.due_at DESC, c.id"
)
_ACTIONS: Final = text(
    "SELECT c.id FROM companies c CROSS JOIN LATERAL (SELECT a.ready_at FROM journey_actions a"
    " WHERE a.company_id = c.id AND a.state IN ('pending', 'leased') AND a.ready_at <= now()"
    " ORDER BY a.ready_at LIMIT 1) first WHERE c.id > 0 ORDER BY first.ready_at, c.id"
)
_NEWS: Final = text(
    "SELECT c.id FROM companies c CROSS JOIN LATERAL (SELECT n.id FROM journey_news n"
    " WHERE n.company_id = c.id AND n.position IS NULL ORDER BY n.id LIMIT 1) first WHERE c.id > 0 ORDER BY c.id"
)
_NIGHTS: Final = text(
    "SELECT id FROM companies WHERE id > 0 AND (next_night_at IS NULL OR next_night_at <= coalesce(clock_at, now()))"
    " ORDER BY next_night_at NULLS LAST, id"
)
_LAG: Final = text(
    "SELECT max(extract(epoch FROM coalesce(c.clock_at, now()) - first.due_at)) FILTER (WHERE c.clock_at IS NULL)"
    " AS sweep, max(extract(epoch FROM now() - c.next_night_at)) FILTER (WHERE c.clock_at IS NULL) AS night"
    " FROM companies c LEFT JOIN LATERAL (SELECT r.next_evaluation_at AS due_at"
    " FROM customer_relationships r WHERE r.company_id = c.id AND r.next_evaluation_at <= coalesce(c.clock_at, now())"
    " ORDER BY r.next_evaluation_at LIMIT 1) first ON true WHERE c.id > 0"
)
_WAITING: Final = text(
    "SELECT (SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')) AS jobs,"
    " (SELECT count(*) FROM imports WHERE status IN ('queued', 'running')) AS imports,"
    " (SELECT max(extract(epoch FROM now() - greatest(created_at, lease_until))) FROM jobs"
    " WHERE status = 'queued') AS job_age,"
    " (SELECT max(extract(epoch FROM now() - created_at)) FROM imports WHERE status = 'queued') AS import_age,"
    " (SELECT max(extract(epoch FROM now() - lease_until)) FROM jobs WHERE status = 'running'"
    "   AND lease_until < now()) AS silent,"
    " (SELECT count(*) FROM jobs WHERE status = 'failed' AND finished_at > now() - interval '24 hours') AS failed,"
    " (SELECT count(*) FROM journey_actions WHERE state = 'dead'"
    "   AND finished_at > now() - interval '24 hours') AS dead,"
    " (SELECT max(extract(epoch FROM now() - first.ready_at)) FROM companies c CROSS JOIN LATERAL"
    "   (SELECT a.ready_at FROM journey_actions a WHERE a.company_id = c.id AND a.state IN ('pending', 'leased')"
    "   AND a.ready_at <= now() ORDER BY a.ready_at LIMIT 1) first WHERE c.id > 0) AS action_age"
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far behind the worker is, over all companies; ages in seconds, 0 when nothing waits.

    `sweep` is how long the customer due longest has waited, `night` how long the nightly run due longest has
    not been begun; companies with a test clock are not counted. `silent` is for how long the job abandoned
    longest has been nobody's. `action_age` is how long the action ready longest has waited to be sent;
    `dead_actions` are those that were given up within the last 24 hours.
    """

    sweep: float
    night: float
    jobs: int
    imports: int
    job_age: float
    import_age: float
    silent: float
    failed_jobs: int
    action_age: float = 0.0
    dead_actions: int = 0


class Due:
    """Due work of all companies."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def companies_with_customers(self) -> list[int]:
        """Companies of which some customer is due, the one that has waited longest first."""
        return list((await self._connection.scalars(_CUSTOMERS)).all())

    async def companies_with_nights(self) -> list[int]:
        """Companies whose nightly run has fallen due and is not written down yet."""
        return list((await self._connection.scalars(_NIGHTS)).all())

    async def companies_with_actions(self) -> list[int]:
        """Companies of which some action is ready to be sent, the one that has waited longest first."""
        return list((await self._connection.scalars(_ACTIONS)).all())

    async def companies_with_news(self) -> list[int]:
        """Companies with news that are not in order yet."""
        return list((await self._connection.scalars(_NEWS)).all())

    async def backlog(self) -> Backlog:
        """How far behind the worker is."""
        lag = (await self._connection.execute(_LAG)).one()
        waiting = (await self._connection.execute(_WAITING)).one()
        return Backlog(
            sweep=_seconds(lag.sweep),
            night=_seconds(lag.night),
            jobs=waiting.jobs,
            imports=waiting.imports,
            job_age=_seconds(waiting.job_age),
            import_age=_seconds(waiting.import_age),
            silent=_seconds(waiting.silent),
            failed_jobs=waiting.failed,
            action_age=_seconds(waiting.action_age),
            dead_actions=waiting.dead,
        )


def _seconds(found: object) -> float:
    return 0.0 if found is None else max(0.0, float(str(found)))
