"""Errors of validation as plain sentences: callers never read a text of pydantic or a regular expression."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

from journey_service.api.schema_fields import PATTERN_SENTENCES

ErrorCode: TypeAlias = Literal[
    "invalid",
    "missing",
    "not_allowed",
    "pattern",
    "repeated",
    "too_large",
    "too_long",
    "too_short",
    "too_small",
    "type",
    "unknown",
]

_Params: TypeAlias = Mapping[str, Any]
_Described: TypeAlias = tuple[ErrorCode, str, dict[str, Any]]

_TYPES: Final[Mapping[str, str]] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "date_from_datetime_parsing": "must be a day such as 2026-03-01",
    "date_parsing": "must be a day such as 2026-03-01",
    "date_type": "must be a day such as 2026-03-01",
    "dict_type": "must be an object",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "none_required": "must be null",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
}


def describe_error(error: Mapping[str, Any]) -> tuple[ErrorCode, str, dict[str, Any]]:
    """Returns code, sentence and parameters of an error in pydantic's form."""
    kind = error["type"]
    context = {name: _to_json(value) for name, value in error.get("ctx", {}).items()}
    if kind in _TYPES:
        return "type", _TYPES[kind], {}
    describe = _RULES.get(kind)
    return ("invalid", "is not valid", {}) if describe is None else describe(context)


def code_of_sentence(sentence: str) -> ErrorCode:
    """Returns the code of an error that the domain reports by its sentence alone."""
    if sentence == "is required":
        return "missing"
    return "unknown" if sentence.startswith("is not a known ") else "invalid"


def json_pointer(location: Sequence[int | str]) -> str:
    """Returns the pointer of an error's location: RFC 6901 in the body, `query/<name>` and so on elsewhere."""
    where, *path = [step for step in location if step != "[key]"]  # the key itself is wrong
    if where == "query":
        path = path[:1]  # the values of a repeated parameter have no names
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
    return pointer if where == "body" else f"{where}{pointer}"


def _to_json(value: object) -> object:
    """Returns a value of a rule as JSON has it: the bounds of decimals are decimals."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _items(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"


def _characters(number: int) -> str:
    return "1 character" if number == 1 else f"{number} characters"


def _least(context: _Params) -> _Described:
    return "too_small", f"must be at least {context['ge']}", {"min": context["ge"]}


def _greater(context: _Params) -> _Described:
    return "too_small", f"must be greater than {context['gt']}", {"min_exclusive": context["gt"]}


def _most(context: _Params) -> _Described:
    return "too_large", f"must be at most {context['le']}", {"max": context["le"]}


def _less(context: _Params) -> _Described:
    return "too_large", f"must be less than {context['lt']}", {"max_exclusive": context["lt"]}


def _digits(_: _Params) -> _Described:
    return "too_large", "has too many digits", {}


def _text_too_short(context: _Params) -> _Described:
    number = context["min_length"]
    text = "must not be empty" if number == 1 else f"must have at least {_characters(number)}"
    return "too_short", text, {"min_length": number}


def _text_too_long(context: _Params) -> _Described:
    number = context["max_length"]
    return "too_long", f"must have at most {_characters(number)}", {"max_length": number}


def _list_too_short(context: _Params) -> _Described:
    number = context["min_length"]
    text = "must not be empty" if number == 1 else f"must have at least {_items(number)}"
    return "too_short", text, {"min_items": number}


def _list_too_long(context: _Params) -> _Described:
    number = context["max_length"]
    return "too_long", f"must have at most {_items(number)}", {"max_items": number}


def _not_in_set(context: _Params) -> _Described:
    # pydantic writes the values as Python does, with "or" before the last.
    values = [value.strip("' ") for value in context["expected"].replace(" or ", ", ").split(",")]
    text = f"must be {values[0]}" if len(values) == 1 else f"must be one of {', '.join(values)}"
    return "not_allowed", text, {"allowed": values}


def _pattern(context: _Params) -> _Described:
    return "pattern", PATTERN_SENTENCES.get(context["pattern"], "is not in the required format"), {}


def _value(context: _Params) -> _Described:
    return "invalid", str(context["error"]), {}


def _unknown_parameter(context: _Params) -> _Described:
    known = context["known"]
    allowed = ", ".join(known) if known else "none"
    return "unknown", f"is not a query parameter of this operation; allowed: {allowed}", {"known": known}


def _missing(_: _Params) -> _Described:
    return "missing", "is required", {}


def _unknown_field(_: _Params) -> _Described:
    return "unknown", "is not a known field", {}


def _repeated(_: _Params) -> _Described:
    return "repeated", "must be given only once", {}


_RULES: Final[Mapping[str, Callable[[_Params], _Described]]] = {
    "assertion_error": _value,
    "enum": _not_in_set,
    "extra_forbidden": _unknown_field,
    "greater_than": _greater,
    "greater_than_equal": _least,
    "int_parsing_size": _digits,
    "less_than": _less,
    "less_than_equal": _most,
    "literal_error": _not_in_set,
    "missing": _missing,
    "repeated_parameter": _repeated,
    "string_pattern_mismatch": _pattern,
    "string_too_long": _text_too_long,
    "string_too_short": _text_too_short,
    "too_long": _list_too_long,
    "too_short": _list_too_short,
    "unknown_parameter": _unknown_parameter,
    "value_error": _value,
}
