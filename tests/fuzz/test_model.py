"""Random sequences of requests are answered as a simple model of the API answers them."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from fuzz.machine import ApiMachine
from journey_service.services.events import ingest
from journey_service.services.journeys import manual_changes, reading
from profiles import examples

# The application's thread uses `random` meanwhile, which Hypothesis takes for a use by a strategy.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
STEPS = 40


def run(application, number):
    """Runs sequences, the same in every run; returns the responses, by method, kind of path and status."""
    responses = Counter()
    run_state_machine_as_test(
        lambda: ApiMachine(application, responses),
        settings=settings(
            max_examples=number,
            stateful_step_count=STEPS,
            # A failure is not made smaller: each repetition needs a company of its own.
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return responses


@pytest.mark.big
def test_every_sequence_of_requests_is_answered_as_by_the_model(application):
    responses = run(application, examples(48))

    print(f"\n{responses.total():,} responses: {dict(sorted(responses.items()))}")
    assert {
        *("PUT /customers 200", "PUT /customers 201", "PATCH /customers 200", "PATCH /customers 404"),
        *("POST /events 200", "POST /events 409", "POST /events/batch 200", "POST /imports 202"),
        *(
            "POST /customers/transitions 201",
            "POST /customers/transitions 409",
            "POST /customers/transitions 412",
        ),
        *("PUT /customers/pin 200", "DELETE /customers/pin 409", "PATCH /customers/journey 428"),
        *("POST /customers/anonymize 200", "POST /customers/merge 200", "POST /customers/merge 409"),
        *("POST /tasks 201", "PATCH /tasks 200", "PATCH /tasks 412", "GET /customers/journey 404"),
    } <= responses.keys()


# ---- negative controls


async def taking_all_for_known(*_):
    return True


async def taking_none_for_known(*_):
    return False


async def ignoring_the_version(database, company_id, customer_id, values, *, version, by):
    view = await reading.get_journey(database, company_id, customer_id)
    current = view.stored.relationship.version
    return await ANNOTATE(database, company_id, customer_id, values, version=current, by=by)


ANNOTATE = manual_changes.annotate
FAULTS = {
    "conflicts of events": (ingest, "is_same_content", taking_all_for_known),
    "known events": (ingest, "is_same_content", taking_none_for_known),
    "If-Match": (manual_changes, "annotate", ignoring_the_version),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(application, monkeypatch, fault):
    monkeypatch.setattr(*FAULTS[fault])

    with pytest.raises(AssertionError, match=r"expected|is not"):
        run(application, 24)
    print("guard removed: detected")
