"""The backlog of one company: the work that waits for workers, what has failed, and its disabled endpoints."""

from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.operations.records import WorkerBacklog

_BACKLOG: Final = text(
    "SELECT (SELECT extract(epoch FROM now() - min(r.next_evaluation_at)) FROM customer_relationships r"
    "   WHERE r.company_id = c.id AND c.clock_at IS NULL AND r.next_evaluation_at <= now()) AS due_customers_age,"
    " CASE WHEN c.clock_at IS NULL THEN extract(epoch FROM now() - c.next_nightly_run_at) END AS nightly_runs_age,"
    " (SELECT count(*) FROM jobs j WHERE j.company_id = c.id AND j.status IN ('queued', 'running')) AS jobs,"
    " (SELECT count(*) FROM imports i WHERE i.company_id = c.id AND i.status IN ('queued', 'running')) AS imports,"
    " (SELECT max(extract(epoch FROM now() - greatest(j.created_at, j.lease_until))) FROM jobs j"
    "   WHERE j.company_id = c.id AND j.status = 'queued') AS job_age,"
    " (SELECT max(extract(epoch FROM now() - i.created_at)) FROM imports i"
    "   WHERE i.company_id = c.id AND i.status = 'queued') AS import_age,"
    " (SELECT max(extract(epoch FROM now() - j.lease_until)) FROM jobs j WHERE j.company_id = c.id"
    "   AND j.status = 'running' AND j.lease_until < now()) AS expired_leases_age,"
    " (SELECT count(*) FROM jobs j WHERE j.company_id = c.id AND j.status = 'failed'"
    "   AND j.finished_at > now() - interval '24 hours') AS failed_jobs,"
    " (SELECT extract(epoch FROM now() - min(a.ready_at)) FROM journey_actions a WHERE a.company_id = c.id"
    "   AND a.state IN ('pending', 'leased') AND a.ready_at <= now()) AS action_age,"
    " (SELECT count(*) FROM journey_actions a WHERE a.company_id = c.id AND a.state IN ('pending', 'leased')"
    "   AND a.ready_at <= now()) AS actions,"
    " (SELECT count(*) FROM journey_actions a WHERE a.company_id = c.id AND a.state = 'dead'"
    "   AND a.relationship_id IS NOT NULL AND a.finished_at > now() - interval '24 hours') AS dead_actions,"
    # A later successful check or rebuild of the snapshots resolves an earlier failure.
    " CAST(EXISTS (SELECT 1 FROM jobs broken WHERE broken.company_id = c.id"
    "   AND broken.kind IN ('check_metrics', 'rebuild_metrics') AND broken.status = 'failed'"
    "   AND NOT EXISTS (SELECT 1 FROM jobs later WHERE later.company_id = c.id"
    "     AND later.kind IN ('check_metrics', 'rebuild_metrics') AND later.status = 'done'"
    "     AND later.finished_at > broken.finished_at)) AS int) AS companies_with_gaps,"
    " (SELECT count(*) FROM webhook_endpoints e WHERE e.company_id = c.id AND NOT e.is_enabled"
    "   AND e.disabled_reason IS NOT NULL) AS disabled_endpoints"
    " FROM companies c WHERE c.id = :company_id"
)


class CompanyBacklog:
    """The backlog of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get(self) -> WorkerBacklog:
        """Returns the backlog of the company alone."""
        row = (await self._connection.execute(_BACKLOG, {"company_id": self._company_id})).one()
        values: dict[str, Any] = {
            name: max(0.0, float(value or 0)) if name.endswith("_age") else value
            for name, value in row._mapping.items()
        }
        return WorkerBacklog(**values)
