"""Checks of a request before it is routed: its method, and headers that must not be repeated."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from uuid import UUID

from fastapi.dependencies.models import Dependant
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from journey_service.domain.customers.references import REF_PREFIX

Respond: TypeAlias = Callable[[HTTPStatus, Mapping[str, str]], Response]
"""Returns the response with a status and headers."""

_PARAMETER: Final = re.compile(r"\{(\w+)(:path)?\}")
_SEGMENTS: Final[Mapping[Any, str]] = {
    int: rf"(?:-?\d+|{REF_PREFIX}[^/]*)",  # an id, or a ref in place of one
    UUID: r"[0-9A-Fa-f-]{32,36}",
}
"""What a segment of a path must look like, by the type of the parameter."""
_ANY: Final = "[^/]+"
_REST: Final = ".*"
_EVERY_PATH: Final = "/{path:path}"
_ANY_NUMBER: Final = -1


class _Path:
    """A path template with its methods: one regular expression for ids of the right form, one for any text."""

    def __init__(self, template: str, segments: Mapping[str, str], methods: Collection[str]) -> None:
        parts = _PARAMETER.split(template)
        exact = loose = re.escape(parts[0])
        for name, is_rest, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            segment = _REST if is_rest else _ANY
            exact += segments.get(name, segment) + re.escape(text)
            loose += segment + re.escape(text)
        self.template, self.has_rest = template, ":path}" in template
        self.exact, self.loose = re.compile(exact), re.compile(loose)
        self.methods = frozenset(methods) | ({"HEAD"} if "GET" in methods else frozenset())


class RequestChecks:
    """Middleware that answers 405, with all methods of the path in `Allow`, and 400 if Authorization is repeated.

    A path whose ids cannot be ids, such as the name of a list, has the methods of the routes that match it literally.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[Any], respond: Respond) -> None:
        self._app = app
        self._routes = routes
        self._respond = respond
        self._paths: Mapping[int, Sequence[_Path]] | None = None
        """The paths by their number of slashes, and under -1 those of any number."""
        self._known: dict[str, frozenset[str]] = {}
        """The methods of paths without parameters, once they were found."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that fails a check; passes on all others."""
        if scope["type"] == "http":
            if sum(name == b"authorization" for name, _ in scope["headers"]) > 1:
                await self._respond(HTTPStatus.BAD_REQUEST, {})(scope, receive, send)
                return
            allowed = self._methods_of(scope["path"])
            if allowed and scope["method"] not in allowed:
                headers = {"Allow": ", ".join(sorted(allowed))}
                await self._respond(HTTPStatus.METHOD_NOT_ALLOWED, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _methods_of(self, path: str) -> frozenset[str]:
        known = self._known.get(path)
        if known is not None:
            return known
        if self._paths is None:  # routes are included until the application starts
            self._paths = _by_slashes(_paths_of(self._routes, ""))
        paths = [*self._paths.get(path.count("/"), ()), *self._paths.get(_ANY_NUMBER, ())]
        exact = [each for each in paths if each.exact.fullmatch(path)]
        found = exact or [each for each in paths if each.loose.fullmatch(path)]
        methods = frozenset().union(*(each.methods for each in found))
        if any(each.template == path for each in found):
            self._known[path] = methods
        return methods


def _by_slashes(paths: Iterable[_Path]) -> Mapping[int, Sequence[_Path]]:
    found: dict[int, list[_Path]] = {}
    for path in paths:
        found.setdefault(_ANY_NUMBER if path.has_rest else path.template.count("/"), []).append(path)
    return found


def _paths_of(routes: Sequence[Any], prefix: str) -> Iterator[_Path]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _paths_of(included.routes, prefix + route.include_context.prefix)
        elif not hasattr(route, "methods"):  # a mount of static files
            yield _Path(f"{prefix}{route.path}/{{path:path}}", {}, ("GET",))
        elif route.path != _EVERY_PATH:
            yield _Path(prefix + route.path, _segments_in(getattr(route, "dependant", None)), route.methods)


def _segments_in(dependant: Dependant | None) -> dict[str, str]:
    """Returns the forms of the path parameters that are not any text, by name."""
    if dependant is None:
        return {}
    types = {field.alias: field.field_info.annotation for field in dependant.path_params}
    found = {name: _SEGMENTS[type_] for name, type_ in types.items() if type_ in _SEGMENTS}
    for inner in dependant.dependencies:
        found |= _segments_in(inner)
    return found
