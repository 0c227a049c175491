"""The `journey` command line: composition root of every command."""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

__all__ = ["app"]

_ClickObject: TypeAlias = Any
"""A context, command, result or argument of click, of which typer contains a private copy."""


class _Entry(NamedTuple):
    """A command: its module in this package, its function, and the line that `--help` shows."""

    module: str
    function: str
    help: str


_COMMANDS: Final[Mapping[str, _Entry]] = {
    "up": _Entry("serving", "up", "Start PostgreSQL, Valkey, the API, and a worker on this machine."),
    "api": _Entry("serving", "api", "Run the API with the settings of the environment."),
    "worker": _Entry(
        "background", "worker", "Run background work: due customers, nightly runs, jobs, deliveries."
    ),
    "migrate": _Entry(
        "database_maintenance", "migrate", "Migrate the database to the schema of this version."
    ),
    "backup": _Entry("backups", "backup", "Write an encrypted backup of the database to a folder."),
    "restore": _Entry("backups", "restore", "Restore a backup into an empty database, or only check it."),
    "import": _Entry("imports", "import_", "Import a file of past events. Running it again changes nothing."),
    "openapi": _Entry("openapi", "openapi", "Print the OpenAPI document of the API, or write it to a file."),
    "update-risk-scores": _Entry(
        "scores", "update_risk_scores", "Evaluate due customers and update stored scores, in this process."
    ),
    "queue-updates": _Entry(
        "scores", "queue_updates", "Queue an update of stored scores, which the workers run."
    ),
    "explain-risk": _Entry("scores", "explain_risk", "Show both scores of a customer, factor by factor."),
    "evaluate-transitions": _Entry(
        "evaluations",
        "evaluate_transitions",
        "Evaluate customers now; for a single customer, show every rule's result.",
    ),
    "health-check": _Entry(
        "health", "health_check", "Check the database, its schema, Redis, the backlog, and metrics."
    ),
    "schedule-list": _Entry(
        "health", "schedule_list", "List the worker's polling tasks and each company's nightly runs."
    ),
    "optimize-queries": _Entry(
        "database_maintenance",
        "optimize_queries",
        "Run ANALYZE on every table, and report on tables, indexes, and queries.",
    ),
    "clock": _Entry("test_clock", "clock", "Show a company's clock, or advance or release its test clock."),
    "audit": _Entry("audit", "audit", "List entries of a company's audit log."),
    "deliveries": _Entry(
        "delivery_log", "deliveries", "List actions that were sent or cancelled, and retry dead ones."
    ),
    "sign-in-link": _Entry(
        "api_keys", "sign_in_link", "Print a one-time link that signs a browser in for 15 minutes."
    ),
}
_KEYS: Final[Mapping[str, _Entry]] = {
    "create": _Entry("api_keys", "create", "Create an API key and print its secret once."),
    "list": _Entry("api_keys", "list_", "List API keys, without their secrets."),
    "rotate": _Entry("api_keys", "rotate", "Replace an API key; both keys are valid during the overlap."),
    "revoke": _Entry("api_keys", "revoke", "Revoke an API key and end every session opened with it."),
}
_ERASURES: Final[Mapping[str, _Entry]] = {
    "export": _Entry(
        "erasures", "export", "Print the tombstones of erased customers, to store with backups."
    ),
    "apply": _Entry("erasures", "apply", "Re-apply erasures after restoring a backup."),
}


class _Commands(TyperGroup):
    """A group of commands that imports a command only when it is called, which keeps startup fast.

    Usage errors exit with status 1, because status 2 means that the command ran and reports warnings.
    """

    entries: ClassVar[Mapping[str, _Entry]] = {}

    def __init__(self, **attributes: _ClickObject) -> None:
        super().__init__(**attributes)
        self.commands = {
            **{name: TyperCommand(name, help=entry.help) for name, entry in self.entries.items()},
            **self.commands,
        }

    def resolve_command(self, ctx: _ClickObject, args: list[str]) -> _ClickObject:
        """Imports the called command."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self.entries.get(name or "")
        return name, command if entry is None else _load(str(name), entry), rest

    def make_context(self, *arguments: _ClickObject, **options: _ClickObject) -> _ClickObject:
        """Parses the options. Usage errors exit with status 1."""
        with _usage_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: _ClickObject) -> _ClickObject:
        """Runs the command. Usage errors exit with status 1."""
        with _usage_errors():
            return super().invoke(ctx)


class _RootCommands(_Commands):
    entries = _COMMANDS


class _KeyCommands(_Commands):
    entries = _KEYS


class _ErasureCommands(_Commands):
    entries = _ERASURES


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        error.exit_code = 1
        raise


def _load(name: str, entry: _Entry) -> _ClickObject:
    module = importlib.import_module(f"{__name__}.{entry.module}")
    only = typer.Typer(add_completion=False)
    only.command(name, help=entry.help)(getattr(module, entry.function))
    return typer.main.get_command(only)


def _group(help_: str, commands: type[_Commands]) -> typer.Typer:
    group = typer.Typer(help=help_, no_args_is_help=True, add_completion=False, cls=commands)
    group.callback()(lambda: None)
    return group


app = _group("The customer journey service.", _RootCommands)
app.add_typer(_group("Create, list, rotate, and revoke API keys.", _KeyCommands), name="keys")
app.add_typer(_group("Export and re-apply erasures.", _ErasureCommands), name="erasures")
