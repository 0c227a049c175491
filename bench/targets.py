"""Writes the table of targets in docs/performance.md from results.json: `python bench/targets.py`.

Each target is a figure, or a ratio of two figures measured in one run, with what is good enough and what is aimed at.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import results

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- targets: begin -->", "<!-- targets: end -->"
SMALL, LARGE = "100000", "1000000"
Figures = Any


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value, with the text that shows it and whether it is good enough and reaches the aim."""

    text: str
    is_good: bool
    is_aim: bool

    @property
    def verdict(self) -> str:
        """How the value compares with the target."""
        return "aim" if self.is_aim else "good" if self.is_good else "no"


@dataclass(frozen=True, slots=True)
class Target:
    """A row of the table; `read` reads its values from the figures of a benchmark."""

    key: str
    benchmark: str
    work: str
    against: str
    good: str
    aim: str
    read: Callable[[Figures], Sequence[Value]]


def at_least(value: float, good: float, aim: float, text: str) -> Value:
    """Returns a value that has to be large."""
    return Value(text, value >= good, value >= aim)


def at_most(value: float, good: float, aim: float, text: str) -> Value:
    """Returns a value that has to be small."""
    return Value(text, value <= good, value <= aim)


def _decisions(figures: Figures) -> Sequence[Value]:
    rates: Mapping[str, float] = figures["per_second"]
    service = rates["service"]
    best = service / max(rates["rule-engine"], rates["transitions"])
    return [
        at_least(service, 200_000, 400_000, f"{service:,.0f}/s"),
        at_least(best, 10, 10, f"{best:.1f} x the faster library"),
    ]


def _share(name: str, label: str, good: float, aim: float) -> Callable[[Figures], Sequence[Value]]:
    """Returns a reader of a ratio that has to be large."""

    def read(figures: Figures) -> Sequence[Value]:
        value = figures["ratios"][name]
        return [at_least(value, good, aim, f"{value:.2f} x{label}")]

    return read


def _imports(figures: Figures) -> Sequence[Value]:
    ratios = figures["ratios"]
    return [
        at_least(ratios[f"{name} / COPY"], 0.10, 0.25, f"{label} {ratios[f'{name} / COPY']:.3f} x")
        for name, label in (("batches", "batches"), ("import", "import"))
    ]


def _timed(name: str, good: float, aim: float, form: str) -> Callable[[Figures], Sequence[Value]]:
    """Returns a reader of a ratio of `timekeeping` at both sizes that has to be small."""

    def read(figures: Figures) -> Sequence[Value]:
        return [
            at_most(figures[size][name], good, aim, f"{figures[size][name]:{form}} at {int(size):,}")
            for size in (SMALL, LARGE)
            if name in figures.get(size, {})
        ]

    return read


def _by_guide(figures: Figures) -> Sequence[Value]:
    return [
        at_least(value, 50, 200, f"{value:.0f} x at {int(size):,}")
        for size in (SMALL, LARGE)
        if (value := figures.get(size, {}).get("guide / rescore")) is not None
    ]


def _reports(figures: Figures) -> Sequence[Value]:
    found = []
    for size in figures:
        slowest = max(report["p95_ms"] for report in size["figures"].values())
        worst = max(report["ratio"] for report in size["figures"].values())
        found.append(
            Value(
                f"p95 up to {slowest:.0f} ms, up to {worst:.2f} x DuckDB, at {size['customers']:,}",
                slowest <= 50 and worst <= 1,  # noqa: PLR2004  # the target
                slowest <= 15 and worst <= 1,  # noqa: PLR2004  # the target
            )
        )
    return found


def _startup(figures: Figures) -> Sequence[Value]:
    seconds, memory = figures["first_start_s"], figures["memory_mib"]
    return [at_most(seconds, 5, 3, f"{seconds:.1f} s"), at_most(memory, 600, 400, f"{memory:.0f} MiB")]


def _lists(figures: Figures) -> Sequence[Value]:
    times = {name: each["p95_ms"] for name, each in figures["requests"].items()}
    slow = [name for name, p95 in times.items() if p95 > 150]  # noqa: PLR2004  # the target
    middle = sorted(times.values())[len(times) // 2]
    text = f"{len(times) - len(slow)} of {len(times)} requests, the median request {middle:.0f} ms"
    return [Value(text, not slow, max(times.values()) <= 40)]  # noqa: PLR2004  # the target


def _commands(figures: Figures) -> Sequence[Value]:
    return [
        at_most(figures[name], 0.7, 0.4, f"`{shown}` {figures[name]:.2f} s")
        for name, shown in (("keys list", "journey keys list"), ("journey", "journey --help"))
    ]


def _api_workers(figures: Figures) -> Sequence[Value]:
    busy, rate = figures["ratios"]["processor time"], figures["ratios"]["throughput"]
    return [
        at_most(busy, 1.1, 1.0, f"{busy:.2f} x the processor time"),
        at_least(rate, 1.0, 1.0, f"{rate:.2f} x the throughput"),
    ]


TARGETS = (
    Target(
        *("P1", "decisions", "decisions on the default stage map, one core", "`rule-engine`, `transitions`"),
        *("200,000/s, 10 x", "400,000/s", _decisions),
    ),
    Target(
        *("P2", "ingest", "`POST /events`, 64 connections, one API process", "pgbench, same statements"),
        *("0.5 x", "1.0 x", _share("single events / pgbench", "", 0.5, 1.0)),
    ),
    Target(
        *("P3", "ingest", "`POST /events/batch`, imports", "COPY of the same rows"),
        *("0.10 x", "0.25 x", _imports),
    ),
    Target(
        *("P4", "timekeeping", "rescore of all, every score changed", "bare UPDATE of all"),
        *("3 x its time", "1 x", _timed("rescore / UPDATE", 3, 1, ".2f")),
    ),
    Target(
        *("P5", "timekeeping", "sweep of 1,000 due customers", "rescore of all"),
        *("1 % of its time", "", _timed("sweep / rescore", 0.01, 0.01, ".1%")),
    ),
    Target(
        *("P6", "figures", "reports over 30 days and a year", "DuckDB in memory"),
        *("p95 50 ms, 1 x", "p95 15 ms", _reports),
    ),
    Target(
        *("P7", "timekeeping", "rescore, one customer", "the guide's loop, one customer"),
        *("50 x faster", "200 x", _by_guide),
    ),
    Target(
        *("P8", "startup", "`journey up --no-demo` in an empty folder, memory at rest", ""),
        *("5 s, 600 MB", "3 s, 400 MB", _startup),
    ),
    Target(
        *("P9", "timekeeping", "p99 of an event during rescores", "the same without rescores"),
        *("2 x", "1.3 x", _timed("p99 next to rescores / alone", 2, 1.3, ".2f")),
    ),
    Target(
        *("P10", "outbox", "actions claimed and completed, no channel", "bare loop in SQL"),
        *("0.3 x", "0.7 x", _share("dispatcher / bare loop", "", 0.3, 0.7)),
    ),
    Target(
        *("P11", "lists", "lists, searches, sorts of 1,000,000 customers, p95", ""),
        *("150 ms", "40 ms", _lists),
    ),
    Target(
        *("P12", "commands", "start of a command, processor time", ""),
        *("0.7 s", "0.4 s", _commands),
    ),
    Target(
        *("P13", "api_workers", "two API processes, single events", "one API process"),
        *("1.1 x, 1.0 x", "1.0 x, 1.0 x", _api_workers),
    ),
    Target(
        *("P14", "outbox", "webhooks sent, signed and logged", "bare HTTP client"),
        *("0.3 x", "0.7 x", _share("webhooks / bare client", "", 0.3, 0.7)),
    ),
)


def table(known: Mapping[str, Any]) -> str:
    """Returns the table of all targets; those that were not measured are marked."""
    lines = [
        "| | work | against | result | good | aim | reached | measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        cells = [target.key, target.work, target.against]
        run = known.get(target.benchmark)
        values = [] if run is None else target.read(run["figures"])
        if run is None or not values:
            lines.append("| " + " | ".join([*cells, "not measured", target.good, target.aim, "", ""]) + " |")
            continue
        result = "; ".join(value.text for value in values)
        verdicts = ", ".join(dict.fromkeys(value.verdict for value in values))
        measured = " ".join(filter(None, [run["at"], run.get("commit")]))
        lines.append("| " + " | ".join([*cells, result, target.good, target.aim, verdicts, measured]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Replaces the table in the page."""
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{PAGE} has no {BEGIN} and {END}")
    written = table(results.load())
    PAGE.write_text(f"{before}{BEGIN}\n{written}\n{END}{after}", "utf-8")
    print(written)


if __name__ == "__main__":
    main()
