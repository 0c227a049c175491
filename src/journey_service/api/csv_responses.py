"""CSV responses that a spreadsheet opens without evaluating formulas."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import wraps
from typing import Any, Final, NamedTuple, TypeVar

from fastapi import APIRouter, Response

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.calendar import utc_text
from journey_service.domain.companies.currencies import get_currency
from journey_service.domain.texts import is_formula

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Awaitable[Any]])


class FurtherColumns(NamedTuple):
    """Columns that follow those of the rows: their names, and their values for a row."""

    names: Sequence[str]
    values_of: Callable[[Any], Sequence[object]]


_CONTROLS: Final = ("\t", "\r", "\n")
_AMOUNTS: Final = ("lifetime_value", "revenue")
"""Columns of amounts, which are written with the decimals of the currency."""
_NO_FURTHER: Final = FurtherColumns((), lambda _: ())
_CSV: Final = {
    "type": "string",
    "description": "RFC 4180 in UTF-8 with a header line; an empty cell is null",
}


class CsvResponse(Response):
    """A CSV table."""

    media_type = "text/csv"


def get_with_csv(
    router: APIRouter,
    path: str,
    row: type[ResponseModel],
    *,
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    rows: Callable[[Any], Sequence[ResponseModel]] = lambda response: response.items,
    without: Collection[str] = (),
    further: Callable[..., Awaitable[FurtherColumns]] | None = None,
    note: str = "",
    **options: Any,  # noqa: ANN401  # FastAPI's own
) -> Callable[[_Endpoint], _Endpoint]:
    """Decorates an endpoint that is served as JSON at `path` and as CSV at `path` + `.csv`.

    The CSV has one line for each of `rows(response)` and a column for each field of `row`, except those in `without`.
    Its operation id is that of the endpoint with `_csv`; the file is named like the last part of the path. The cursor
    of the response becomes the header `X-Next-Cursor`, its currency a column after those of the rows.

    `further` is called with the arguments of the endpoint, and returns columns that follow all others; `note` describes
    them in the contract.
    """

    def decorate(endpoint: _Endpoint) -> _Endpoint:
        router.add_api_route(path, endpoint, methods=["GET"], summary=summary, responses=responses, **options)
        fields = endpoint.__annotations__["return"].model_fields
        columns = [name for name in row.model_fields if name not in without]
        # A table is read on its own: it names the currency of its amounts.
        shared = [name for name in ("currency",) if name in fields and name not in columns]
        name = f"{path.rpartition('/')[2]}.csv"
        is_paged = "next_cursor" in fields

        @wraps(endpoint)
        async def as_csv(*args: Any, **kwargs: Any) -> CsvResponse:  # noqa: ANN401  # the endpoint's own
            response = await endpoint(*args, **kwargs)
            last = [getattr(response, column) for column in shared]
            more = _NO_FURTHER if further is None else await further(**kwargs)
            table = csv_of(
                [*columns, *shared, *more.names],
                ([*_values(each, columns, *last), *last, *more.values_of(each)] for each in rows(response)),
            )
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            if is_paged and response.next_cursor is not None:
                headers["X-Next-Cursor"] = response.next_cursor
            return CsvResponse(table, headers=headers)

        as_csv.__name__ = f"{endpoint.__name__}_csv"
        as_csv.__doc__ = f"{_description(f'{router.prefix}{path}', is_paged=is_paged)} {note}".rstrip()
        router.add_api_route(
            f"{path}.csv",
            as_csv,
            methods=["GET"],
            summary=f"{summary} as CSV",
            response_model=None,
            response_class=CsvResponse,
            responses={200: _response_200(row, [*columns, *shared], name, is_paged=is_paged), **responses},
            **options,
        )
        return endpoint

    return decorate


def _description(path: str, *, is_paged: bool) -> str:
    description = (
        f"Returns what `GET {path}` returns, as a CSV file with a header line and one line for each row."
    )
    return (
        f"{description} The header `X-Next-Cursor` holds the cursor of the next page."
        if is_paged
        else description
    )


def _response_200(
    row: type[ResponseModel], columns: Sequence[str], name: str, *, is_paged: bool
) -> dict[str, Any]:
    """Returns the description of a CSV response for the contract."""
    row_schema = row.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    return {
        "description": "A CSV table",
        "headers": _headers(name, is_paged=is_paged),
        "content": {
            "text/csv": {"schema": _CSV, "x-row-schema": {"schema": row_schema, "columns": list(columns)}}
        },
    }


def _headers(name: str, *, is_paged: bool) -> dict[str, Any]:
    """Returns the headers of a CSV response for the contract."""
    headers = {
        "Content-Disposition": {
            "description": "Name of the file",
            "schema": {"type": "string"},
            "example": f'attachment; filename="{name}"',
        }
    }
    if is_paged:
        headers["X-Next-Cursor"] = {
            "description": "Pass it as `cursor` to read the next page; absent on the last page",
            "schema": {"type": "string"},
            "example": "b3BhcXVlLWN1cnNvcg",
        }
    return headers


def _values(row: ResponseModel, columns: Sequence[str], currency: str | None = None) -> list[object]:
    values = [getattr(row, column) for column in columns]
    if currency is None:
        return values
    decimals = get_currency(currency).decimals
    return [
        Decimal(f"{value:.{decimals}f}") if column in _AMOUNTS and value is not None else value
        for column, value in zip(columns, values, strict=True)
    ]


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a CSV text with a header: text in quotes, numbers as they are, None as an empty cell."""
    return csv_rows(([*columns], *rows))


def csv_rows(rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as CSV, without a header."""
    return "".join(",".join(_cell(value) for value in row) + "\r\n" for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'"{str(value).lower()}"'
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return f'"{utc_text(value)}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return '"' + _without_formula(text).replace('"', '""') + '"'


def _without_formula(text: str) -> str:
    """Prefixes a text that a spreadsheet would evaluate, with leading spaces or without, by an apostrophe."""
    return f"'{text}" if is_formula(text) or text.lstrip(" ").startswith(_CONTROLS) else text
