"""The published contract as a check of responses and examples."""

import re
from collections import Counter
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api.calls import JSON, PROBLEM

MAX_CHECKED_BODIES = 20
"""Bodies of each operation and status that are validated against their schema; validation takes time."""
MAX_CHECKED_BYTES = 50_000
_ZONED_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(Z|[+-]\d\d:\d\d)")
LOCAL_TIMES = {"next_nightly_run_local"}
"""Fields whose times have the offset of the company's time zone on purpose."""
CALLERS_TEXTS = {
    *("name", "email", "phone", "notes", "metadata", "description", "customer_name"),
    *("assignee", "owner", "outcome", "note", "title", "text", "subject", "html", "source", "code", "id"),
}
"""Fields that return what a caller has sent, which may look like a time."""


class SchemaChecker:
    """Validates values against schemas of an OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        resource = Resource(contents=document, specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:contract", resource)
        self._validators: dict[tuple[str, ...], Draft202012Validator] = {}

    def errors(self, value: Any, *location: str) -> list[str]:
        """The errors of a value against the schema at a location of the document."""
        if location not in self._validators:
            pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in location)
            self._validators[location] = Draft202012Validator(
                {"$ref": f"urn:contract#/{pointer}"}, registry=self._registry
            )
        return [
            f"{error.json_path}: {error.message}" for error in self._validators[location].iter_errors(value)
        ]


class Contract:
    """Checks responses against an OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schemas = SchemaChecker(document)
        self._checked: Counter[tuple[str, ...]] = Counter()
        self._operations = [
            (method.upper(), re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path, operation["responses"])
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    async def check(self, answer: httpx.Response) -> None:
        """Checks that errors are problems, that no error is internal, and that the contract lists the response."""
        await answer.aread()
        status = answer.status_code
        where = f"{answer.request.method} {answer.request.url}: {status} {answer.text[:500]}"
        assert status < 500 or status == 503, where
        if answer.request.method == "HEAD":  # like GET, but without the body that is checked here
            return
        media = answer.headers.get("content-type", "").split(";")[0]
        assert status != 204 or not media, f"a type of no body: {where}"
        if media in (JSON, PROBLEM) and answer.content:
            assert answer.text.endswith("\n"), f"no newline at the end: {where}"
            if answer.request.url.path != "/openapi.json":  # its examples show times as callers may send them
                check_times(answer.json(), where)
        is_page = answer.request.url.path.startswith("/sign-in")
        if status >= 400 and answer.request.url.path != "/readyz" and not is_page:
            assert media == PROBLEM, where
            problem = answer.json()
            assert problem["type"].startswith("/problems/"), where
            assert problem["status"] == status, where
            assert isinstance(problem["title"], str), where
            assert isinstance(problem["detail"], str), where
            assert (problem["type"] == "/problems/invalid-input") == ("errors" in problem), where
        self._check_listed(answer, media, where)

    def _check_listed(self, answer: httpx.Response, media: str, where: str) -> None:
        method, status = answer.request.method, str(answer.status_code)
        for listed, pattern, path, responses in self._operations:
            if listed != method or not pattern.fullmatch(answer.request.url.path):
                continue
            assert status in responses, f"not in the contract: {where}"
            contents = responses[status].get("content", {})
            assert not answer.content or media in contents, f"not in the contract: {media} {where}"
            location = ("paths", path, method.lower(), "responses", status, "content", media, "schema")
            if "schema" in contents.get(media, {}) and media in (JSON, PROBLEM):
                self._check_schema(answer, location, where)
            return

    def _check_schema(self, answer: httpx.Response, location: tuple[str, ...], where: str) -> None:
        if self._checked[location] < MAX_CHECKED_BODIES and len(answer.content) < MAX_CHECKED_BYTES:
            self._checked[location] += 1
            errors = self._schemas.errors(answer.json(), *location)
            assert errors == [], f"not as in the contract: {errors[:3]} {where}"


def check_times(value: Any, where: str, field: str = "") -> None:
    """Checks that every time in a response is in UTC and written with `Z`."""
    if field in CALLERS_TEXTS:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            check_times(inner, where, name)
    elif isinstance(value, list):
        for inner in value:
            check_times(inner, where, field)
    elif isinstance(value, str) and field not in LOCAL_TIMES:
        zoned = _ZONED_TIME.fullmatch(value)
        assert zoned is None or zoned[1] == "Z", f"{field} is not written with Z: {where}"
