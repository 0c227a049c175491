"""Types of JSON values: of those that are stored, and of those that nothing is known about yet."""

from typing import Any, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""A JSON value that has been parsed."""
UncheckedJson: TypeAlias = Any
"""A JSON value of any structure. The code that reads a part of it checks the type of that part."""
