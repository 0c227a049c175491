"""Reads the fields of an event from the body of a webhook, by JMESPath expressions of bounded cost."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.functions import Functions, signature
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from journey_service.domain.calendar import utc_text
from journey_service.domain.errors import FieldError, InvalidInputError, pointer_token, quote_value
from journey_service.domain.events.cell_formats import parse_local_time
from journey_service.domain.events.sources.records import (
    ANY_TYPE,
    CUSTOMER_FIELDS,
    SourceMapping,
)
from journey_service.domain.events.values import parse_instant
from journey_service.domain.json_values import UncheckedJson

_Node: TypeAlias = Any
"""A node of a compiled expression: a dict, whose type the library does not publish."""

MAX_EXPRESSION_LENGTH: Final = 500
"""Characters of an expression; longer ones are refused."""
MAX_STEPS: Final = 20_000
"""Steps in which the expressions of a mapping must be evaluated for a body; one that needs more is an error."""
FUNCTIONS: Final = (
    *("contains", "ends_with", "join", "length", "max", "min", "not_null", "starts_with"),
    *("to_number", "to_string", "type"),
)
"""Functions that an expression may call."""
_ITEMS_PER_STEP: Final = 32
"""Characters or items of a value that cost one step."""
_TEXTS: Final = ("id", "booking_id", "customer_ref", "customer_email")
_TIMES: Final = ("occurred_at", "scheduled_for")
_DATA: Final = ("booking_id", "scheduled_for", "total_amount")


class _TooManyStepsError(Exception):
    """The evaluation of a mapping needs more than MAX_STEPS steps."""


class _Budget:
    """Steps that are left for the evaluation of a mapping."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Uses steps. Raises _TooManyStepsError."""
        self._left -= steps
        if self._left < 0:
            raise _TooManyStepsError


class _BoundedFunctions(Functions):
    """The functions of FUNCTIONS. Their arguments cost steps; text is made of single values only."""

    def __init__(self, budget: _Budget) -> None:
        super().__init__()
        self._budget = budget

    def call_function(self, function_name: str, resolved_args: Iterable[UncheckedJson]) -> UncheckedJson:
        """Calls a function with its arguments."""
        for argument in resolved_args:
            values = argument if isinstance(argument, list) else [argument]
            self._budget.spend(1 + sum(1 + _size(value) for value in values) // _ITEMS_PER_STEP)
        return super().call_function(function_name, resolved_args)

    @signature({"types": ["string", "number", "boolean", "null"]})
    def _func_to_string(self, argument: object) -> str:
        return argument if isinstance(argument, str) else json.dumps(argument)


class _BoundedInterpreter(TreeInterpreter):
    """Evaluates an expression; every node and every large value costs steps."""

    def __init__(self, budget: _Budget) -> None:
        super().__init__(jmespath.Options(custom_functions=_BoundedFunctions(budget)))
        self._budget = budget

    def visit(self, node: _Node, *args: object, **kwargs: object) -> UncheckedJson:
        """Evaluates a node."""
        self._budget.spend(1)
        value = super().visit(node, *args, **kwargs)
        self._budget.spend(_size(value) // _ITEMS_PER_STEP)
        return value

    def visit_flatten(self, node: _Node, value: UncheckedJson) -> UncheckedJson:
        """Joins the lists within a list. Their length is known before the result takes memory."""
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        self._budget.spend(sum(_size(each) for each in base) // _ITEMS_PER_STEP)
        return [item for each in base for item in (each if isinstance(each, list) else [each])]


def check_mapping(mapping: SourceMapping) -> list[FieldError]:
    """Returns the errors of a mapping: expressions that do not compile, and a missing customer."""
    errors = []
    for name, expression in mapping.expressions.items():
        message = _compile(expression)
        if isinstance(message, str):
            errors.append(FieldError(f"/mapping/{name}", message))
    if not mapping.expressions.keys() & {*CUSTOMER_FIELDS}:
        errors.append(
            FieldError("/mapping/customer_id", "is required, unless customer_ref or customer_email is given")
        )
    return errors


def read_fields(mapping: SourceMapping, body: object, zone: ZoneInfo) -> dict[str, Any] | None:
    """Returns the fields of the event that a body yields, by name; None if its type is ignored.

    `type` is that of an event. A time without an offset is one of `zone`. Raises InvalidInputError with a pointer
    into the mapping.
    """
    budget = _Budget()
    named = _evaluate("type", mapping.type, body, budget)
    if not isinstance(named, str) or not named:
        raise _error("type", "must yield the name of what happened, as text")
    if named not in mapping.types and ANY_TYPE not in mapping.types:
        raise InvalidInputError.at(
            f"/mapping/types/{pointer_token(named[:100])}",
            f"is missing: the body has type {quote_value(named)}",
        )
    type_ = mapping.types.get(named, mapping.types.get(ANY_TYPE))
    if type_ is None:
        return None
    fields: dict[str, Any] = {"type": type_}
    for name, expression in mapping.expressions.items():
        if name != "type":
            value = _evaluate(name, expression, body, budget)
            if value is not None:
                fields[name] = _convert(name, value, zone)
    _keep_one_customer(fields)
    return fields


def to_event(fields: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Returns an event in the form of `parse_event`."""
    raw = {name: value for name, value in fields.items() if name not in _DATA}
    return {**raw, "source": source, "data": {name: fields[name] for name in _DATA if name in fields}}


def pointer_of(pointer: str) -> str:
    """Returns the pointer into the mapping for an error of the event that it yields."""
    return f"/mapping/{pointer.removeprefix('/data').removeprefix('/')}"


def _keep_one_customer(fields: dict[str, Any]) -> None:
    """Leaves the first field that identifies the customer."""
    given = [name for name in CUSTOMER_FIELDS if name in fields]
    if not given:
        raise _error("customer_id", "yields no customer, nor does any other expression")
    for name in given[1:]:
        del fields[name]


def _compile(expression: str) -> ParsedResult | str:
    """Compiles an expression; returns an error message if it is none, or calls a function that is not allowed."""
    try:
        compiled = jmespath.compile(expression)
    except (JMESPathError, ValueError) as error:
        return f"is not a JMESPath expression: {str(error).splitlines()[0]:.200}"
    except RecursionError:
        return "is nested too deeply"
    unknown = sorted(_called(compiled.parsed) - {*FUNCTIONS})
    return f"must not call {unknown[0]}, only {', '.join(FUNCTIONS)}" if unknown else compiled


def _called(node: _Node) -> set[str]:
    """Returns the functions that an expression calls."""
    found, waiting = set(), [node]
    while waiting:
        each = waiting.pop()
        if each["type"] == "function_expression":
            found.add(each["value"])
        waiting += [child for child in each["children"] if isinstance(child, dict)]
    return found


def _evaluate(name: str, expression: str, body: object, budget: _Budget) -> UncheckedJson:
    compiled = _compile(expression)
    if isinstance(compiled, str):
        raise _error(name, compiled)
    try:
        return _BoundedInterpreter(budget).visit(compiled.parsed, body)
    except JMESPathTypeError as error:
        # Its text would show the value.
        expected = " or ".join(error.expected_types)
        message = f"{error.function_name}() needs {expected}, not {error.actual_type}"
        raise _error(name, f"cannot be evaluated for this body: {message}") from error
    except (JMESPathError, ValueError, TypeError) as error:
        raise _error(name, "cannot be evaluated for this body") from error
    except (_TooManyStepsError, RecursionError) as error:
        raise _error(name, "takes too long to evaluate for this body") from error


def _convert(name: str, value: UncheckedJson, zone: ZoneInfo) -> UncheckedJson:
    if name in _TEXTS and isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if name in _TIMES and isinstance(value, str):
        try:
            return utc_text(parse_instant(value, ""))
        except InvalidInputError:
            instant = parse_local_time(value, zone)
        if isinstance(instant, str):
            raise _error(name, instant)
        return utc_text(instant.instant)
    return value


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | list | dict) else 1


def _error(name: str, message: str) -> InvalidInputError:
    return InvalidInputError.at(f"/mapping/{name}", message)
