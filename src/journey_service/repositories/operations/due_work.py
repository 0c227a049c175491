"""Companies with due work, read across all companies by the dispatcher."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.operations.records import WorkerBacklog

# One index lookup per company: neither a company with many due customers nor one with a test clock hides the others.
# now() and not clock_timestamp(): an index lookup needs a stable value, and the transaction is new.
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
_OUTBOUND_EVENTS: Final = text(
    "SELECT c.id FROM companies c CROSS JOIN LATERAL (SELECT n.id FROM outbound_events n"
    " WHERE n.company_id = c.id AND n.position IS NULL ORDER BY n.id LIMIT 1) first WHERE c.id > 0 ORDER BY c.id"
)
_UNMERGED_ROLLUPS: Final = text(
    "SELECT company_id FROM journey_rollups WHERE is_unmerged AND company_id > 0 GROUP BY company_id"
    " HAVING count(*) > :threshold ORDER BY company_id"
)
_STALE_ROLLUPS: Final = text(
    "SELECT id FROM companies WHERE id > 0 AND rollup_version <> map_version ORDER BY id"
)
_ROLLUPS: Final = text(
    "SELECT id FROM companies WHERE id > 0 AND rollup_version > 0 ORDER BY id LIMIT :limit"
)
_NIGHTLY_RUNS: Final = text(
    "SELECT id FROM companies WHERE id > 0"
    " AND (next_nightly_run_at IS NULL OR next_nightly_run_at <= coalesce(clock_at, now()))"
    " ORDER BY next_nightly_run_at NULLS LAST, id"
)
# A later successful check or rebuild of the company's snapshots resolves an earlier failure.
_COMPANIES_WITH_GAPS: Final = text(
    "SELECT count(DISTINCT company_id) FROM jobs broken WHERE kind IN ('check_metrics', 'rebuild_metrics')"
    " AND status = 'failed' AND NOT EXISTS (SELECT 1 FROM jobs later WHERE later.company_id = broken.company_id"
    " AND later.kind IN ('check_metrics', 'rebuild_metrics') AND later.status = 'done'"
    " AND later.finished_at > broken.finished_at)"
)
_LAG: Final = text(
    "SELECT max(extract(epoch FROM coalesce(c.clock_at, now()) - first.due_at)) FILTER (WHERE c.clock_at IS NULL)"
    " AS due_customers_age,"
    " max(extract(epoch FROM now() - c.next_nightly_run_at)) FILTER (WHERE c.clock_at IS NULL) AS nightly_runs_age"
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
    "   AND lease_until < now()) AS expired_leases_age,"
    " (SELECT count(*) FROM jobs WHERE status = 'failed' AND finished_at > now() - interval '24 hours') AS failed,"
    " (SELECT count(*) FROM journey_actions WHERE state = 'dead'"
    "   AND finished_at > now() - interval '24 hours') AS dead,"
    " (SELECT count(*) FROM journey_actions WHERE state IN ('pending', 'leased') AND ready_at <= now()) AS actions,"
    " (SELECT count(*) FROM webhook_endpoints WHERE NOT is_enabled AND disabled_reason IS NOT NULL) AS endpoints,"
    " (SELECT max(extract(epoch FROM now() - first.ready_at)) FROM companies c CROSS JOIN LATERAL"
    "   (SELECT a.ready_at FROM journey_actions a WHERE a.company_id = c.id AND a.state IN ('pending', 'leased')"
    "   AND a.ready_at <= now() ORDER BY a.ready_at LIMIT 1) first WHERE c.id > 0) AS action_age"
)


class DueWork:
    """Due work of all companies."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def companies_with_customers(self) -> list[int]:
        """Returns companies with a due customer, the longest waiting first."""
        return list((await self._connection.scalars(_CUSTOMERS)).all())

    async def companies_with_nightly_runs(self) -> list[int]:
        """Returns companies whose nightly run is due."""
        return list((await self._connection.scalars(_NIGHTLY_RUNS)).all())

    async def companies_with_actions(self) -> list[int]:
        """Returns companies with a due action, the longest waiting first."""
        return list((await self._connection.scalars(_ACTIONS)).all())

    async def companies_with_stale_rollups(self) -> list[int]:
        """Returns companies whose rollups do not follow the current map."""
        return list((await self._connection.scalars(_STALE_ROLLUPS)).all())

    async def companies_with_rollups(self, limit: int) -> list[int]:
        """Returns the first `limit` companies by id whose rollups are built."""
        return list((await self._connection.scalars(_ROLLUPS, {"limit": limit})).all())

    async def companies_with_unmerged_rollups(self, threshold: int) -> list[int]:
        """Returns companies with more than `threshold` unmerged rollups."""
        return list((await self._connection.scalars(_UNMERGED_ROLLUPS, {"threshold": threshold})).all())

    async def companies_with_outbound_events(self) -> list[int]:
        """Returns companies with unpublished outbound events."""
        return list((await self._connection.scalars(_OUTBOUND_EVENTS)).all())

    async def get_backlog(self) -> WorkerBacklog:
        """Returns the backlog of the worker."""
        lag = (await self._connection.execute(_LAG)).one()
        waiting = (await self._connection.execute(_WAITING)).one()
        return WorkerBacklog(
            due_customers_age=_seconds(lag.due_customers_age),
            nightly_runs_age=_seconds(lag.nightly_runs_age),
            jobs=waiting.jobs,
            imports=waiting.imports,
            job_age=_seconds(waiting.job_age),
            import_age=_seconds(waiting.import_age),
            expired_leases_age=_seconds(waiting.expired_leases_age),
            failed_jobs=waiting.failed,
            action_age=_seconds(waiting.action_age),
            dead_actions=waiting.dead,
            actions=waiting.actions,
            disabled_endpoints=waiting.endpoints,
            companies_with_gaps=int(await self._connection.scalar(_COMPANIES_WITH_GAPS) or 0),
        )


def _seconds(age: object) -> float:
    return 0.0 if age is None else max(0.0, float(str(age)))
