"""CSV responses that a spreadsheet opens without evaluating formulas."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, datetime
from functools import wraps
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Query, Response

from journey_service.api.schema_fields import ResponseModel

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Awaitable[Any]])

Format = Annotated[Literal["json", "csv"], Query(alias="format", description="as JSON, or as a table")]
_FORMULA_PREFIXES: Final = ("=", "+", "-", "@")
_CONTROLS: Final = ("\t", "\r", "\n")
_CSV: Final = {
    "type": "string",
    "description": "RFC 4180 in UTF-8 with a header line; empty cells are unknown",
}


class CsvResponse(Response):
    """A CSV table."""

    media_type = "text/csv; charset=utf-8"


def get_with_csv(
    router: APIRouter,
    path: str,
    row: type[ResponseModel],
    *,
    summary: str,
    responses: dict[int | str, dict[str, Any]],
    rows: Callable[[Any], Sequence[ResponseModel]] = lambda response: response.items,
    **options: Any,  # noqa: ANN401  # FastAPI's own
) -> Callable[[_Endpoint], _Endpoint]:
    """Decorates an endpoint that is served as JSON at `path` and as CSV at `path` + `.csv`.

    The CSV has one line for each of `rows(response)` and a column for each field of `row`. Its operation id is that of
    the endpoint with `_csv`; the file is named like the last part of the path. A cursor of the JSON becomes the header
    `X-Next-Cursor`, its currency a column.
    """

    def decorate(endpoint: _Endpoint) -> _Endpoint:
        router.add_api_route(path, endpoint, methods=["GET"], summary=summary, responses=responses, **options)

        @wraps(endpoint)
        async def as_csv(*args: Any, **kwargs: Any) -> CsvResponse:  # noqa: ANN401  # the endpoint's own
            response = await endpoint(*args, **kwargs)
            return csv_table(response, rows(response), row, path.rpartition("/")[2])

        as_csv.__name__ = f"{endpoint.__name__}_csv"
        router.add_api_route(
            f"{path}.csv",
            as_csv,
            methods=["GET"],
            summary=f"{summary} as CSV",
            response_model=None,
            response_class=CsvResponse,
            responses={
                200: {
                    "description": "A CSV table",
                    "content": {"text/csv": {"schema": _CSV, "x-row-schema": row.__name__}},
                },
                **responses,
            },
            **options,
        )
        return endpoint

    return decorate


def csv_table(
    response: ResponseModel, rows: Sequence[ResponseModel], row: type[ResponseModel], name: str
) -> CsvResponse:
    """Returns rows as a CSV attachment, with the cursor and the currency of the response."""
    columns = list(row.model_fields)
    # A table is read on its own: it names the currency of its amounts.
    currency = getattr(response, "currency", None) if "currency" not in columns else None
    added = [] if currency is None else [currency]
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    cursor = getattr(response, "next_cursor", None)
    if cursor is not None:
        headers["X-Next-Cursor"] = cursor
    return CsvResponse(
        csv_of(
            [*columns, *("currency" for _ in added)],
            ([*(getattr(each, column) for column in columns), *added] for each in rows),
        ),
        headers=headers,
    )


def tabular(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses` of a route that answers JSON or CSV at one path."""
    return {200: {"content": {"text/csv": {"schema": _CSV}}}, **responses}


def answer(
    response: ResponseModel, rows: Sequence[ResponseModel], row: type[ResponseModel], form: str, name: str
) -> ResponseModel | Response:
    """Returns the response itself, or its rows as CSV."""
    return csv_table(response, rows, row, name) if form == "csv" else response


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a CSV text with a header: text in quotes, numbers as they are, None as an empty cell."""
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
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return '"' + _without_formula(text).replace('"', '""') + '"'


def _without_formula(text: str) -> str:
    """Prefixes a text that a spreadsheet would evaluate, with leading spaces or without, by an apostrophe."""
    is_formula = text.lstrip().startswith(_FORMULA_PREFIXES)
    return f"'{text}" if is_formula or text.lstrip(" ").startswith(_CONTROLS) else text
