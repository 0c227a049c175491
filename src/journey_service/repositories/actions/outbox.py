"""The outbox: actions that workers claim under a lease, and the outcomes of their attempts.

A claim sets a random token, and every later change requires it: a worker whose lease has expired changes
nothing. `ready_at` is when an action may be claimed: when it is due, to be retried, or its lease has
expired. One index serves all three.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.tables import Row

MAX_RESPONSE_LENGTH: Final = 255
"""Characters of a receiver's response that are stored; a longer response is cut."""
_MAX_CLAIMED_DELIVERIES: Final = 200

# A step waits for the earlier steps of its action, except for one that waits for an address. The range, its
# order and LIMIT 1 make the planner read one customer's actions by an index, even if it plans while the table is empty.
_LIST_DUE: Final = text(
    "SELECT a.id, r.customer_id FROM journey_actions a JOIN customer_relationships r"
    " ON r.company_id = a.company_id AND r.id = a.relationship_id"
    " WHERE a.company_id = :company_id AND a.state IN ('pending', 'leased') AND a.ready_at <= now()"
    " AND a.channel = ANY(CAST(:channels AS text[]))"
    " AND (SELECT true FROM journey_actions p WHERE p.company_id = a.company_id"
    "   AND p.relationship_id >= a.relationship_id AND p.relationship_id <= a.relationship_id"
    "   AND p.transition_seq = a.transition_seq AND p.name = a.name"
    "   AND p.number < a.number AND p.state IN ('pending', 'leased')"
    "   AND p.reason IS DISTINCT FROM 'awaiting_address' ORDER BY p.relationship_id LIMIT 1) IS NULL"
    " ORDER BY a.ready_at LIMIT :limit"
)
_CLAIM: Final = text(
    "UPDATE journey_actions SET state = 'leased', lease_token = :token, updated_at = clock_timestamp(),"
    " ready_at = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[])) AND state IN ('pending', 'leased')"
    " AND ready_at <= now() RETURNING id"
)
# A limit for each endpoint, so that a slow endpoint does not delay the others.
_CLAIM_DELIVERIES: Final = text(
    "WITH due AS (SELECT a.id FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT id FROM journey_actions"
    "   WHERE company_id = e.company_id AND endpoint_id = e.id AND channel = 'webhook'"
    "   AND state IN ('pending', 'leased') AND ready_at <= now()"
    "   AND (CAST(:only AS uuid) IS NULL OR id = CAST(:only AS uuid))"
    "   ORDER BY ready_at LIMIT :share FOR NO KEY UPDATE SKIP LOCKED) a"
    "   WHERE e.company_id = :company_id AND e.id <> ALL(CAST(:without AS bigint[])) LIMIT :limit),"
    " claimed AS (UPDATE journey_actions a SET state = 'leased', lease_token = :token, updated_at = clock_timestamp(),"
    "   ready_at = clock_timestamp() + make_interval(secs => :seconds) FROM due"
    "   WHERE a.company_id = :company_id AND a.id = due.id"
    "   RETURNING a.id, a.endpoint_id, a.outbound_event_id, a.attempts)"
    " SELECT * FROM claimed"
)
_LIST_DUE_DELIVERIES: Final = text(
    "SELECT id FROM journey_actions WHERE company_id = :company_id AND state IN ('pending', 'leased')"
    " AND ready_at <= now() AND channel = 'webhook' ORDER BY ready_at LIMIT :limit"
)
_RENEW: Final = text(
    "UPDATE journey_actions SET ready_at = clock_timestamp() + make_interval(secs => :seconds)"
    " WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[])) AND state = 'leased' AND lease_token = :token"
    " RETURNING id, clock_timestamp() AS renewed_at"
)
_ATTEMPT_COUNTS: Final = text(
    "SELECT id, attempts FROM journey_actions WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[]))"
)
_RELEASE: Final = text(
    "UPDATE journey_actions SET state = 'pending', lease_token = NULL, ready_at = clock_timestamp(),"
    " updated_at = clock_timestamp()"
    " WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[])) AND state = 'leased' AND lease_token = :token"
)
_FINISH: Final = text(
    "UPDATE journey_actions a SET state = t.state, lease_token = NULL, attempts = a.attempts + 1,"
    " ready_at = CASE WHEN t.state = 'pending' THEN clock_timestamp() + make_interval(secs => t.pause) END,"
    " reserved_at = CASE WHEN t.state = 'dead' THEN NULL ELSE a.reserved_at END,"
    " finished_at = CASE WHEN t.state = 'pending' THEN NULL ELSE t.at END,"
    " last_error = CASE WHEN t.state = 'done' THEN a.last_error ELSE t.response END,"
    " last_status = t.status, updated_at = clock_timestamp()"
    " FROM unnest(CAST(:id AS uuid[]), CAST(:state AS text[]), CAST(:pause AS float8[]), CAST(:at AS timestamptz[]),"
    " CAST(:response AS text[]), CAST(:status AS int[])) AS t(id, state, pause, at, response, status)"
    " WHERE a.company_id = :company_id AND a.id = t.id AND a.state = 'leased' AND a.lease_token = :token"
    " RETURNING a.id, a.relationship_id, a.campaign_id, a.channel"
)
_REPORT_FINISHED: Final = text(
    "INSERT INTO outbound_events (company_id, relationship_id, type, action_id)"
    " SELECT :company_id, relationship_id, 'action.finished', action_id"
    " FROM unnest(CAST(:relationship_ids AS bigint[]), CAST(:ids AS uuid[])) AS t(relationship_id, action_id)"
)
_ATTEMPT: Final = text(
    "INSERT INTO action_attempts"
    " (company_id, action_id, number, relationship_id, started_at, outcome, status, response)"
    " SELECT :company_id, t.id, 1 + (SELECT count(*) FROM action_attempts m WHERE m.company_id = :company_id"
    "   AND m.action_id = t.id), t.relationship_id, clock_timestamp() - make_interval(secs => t.seconds), t.outcome,"
    " t.status, t.response"
    " FROM unnest(CAST(:id AS uuid[]), CAST(:relationship_id AS bigint[]), CAST(:seconds AS float8[]),"
    " CAST(:outcome AS text[]), CAST(:status AS int[]), CAST(:response AS text[]))"
    " AS t(id, relationship_id, seconds, outcome, status, response)"
)
# Runs after the row locks were acquired: the response about a customer erased during the call is deleted.
_CLEAR_ANSWERS: Final = text(
    "WITH erased AS (SELECT id FROM customer_relationships WHERE company_id = :company_id"
    "   AND id = ANY(CAST(:relationship_ids AS bigint[])) AND customer_id < 0),"
    " attempts AS (UPDATE action_attempts t SET response = NULL FROM erased WHERE t.company_id = :company_id"
    "   AND t.relationship_id = erased.id)"
    " UPDATE journey_actions a SET last_error = NULL FROM erased"
    " WHERE a.company_id = :company_id AND a.relationship_id = erased.id"
)
# Serializes the last steps of a campaign, so that the later one sees the other as ended.
_LOCK_CAMPAIGNS: Final = text(
    "SELECT k.id FROM retention_campaigns k WHERE k.company_id = :company_id AND k.id IN"
    " (SELECT campaign_id FROM journey_actions WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[])))"
    " ORDER BY k.id FOR NO KEY UPDATE"
)
_END_CAMPAIGNS: Final = text(
    "WITH ended AS (UPDATE retention_campaigns k SET ended_at = t.at, end_reason = 'completed'"
    "   FROM unnest(CAST(:campaign_ids AS bigint[]), CAST(:at AS timestamptz[])) AS t(id, at)"
    "   WHERE k.company_id = :company_id AND k.id = t.id AND k.ended_at IS NULL AND NOT EXISTS (SELECT 1"
    "   FROM journey_actions a WHERE a.company_id = k.company_id AND a.relationship_id = k.relationship_id"
    "   AND a.campaign_id = k.id AND a.state IN ('pending', 'leased')) RETURNING k.relationship_id, k.id)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, campaign_id)"
    " SELECT :company_id, relationship_id, 'campaign.ended', id FROM ended"
)
_CANCEL: Final = text(
    "WITH finished AS (UPDATE journey_actions SET state = 'cancelled', reason = :reason, lease_token = NULL,"
    " ready_at = NULL, reserved_at = NULL, finished_at = CAST(:at AS timestamptz), updated_at = clock_timestamp()"
    " WHERE company_id = :company_id AND id = ANY(CAST(:ids AS uuid[])) AND state = 'leased' AND lease_token = :token"
    " RETURNING relationship_id, id, channel)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, action_id)"
    " SELECT :company_id, relationship_id, 'action.finished', id FROM finished WHERE channel <> 'webhook'"
)
_CANCEL_BY_ENDPOINT: Final = text(
    "UPDATE journey_actions SET state = 'cancelled', reason = 'endpoint_disabled', ready_at = NULL,"
    " finished_at = clock_timestamp(), updated_at = clock_timestamp()"
    " WHERE company_id = :company_id AND endpoint_id = :endpoint_id AND state = 'pending'"
)
_RELEASE_TEST_CLOCK: Final = text(
    "WITH released AS (UPDATE journey_actions SET updated_at = clock_timestamp(),"
    " state = CASE WHEN due_at < CAST(:oldest AS timestamptz) THEN 'cancelled' ELSE 'pending' END,"
    " reason = CASE WHEN due_at < CAST(:oldest AS timestamptz) THEN 'held_too_long' ELSE reason END,"
    " finished_at = CASE WHEN due_at < CAST(:oldest AS timestamptz) THEN CAST(:now AS timestamptz) END,"
    " ready_at = CASE WHEN due_at < CAST(:oldest AS timestamptz) THEN NULL ELSE due_at END"
    " WHERE company_id = :company_id AND state = 'pending' AND ready_at IS NULL"
    " RETURNING relationship_id, id, channel, state)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, action_id)"
    " SELECT :company_id, relationship_id, 'action.finished', id FROM released"
    " WHERE state = 'cancelled' AND channel <> 'webhook'"
)
_END_COMPLETED_CAMPAIGNS: Final = text(
    "WITH ended AS (UPDATE retention_campaigns k SET ended_at = CAST(:now AS timestamptz), end_reason = 'completed'"
    "   WHERE k.company_id = :company_id AND k.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM journey_actions a"
    "   WHERE a.company_id = k.company_id AND a.relationship_id = k.relationship_id AND a.campaign_id = k.id"
    "   AND a.state IN ('pending', 'leased')) RETURNING k.relationship_id, k.id)"
    " INSERT INTO outbound_events (company_id, relationship_id, type, campaign_id)"
    " SELECT :company_id, relationship_id, 'campaign.ended', id FROM ended"
)
# A step waits for the earlier steps, which quiet hours may hold back until the next morning.
_WAITING_CUSTOMERS: Final = text(
    "SELECT DISTINCT r.customer_id FROM (SELECT a.relationship_id FROM journey_actions a"
    "   WHERE a.company_id = :company_id AND a.state = 'pending' AND a.ready_at IS NULL"
    "   AND a.due_at <= CAST(:now AS timestamptz) AND (SELECT true FROM journey_actions p"
    "     WHERE p.company_id = a.company_id"
    "     AND p.relationship_id >= a.relationship_id AND p.relationship_id <= a.relationship_id"
    "     AND p.transition_seq = a.transition_seq AND p.name = a.name AND p.number < a.number"
    "     AND p.state IN ('pending', 'leased') AND p.reason IS DISTINCT FROM 'awaiting_address'"
    "     AND NOT p.is_released_by_test_clock ORDER BY p.relationship_id LIMIT 1) IS NULL"
    "   ORDER BY a.due_at LIMIT :limit) due"
    " JOIN customer_relationships r ON r.company_id = :company_id AND r.id = due.relationship_id"
)


# The time is the company's; with a test clock, no worker claims the action.
_WAKE_WAITING: Final = text(
    "UPDATE journey_actions a SET planned_at = CAST(:now AS timestamptz), due_at = CAST(:now AS timestamptz),"
    " reason = NULL, updated_at = clock_timestamp(),"
    " ready_at = CASE WHEN :is_simulated THEN NULL ELSE clock_timestamp() END"
    " FROM customer_relationships r JOIN customers c ON c.company_id = r.company_id AND c.customer_id = r.customer_id"
    " WHERE r.company_id = :company_id AND r.id = ANY(CAST(:ids AS bigint[]))"
    " AND a.company_id = r.company_id AND a.relationship_id = r.id"
    " AND a.state = 'pending' AND a.reason = 'awaiting_address'"
    " AND CASE WHEN a.channel = 'email' THEN c.email ~ '@' ELSE c.phone ~ '[0-9]' END"
    " RETURNING a.relationship_id"
)


@dataclass(frozen=True, slots=True)
class DueAction:
    """An action that may be claimed, and its customer."""

    id: str
    customer_id: int


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A claimed delivery of an outbound event to a webhook endpoint."""

    id: str
    endpoint_id: int
    outbound_event_id: int
    attempts: int


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The outcome of an attempt: the action's new state, and the receiver's response.

    `seconds` is the duration of the attempt, `at` the company's time, `pause` the time until the next
    attempt.
    """

    state: str
    at: datetime
    seconds: float
    response: str = ""
    status: int | None = None
    pause: timedelta = timedelta(0)
    is_refused: bool = False

    @property
    def label(self) -> str:
        """The result that is logged for the attempt: done, refused or failed."""
        return "done" if self.state == "done" else "refused" if self.is_refused else "failed"


class Outbox:
    """The outbox of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def list_due(self, channels: Sequence[Channel], *, limit: int) -> list[DueAction]:
        """Lists due actions on some channels, the longest due first, without claiming them."""
        rows = await self._connection.execute(
            _LIST_DUE,
            {
                "company_id": self._company_id,
                "channels": [channel.value for channel in channels],
                "limit": limit,
            },
        )
        return [DueAction(str(row.id), row.customer_id) for row in rows]

    async def claim(self, ids: Sequence[str], token: str, seconds: float) -> set[str]:
        """Claims actions of locked customers; returns those that no other worker has claimed."""
        rows = await self._scalars(_CLAIM, ids=list(ids), token=token, seconds=seconds)
        return set(map(str, rows))

    async def list_due_outbound_events(self, *, limit: int) -> list[str]:
        """Lists due webhook deliveries, the longest due first, without claiming them."""
        return list(map(str, await self._scalars(_LIST_DUE_DELIVERIES, limit=limit)))

    async def claim_outbound_events(
        self, lease: tuple[str, float], *, share: int, only: str | None = None, without: Collection[int] = ()
    ) -> list[WebhookDelivery]:
        """Claims due webhook deliveries with a lease (token, seconds): `share` per endpoint at most.

        Rows that another worker has locked are skipped, as are the endpoints in `without`.
        """
        rows = await self._connection.execute(
            _CLAIM_DELIVERIES,
            {
                "company_id": self._company_id,
                "token": lease[0],
                "seconds": lease[1],
                "share": share,
                "limit": _MAX_CLAIMED_DELIVERIES,
                "only": only,
                "without": list(without),
            },
        )
        return [
            WebhookDelivery(str(row.id), row.endpoint_id, row.outbound_event_id, row.attempts) for row in rows
        ]

    async def renew(self, ids: Sequence[str], token: str, seconds: float) -> dict[str, datetime]:
        """Extends the lease of claimed actions; those not returned were claimed by another worker.

        Returns the time of the renewal by the clock of the database, by id.
        """
        values = {"company_id": self._company_id, "ids": list(ids), "token": token, "seconds": seconds}
        rows = await self._connection.execute(_RENEW, values)
        return {str(row.id): row.renewed_at for row in rows}

    async def get_attempt_counts(self, ids: Sequence[str]) -> dict[str, int]:
        """Returns how often actions were attempted, by id."""
        rows = await self._connection.execute(
            _ATTEMPT_COUNTS, {"company_id": self._company_id, "ids": list(ids)}
        )
        return {str(row.id): row.attempts for row in rows}

    async def release(self, ids: Sequence[str], token: str) -> None:
        """Releases claimed actions without counting an attempt."""
        await self._execute(_RELEASE, ids=list(ids), token=token)

    async def cancel(self, ids: Sequence[str], token: str, reason: str, at: datetime) -> None:
        """Cancels claimed actions."""
        await self._execute(_CANCEL, ids=list(ids), token=token, reason=reason, at=at)

    async def finish(self, token: str, outcomes: Mapping[str, AttemptOutcome]) -> set[str]:
        """Records the outcomes of attempts; those not returned were claimed by another worker.

        The last step of a campaign ends it.
        """
        await self._execute(_LOCK_CAMPAIGNS, ids=list(outcomes))
        values = list(outcomes.values())
        rows = (
            await self._connection.execute(
                _FINISH,
                {
                    "company_id": self._company_id,
                    "token": token,
                    "id": list(outcomes),
                    "state": [outcome.state for outcome in values],
                    "pause": [outcome.pause.total_seconds() for outcome in values],
                    "at": [outcome.at for outcome in values],
                    "response": [outcome.response[:MAX_RESPONSE_LENGTH] for outcome in values],
                    "status": [outcome.status for outcome in values],
                },
            )
        ).all()
        if not rows:
            return set()
        finished = [(row, outcomes[str(row.id)]) for row in rows]
        await self._insert_attempts(finished)
        # An outbound event may be about no customer.
        about = {row.relationship_id for row in rows if row.relationship_id is not None}
        await self._execute(_CLEAR_ANSWERS, relationship_ids=sorted(about))
        await self._report_finished([row for row, outcome in finished if outcome.state != "pending"])
        ended = {
            row.campaign_id: outcome.at
            for row, outcome in finished
            if row.campaign_id is not None and outcome.state != "pending"
        }
        if ended:
            await self._execute(_END_CAMPAIGNS, campaign_ids=list(ended), at=list(ended.values()))
        return {str(row.id) for row in rows}

    async def _insert_attempts(self, finished: Sequence[tuple[Row, AttemptOutcome]]) -> None:
        await self._execute(
            _ATTEMPT,
            id=[str(row.id) for row, _ in finished],
            relationship_id=[row.relationship_id for row, _ in finished],
            seconds=[outcome.seconds for _, outcome in finished],
            outcome=[outcome.label for _, outcome in finished],
            status=[outcome.status for _, outcome in finished],
            response=[outcome.response[:MAX_RESPONSE_LENGTH] for _, outcome in finished],
        )

    async def _report_finished(self, rows: Sequence[Row]) -> None:
        reported = [row for row in rows if row.channel != "webhook"]
        if reported:
            await self._execute(
                _REPORT_FINISHED,
                relationship_ids=[row.relationship_id for row in reported],
                ids=[row.id for row in reported],
            )

    async def wake_waiting(
        self, relationship_ids: Collection[int], now: datetime, *, is_simulated: bool
    ) -> set[int]:
        """Makes the actions of locked customers due that have waited for an address, if there is one now.

        Returns the ids of the relationships that had any. `is_simulated`: the company has a test clock.
        """
        if not relationship_ids:
            return set()
        ids = list(relationship_ids)
        return set(await self._scalars(_WAKE_WAITING, ids=ids, now=now, is_simulated=is_simulated))

    async def cancel_by_endpoint(self, endpoint_id: int) -> None:
        """Cancels the pending deliveries of a disabled endpoint."""
        await self._execute(_CANCEL_BY_ENDPOINT, endpoint_id=endpoint_id)

    async def release_test_clock(self, now: datetime, oldest: datetime) -> None:
        """Makes the pending actions of a released test clock claimable; cancels those due before `oldest`."""
        await self._execute(_RELEASE_TEST_CLOCK, now=now, oldest=oldest)
        await self._execute(_END_COMPLETED_CAMPAIGNS, now=now)

    async def list_waiting_customers(self, now: datetime, *, limit: int) -> list[int]:
        """Lists customers with actions that a test clock has made due."""
        return list(await self._scalars(_WAITING_CUSTOMERS, now=now, limit=limit))

    async def _execute(self, statement: TextClause, **values: object) -> None:
        await self._connection.execute(statement, {"company_id": self._company_id, **values})

    async def _scalars(self, statement: TextClause, **values: object) -> Sequence[Any]:
        scalars = await self._connection.scalars(statement, {"company_id": self._company_id, **values})
        return scalars.all()
