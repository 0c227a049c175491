"""Loads a company's rows in the form that the metrics oracle reads."""

from zoneinfo import ZoneInfo

from ledger import rows
from oracle.literal import LiteralEvent, counting
from oracle.metrics import ActionRow, CustomerRow, EventRow, MetricsOracle, MoveRow, StageRow


async def literal(database, company_id: int) -> MetricsOracle:
    """Returns every row of a company as input of the metrics oracle."""
    [company] = await rows(
        database,
        company_id,
        "SELECT coalesce(clock_at, clock_timestamp()) AS now, timezone, map_version, CAST(policy AS text) AS policy"
        " FROM companies WHERE id = :company",
    )
    maps = {
        row.version: [
            StageRow(
                stage["key"],
                stage["name"],
                stage["order"],
                stage["kind"],
                stage.get("is_active", True),
                stage.get("remapped_to"),
            )
            for stage in row.stages
        ]
        for row in await rows(
            database, company_id, "SELECT version, stages FROM stage_map_versions WHERE company_id = :company"
        )
    }
    moves = await rows(
        database,
        company_id,
        "SELECT r.customer_id, t.seq, t.from_stage, t.to_stage, t.transitioned_at, t.trigger_type, t.map_version"
        " FROM journey_transitions t JOIN customer_relationships r"
        " ON r.company_id = t.company_id AND r.id = t.relationship_id WHERE t.company_id = :company",
    )
    events = await rows(
        database,
        company_id,
        "SELECT r.customer_id, e.type, e.occurred_at, e.amount, e.source, e.event_id, e.booking_id, e.scheduled_for,"
        " e.reported_at, e.retracts_source, e.retracts_id FROM journey_events e JOIN customer_relationships r"
        " ON r.company_id = e.company_id AND r.id = e.relationship_id WHERE e.company_id = :company",
    )
    by_customer: dict[int, list[LiteralEvent]] = {}
    for row in events:
        retracts = None if row.retracts_id is None else (row.retracts_source, row.retracts_id)
        by_customer.setdefault(row.customer_id, []).append(
            LiteralEvent(
                *(row.type, row.occurred_at, row.amount, None, (row.source, row.event_id), row.booking_id),
                *(row.scheduled_for, row.reported_at, retracts),
            )
        )
    actions = await rows(
        database,
        company_id,
        "SELECT r.customer_id, a.name, CASE WHEN a.reason = 'no_channel' THEN 'skipped' ELSE a.state END AS state,"
        " a.planned_at FROM journey_actions a JOIN customer_relationships r"
        " ON r.company_id = a.company_id AND r.id = a.relationship_id WHERE a.company_id = :company"
        " AND a.channel <> 'webhook'",
    )
    customers = await rows(
        database,
        company_id,
        "SELECT customer_id, current_stage, stage_entered_at, risk_score, last_appointment_at, lifetime_value"
        " FROM customer_relationships WHERE company_id = :company",
    )
    return MetricsOracle(
        company.now,
        ZoneInfo(company.timezone),
        company.map_version,
        maps,
        [MoveRow(*row) for row in moves],
        [
            EventRow(customer, event.type, event.occurred_at, event.amount)
            for customer, of_customer in by_customer.items()
            for event in counting(of_customer)
        ],
        [CustomerRow(*row) for row in customers],
        "payments" if '"payments"' in company.policy else "appointments",
        [ActionRow(*row) for row in actions],
    )
