"""Tables as CSV that a spreadsheet opens without carrying anything out."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response

from journey_service.api.schema_fields import ResponseModel

Format = Annotated[Literal["json", "csv"], Query(alias="format", description="as JSON, or as a table")]
_FORMULAS = ("=", "+", "-", "@")
_CONTROLS = ("\t", "\r", "\n")


def tabular(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that also answers with a table."""
    schema = {"type": "string", "description": "RFC 4180, UTF-8, with a header"}
    return {200: {"content": {"text/csv": {"schema": schema}}}, **responses}


def answer(
    out: ResponseModel, rows: Sequence[ResponseModel], shape: type[ResponseModel], form: str, name: str
) -> ResponseModel | Response:
    """The answer itself, or its rows as a table; what there is more of is told as `X-Next-Cursor`."""
    if form != "csv":
        return out
    columns = list(shape.model_fields)
    # Whoever has the table alone has to know what money is told in.
    currency = getattr(out, "currency", None) if "currency" not in columns else None
    beyond = [] if currency is None else [currency]
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    cursor = getattr(out, "next_cursor", None)
    if cursor is not None:
        headers["X-Next-Cursor"] = cursor
    return Response(
        csv_of(
            [*columns, *("currency" for _ in beyond)],
            ([*(getattr(row, column) for column in columns), *beyond] for row in rows),
        ),
        media_type="text/csv; charset=utf-8",
        headers=headers,
    )


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A header and rows: texts in quotes, numbers as they are, what is unknown left empty."""
    return "".join(",".join(_cell(value) for value in row) + "\r\n" for row in ([*columns], *rows))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'"{str(value).lower()}"'
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        return f'"{value.isoformat().replace("+00:00", "Z")}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return '"' + _harmless(told).replace('"', '""') + '"'


def _harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula, spaces before it or not."""
    is_formula = text.lstrip().startswith(_FORMULAS)
    return f"'{text}" if is_formula or text.lstrip(" ").startswith(_CONTROLS) else text
