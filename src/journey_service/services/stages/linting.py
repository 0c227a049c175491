"""The linter at work: beside the event loop, once for a map and policy, its errors refused."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from threading import Lock
from typing import Any

import orjson

from journey_service.domain.companies.policy import policy_to_json
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter import FindingSeverity, LinterFinding, lint
from journey_service.domain.stages.stage_map import stage_map_to_json


async def lint_rulebook(rulebook: Rulebook, places: Mapping[str, str]) -> Sequence[LinterFinding]:
    """All that the linter has to say of a map; `places` are the JSON pointers of its stages, by key."""
    return await asyncio.to_thread(_lint, _Linted(rulebook), tuple(sorted(places.items())))


async def lint_or_raise(rulebook: Rulebook, places: Mapping[str, str]) -> Sequence[LinterFinding]:
    """The linter's warnings. Raises InvalidInputError with the place of each of its errors."""
    found = await lint_rulebook(rulebook, places)
    faults = [FieldError(f.pointer, f.message) for f in found if f.severity is FindingSeverity.ERROR]
    if faults:
        raise InvalidInputError(faults)
    return found


def findings_to_json(findings: Sequence[LinterFinding]) -> list[dict[str, Any]]:
    """Findings as they are kept with a version."""
    return [asdict(finding) for finding in findings]


class _Linted:
    """A rulebook by what the linter looks at, so that one looked at before is not searched again."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._key = orjson.dumps((stage_map_to_json(rulebook.stage_map), policy_to_json(rulebook.policy)))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Linted) and self._key == other._key


_AT_WORK = Lock()
"""One search at a time: several would take the interpreter from everybody else's requests."""


def _lint(linted: _Linted, places: tuple[tuple[str, str], ...]) -> tuple[LinterFinding, ...]:
    with _AT_WORK:
        return _lint_once(linted, places)


@lru_cache(maxsize=256)
def _lint_once(linted: _Linted, places: tuple[tuple[str, str], ...]) -> tuple[LinterFinding, ...]:
    return lint(linted.rulebook, places=dict(places)).findings
