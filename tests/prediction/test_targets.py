"""The model on public data: every target of `targets.json` is met."""

import json

import numpy as np
import pytest
from backtest.event_files import read_bookings, read_events
from backtest.protocol import Cell, Cut

from journey_service.prediction import fitting
from journey_service.prediction.quality.metrics import accuracy
from journey_service.prediction.scoring import curves_at


def test_each_target_of_the_public_data_is_met(data):
    targets = json.loads((data / "targets.json").read_text("utf-8"))
    cuts, missed, horizon_cells = {}, [], []
    for values in targets["cells"]:
        cell, must = Cell.of(values), values["must"]
        if cell.dataset not in cuts:
            # One data set at a time is in memory.
            cuts = {cell.dataset: read_events(data / f"{cell.dataset}.csv.gz")}
        cut = cuts.setdefault(cell.cut, Cut(cuts[cell.dataset].histories, cell.cut))
        measured = cut.judge(cell, cut.curves.survival(cut.horizons(cell)))
        assert measured.customers == values["n"], cell
        assert measured.share == pytest.approx(values["base_rate"], abs=1e-4), cell
        is_met = (
            measured.roc_auc >= must["roc_auc_min"]
            and measured.log_loss <= must["logloss_max"]
            and measured.calibration_error <= must["ece_max"]
        )
        if not is_met:
            missed.append((cell, measured, must))
        if cell.target == "horizon":
            horizon_cells.append((measured.roc_auc, measured.log_loss, measured.calibration_error))
    assert missed == []

    mean = targets["aggregate"]["mean"]
    assert len(horizon_cells) == mean["cells"]
    auc, log_loss, error = np.mean(horizon_cells, axis=0)
    assert auc >= mean["roc_auc_min"]
    assert log_loss <= mean["logloss_max"]
    assert error <= mean["ece_max"]


def test_open_bookings_improve_the_prediction(data):
    events = read_events(data / "noshow_appointments.csv.gz")
    records = read_bookings(data / "noshow_bookings.csv.gz", events.ids)
    for values, auc, log_loss in (
        (("2016-05-18", 21), 0.756, 0.541),
        (("2016-05-25", 14), 0.784, 0.407),
    ):
        cell = Cell.of(
            {
                "dataset": "noshow",
                "cut": values[0],
                "horizon": values[1],
                "target": "horizon",
                "population": "all",
            }
        )
        cut = Cut(events.histories, cell.cut)
        fitted = fitting.with_bookings(cut.parameters, cut.known, records, cut.today)
        curves = curves_at(fitted, cut.states, cut.today, 60, records.open_at(cut.today))
        measured = accuracy(curves.survival(cell.horizon), cut.stayed_away(cell))
        assert measured.roc_auc >= auc
        assert measured.log_loss <= log_loss
