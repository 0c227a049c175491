"""What is wrong with a stage map before anybody uses it: stages nobody gets into, or never out of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Rulebook, Transition
from journey_service.domain.simulation.linter.event_histories import ExampleHistory
from journey_service.domain.simulation.linter.evidence import deciding_rule, held_in, kept_by
from journey_service.domain.simulation.linter.gaps import gaps
from journey_service.domain.simulation.linter.precedence import Precedence
from journey_service.domain.simulation.linter.search import Exploration, FlipFlop, Relapse, explore
from journey_service.domain.simulation.linter.traps import is_trap
from journey_service.domain.simulation.linter.value_ranges import new_transitions
from journey_service.domain.stages.stage_map import Stage


class FindingSeverity(StrEnum):
    """Whether a map cannot be meant so, or is only seldom wise."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class LinterFinding:
    """One thing wrong with a map.

    `pointer` is the JSON pointer of the stage or rule; `stages` are the keys concerned, the first one is the
    one the finding is about; none for the map as a whole.
    """

    severity: FindingSeverity
    code: str
    pointer: str
    stages: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class LinterReport:
    """All that was found, errors first, then in map order; and the proof for what was not.

    `witnesses` gives for every stage that was reached, the start stage among them, a history of events that
    leads into it.
    """

    findings: tuple[LinterFinding, ...]
    witnesses: Mapping[str, ExampleHistory]

    @property
    def errors(self) -> tuple[LinterFinding, ...]:
        """What a map must not be used with."""
        return tuple(finding for finding in self.findings if finding.severity is FindingSeverity.ERROR)

    @property
    def warnings(self) -> tuple[LinterFinding, ...]:
        """What is allowed but seldom wise."""
        return tuple(finding for finding in self.findings if finding.severity is FindingSeverity.WARNING)


def lint(
    rulebook: Rulebook, *, places: Mapping[str, str] | None = None, journeys: type[Journey] = Journey
) -> LinterReport:
    """Look a map over.

    `places` gives the JSON pointer of each stage by key, by default its place in the map; `journeys` what
    reads the rules. What the search finds holds for that reading; what is said of precedence without trying
    (why a stage is unreachable, which rules are shadowed) is said of the service's own.
    """
    stage_map = rulebook.stage_map
    if places is None:
        places = {stage.key: f"/{index}" for index, stage in enumerate(stage_map.stages)}
    return _Linter(rulebook, places, journeys).report()


class _Linter:
    """A map, where its parts are written, and what the search has seen of it."""

    def __init__(self, rulebook: Rulebook, places: Mapping[str, str], journeys: type[Journey]) -> None:
        self._rulebook = rulebook
        self._stage_map = rulebook.stage_map
        self._places = places
        self._precedence = Precedence(rulebook)
        self._ruled = [s for s in self._stage_map.active if s.rules and s is not self._stage_map.start]
        self._hopeless = {
            stage.key: reasons
            for stage in self._ruled
            if (reasons := self._precedence.why_unreachable(stage)) is not None
        }
        goals = {stage.key for stage in self._ruled} - self._hopeless.keys()
        self._seen: Exploration = explore(rulebook, goals, journeys)

    def report(self) -> LinterReport:
        ranks = {stage.key: rank for rank, stage in enumerate(self._stage_map.stages)}

        def place(finding: LinterFinding) -> tuple[bool, int]:
            return finding.severity is not FindingSeverity.ERROR, ranks[
                finding.stages[0]
            ] if finding.stages else -1

        return LinterReport(tuple(sorted(self._findings(), key=place)), dict(self._seen.witnesses))

    def _findings(self) -> Iterator[LinterFinding]:
        yield from self._of_the_map()
        for stage in self._ruled:
            if stage.key in self._seen.witnesses:
                yield from self._shadowed(stage)
            else:
                yield self._error(
                    "unreachable_stage", self._places[stage.key], (stage.key,), self._why(stage)
                )
        for flip_flop in self._seen.flip_flops.values():
            yield self._flip_flop(flip_flop)
        for relapse in self._seen.relapses.values():
            if (relapse.risk, relapse.to_stage) not in self._seen.flip_flops:
                yield self._relapse(relapse)
        for stage in self._stage_map.risk_descending:
            if stage.key in self._seen.witnesses and stage.key not in self._seen.left:
                yield self._no_way_back(stage)
            else:
                yield from self._traps(stage)
        for gap in gaps(self._rulebook):
            stages = tuple(dict.fromkeys((gap.above.key, gap.below.key)))
            yield self._warning("gap", self._rule_place(gap.above, gap.place), stages, gap.message)

    # ---- the map as a whole

    def _of_the_map(self) -> Iterator[LinterFinding]:
        whole = next(iter(self._places.values())).rpartition("/")[0]
        for text in self._stage_map.warnings:
            yield self._warning("stage_count", whole, (), text)
        if not self._stage_map.risk_descending:
            text = "No active stage is of kind 'risk': nobody ever counts as at risk, however long they stay away."
            yield self._warning("no_risk_stage", whole, (), text)
        for stage in self._stage_map.active:
            if not stage.rules and stage is not self._stage_map.start:
                text = f"{stage.key!r} has no rules: only people move customers there."
                yield self._warning("by_hand_only", self._places[stage.key], (stage.key,), text)

    # ---- ways in

    def _why(self, stage: Stage) -> str:
        reasons = self._hopeless.get(stage.key)
        if reasons is not None:
            return f"Nobody ever gets into {stage.key!r}: {'; and '.join(why.message for why in reasons)}."
        text = f"No history of events was found that leads into {stage.key!r} by {_all_rules(stage)}"
        keys = held_in(self._rulebook, stage, self._seen.customers)
        if keys:
            text = f"{text}: whenever that held, the customer was in {_listed(keys, 'or')} and stayed there"
        if not self._seen.is_thorough:
            text = f"{text}; the map is too large for all histories to be tried"
        return f"{text}."

    def _shadowed(self, stage: Stage) -> Iterator[LinterFinding]:
        for index in range(len(stage.rules)):
            never = self._precedence.why_never(stage, index)
            if never is not None:
                stages = (stage.key,) if never.by == stage.key else (stage.key, never.by)
                text = f"This rule of {stage.key!r} never decides: {never.message}."
                yield self._warning("shadowed_rule", self._rule_place(stage, index), stages, text)

    # ---- ways back and forth

    def _flip_flop(self, seen: FlipFlop) -> LinterFinding:
        pointer, rule = self._decided(seen.back)
        text = (
            f"A customer who leaves {seen.stage!r} for {seen.through!r} is taken back to {seen.stage!r} at the "
            f"same instant{rule}, with nothing happening in between"
        )
        if seen.is_late:
            text = f"{text}; seen where a visit was reported late"
            return self._warning("flip_flop", pointer, (seen.stage, seen.through), f"{text}.")
        return self._error("flip_flop", pointer, (seen.stage, seen.through), f"{text}.")

    def _relapse(self, seen: Relapse) -> LinterFinding:
        pointer, rule = self._decided(seen.back)
        when = {0: "at once", 1: "a day later"}.get(seen.days, f"{seen.days} days later")
        text = (
            f"A customer whom a visit has brought back to {seen.to_stage!r} can be in {seen.risk!r} {when}{rule}, "
            "with nothing happening in between."
        )
        return self._warning("flip_flop", pointer, (seen.risk, seen.to_stage), text)

    def _no_way_back(self, stage: Stage) -> LinterFinding:
        text = f"No completed appointment takes a customer out of {stage.key!r} again"
        rules = kept_by(self._rulebook, stage, self._seen.customers)
        if rules:
            text = f"{text}: after every one that was tried, {_listed(rules, 'or', quote=False)} still held"
        if not self._seen.is_thorough:
            text = f"{text}; the map is too large for all histories to be tried"
        return self._error("no_way_back", self._places[stage.key], (stage.key,), f"{text}.")

    def _traps(self, stage: Stage) -> Iterator[LinterFinding]:
        for index, rule in enumerate(stage.rules):
            if is_trap(rule, self._rulebook.policy):
                text = (
                    f"Whoever is in {stage.key!r} when {new_transitions(rule)} holds never gets out again: it holds on, "
                    "whatever appointments are completed."
                )
                yield self._error("trap", self._rule_place(stage, index), (stage.key,), text)

    # ---- how it is said

    def _rule_place(self, stage: Stage, index: int) -> str:
        place = f"{self._places[stage.key]}/auto_rules"
        return place if len(stage.rules) == 1 else f"{place}/any/{index}"

    def _decided(self, move: Transition) -> tuple[str, str]:
        """Where the rule that decided on a move is written, and what to say of it."""
        stage, index = self._stage_map.by_key[move.to_stage], deciding_rule(move)
        if index is None:
            return self._places[stage.key], ""
        rule = new_transitions(stage.rules[index])
        for own, asked in zip(
            stage.rules[index].conditions, move.reasons[-1].rules[index].conditions, strict=True
        ):
            if own.text != asked.condition:
                rule = f"{rule.replace(own.text, asked.condition)} (so says `retention_days`)"
        return self._rule_place(stage, index), f" by {rule}"

    @staticmethod
    def _error(code: str, pointer: str, stages: tuple[str, ...], message: str) -> LinterFinding:
        return LinterFinding(FindingSeverity.ERROR, code, pointer, stages, message)

    @staticmethod
    def _warning(code: str, pointer: str, stages: tuple[str, ...], message: str) -> LinterFinding:
        return LinterFinding(FindingSeverity.WARNING, code, pointer, stages, message)


def _all_rules(stage: Stage) -> str:
    return _listed([new_transitions(rule) for rule in stage.rules], "or", quote=False)


def _listed(names: "tuple[str, ...] | list[str]", word: str, *, quote: bool = True) -> str:
    told = [repr(name) if quote else name for name in names]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} {word} {told[-1]}"
