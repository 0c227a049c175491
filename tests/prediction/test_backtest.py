"""The back-test command: any file in the data format, in any order, with and without what happened later."""

import csv
import gzip
import random
import sys
from datetime import date
from pathlib import Path

import pytest
from backtest import __main__ as command
from backtest.rhythm_alarms import measure

from prediction.datasets import TODAY, histories, regulars

CUT = date.fromordinal(TODAY - 100)
HEADER = ["customer_id", "occurred_at", "event_type", "amount"]
LINES = [
    [
        f"c{customer}",
        date.fromordinal(day).isoformat(),
        "appointment_completed" if is_completed else "appointment_missed",
        f"{cents / 100:.2f}",
    ]
    for customer, day, cents, is_completed in regulars(60)
]
OTHERS = [
    ["c9", "2019-05-05", "email_opened", ""],
    ["only missed", "2020-01-01", "appointment_missed", "0.0"],
]


def score(monkeypatch: pytest.MonkeyPatch, folder: Path, lines: list[list[str]], *options: str) -> str:
    """Runs the command on a file with these lines; returns what it writes."""
    data, out = folder / "events.csv.gz", folder / "out.csv"
    with gzip.open(data, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *lines])
    arguments = ["backtest", "--data", str(data), "--cut", CUT.isoformat(), "--out", str(out), *options]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    return out.read_text("utf-8")


def test_a_file_is_scored_as_of_the_cut(monkeypatch, tmp_path):
    ordered = score(monkeypatch, tmp_path, LINES + OTHERS)
    shuffled = random.Random(4).sample(LINES + OTHERS, len(LINES + OTHERS))
    assert score(monkeypatch, tmp_path, shuffled) == ordered
    known = [line for line in LINES + OTHERS if line[1] <= CUT.isoformat()]
    assert len(known) < len(LINES)
    assert score(monkeypatch, tmp_path, known) == ordered

    rows = list(csv.DictReader(ordered.splitlines()))
    assert list(rows[0]) == list(command.COLUMNS)
    visited = {line[0] for line in known if line[2] == "appointment_completed"}
    assert {row["customer_id"] for row in rows} == visited
    assert len(rows) == len(visited)
    for row in rows:
        assert 0 <= float(row["p_return_30"]) <= float(row["p_return_90"]) <= 1
        assert date.fromisoformat(row["next_visit_date"]) > CUT

    by_rule = list(csv.DictReader(score(monkeypatch, tmp_path, LINES, "--target", "rule").splitlines()))
    last = {line[0]: line[1] for line in sorted(known, key=lambda line: line[1]) if line[2] != OTHERS[1][2]}
    for row in by_rule:
        if (CUT - date.fromisoformat(last[row["customer_id"]])).days >= 180:
            assert float(row["p_churn"]) == 1
    assert {row["customer_id"]: row["p_return_30"] for row in by_rule} == {
        row["customer_id"]: row["p_return_30"] for row in rows
    }


def test_bookings_change_the_prediction(monkeypatch, tmp_path):
    bookings = tmp_path / "bookings.csv"
    lines = ["customer_id,booked_at,scheduled_for", f"c1,{CUT},{date.fromordinal(TODAY - 97)}"]
    bookings.write_text("\n".join([*lines, f"unknown,{CUT},{CUT}"]) + "\n", "utf-8")
    plain, booked = (
        {row["customer_id"]: float(row["p_churn"]) for row in csv.DictReader(text.splitlines())}
        for text in (
            score(monkeypatch, tmp_path, LINES, "--horizon", "30"),
            score(monkeypatch, tmp_path, LINES, "--horizon", "30", "--bookings", str(bookings)),
        )
    )
    assert booked["c1"] < plain["c1"] / 2


def test_arguments_and_missing_data_sets(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["backtest", "--data", "x.csv"])
    with pytest.raises(SystemExit):
        command.main()
    monkeypatch.setattr(sys, "argv", ["backtest", "--data-sets", str(tmp_path / "none")])
    command.main()
    assert "skipped: the data sets are not here" in capsys.readouterr().out


def test_alarms_are_counted_in_gaps_whose_end_is_known():
    """Customer 0 comes each week and stays away after the middle; customer 1 comes each 120 days."""
    first = TODAY - 1_000
    weekly = [(0, first + 7 * each, 0, True) for each in range(86)]
    slow = [(1, first + 120 * each, 0, True) for each in range(9)]
    plain, *by_ratio = measure(histories(weekly + slow))
    three = next(each for each in by_ratio if each.rule == "ratio 3")
    assert (plain.lost, plain.alarms, plain.precision, plain.recall) == (1, 3, pytest.approx(1 / 3), 1.0)
    assert (three.alarms, three.precision, three.recall, three.lead_days) == (1, 1.0, 1.0, 181 - 22)
    assert three.f1 == pytest.approx(1)
