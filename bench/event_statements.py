"""What one event costs in the database: its statements, captured from the service, as a script of pgbench.

The script is one transaction that applies one event of a random customer: the statements that `ingest` executes for a
known customer, with the ids of customer, relationship and event as variables. It is the lower bound of a service that
applies each event in a transaction of its own.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg
from sqlalchemy import event as sql_events

from journey_service.domain.events.parsing import parse_event
from journey_service.repositories.database import Database
from journey_service.services.events.ingest import IngestOutcome, ingest

_PARAMETER = re.compile(r"\$(\d+)")
_ID_IN_JSON = re.compile(r'"(id|customer_id|relationship_id)":(\d+)')
Captured = list[tuple[str, tuple[object, ...]]]


async def capture(database: Database, company_id: int, events: Sequence[Mapping[str, object]]) -> Captured:
    """Applies events in one transaction; returns its statements with their parameters."""
    captured: Captured = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Iterable[object], *_: object
    ) -> None:
        captured.append((statement, tuple(parameters)))

    engine = database._app.sync_engine
    sql_events.listen(engine, "before_cursor_execute", note)
    try:
        outcomes = await ingest(database, company_id, [parse_event(values) for values in events])
    finally:
        sql_events.remove(engine, "before_cursor_execute", note)
    assert all(isinstance(outcome, IngestOutcome) for outcome in outcomes), outcomes[:1]
    return captured


class Script:
    """The captured statements as a script of pgbench.

    `customer_id` and `event_id` are those of the captured event. Customers have consecutive ids from `first_customer`,
    and relationships from `first_relationship`, in the same order.
    """

    def __init__(
        self,
        captured: Captured,
        *,
        event_id: str,
        customer_id: int,
        relationship_id: int,
        customers: int,
    ) -> None:
        self._captured = captured
        self._variables: dict[object, str] = {
            event_id: "'pgbench-' || :client_id || '-' || :number",
            customer_id: ":customer",
            relationship_id: ":relationship",
        }
        self._offset = relationship_id - customer_id
        self._customers = customers

    @property
    def text(self) -> str:
        """The script."""
        # The number of the event is random: with as many values, hardly any occurs twice.
        return "\n".join(
            [
                f"\\set customer random(0, {self._customers - 1})",
                f"\\set relationship :customer + {self._offset}",
                "\\set number random(1, 9000000000000000)",
                "BEGIN;",
                *(self._bound(statement, parameters) + ";" for statement, parameters in self._captured),
                "COMMIT;",
                "",
            ]
        )

    def _bound(self, statement: str, parameters: Sequence[object]) -> str:
        literals = [self._literal(value) for value in parameters]
        bound = _PARAMETER.sub(lambda found: literals[int(found[1]) - 1], statement)
        return " ".join(bound.split())

    def _literal(self, value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if value is None:
            return "NULL"
        if isinstance(value, int | str) and value in self._variables:
            return f"({self._variables[value]})"
        if isinstance(value, list | tuple):
            return f"ARRAY[{', '.join(map(self._literal, value))}]"
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'"
        if isinstance(value, datetime):
            return _quote(value.isoformat())
        if isinstance(value, int):
            return str(value)
        return self._quoted(str(value))

    def _quoted(self, text: str) -> str:
        """Returns a text literal; ids of the captured event in JSON are variables."""
        pieces, rest = [], 0
        for found in _ID_IN_JSON.finditer(text):
            variable = self._variables.get(int(found[2]))
            if variable is not None:
                pieces += [_quote(text[rest : found.start(2)]), variable]
                rest = found.end(2)
        return f"({' || '.join([*pieces, _quote(text[rest:])])})"


def _quote(text: str) -> str:
    """Returns a literal without colons, after which pgbench would look for a variable."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a")
    return f"E'{escaped}'"


def run_pgbench(programs: Path, url: str, script: Path, *, clients: int, seconds: float, role: str) -> float:
    """Returns transactions per second of a script with prepared statements, as the role of the service.

    For less than a second, each client executes one transaction.
    """
    parts = urlsplit(url)
    host = unquote(parts.hostname or "localhost")
    environment = {
        "PGHOST": host,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
        "PGOPTIONS": f"-c role={role} -c plan_cache_mode=force_generic_plan -c jit=off",
    }
    command = [
        *(str(programs / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={clients}"),
        *("--jobs=1", f"--time={round(seconds)}" if seconds >= 1 else "--transactions=1", f"--file={script}"),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # a program of the package
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if found is None or done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr[:2_000])
    return float(found[1])


async def copy_events(url: str, company_id: int, rows: int) -> float:
    """Returns rows per second of COPY of stored events into a table with the same columns and indexes."""
    connection = await asyncpg.connect(url)
    try:
        columns = await connection.fetchval(
            "SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute WHERE NOT attisdropped AND attnum > 0"
            " AND attrelid = 'journey_events'::regclass AND attgenerated = ''"
        )
        await connection.execute(
            "DROP TABLE IF EXISTS copied_events; CREATE TABLE copied_events (LIKE journey_events INCLUDING ALL)"
        )
        names = ", ".join(columns)
        with tempfile.TemporaryFile() as file:
            found = await connection.copy_from_query(
                f"SELECT {names} FROM journey_events WHERE company_id = $1 LIMIT $2",  # noqa: S608  # names of columns
                *(company_id, rows),
                output=file,
                format="binary",
            )
            file.seek(0)
            began = time.perf_counter()
            await connection.copy_to_table("copied_events", source=file, columns=columns, format="binary")
            seconds = time.perf_counter() - began
        return int(found.split()[1]) / seconds
    finally:
        await connection.close()
