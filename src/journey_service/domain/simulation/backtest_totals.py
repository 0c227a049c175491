"""What a back-test adds up to, in bounded memory: counts, and histograms of days."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from journey_service.domain.calendar import local_day
from journey_service.domain.rounding import half_up
from journey_service.domain.simulation.backtest import (
    AlarmOutcome,
    BacktestSettings,
    ReplayedMove,
    ReplayResult,
)
from journey_service.domain.stages.stage_map import StageMap

MAX_SAMPLES: Final = 5
"""How many customers are named for each pair of stages."""

_TENTH: Final = timedelta(days=1) // 10
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS: Final = 2_000


class DurationHistogram:
    """Spans of time no longer than a lapse, counted in at most 2,001 buckets, whatever their number.

    Each span is rounded to the nearest bucket: a tenth of a day wide for lapses of up to 200 days, and a
    two-thousandth of the lapse, rounded up to a tenth, beyond. Percentiles are interpolated between the rounded
    spans; they and the mean are at most half a bucket off, before being rounded to a tenth themselves.
    """

    def __init__(self, lapse: timedelta, counts: Mapping[str, int] | None = None) -> None:
        self._tenths = max(1, -(-lapse // (_STEPS * _TENTH)))
        self.counts = Counter({int(bucket): count for bucket, count in (counts or {}).items()})

    def add(self, span: timedelta) -> None:
        """Count one."""
        self.counts[half_up(span // _MICROSECOND, self._tenths * (_TENTH // _MICROSECOND))] += 1

    def percentile(self, percent: int) -> float | None:
        """The interpolated percentile in days, to a tenth; None without any."""
        total = self.counts.total()
        if not total:
            return None
        place, part = divmod((total - 1) * percent, 100)
        hundredths = self._at(place) * (100 - part) + (self._at(place + 1) * part if part else 0)
        return half_up(hundredths * self._tenths, 100) / 10

    @property
    def mean(self) -> float | None:
        """The mean in days, to a tenth; None without any."""
        total = self.counts.total()
        if not total:
            return None
        return (
            half_up(sum(bucket * count for bucket, count in self.counts.items()) * self._tenths, total) / 10
        )

    def _at(self, place: int) -> int:
        """The bucket of the span at a place of their ascending order."""
        for bucket in sorted(self.counts):
            place -= self.counts[bucket]
            if place < 0:
                return bucket
        raise IndexError(place)


class BacktestTotals:
    """What the replays of many customers under one map add up to, in a size that does not depend on how many.

    `to_json` and `restore` carry it over from one page of a job to the next; stages are written as their places.
    """

    def __init__(self, terms: BacktestSettings, stage_map: StageMap, *, has_samples: bool = False) -> None:
        self._terms = terms
        self._keys = [stage.key for stage in stage_map.active]
        self._places = {key: place for place, key in enumerate(self._keys)}
        self._has_samples = has_samples
        self._counts: Counter[str] = Counter()
        self._cells: dict[str, list[int]] = {}
        self._months: dict[str, dict[str, int]] = {}
        self._stages = [0] * len(self._keys)
        self._lead, self._back = DurationHistogram(terms.lapse), DurationHistogram(terms.lapse)
        self._samples: dict[str, list[list[int]]] = {}
        self._triggers: list[str] = []
        """The trigger events that samples name by their places here."""

    def add(self, outcome: ReplayResult) -> None:
        """Count one customer."""
        self._counts["customers"] += 1
        self._stages[self._places[outcome.stage]] += 1
        moves = [move for move in outcome.moves if self._terms.covers(move.at)]
        self._counts["moved"] += bool(moves)
        seen = set()
        for move in moves:
            cell = f"{self._places[move.from_stage]}>{self._places[move.to_stage]}"
            numbers = self._cells.setdefault(cell, [0, 0])
            numbers[0] += 1
            numbers[1] += cell not in seen
            seen.add(cell)
            month = self._months.setdefault(f"{local_day(move.at, self._terms.zone):%Y-%m}", {})
            place = str(self._places[move.to_stage])
            month[place] = month.get(place, 0) + 1
            if self._has_samples:
                self._sample(cell, outcome.customer_id, move)
        for alarm in outcome.alarms:
            self._counts[alarm.verdict.value] += 1
            if alarm.back_after is not None:
                self._back.add(alarm.back_after)
        for lapse in outcome.lapses:
            self._counts["lapses"] += 1
            self._counts["lapses_at_risk"] += lapse.alarmed_at is None and lapse.was_at_risk
            if lapse.alarmed_at is not None:
                self._lead.add(lapse.at - lapse.alarmed_at)

    def _sample(self, cell: str, customer_id: int, move: ReplayedMove) -> None:
        samples = self._samples.setdefault(cell, [])
        if len(samples) < MAX_SAMPLES and (not samples or samples[-1][0] != customer_id):
            if move.trigger_event not in self._triggers:
                self._triggers.append(move.trigger_event)
            trigger = self._triggers.index(move.trigger_event)
            samples.append([customer_id, (move.at - _EPOCH) // _MICROSECOND, trigger])

    def to_json(self) -> dict[str, Any]:
        """All that is known so far, for `restore`."""
        return {
            "counts": dict(self._counts),
            "cells": self._cells,
            "months": self._months,
            "stages": self._stages,
            "lead": {str(bucket): count for bucket, count in self._lead.counts.items()},
            "back": {str(bucket): count for bucket, count in self._back.counts.items()},
            "samples": self._samples,
            "triggers": self._triggers,
        }

    def restore(self, known: Mapping[str, Any]) -> None:
        """Go on from what `to_json` wrote under the same terms and map."""
        self._counts = Counter(known["counts"])
        self._cells = {cell: list(numbers) for cell, numbers in known["cells"].items()}
        self._months = {month: dict(numbers) for month, numbers in known["months"].items()}
        self._stages = list(known["stages"])
        self._lead, self._back = (
            DurationHistogram(self._terms.lapse, known[name]) for name in ("lead", "back")
        )
        self._samples = {cell: list(samples) for cell, samples in known["samples"].items()}
        self._triggers = list(known["triggers"])

    def metrics(self) -> dict[str, Any]:
        """What it adds up to, as JSON: days to a tenth, rates to four decimals, None where there is nothing."""
        counts = self._counts
        confirmed = counts[AlarmOutcome.CONFIRMED] + counts[AlarmOutcome.LATE]
        returned, is_open = counts[AlarmOutcome.RETURNED], counts[AlarmOutcome.OPEN]
        alarmed = self._lead.counts.total()
        pairs = [(cell, *(self._keys[int(place)] for place in cell.split(">"))) for cell in self._in_order()]
        metrics: dict[str, Any] = {
            "customers_moved": counts["moved"],
            "moves": sum(moves for moves, _ in self._cells.values()),
            "matrix": [
                {
                    "from_stage": from_stage,
                    "to_stage": to_stage,
                    "moves": self._cells[cell][0],
                    "customers": self._cells[cell][1],
                }
                for cell, from_stage, to_stage in pairs
            ],
            "months": {month: self._entered(month) for month in self._terms.months},
            "stages": dict(zip(self._keys, self._stages, strict=True)),
            "alarms": {
                "raised": confirmed + returned + is_open,
                "confirmed": confirmed,
                "late": counts[AlarmOutcome.LATE],
                "returned": returned,
                "open": is_open,
            },
            "lapses": {
                "total": counts["lapses"],
                "alarmed": alarmed,
                "at_risk_already": counts["lapses_at_risk"],
            },
            "precision": _rate(confirmed, confirmed + returned),
            "recall": _rate(alarmed, counts["lapses"]),
            "lead_time_days": {
                "median": self._lead.percentile(50),
                "p90": self._lead.percentile(90),
                "mean": self._lead.mean,
            },
            "return_days": {"median": self._back.percentile(50)},
        }
        if self._has_samples:
            metrics["samples"] = [
                {"from_stage": from_stage, "to_stage": to_stage, **self._shown(*sample)}
                for cell, from_stage, to_stage in pairs
                for sample in self._samples[cell]
            ]
        return metrics

    @property
    def customers(self) -> int:
        """How many customers were counted."""
        return self._counts["customers"]

    def _in_order(self) -> list[str]:
        return sorted(self._cells, key=lambda cell: [int(place) for place in cell.split(">")])

    def _entered(self, month: str) -> dict[str, int]:
        entered = self._months.get(month, {})
        return {key: entered[str(place)] for key, place in self._places.items() if str(place) in entered}

    def _shown(self, customer_id: int, microseconds: int, trigger: int) -> dict[str, Any]:
        at = _EPOCH + microseconds * _MICROSECOND
        return {"customer_id": customer_id, "at": at.isoformat(), "trigger_event": self._triggers[trigger]}


def _rate(part: int, whole: int) -> float | None:
    return half_up(part * 10_000, whole) / 10_000 if whole else None
