"""Examples of the contract, composed from the schemas: one for each request body and each successful response."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from journey_service.api.csv_responses import csv_of
from journey_service.api.openapi.samples import SAMPLES
from journey_service.domain.json_values import UncheckedJson

Schema = Mapping[str, Any]

_MAX_DEPTH: Final = 8
"""Levels of nested objects; optional fields below are omitted, which ends recursive schemas."""
_REFERENCE: Final = "#/components/schemas/"
_FORMATS: Final[Mapping[str, Any]] = {
    "date": "2026-03-01",
    "date-time": "2026-03-01T09:30:00Z",
    "uuid": "9b2d4c1e-6f0a-4f57-9d1c-3f6a2b8e7c55",
    "uri": "https://hooks.example/journeys",
    "binary": "",
}
_MISSING: Final = object()


class ExampleComposer:
    """Composes an example of a schema from the examples, constants and enums within it."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def compose(self, schema: Schema, name: str = "", depth: int = 0) -> UncheckedJson:
        """Returns an example of a schema. `name` is the field that holds the value."""
        given = _given(schema)
        if given is not _MISSING:
            return self._with_nulls(given, schema)
        if "$ref" in schema:
            resolved = self._schemas[schema["$ref"].removeprefix(_REFERENCE)]
            return self.compose(resolved, name, depth)
        if "enum" in schema:
            sample = SAMPLES.get(name)
            return sample if sample in schema["enum"] else schema["enum"][0]
        return self._composed(schema, name, depth)

    def _composed(self, schema: Schema, name: str, depth: int) -> UncheckedJson:
        variants = schema.get("anyOf", schema.get("oneOf"))
        if variants is not None:
            return self._of_variants(variants, name, depth)
        if "allOf" in schema:
            return self.compose(schema["allOf"][0], name, depth)
        if schema.get("type") == "object" or "properties" in schema:
            return self._object(schema, name, depth)
        if schema.get("type") == "array":
            length = max(schema.get("minItems", 0), 1)
            return [self.compose(schema.get("items", {}), name, depth + 1)] * length
        return _scalar(schema, name)

    def _of_variants(self, variants: Sequence[Schema], name: str, depth: int) -> UncheckedJson:
        is_nullable = any(variant.get("type") == "null" for variant in variants)
        if is_nullable and (depth > _MAX_DEPTH or SAMPLES.get(name, "") is None):
            return None
        return self.compose(next(each for each in variants if each.get("type") != "null"), name, depth)

    def _object(self, schema: Schema, name: str, depth: int) -> UncheckedJson:
        properties = schema.get("properties")
        if properties is None:
            sample = SAMPLES.get(name)
            if isinstance(sample, dict):
                return sample
            values = schema.get("additionalProperties")
            return {"regular": self.compose(values, "", depth + 1)} if isinstance(values, dict) else {}
        required = schema.get("required", ())
        return {
            field: self.compose(inner, field, depth + 1)
            for field, inner in properties.items()
            if field in required or depth < _MAX_DEPTH
        }

    def _with_nulls(self, value: UncheckedJson, schema: Schema) -> UncheckedJson:
        """Restores required fields that are null: FastAPI removes null from the examples of schemas."""
        if "$ref" in schema:
            return self._with_nulls(value, self._schemas[schema["$ref"].removeprefix(_REFERENCE)])
        if isinstance(value, list):
            return [self._with_nulls(each, schema.get("items", {})) for each in value]
        if not isinstance(value, dict):
            return value
        properties = schema.get("properties", {})
        return {
            **{name: None for name in schema.get("required", ()) if name not in value},
            **{name: self._with_nulls(each, properties.get(name, {})) for name, each in value.items()},
        }

    def table(self, row: Mapping[str, Any]) -> str:
        """Returns an example of a CSV table with these columns of rows that have this schema."""
        schema = row["schema"]
        # Preferably as it is published, with the examples of the contract.
        values = self.compose(self._schemas.get(schema["title"], schema))
        columns = row["columns"]
        return csv_of(columns, [[values.get(column, SAMPLES.get(column)) for column in columns]])


def _given(schema: Schema) -> UncheckedJson:
    """Returns the value that the schema itself names, or _MISSING."""
    if schema.get("examples"):
        return schema["examples"][0]
    return schema.get("const", _MISSING)


def _scalar(schema: Schema, name: str) -> UncheckedJson:
    sample, kind = SAMPLES.get(name, _MISSING), schema.get("type")
    if sample is not _MISSING and _fits(sample, schema):
        return sample
    default = schema.get("default")
    if default is not None:
        return default
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text")
    if kind == "boolean":
        return False
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 1), min(1, schema.get("maximum", 1)))
    return None


def _fits(sample: UncheckedJson, schema: Schema) -> bool:
    """Whether a sample has the type of a scalar schema and lies within its range."""
    kind = schema.get("type")
    if kind == "string":
        return isinstance(sample, str) and (
            "format" not in schema or "T" in sample or schema["format"] != "date-time"
        )
    if kind == "boolean":
        return isinstance(sample, bool)
    if kind in ("integer", "number"):
        is_number = isinstance(sample, int) or (kind == "number" and isinstance(sample, float))
        return is_number and schema.get("minimum", sample) <= sample <= schema.get("maximum", sample)
    return kind is None
