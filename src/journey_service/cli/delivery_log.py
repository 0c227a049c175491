"""`deliveries`: lists the delivery log and retries dead actions."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from journey_service.cli.customer_options import CustomerFilterOption, find_filter
from journey_service.cli.terminal import (
    AsJson,
    CommandContext,
    CompanyId,
    DataDir,
    cli_actor,
    print_json,
    print_note,
    print_table,
    with_database,
)
from journey_service.domain.actions.action import ActionState
from journey_service.domain.actions.records import ActionFilter, DeliveryLogRow
from journey_service.domain.actions.stage_actions import Channel
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery_log import list_actions, retry_action


def deliveries(
    company: CompanyId,
    state: Annotated[ActionState | None, typer.Option(help="Only actions in this state.")] = None,
    customer: CustomerFilterOption = None,
    *,
    channel: Annotated[Channel | None, typer.Option(help="Only actions on this channel.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Retry dead actions.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of actions.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List actions with state, reason, attempts and last error, newest first."""

    async def run(context: CommandContext) -> list[DeliveryLogRow]:
        action_filter = ActionFilter(
            limit=limit,
            states=(ActionState.DEAD.value,) if retry else () if state is None else (state.value,),
            channels=() if channel is None else (channel.value,),
            customer_id=await find_filter(context.database, company, customer),
        )
        rows, _ = await list_actions(context.database, company, action_filter)
        return await _retry(context.database, company, rows) if retry else list(rows)

    rows = with_database(data_dir, run)
    if as_json:
        print_json({"items": [_shown(row) for row in rows]})
        return
    print_table(
        ("due", "customer", "action", "channel", "state", "reason", "attempts", "last error"),
        [_cells(row) for row in rows],
    )
    if retry:
        print_note(f"{len(rows)} dead actions are queued again; a worker sends them.")


async def _retry(database: Database, company: int, dead: Iterable[DeliveryLogRow]) -> list[DeliveryLogRow]:
    by = cli_actor("deliveries")
    return [await retry_action(database, company, one.id, by=by) for one in dead]


def _cells(row: DeliveryLogRow) -> tuple[object, ...]:
    result = row.state, row.reason, row.attempts, row.last_error
    return row.due_at, row.customer_id, row.name, row.channel.value, *result


def _shown(row: DeliveryLogRow) -> dict[str, Any]:
    names = (
        *("id", "customer_id", "stage", "name", "number", "campaign_id", "endpoint_id", "state", "reason"),
        *("attempts", "due_at", "finished_at", "last_error", "last_status", "created_at"),
    )
    return {name: getattr(row, name) for name in names} | {"channel": row.channel.value}
