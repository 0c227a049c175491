"""The linter: findings about a stage map before it is used, as messages for the people who edit it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook, Transition
from journey_service.domain.simulation.linter.event_histories import ExampleHistory
from journey_service.domain.simulation.linter.evidence import (
    deciding_rule,
    rules_preventing_return,
    stages_where_held,
)
from journey_service.domain.simulation.linter.gaps import gaps
from journey_service.domain.simulation.linter.precedence import RulePrecedence
from journey_service.domain.simulation.linter.search import FlipFlop, Relapse, SearchResult, explore
from journey_service.domain.simulation.linter.traps import is_trap
from journey_service.domain.simulation.linter.value_ranges import rule_text
from journey_service.domain.stages.stage_map import Stage


class FindingSeverity(StrEnum):
    """Severity of a finding: errors reject a map, warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class LinterFinding:
    """Defect of a stage map.

    `pointer` is the JSON pointer of the stage or rule. `stages` are the keys of the stages concerned, the one that the
    finding is about first; empty for a finding about the whole map.
    """

    severity: FindingSeverity
    code: str
    pointer: str
    stages: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class LinterReport:
    """Findings of the linter, errors first, then in map order.

    `examples` holds an event history for every stage that was reached, the start stage included, which leads into it.
    """

    findings: tuple[LinterFinding, ...]
    examples: Mapping[str, ExampleHistory]

    @property
    def errors(self) -> tuple[LinterFinding, ...]:
        """The findings that reject the map."""
        return tuple(finding for finding in self.findings if finding.severity is FindingSeverity.ERROR)

    @property
    def warnings(self) -> tuple[LinterFinding, ...]:
        """The findings that do not reject the map."""
        return tuple(finding for finding in self.findings if finding.severity is FindingSeverity.WARNING)


def lint(
    rulebook: Rulebook, *, pointers: Mapping[str, str] | None = None, journey_type: type[Journey] = Journey
) -> LinterReport:
    """Checks a stage map for defects.

    `pointers` are the JSON pointers of the stages by key, by default their indexes in the map. `journey_type` decides
    the moves of the search; findings derived from the rules alone (unreachable stages, shadowed rules) assume the
    service's own decision function.
    """
    stage_map = rulebook.stage_map
    if pointers is None:
        pointers = {stage.key: f"/{index}" for index, stage in enumerate(stage_map.stages)}
    return _Linter(rulebook, pointers, journey_type).report()


class _Linter:
    """Linter of one map: the search result, the precedence of the rules, and the messages of the findings."""

    def __init__(self, rulebook: Rulebook, pointers: Mapping[str, str], journey_type: type[Journey]) -> None:
        self._rulebook = rulebook
        self._stage_map = rulebook.stage_map
        self._pointers = pointers
        self._precedence = RulePrecedence(rulebook)
        self._with_rules = [s for s in self._stage_map.active if s.rules and s is not self._stage_map.start]
        self._unreachable = {
            stage.key: reasons
            for stage in self._with_rules
            if (reasons := self._precedence.unreachable_reasons(stage)) is not None
        }
        goals = {stage.key for stage in self._with_rules} - self._unreachable.keys()
        self._search: SearchResult = explore(rulebook, goals, journey_type)

    def report(self) -> LinterReport:
        """Returns the report of the map."""
        ranks = {stage.key: rank for rank, stage in enumerate(self._stage_map.stages)}

        def sort_key(finding: LinterFinding) -> tuple[bool, int]:
            rank = ranks[finding.stages[0]] if finding.stages else -1
            return finding.severity is not FindingSeverity.ERROR, rank

        return LinterReport(tuple(sorted(self._findings(), key=sort_key)), dict(self._search.examples))

    def _findings(self) -> Iterator[LinterFinding]:
        yield from self._map_findings()
        for stage in self._with_rules:
            if stage.key in self._search.examples:
                yield from self._shadowed_rules(stage)
            else:
                yield self._unreachable_stage(stage)
        for oscillation in self._search.flip_flops.values():
            yield self._flip_flop(oscillation)
        for relapse in self._search.relapses.values():
            if (relapse.risk, relapse.to_stage) not in self._search.flip_flops:
                yield self._relapse(relapse)
        for stage in self._stage_map.risk_descending:
            if stage.key in self._search.examples and stage.key not in self._search.left:
                yield self._no_way_back(stage)
            else:
                yield from self._traps(stage)
        for gap in gaps(self._rulebook):
            stages = tuple(dict.fromkeys((gap.above.key, gap.below.key)))
            yield self._warning("gap", self._rule_pointer(gap.above, gap.rule_index), stages, gap.message)

    # ---- the whole map

    def _map_findings(self) -> Iterator[LinterFinding]:
        map_pointer = next(iter(self._pointers.values())).rpartition("/")[0]
        for text in self._stage_map.warnings:
            yield self._warning("stage_count", map_pointer, (), text)
        if not self._stage_map.risk_descending:
            text = (
                "The map has no active stage of kind 'risk', so customers never count as at risk, however long they "
                "stay away. Add a risk stage."
            )
            yield self._warning("no_risk_stage", map_pointer, (), text)
        for stage in self._stage_map.active:
            if not stage.rules and stage is not self._stage_map.start:
                text = (
                    f"Stage {stage.key!r} has no rules, so customers only enter it by manual moves. "
                    "Add a rule if this is not intended."
                )
                yield self._warning("manual_only", self._pointers[stage.key], (stage.key,), text)

    # ---- entries

    def _unreachable_stage(self, stage: Stage) -> LinterFinding:
        reasons = self._unreachable.get(stage.key)
        if reasons is not None:
            text = f"No customer can ever enter {stage.key!r}: {'; and '.join(rule.message for rule in reasons)}."
        else:
            text = f"No sequence of events was found that leads into {stage.key!r} by {_all_rules(stage)}."
            keys = stages_where_held(self._rulebook, stage, self._search.customers)
            if keys:
                text = f"{text} Whenever that held, the customer was in {_join_names(keys, 'or')} and stayed there."
            text = self._with_limit(text)
        text = f"{text} Change its rules, or those of the stages that take precedence."
        return self._error("unreachable_stage", self._pointers[stage.key], (stage.key,), text)

    def _shadowed_rules(self, stage: Stage) -> Iterator[LinterFinding]:
        for index in range(len(stage.rules)):
            dead_rule = self._precedence.find_dead_rule(stage, index)
            if dead_rule is not None:
                stages = (stage.key,) if dead_rule.by == stage.key else (stage.key, dead_rule.by)
                text = f"This rule of {stage.key!r} never decides: {dead_rule.message}. Change or remove it."
                yield self._warning("shadowed_rule", self._rule_pointer(stage, index), stages, text)

    # ---- flip-flops

    def _flip_flop(self, oscillation: FlipFlop) -> LinterFinding:
        pointer, rule = self._deciding_rule(oscillation.back)
        stages = (oscillation.stage, oscillation.through)
        text = (
            f"A customer who leaves {oscillation.stage!r} for {oscillation.through!r} is moved back to"
            f" {oscillation.stage!r} at the same time{rule}, without an event in between. "
        )
        if oscillation.is_late:
            text = (
                f"{text}This was seen only when an appointment was reported late. Change one of the two rules if late "
                "reports are common."
            )
            return self._warning("oscillation", pointer, stages, text)
        text = f"{text}Change one of the two rules so that they do not hold at the same time."
        return self._error("oscillation", pointer, stages, text)

    def _relapse(self, relapse: Relapse) -> LinterFinding:
        pointer, rule = self._deciding_rule(relapse.back)
        when = {0: "at once", 1: "a day later"}.get(relapse.days, f"{relapse.days} days later")
        text = (
            f"A customer who returns to {relapse.to_stage!r} by an appointment can be in {relapse.risk!r} {when}{rule}"
            ", without an event in between. Change this rule so that a return lasts longer."
        )
        return self._warning("oscillation", pointer, (relapse.risk, relapse.to_stage), text)

    # ---- risk stages without a return

    def _no_way_back(self, stage: Stage) -> LinterFinding:
        text = f"No completed appointment returns a customer from {stage.key!r}."
        rules = rules_preventing_return(self._rulebook, stage, self._search.customers)
        if rules:
            text = f"{text} After every appointment that was tried, {_join_names(rules, 'or', quote=False)} still held."
        text = f"{self._with_limit(text)} Change the rules so that an appointment ends them."
        return self._error("no_return_path", self._pointers[stage.key], (stage.key,), text)

    def _traps(self, stage: Stage) -> Iterator[LinterFinding]:
        for index, rule in enumerate(stage.rules):
            if is_trap(rule, self._rulebook.policy):
                text = (
                    f"A customer in {stage.key!r} for whom {rule_text(rule)} holds can never leave the stage, because "
                    "no appointment ends this rule. Change or remove it."
                )
                yield self._error("permanent_rule", self._rule_pointer(stage, index), (stage.key,), text)

    # ---- messages

    def _with_limit(self, text: str) -> str:
        if self._search.is_thorough:
            return text
        return f"{text} The map is too large to try all sequences of events."

    def _rule_pointer(self, stage: Stage, index: int) -> str:
        pointer = f"{self._pointers[stage.key]}/auto_rules"
        return pointer if len(stage.rules) == 1 else f"{pointer}/any/{index}"

    def _deciding_rule(self, move: Transition) -> tuple[str, str]:
        """Returns the pointer of the rule that decided a move, and a phrase that names the rule."""
        stage, index = self._stage_map.by_key[move.to_stage], deciding_rule(move)
        if index is None:
            return self._pointers[stage.key], ""
        rule = rule_text(stage.rules[index])
        for written, evaluated in zip(
            stage.rules[index].conditions, move.reasons[-1].rules[index].conditions, strict=True
        ):
            if written.text != evaluated.condition:
                rule = f"{rule.replace(written.text, evaluated.condition)} (set by `retention_days`)"
        return self._rule_pointer(stage, index), f" by {rule}"

    @staticmethod
    def _error(code: str, pointer: str, stages: tuple[str, ...], message: str) -> LinterFinding:
        return LinterFinding(FindingSeverity.ERROR, code, pointer, stages, message)

    @staticmethod
    def _warning(code: str, pointer: str, stages: tuple[str, ...], message: str) -> LinterFinding:
        return LinterFinding(FindingSeverity.WARNING, code, pointer, stages, message)


def _all_rules(stage: Stage) -> str:
    return _join_names([rule_text(rule) for rule in stage.rules], "or", quote=False)


def _join_names(names: Sequence[str], word: str, *, quote: bool = True) -> str:
    texts = [repr(name) if quote else name for name in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"
