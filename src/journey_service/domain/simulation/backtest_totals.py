"""Totals of a back-test in bounded memory: counts, and histograms of durations."""

from collections import Counter
from collections.abc import Mapping, Sequence
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
"""Customers listed for each pair of stages; further ones are only counted."""

_TENTH: Final = timedelta(days=1) // 10
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_BUCKETS: Final = 2_000


class DurationHistogram:
    """Histogram of durations up to the lapse, with at most 2,001 buckets.

    Each duration is rounded to the nearest bucket. A bucket is a tenth of a day wide for lapses of up to 200 days, and
    else a two-thousandth of the lapse, rounded up to a tenth. Percentiles are interpolated between rounded durations;
    before rounding to a tenth, they and the mean are off by at most half a bucket.
    """

    def __init__(self, lapse: timedelta, counts: Mapping[str, int] | None = None) -> None:
        self._bucket_tenths = max(1, -(-lapse // (_MAX_BUCKETS * _TENTH)))
        self.counts = Counter({int(bucket): count for bucket, count in (counts or {}).items()})

    def add(self, span: timedelta) -> None:
        """Adds one duration."""
        self.counts[half_up(span // _MICROSECOND, self._bucket_tenths * (_TENTH // _MICROSECOND))] += 1

    def percentile(self, percent: int) -> float | None:
        """Returns the interpolated percentile in days, rounded to a tenth; None if there are no durations."""
        total = self.counts.total()
        if not total:
            return None
        index, part = divmod((total - 1) * percent, 100)
        hundredths = self._bucket_at(index) * (100 - part) + (
            self._bucket_at(index + 1) * part if part else 0
        )
        return half_up(hundredths * self._bucket_tenths, 100) / 10

    @property
    def mean(self) -> float | None:
        """Mean in days, rounded to a tenth; None if there are no durations."""
        total = self.counts.total()
        if not total:
            return None
        buckets = sum(bucket * count for bucket, count in self.counts.items())
        return half_up(buckets * self._bucket_tenths, total) / 10

    def _bucket_at(self, index: int) -> int:
        """Returns the bucket of the duration with this index in ascending order. Raises IndexError."""
        for bucket in sorted(self.counts):
            index -= self.counts[bucket]
            if index < 0:
                return bucket
        raise IndexError(index)


class BacktestTotals:
    """Totals of the replays of many customers under one map; their size does not depend on the number.

    `to_json` and `restore` carry them from one page of a job to the next; stages are stored as indexes.
    """

    def __init__(self, settings: BacktestSettings, stage_map: StageMap, *, has_samples: bool = False) -> None:
        self._settings = settings
        self._keys = [stage.key for stage in stage_map.active]
        self._indexes = {key: index for index, key in enumerate(self._keys)}
        self._has_samples = has_samples
        self._counts: Counter[str] = Counter()
        self._cells: dict[str, list[int]] = {}
        self._months: dict[str, dict[str, int]] = {}
        self._stages = [0] * len(self._keys)
        self._lead, self._returns = DurationHistogram(settings.lapse), DurationHistogram(settings.lapse)
        self._samples: dict[str, list[list[int]]] = {}
        self._triggers: list[str] = []
        """Trigger events; samples refer to them by index."""

    def add(self, result: ReplayResult) -> None:
        """Adds the result of one customer."""
        self._counts["customers"] += 1
        self._stages[self._indexes[result.stage]] += 1
        moves = [move for move in result.moves if self._settings.covers(move.at)]
        self._counts["moved"] += bool(moves)
        self._add_moves(result.customer_id, moves)
        for alarm in result.alarms:
            self._counts[alarm.outcome.value] += 1
            if alarm.returned_after is not None:
                self._returns.add(alarm.returned_after)
        for lapse in result.lapses:
            self._counts["lapses"] += 1
            self._counts["lapses_at_risk"] += lapse.alarmed_at is None and lapse.was_at_risk
            if lapse.alarmed_at is not None:
                self._lead.add(lapse.at - lapse.alarmed_at)

    def _add_moves(self, customer_id: int, moves: Sequence[ReplayedMove]) -> None:
        counted = set()
        for move in moves:
            cell = f"{self._indexes[move.from_stage]}>{self._indexes[move.to_stage]}"
            numbers = self._cells.setdefault(cell, [0, 0])
            numbers[0] += 1
            numbers[1] += cell not in counted
            counted.add(cell)
            month = self._months.setdefault(f"{local_day(move.at, self._settings.zone):%Y-%m}", {})
            index = str(self._indexes[move.to_stage])
            month[index] = month.get(index, 0) + 1
            if self._has_samples:
                self._sample(cell, customer_id, move)

    def _sample(self, cell: str, customer_id: int, move: ReplayedMove) -> None:
        samples = self._samples.setdefault(cell, [])
        if len(samples) < MAX_SAMPLES and (not samples or samples[-1][0] != customer_id):
            if move.trigger_event not in self._triggers:
                self._triggers.append(move.trigger_event)
            trigger = self._triggers.index(move.trigger_event)
            samples.append([customer_id, (move.at - _EPOCH) // _MICROSECOND, trigger])

    def to_json(self) -> dict[str, Any]:
        """Returns the totals as JSON for `restore`."""
        return {
            "counts": dict(self._counts),
            "cells": self._cells,
            "months": self._months,
            "stages": self._stages,
            "lead": {str(bucket): count for bucket, count in self._lead.counts.items()},
            "back": {str(bucket): count for bucket, count in self._returns.counts.items()},
            "samples": self._samples,
            "triggers": self._triggers,
        }

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Replaces the totals by those that `to_json` returned under the same settings and map."""
        self._counts = Counter(stored["counts"])
        self._cells = {cell: list(numbers) for cell, numbers in stored["cells"].items()}
        self._months = {month: dict(numbers) for month, numbers in stored["months"].items()}
        self._stages = list(stored["stages"])
        self._lead, self._returns = (
            DurationHistogram(self._settings.lapse, stored[name]) for name in ("lead", "back")
        )
        self._samples = {cell: list(samples) for cell, samples in stored["samples"].items()}
        self._triggers = list(stored["triggers"])

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics as JSON: days rounded to a tenth, rates to four decimals, None without data."""
        alarms, lapses, lead = self._alarms(), self._lapses(), self._lead
        metrics: dict[str, Any] = {
            "customers_moved": self._counts["moved"],
            "moves": sum(moves for moves, _ in self._cells.values()),
            "matrix": [
                {**pair, "moves": self._cells[cell][0], "customers": self._cells[cell][1]}
                for cell, pair in self._pairs()
            ],
            "months": {month: self._entered(month) for month in self._settings.months},
            "stages": dict(zip(self._keys, self._stages, strict=True)),
            "alarms": alarms,
            "lapses": lapses,
            "precision": _rate(alarms["confirmed"], alarms["confirmed"] + alarms["returned"]),
            "recall": _rate(lapses["alarmed"], lapses["total"]),
            "lead_time_days": {"median": lead.percentile(50), "p90": lead.percentile(90), "mean": lead.mean},
            "return_days": {"median": self._returns.percentile(50)},
        }
        if self._has_samples:
            metrics["samples"] = self._samples_to_json()
        return metrics

    @property
    def customers(self) -> int:
        """Number of customers added."""
        return self._counts["customers"]

    def _samples_to_json(self) -> list[dict[str, Any]]:
        return [
            {**pair, **self._sample_to_json(*sample)}
            for cell, pair in self._pairs()
            for sample in self._samples[cell]
        ]

    def _alarms(self) -> dict[str, int]:
        counts = self._counts
        confirmed = counts[AlarmOutcome.CONFIRMED] + counts[AlarmOutcome.LATE]
        returned, open_ = counts[AlarmOutcome.RETURNED], counts[AlarmOutcome.OPEN]
        return {
            "raised": confirmed + returned + open_,
            "confirmed": confirmed,
            "late": counts[AlarmOutcome.LATE],
            "returned": returned,
            "open": open_,
        }

    def _lapses(self) -> dict[str, int]:
        return {
            "total": self._counts["lapses"],
            "alarmed": self._lead.counts.total(),
            "already_at_risk": self._counts["lapses_at_risk"],
        }

    def _pairs(self) -> list[tuple[str, dict[str, str]]]:
        """Returns the cells with moves and the stages of each, in the order of the stages."""
        indexes = {cell: tuple(map(int, cell.split(">"))) for cell in self._cells}
        return [
            (cell, {"from_stage": self._keys[before], "to_stage": self._keys[after]})
            for cell, (before, after) in sorted(indexes.items(), key=lambda each: each[1])
        ]

    def _entered(self, month: str) -> dict[str, int]:
        entered = self._months.get(month, {})
        return {key: entered[str(index)] for key, index in self._indexes.items() if str(index) in entered}

    def _sample_to_json(self, customer_id: int, microseconds: int, trigger: int) -> dict[str, Any]:
        at = _EPOCH + microseconds * _MICROSECOND
        return {"customer_id": customer_id, "at": at.isoformat(), "trigger_event": self._triggers[trigger]}


def _rate(part: int, whole: int) -> float | None:
    return half_up(part * 10_000, whole) / 10_000 if whole else None
