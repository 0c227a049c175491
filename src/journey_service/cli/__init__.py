"""The `journey` command: the composition root of everything that is not the API's own process."""

from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from journey_service.cli import api_keys as keys
from journey_service.cli import audit, erasures, evaluations, scores, serving
from journey_service.cli import database_maintenance as upkeep
from journey_service.cli import delivery_log as deliveries
from journey_service.cli import health as inspection
from journey_service.cli import imports as histories
from journey_service.cli import openapi as contract
from journey_service.cli import test_clock as clock

__all__ = ["app"]


class _Commands(TyperGroup):
    """The commands. One that was mistyped has failed: the customary 2 is said here of work that was done."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # the library's own
        try:
            return super().make_context(*arguments, **options)
        except TyperException as error:
            error.exit_code = 1
            raise

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # the library's own
        try:
            return super().invoke(ctx)
        except TyperException as error:
            error.exit_code = 1
            raise


def _group(help_: str) -> typer.Typer:
    return typer.Typer(help=help_, no_args_is_help=True, add_completion=False, cls=_Commands)


app = _group("The customer journey service.")
for command, name in (
    (serving.up, "up"),
    (serving.api, "api"),
    (serving.worker, "worker"),
    (serving.migrate, "migrate"),
    (histories.import_, "import"),
    (contract.openapi, "openapi"),
    (scores.update_risk_scores, "update-risk-scores"),
    (scores.queue_updates, "queue-updates"),
    (scores.explain_risk, "explain-risk"),
    (evaluations.evaluate_transitions, "evaluate-transitions"),
    (inspection.health_check, "health-check"),
    (inspection.schedule_list, "schedule-list"),
    (upkeep.optimize_queries, "optimize-queries"),
    (clock.clock, "clock"),
    (audit.audit, "audit"),
    (deliveries.deliveries, "deliveries"),
    (keys.sign_in_link, "sign-in-link"),
):
    app.command(name)(command)

_keys = _group("API keys: make, list, rotate, revoke.")
_keys.command("create")(keys.create)
_keys.command("list")(keys.list_)
_keys.command("rotate")(keys.rotate)
_keys.command("revoke")(keys.revoke)
app.add_typer(_keys, name="keys")

_erasures = _group("Erasures, kept beside backups and applied to what was restored.")
_erasures.command("keep")(erasures.keep)
_erasures.command("apply")(erasures.apply)
app.add_typer(_erasures, name="erasures")
