"""Back-tests the churn prediction. `make backtest`, or `make backtest ARGS="--data FILE --cut DATE ..."` for one file.

Without arguments: every cell of the data sets beside the project, with the packaged alternatives in the same run; the
tables of docs/prediction.md are the output. With --data: the predictions for a file in the same format.
"""

import argparse
import csv
import sys
from datetime import date
from pathlib import Path

import numpy as np

from backtest.event_files import read_bookings, read_events
from journey_service.prediction import fitting
from journey_service.prediction.arrays import Floats
from journey_service.prediction.scoring import DEFAULT_CHURN_DAYS, churn_probability, curves_at, predict
from journey_service.prediction.visit_history import last_states

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DOCUMENT = ROOT / "docs" / "prediction.md"
BEGIN, END = "<!-- backtest -->\n", "<!-- /backtest -->\n"
COLUMNS = ("customer_id", "p_churn", "p_return_30", "p_return_90", "next_visit_date", "churn_date")


def main() -> None:
    """Runs what the arguments ask for."""
    arguments = _parse()
    if arguments.data is not None:
        score_file(arguments)
    elif arguments.data_sets.is_dir():
        write_tables(arguments.data_sets)
    else:
        print(f"skipped: the data sets are not here: {arguments.data_sets}")


def score_file(arguments: argparse.Namespace) -> None:
    """Writes a line for each customer with a visit until the end of the cut date."""
    events, today = read_events(arguments.data), arguments.cut.toordinal()
    known = events.histories.until(today)
    parameters, states, open_bookings = fitting.fit(known, today, arguments.cut), last_states(known), None
    if arguments.bookings is not None:
        records = read_bookings(arguments.bookings, events.ids)
        parameters = fitting.with_bookings(parameters, known, records, today)
        open_bookings = records.open_at(today)
    curves = curves_at(parameters, states, today, max(arguments.horizon, DEFAULT_CHURN_DAYS), open_bookings)
    since = (today - states.last_day).astype(np.float64)
    if arguments.target == "rule":
        churning = churn_probability(curves, since, DEFAULT_CHURN_DAYS)
    else:
        churning = curves.survival(arguments.horizon)
    found = predict(parameters, states, today, open_bookings=open_bookings)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        lines.writerows(
            zip(
                (events.ids[customer] for customer in found.customer),
                *(_decimals(values) for values in (churning, found.p_return_30, found.p_return_90)),
                map(_date, found.next_visit_day),
                map(_date, found.forecast_churn_day),
                strict=True,
            )
        )
    print(
        f"{len(states)} customers, based on: {parameters.basis}, {parameters.sampled_visits} visits in the fit",
        file=sys.stderr,
    )


def write_tables(data: Path) -> None:
    """Runs every cell, prints the tables and puts them into the document."""
    from backtest.full_run import run  # noqa: PLC0415  # needs the packages of requirements-backtest.lock

    tables = "\n".join(run(data)) + "\n"
    print(tables)
    text = DOCUMENT.read_text("utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    DOCUMENT.write_text(f"{head}{BEGIN}{tables}{END}{tail}", "utf-8")


def _decimals(values: Floats) -> list[str]:
    return [f"{value:.6f}" for value in values]


def _date(day: float) -> str:
    return "" if np.isnan(day) else date.fromordinal(int(day)).isoformat()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make backtest", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="an event file to score")
    parser.add_argument("--bookings", type=Path, help="its bookings: customer_id, booked_at, scheduled_for")
    parser.add_argument("--cut", type=date.fromisoformat, help="the last day that is known")
    parser.add_argument("--horizon", type=int, default=DEFAULT_CHURN_DAYS, help="days ahead (%(default)s)")
    parser.add_argument("--target", choices=("horizon", "rule"), default="horizon")
    parser.add_argument("--out", type=Path, help="the file to write")
    parser.add_argument(
        "--data-sets", type=Path, default=DATA, help="the folder of the full run (%(default)s)"
    )
    arguments = parser.parse_args()
    if arguments.data is not None and (arguments.cut is None or arguments.out is None):
        parser.error("--data needs --cut and --out")
    return arguments


if __name__ == "__main__":
    main()
