"""The full run: every cell of targets.json by the model, its challengers and the packaged alternatives, as tables."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from backtest.challengers import CHALLENGERS
from backtest.event_files import read_bookings, read_events
from backtest.opponents import OPPONENTS, Predictor
from backtest.protocol import Cell, Cut
from backtest.rhythm_alarms import AlarmFigures, mean_f1, measure
from journey_service.prediction import fitting
from journey_service.prediction.quality.metrics import Accuracy, accuracy
from journey_service.prediction.scoring import curves_at

OURS = "the model"
ALARM_SETS = ("cdnow", "online_retail", "coffee_vending")
T = TypeVar("T")
BOOKING_CELLS = (("2016-05-18", 21), ("2016-05-25", 14))


@dataclass(frozen=True, slots=True)
class CellResult:
    """One cell: its targets, and the measures of each model that could be fitted."""

    cell: Cell
    must: Mapping[str, float]
    measured: Mapping[str, Accuracy]

    @property
    def is_met(self) -> bool:
        """Whether the model meets the targets."""
        ours, must = self.measured[OURS], self.must
        return (
            (ours.roc_auc or 0) >= must["roc_auc_min"]
            and ours.log_loss <= must["logloss_max"]
            and ours.calibration_error <= must["ece_max"]
        )


def run(data: Path) -> Iterator[str]:
    """Yields the lines of the tables; progress is printed."""
    results = list(_results(data))
    yield from _summary(results)
    yield ""
    yield from _cells(results)
    yield ""
    yield from _challenge(results)
    yield ""
    yield from _bookings(data)
    yield ""
    yield from _alarms(data)


def _results(data: Path) -> Iterator[CellResult]:
    warnings.simplefilter("ignore")
    models: Mapping[str, Predictor] = {OURS: _ours, **OPPONENTS, **CHALLENGERS}
    files, cuts = {}, {}
    for values in json.loads((data / "targets.json").read_text("utf-8"))["cells"]:
        cell = Cell.of(values)
        if cell.dataset not in files:
            files[cell.dataset] = read_events(data / f"{cell.dataset}.csv.gz")
        key = (cell.dataset, cell.cut)
        if key not in cuts:
            cuts[key] = Cut(files[cell.dataset].histories, cell.cut)
        with np.errstate(all="ignore"):
            predicted = {name: predict(cuts[key], cell) for name, predict in models.items()}
        measured = {name: cuts[key].judge(cell, each) for name, each in predicted.items() if each is not None}
        print(cell, f"{measured[OURS].roc_auc:.4f} {measured[OURS].log_loss:.4f}", flush=True)
        yield CellResult(cell, values["must"], measured)


def _ours(cut: Cut, cell: Cell) -> np.ndarray:
    return cut.curves.survival(cut.horizons(cell))


def _summary(results: list[CellResult]) -> Iterator[str]:
    horizon = [result for result in results if result.cell.target == "horizon"]
    yield f"| mean over {len(horizon)} horizon cells | cells | ROC-AUC | log-loss | ECE | the model on these cells |"
    yield "|---|---:|---:|---:|---:|---|"
    for name in (OURS, *OPPONENTS, *CHALLENGERS):
        fitted = [result.measured for result in horizon if name in result.measured]
        theirs, ours = _means([each[name] for each in fitted]), _means([each[OURS] for each in fitted])
        yield f"| {name} | {len(fitted)} | {theirs.replace(' / ', ' | ')} | {ours} |"


def _cells(results: list[CellResult]) -> Iterator[str]:
    yield (
        "| data | cut | days | customers | no return | AUC / log-loss / ECE | slope | must | met "
        "| best alternative: AUC | log-loss |"
    )
    yield "|---|---|---|---:|---:|---|---:|---|---|---|---|"
    for result in results:
        ours, must, cell = result.measured[OURS], result.must, result.cell
        others = {name: each for name, each in result.measured.items() if name in OPPONENTS}
        sharpest = max(others, key=lambda name: others[name].roc_auc or 0)
        likeliest = min(others, key=lambda name: others[name].log_loss)
        yield (
            f"| {cell.dataset} | {cell.cut} | {cell.label} | {ours.customers} | {ours.share:.3f} "
            f"| {_triple(ours)} | {ours.calibration_slope or 0:.2f} "
            f"| {must['roc_auc_min']:.3f} / {must['logloss_max']:.4f} / {must['ece_max']:.3f} "
            f"| {'yes' if result.is_met else 'no'} | {others[sharpest].roc_auc:.3f} {sharpest} "
            f"| {others[likeliest].log_loss:.4f} {likeliest} |"
        )


def _challenge(results: list[CellResult]) -> Iterator[str]:
    sets = sorted({result.cell.dataset for result in results})
    yield "| log-loss of the challenger less that of the model, mean over cells | " + " | ".join(sets) + " |"
    yield "|---|" + "---:|" * len(sets)
    for name in CHALLENGERS:
        differences = [
            _mean(
                [each for each in results if each.cell.dataset == one],
                lambda each, name=name: each.measured[name].log_loss - each.measured[OURS].log_loss,
            )
            for one in sets
        ]
        yield (
            f"| {name.removeprefix('challenger: ')} | "
            + " | ".join(f"{each:+.4f}" for each in differences)
            + " |"
        )


def _bookings(data: Path) -> Iterator[str]:
    events = read_events(data / "noshow_appointments.csv.gz")
    records = read_bookings(data / "noshow_bookings.csv.gz", events.ids)
    yield "| noshow: AUC / log-loss / ECE | without bookings | with open bookings | factor of unbooked returns |"
    yield "|---|---|---|---:|"
    for day, horizon in BOOKING_CELLS:
        values = {
            "dataset": "noshow",
            "cut": day,
            "horizon": horizon,
            "target": "horizon",
            "population": "all",
        }
        cell = Cell.of(values)
        cut = Cut(events.histories, cell.cut)
        fitted = fitting.with_bookings(cut.parameters, cut.known, records, cut.today)
        curves = curves_at(fitted, cut.states, cut.today, 180, records.open_at(cut.today))
        measured = accuracy(curves.survival(horizon), cut.stayed_away(cell))
        plain = cut.judge(cell, _ours(cut, cell))
        yield (
            f"| {day}, {horizon} days | {_triple(plain)} | {_triple(measured)} "
            f"| {fitted.bookings.unbooked_factor:.2f} |"
        )


def _alarms(data: Path) -> Iterator[str]:
    figures = {name: measure(read_events(data / f"{name}.csv.gz").histories) for name in ALARM_SETS}
    yield "| alarms / precision / recall / lead, days | " + " | ".join(ALARM_SETS) + " | mean F1 |"
    yield "|---|" + "---|" * len(ALARM_SETS) + "---:|"
    for rows in zip(*figures.values(), strict=True):
        yield f"| {rows[0].rule} | " + " | ".join(map(_alarm, rows)) + f" | {mean_f1(rows):.3f} |"


def _alarm(each: AlarmFigures) -> str:
    return f"{each.alarms} of {each.gaps} / {each.precision:.2f} / {each.recall:.2f} / {each.lead_days:.0f}"


def _means(found: list[Accuracy]) -> str:
    auc, loss = _mean(found, lambda each: each.roc_auc or 0.5), _mean(found, lambda each: each.log_loss)
    return f"{auc:.4f} / {loss:.4f} / {_mean(found, lambda each: each.calibration_error):.4f}"


def _triple(each: Accuracy) -> str:
    return f"{each.roc_auc:.4f} / {each.log_loss:.4f} / {each.calibration_error:.3f}"


def _mean(values: list[T], of: Callable[[T], float]) -> float:
    return float(np.mean([of(each) for each in values]))
