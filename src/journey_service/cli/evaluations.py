"""`evaluate-transitions`: evaluates customers and shows the results of the rules."""

from collections.abc import Sequence
from typing import Annotated

import typer

from journey_service.api.journeys.schemas import journeys as schemas
from journey_service.cli.customer_options import CustomersOption, check_customers, find_customers
from journey_service.cli.jobs import report, run_in_companies
from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    DataDir,
    MaybeCompanyId,
    cli_actor,
    print_json,
    print_line,
    with_database,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.operations.records import Job
from journey_service.domain.stages.reasons import StageReason
from journey_service.services.journeys.evaluation import queue_evaluation
from journey_service.services.journeys.manual_changes import EvaluationResult, evaluate

_COUNTS = ("evaluated", "moved", "suppressed")


def evaluate_transitions(
    company: MaybeCompanyId = None,
    customer: CustomersOption = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the result for the given customers without storing it."),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate customers now; for a single customer, show every rule's result."""
    named = list(dict.fromkeys(customer or []))

    async def one_by_one(context: CommandContext) -> list[EvaluationResult]:
        check_customers(company, named)
        by = cli_actor("evaluate-transitions")
        return [
            await evaluate(context.database, company or 0, one, by=None if dry_run else by)
            for one in await find_customers(context.database, company, named)
        ]

    async def in_bulk(context: CommandContext) -> list[tuple[int, Job]]:
        check_customers(company, named)
        if dry_run:
            raise InvalidInputError.at("--dry-run", "requires --customer")
        customer_ids = await find_customers(context.database, company, named)

        async def queue(company_id: int) -> int:
            return await queue_evaluation(
                context.database,
                company_id,
                actor=cli_actor("evaluate-transitions"),
                customer_ids=customer_ids or None,
            )

        return await run_in_companies(context, company, customer_ids, queue, is_shown=not as_json)

    if len(named) == 1 or (dry_run and named):
        _print_result(with_database(data_dir, one_by_one), as_json=as_json)
    elif not report(with_database(data_dir, in_bulk), _COUNTS, as_json=as_json):
        raise typer.Exit(EXIT_FINDINGS)


def _print_result(evaluations: Sequence[EvaluationResult], *, as_json: bool) -> None:
    if as_json:
        shown = [schemas.Evaluation.of(each).model_dump(mode="json") for each in evaluations]
        print_json({"evaluations": shown})
        return
    for each in evaluations:
        _print_one(each)


def _print_one(evaluation: EvaluationResult) -> None:
    relationship = evaluation.view.stored.relationship
    who = f"Customer {relationship.customer_id}"
    for entry in evaluation.moves:
        move = entry.transition
        moves = "would move" if evaluation.is_dry_run else "moved"
        trigger = "" if move.trigger_event is None else f" ({move.trigger_event})"
        at = move.transitioned_at.isoformat(timespec="seconds")
        print_line(f"{who} {moves} from {move.from_stage} to {move.to_stage} at {at}{trigger}")
        _print_reasons(move.reasons)
    if not evaluation.moves:
        print_line(f"{who} stays in {relationship.current_stage}")
    if evaluation.suppressed_to is not None and relationship.pin_until is not None:
        until = relationship.pin_until.isoformat(timespec="seconds")
        print_line(f"{who} is pinned until {until}; the move to {evaluation.suppressed_to} is suppressed")
    print_line("As of now:")
    _print_reasons(evaluation.reasons)


def _print_reasons(reasons: Sequence[StageReason]) -> None:
    for reason in reasons:
        print_line(f"  {_mark(held=reason.held)} {reason.stage} ({reason.kind})")
        for rule in reason.rules:
            print_line(f"    {_mark(held=rule.held)} {rule.trigger}")
            for condition in rule.conditions:
                seen = "unknown" if condition.value is None else condition.value
                print_line(
                    f"      {_mark(held=condition.held)} {condition.field} {condition.condition}: {seen}"
                )


def _mark(*, held: bool) -> str:
    return "+" if held else "-"
