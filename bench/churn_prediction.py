"""The churn prediction of one company: fit, states and all outputs. `python bench/churn_prediction.py [N]`.

N customers (1,000,000 by default) with five visits each on average, as arrays in memory. Prints the processor time, the
elapsed time and the peak memory of the process after each step.
"""

import argparse
import resource
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import numpy as np

from journey_service.domain.journeys.facts import NO_FACTS, Facts
from journey_service.domain.journeys.prediction.outlook import predict_hazards
from journey_service.domain.journeys.prediction.parameters import ChurnModel, ChurnParameters
from journey_service.domain.journeys.prediction.score import churn_probability
from journey_service.prediction import explanation, fitting
from journey_service.prediction.scoring import BLOCK, predict
from journey_service.prediction.visit_history import VisitHistories, last_states

TODAY = 1_000
COMPLETED = 0.95
"""Share of appointments that are completed."""
T = TypeVar("T")


def main() -> None:
    """Measures each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("customers", type=int, nargs="?", default=1_000_000)
    customers = parser.parse_args().customers
    chance = np.random.default_rng(1)
    visits = chance.geometric(0.2, customers)
    customer, day = np.repeat(np.arange(customers), visits), chance.integers(0, TODAY, int(visits.sum()))
    cents, is_completed = chance.integers(0, 10_000, len(day)), chance.random(len(day)) < COMPLETED
    print(f"{customers:,} customers, {len(day):,} events, {peak():.0f} MB before the first step")
    print("| step | processor, s | elapsed, s | peak memory, MB |\n|---|---:|---:|---:|")
    histories = step("sort events", lambda: VisitHistories.of(customers, customer, day, cents, is_completed))
    parameters = step("fit", lambda: fitting.fit(histories, TODAY, date(2026, 1, 1)))
    states = step("states", lambda: last_states(histories))
    step("all predictions", lambda: predict(parameters, states, TODAY))
    some = states.rows(slice(0, BLOCK))
    since = (TODAY - some.last_day).astype(np.float64)
    step(f"explanations of {len(some):,}", lambda: explanation.explain(parameters.hazard, some, since))
    model = ChurnModel(1, ChurnParameters.from_json(parameters.to_json()), UTC, 180, 100)  # type: ignore[arg-type]
    facts = [facts_of(histories, row) for row in range(BLOCK)]
    step(f"stored chances of {BLOCK:,}, one by one", lambda: [score(model, each) for each in facts])


def facts_of(histories: VisitHistories, customer: int) -> Facts:
    """Returns the facts of a customer."""
    first, last = np.searchsorted(histories.visitor, [customer, customer + 1])
    visits = tuple(instant(int(day)) for day in histories.visit_day[first:last])
    if not visits:
        return NO_FACTS
    cents = int(histories.visit_cents[first:last].sum())
    return NO_FACTS._replace(
        total_appointments=len(visits),
        appointments_cents=cents,
        first_appointment_at=visits[0],
        last_appointment_at=visits[-1],
        completed=visits[-64:],
    )


def instant(day: int) -> datetime:
    """Returns the noon of a day."""
    return datetime(2020, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)


def score(model: ChurnModel, facts: Facts) -> Decimal | None:
    """Returns the stored chance of a customer, as events and the nightly job compute it."""
    now = instant(TODAY)
    hazards = predict_hazards(model, facts, now)
    return None if hazards is None else churn_probability(model, facts, now, hazards, now)


def step(name: str, work: Callable[[], T]) -> T:
    """Runs one step and prints its line."""
    processor, elapsed = time.process_time(), time.perf_counter()
    result = work()
    processor, elapsed = time.process_time() - processor, time.perf_counter() - elapsed
    print(f"| {name} | {processor:.1f} | {elapsed:.1f} | {peak():.0f} |", flush=True)
    return result


def peak() -> float:
    """Returns the peak memory of the process in MB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
