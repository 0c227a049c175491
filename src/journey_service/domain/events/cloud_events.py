"""Reads CloudEvents 1.0 messages: the attributes of binary mode, encoded data, and types with a prefix."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.events.event import EVENT_TYPES, Event
from journey_service.domain.events.parsing import parse_cloud_event

HEADER_PREFIX: Final = "ce-"
"""Beginning of the names of headers that carry an attribute in binary mode."""
_ESCAPED: Final = re.compile(r"\\(.)")


def parse_message(raw: object, pointer: str = "") -> Event:
    """Parses a message in structured mode, whose data may be base64 and whose type may have a prefix.

    Raises InvalidInputError with every error.
    """
    if not isinstance(raw, Mapping):
        return parse_cloud_event(raw, pointer)
    message = {**raw, "type": unprefixed(raw.get("type"))}
    if message.get("data_base64") is None:
        message.pop("data_base64", None)
        return parse_cloud_event(message, pointer)
    data = _decode_data(message.pop("data_base64"))
    if message.get("data") is not None:
        data = "must not be given together with `data`"
    if not isinstance(data, str):
        return parse_cloud_event({**message, "data": data["json"]}, pointer)
    errors = [FieldError(f"{pointer}/data_base64", data)]
    try:
        parse_cloud_event({**message, "data": None}, pointer)
    except InvalidInputError as error:
        errors += error.errors
    raise InvalidInputError(errors)


def message_of_headers(headers: Iterable[tuple[str, str]], data: object) -> dict[str, object]:
    """Returns a message in binary mode as one in structured mode. The names of the headers are in lower case."""
    attributes = {
        name.removeprefix(HEADER_PREFIX): _decode_value(value)
        for name, value in headers
        if name.startswith(HEADER_PREFIX)
    }
    attributes.pop("datacontenttype", None)  # of binary mode, it is the Content-Type
    return {**attributes, "data": data}


def unprefixed(type_: object) -> object:
    """Returns the type of an event without a prefix such as `com.example.`, if what is left is a known type."""
    if not isinstance(type_, str):
        return type_
    last = type_.rpartition(".")[2]
    return last if last in EVENT_TYPES else type_


def _decode_value(value: str) -> str:
    """Decodes the value of a header: quoted text, then percent-encoded UTF-8."""
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return unquote(value, errors="replace")


def _decode_data(encoded: object) -> dict[str, object] | str:
    """Returns the JSON value of base64 text as `json`, or an error message."""
    if not isinstance(encoded, str):
        return "must be text in base64"
    try:
        return {"json": json.loads(base64.b64decode(encoded, validate=True).decode("utf-8-sig"))}
    except (ValueError, RecursionError):
        return "must be JSON in base64"
