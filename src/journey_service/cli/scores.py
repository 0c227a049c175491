"""`update-risk-scores`, `queue-updates`, `explain-risk`: stored scores rewritten, and told apart."""

from typing import Annotated

import typer

from journey_service.api.journeys.schemas.scores import ScoresOut
from journey_service.cli.jobs import check_customers, report, run_in_companies, watch
from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    CompanyId,
    CustomerId,
    CustomerIds,
    DataDir,
    MaybeCompanyId,
    bar,
    cli_actor,
    say,
    say_json,
    say_table,
    select_companies,
    with_database,
)
from journey_service.domain.journeys.scoring import Explanation
from journey_service.domain.operations.records import Job
from journey_service.services.journeys.reading import Scores, get_scores
from journey_service.services.journeys.rescoring import CHUNK, LARGEST_CHUNK, queue_rescore

_COUNTS = ("scored", "changed", "decided", "moved")


def update_risk_scores(
    company: MaybeCompanyId = None,
    customer: CustomerIds = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Decide what is due and rewrite stored scores, now and in this process."""
    named = customer or []

    async def uow(place: CommandContext) -> list[tuple[int, Job]]:
        check_customers(company, named)

        async def queue(company_id: int) -> int:
            return await queue_rescore(
                place.database,
                company_id,
                actor=cli_actor("update-risk-scores"),
                customer_ids=named or None,
            )

        return await run_in_companies(place, company, named, queue, is_shown=not as_json)

    if not report(with_database(data_dir, uow), _COUNTS, as_json=as_json):
        raise typer.Exit(EXIT_FINDINGS)


def queue_updates(
    company: MaybeCompanyId = None,
    chunk: Annotated[
        int, typer.Option(min=1, max=LARGEST_CHUNK, help="How many customers one transaction looks at.")
    ] = CHUNK,
    wait: Annotated[bool, typer.Option("--wait", help="Watch the workers until they are done.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue the rewriting of stored scores for the workers."""

    async def uow(place: CommandContext) -> list[tuple[int, int]]:
        return [
            (
                one.id,
                await queue_rescore(place.database, one.id, actor=cli_actor("queue-updates"), chunk=chunk),
            )
            for one in await select_companies(place.database, company)
        ]

    async def queue_and_wait(place: CommandContext) -> list[tuple[int, Job]]:
        queued = await uow(place)
        with bar(is_shown=not as_json) as shown:
            return [
                (company_id, await watch(place.database, company_id, job_id, shown))
                for company_id, job_id in queued
            ]

    if wait:
        if not report(with_database(data_dir, queue_and_wait), _COUNTS, as_json=as_json):
            raise typer.Exit(EXIT_FINDINGS)
        return
    queued = with_database(data_dir, uow)
    if as_json:
        say_json({"companies": [{"company": one, "job": job} for one, job in queued]})
        return
    for one, job in queued:
        say(f"company {one}: job {job}")


def explain_risk(
    company: CompanyId,
    customer: CustomerId,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show both scores of a customer with everything that goes into them."""

    async def uow(place: CommandContext) -> Scores:
        return await get_scores(place.database, company, customer)

    scores = with_database(data_dir, uow)
    if as_json:
        say_json(ScoresOut.of(scores).model_dump(mode="json"))
        return
    say(f"Customer {customer} of company {company}, as of {scores.as_of.isoformat(timespec='seconds')}")
    for name, explanation in (("Risk", scores.risk), ("Engagement", scores.engagement)):
        _say_score(name, explanation)


def _say_score(name: str, explanation: Explanation) -> None:
    say()
    say(f"{name} {explanation.score / 100:.2f}")
    say_table(
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
