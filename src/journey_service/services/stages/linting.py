"""Runs the linter on stage maps, in a thread; caches the findings by stage map and policy."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from threading import Lock
from typing import Any

import orjson

from journey_service.domain.companies.policy_parsing import policy_to_json
from journey_service.domain.errors import FieldError, InvalidInputError
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.simulation.linter import FindingSeverity, LinterFinding, lint
from journey_service.domain.stages.parsing import stage_map_to_json


async def lint_rulebook(rulebook: Rulebook, pointers: Mapping[str, str]) -> Sequence[LinterFinding]:
    """Returns all findings for a rulebook; `pointers` are the JSON pointers of its stages, by key."""
    return await asyncio.to_thread(_lint, _CacheKey(rulebook), tuple(sorted(pointers.items())))


async def lint_or_raise(rulebook: Rulebook, pointers: Mapping[str, str]) -> Sequence[LinterFinding]:
    """Returns the linter's warnings. Raises InvalidInputError with every error and its pointer."""
    findings = await lint_rulebook(rulebook, pointers)
    errors = [FieldError(f.pointer, f.message) for f in findings if f.severity is FindingSeverity.ERROR]
    if errors:
        raise InvalidInputError(errors)
    return findings


def findings_to_json(findings: Sequence[LinterFinding]) -> list[dict[str, Any]]:
    """Returns findings in the form stored with a version."""
    return [asdict(finding) for finding in findings]


class _CacheKey:
    """A rulebook with equality by content, as the key of the cache of findings."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self._key = orjson.dumps(
            (
                stage_map_to_json(rulebook.stage_map),
                policy_to_json(rulebook.policy),
                rulebook.policy.currency.code,
            )
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CacheKey) and self._key == other._key


_LOCK = Lock()
"""Limits the process to one linter run at a time: several would slow down all requests."""


def _lint(key: _CacheKey, pointers: tuple[tuple[str, str], ...]) -> tuple[LinterFinding, ...]:
    with _LOCK:
        return _lint_cached(key, pointers)


@lru_cache(maxsize=256)
def _lint_cached(key: _CacheKey, pointers: tuple[tuple[str, str], ...]) -> tuple[LinterFinding, ...]:
    return lint(key.rulebook, pointers=dict(pointers)).findings
