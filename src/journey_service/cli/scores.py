"""`update-risk-scores`, `queue-updates`, `explain-risk`."""

from typing import Annotated

import typer

from journey_service.api.journeys.schemas.scores import CustomerScores
from journey_service.cli.customer_options import (
    CustomerOption,
    CustomersOption,
    check_customers,
    find_customer,
    find_customers,
)
from journey_service.cli.jobs import report, run_in_companies, watch
from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    CompanyId,
    DataDir,
    MaybeCompanyId,
    bar,
    cli_actor,
    print_json,
    print_line,
    print_table,
    select_companies,
    with_database,
)
from journey_service.domain.journeys.scoring import ScoreExplanation
from journey_service.domain.operations.records import Job
from journey_service.services.journeys.reading import ScoreExplanations, get_scores
from journey_service.services.journeys.rescoring import BATCH_SIZE, MAX_BATCH_SIZE, queue_rescore

_COUNTS = ("scored", "changed", "evaluated", "moved")


def update_risk_scores(
    company: MaybeCompanyId = None,
    customer: CustomersOption = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate due customers and update stored scores, in this process."""
    named = customer or []

    async def run(context: CommandContext) -> list[tuple[int, Job]]:
        check_customers(company, named)
        customer_ids = await find_customers(context.database, company, named)

        async def queue(company_id: int) -> int:
            return await queue_rescore(
                context.database,
                company_id,
                actor=cli_actor("update-risk-scores"),
                customer_ids=customer_ids or None,
            )

        return await run_in_companies(context, company, customer_ids, queue, is_shown=not as_json)

    if not report(with_database(data_dir, run), _COUNTS, as_json=as_json):
        raise typer.Exit(EXIT_FINDINGS)


def queue_updates(
    company: MaybeCompanyId = None,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH_SIZE, help="Batch size: number of customers per transaction.")
    ] = BATCH_SIZE,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs have ended.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue an update of stored scores, which the workers run."""

    async def run(context: CommandContext) -> list[tuple[int, int]]:
        return [
            (
                one.id,
                await queue_rescore(
                    context.database, one.id, actor=cli_actor("queue-updates"), batch_size=batch_size
                ),
            )
            for one in await select_companies(context.database, company)
        ]

    async def queue_and_wait(context: CommandContext) -> list[tuple[int, Job]]:
        queued = await run(context)
        with bar(is_shown=not as_json) as shown:
            return [
                (company_id, await watch(context.database, company_id, job_id, shown))
                for company_id, job_id in queued
            ]

    if wait:
        if not report(with_database(data_dir, queue_and_wait), _COUNTS, as_json=as_json):
            raise typer.Exit(EXIT_FINDINGS)
        return
    queued = with_database(data_dir, run)
    if as_json:
        print_json({"companies": [{"company_id": one, "job_id": job} for one, job in queued]})
        return
    for one, job in queued:
        print_line(f"company {one}: job {job}")


def explain_risk(
    company: CompanyId,
    customer: CustomerOption,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show both scores of a customer, factor by factor."""

    async def run(context: CommandContext) -> ScoreExplanations:
        customer_id = await find_customer(context.database, company, customer)
        return await get_scores(context.database, company, customer_id)

    scores = with_database(data_dir, run)
    if as_json:
        print_json(CustomerScores.of(scores).model_dump(mode="json"))
        return
    print_line(
        f"Customer {customer} of company {company}, as of {scores.as_of.isoformat(timespec='seconds')}"
    )
    for name, explanation in (("Risk", scores.risk), ("Engagement", scores.engagement)):
        _print_score(name, explanation)


def _print_score(name: str, explanation: ScoreExplanation) -> None:
    print_line()
    print_line(f"{name} {explanation.score / 100:.2f}")
    print_table(
        ("factor", "value", "threshold", "weight", "contribution"),
        [
            (
                factor.name,
                factor.value,
                factor.threshold,
                factor.weight,
                f"{factor.contribution / 100:.2f}",
            )
            for factor in explanation.factors
        ],
    )
