"""Runs of stage actions: entries, repetition, waiting for an address, sequences, recurrence and notices."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from domain.builders import DAY, DEFAULT_MAP, HOUR, T0, day
from journey_service.domain.actions.action import ActionState, EndReason
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.contact_policy import (
    Reachability,
    account_manager_email,
    planned_messages,
)
from journey_service.domain.actions.planning.state import DueDecision
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    ActionStep,
    Channel,
    DelayFrom,
    Repeat,
    StageAction,
    used_up_steps,
)
from journey_service.domain.actions.timing import resumes_recurrence, triggers_actions
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.journeys.relationship import Motion, Transition, TransitionCause, TriggerType

REACHABLE = Reachability({}, has_email=True, has_phone=True)
NO_EMAIL = Reachability({}, has_email=False, has_phone=True)
ZONE = ZoneInfo("UTC")
MAIL = ActionStep(Channel.EMAIL, template="t")
AUTOMATIC, MANUAL, SYSTEM = TriggerType.AUTOMATIC, TriggerType.MANUAL, TriggerType.SYSTEM
SENT, AGAIN = ("done", None), ("cancelled", "already_done")


def new_plan(stage_actions=DEFAULT_ACTIONS, *, reachability=REACHABLE, **policy):
    policy = {"quiet_from": None, "quiet_until": None, "frequency_cap": 99, **policy}
    return ActionPlan(parse_policy(policy), ZONE, DEFAULT_MAP, stage_actions, reachability=reachability)


def moved(seq, to_stage, at, *, motion=Motion.ENTRY, trigger=AUTOMATIC, is_silent=False):
    cause = TransitionCause("event", str(seq))
    return Transition(seq, None, to_stage, at, trigger, "x", cause, 1, motion=motion, is_silent=is_silent)


def enter(plan, to_stage, at=T0, motion=Motion.ENTRY):
    transition = moved(plan.version + 1, to_stage, at, motion=motion)
    plan.apply_transition(
        transition,
        runs_actions=triggers_actions(transition, at, has_test_clock=False),
        resumes_recurrence=resumes_recurrence(transition, at, has_test_clock=False),
    )
    return plan


def run(plan, until):
    plan.run_due(until, is_inclusive=True)
    return plan


def results(plan, name=None):
    """Returns state and reason of every planned action."""
    return [
        (str(action.state), None if action.reason is None else str(action.reason))
        for action in plan.planned
        if name in (None, action.name)
    ]


def days_of(plan, name):
    """Returns the days after T0 on which the actions of a name are due."""
    return [(action.due_at - T0) / DAY for action in plan.planned if action.name == name]


# ---- which transitions run actions


@pytest.mark.parametrize(
    ("motion", "trigger", "runs", "resumes"),
    [
        (Motion.OPENING, SYSTEM, True, False),
        (Motion.ENTRY, AUTOMATIC, True, False),
        (Motion.LAPSE, AUTOMATIC, True, False),
        (Motion.RETURN, AUTOMATIC, False, True),
        (Motion.REMAP, SYSTEM, False, False),
        # A person decided whether the actions run: the move is silent if they do not.
        (Motion.ENTRY, MANUAL, True, False),
        (Motion.DOWN, MANUAL, True, False),
        (Motion.RETURN, MANUAL, True, True),
    ],
)
def test_actions_run_on_an_entry_but_not_on_a_return_or_a_remap(motion, trigger, runs, resumes):
    transition = moved(2, "customer", T0, motion=motion, trigger=trigger)
    assert triggers_actions(transition, T0, has_test_clock=False) is runs
    assert resumes_recurrence(transition, T0, has_test_clock=False) is resumes
    silent = transition._replace(is_silent=True)
    assert not triggers_actions(silent, T0, has_test_clock=True)
    assert not resumes_recurrence(silent, T0, has_test_clock=True)


# ---- repetition


@pytest.mark.parametrize(
    ("stage", "repeat", "second"),
    [
        ("lead", None, AGAIN),
        ("lead", Repeat.ONCE, AGAIN),
        ("lead", Repeat.EVERY, SENT),
        ("at_risk", None, SENT),
        ("at_risk", Repeat.ONCE, AGAIN),
    ],
)
def test_an_action_that_runs_once_is_not_run_by_a_second_entry(stage, repeat, second):
    plan = run(enter(new_plan({stage: (StageAction("act", (MAIL,), repeat=repeat),)}), stage), T0)
    enter(plan, "regular", day(1))
    run(enter(plan, stage, day(2)), day(2))
    assert results(plan) == [SENT, second]


@pytest.mark.parametrize("first", ["no_consent", "left_stage", "dead"])
def test_only_a_done_action_is_used_up(first):
    step = MAIL._replace(hours=1) if first == "left_stage" else MAIL
    plan = enter(new_plan({"lead": (StageAction("act", (step,)),)}), "lead")
    if first == "no_consent":
        plan.reachability = REACHABLE._replace(consents={"email": "withdrawn"})
        run(plan, T0)
        plan.reachability = REACHABLE
    elif first == "dead":
        plan.planned[0].state = ActionState.DEAD
    enter(plan, "regular", T0)
    run(enter(plan, "lead", day(1)), day(2))
    assert results(plan)[-1] == SENT


def test_of_two_entries_in_quiet_hours_one_sends():
    night = T0.replace(hour=23)
    plan = enter(
        new_plan({"lead": (StageAction("act", (MAIL,)),)}, quiet_from="21:00", quiet_until="08:00"),
        "lead",
        night,
    )
    enter(enter(plan, "regular", night), "lead", night + HOUR)
    assert results(plan) == [("pending", None)] * 2
    run(plan, night + DAY)
    assert results(plan) == [SENT, AGAIN]


def test_an_action_waits_while_another_worker_carries_out_the_same_one():
    plan = enter(enter(enter(new_plan({"lead": (StageAction("act", (MAIL,)),)}), "lead"), "regular"), "lead")
    first, second = plan.planned
    # The later one was claimed before the earlier one was retried.
    second.state, second.is_in_flight = ActionState.LEASED, True
    assert plan.decide_due(first, T0) is DueDecision.HELD
    assert first.due_at > T0
    plan.complete(second, T0)
    assert plan.decide_due(first, first.due_at) is DueDecision.DROPPED
    assert first.reason is EndReason.ALREADY_DONE
    # Without the other one it would have been sent.
    assert new_plan({}).decide_due(first, T0) is DueDecision.GO


def test_a_sequence_goes_on_where_it_was_interrupted_and_a_campaign_does_not_start_twice():
    steps = (MAIL, MAIL._replace(day=3), MAIL._replace(day=10))
    for is_campaign in (False, True):
        action = StageAction("act", steps, is_campaign=is_campaign, repeat=Repeat.ONCE)
        plan = run(enter(new_plan({"lead": (action,)}, campaign_pause_days=0), "lead"), day(4))
        run(enter(enter(plan, "regular", day(5)), "lead", day(6)), day(30))
        assert results(plan) == [SENT, SENT, ("cancelled", "left_stage"), AGAIN, AGAIN, SENT]
        run(enter(enter(plan, "regular", day(31)), "lead", day(32)), day(60))
        assert results(plan)[6:] == [AGAIN] * 3
        assert len(plan.campaigns) == 2 * is_campaign


def test_a_preview_counts_no_step_that_is_used_up():
    done = {("lead", "send_welcome_email", 0), ("at_risk", "create_retention_campaign", 0)}
    used_up = used_up_steps(done, DEFAULT_ACTIONS, DEFAULT_MAP)
    assert used_up == {("lead", "send_welcome_email", 0)}
    entered, policy = ["lead", "at_risk"], parse_policy({})
    counted = [
        len(list(planned_messages(entered, REACHABLE, policy, without=each))) for each in ((), used_up)
    ]
    assert counted == [6, 5]


# ---- waiting for an address


@pytest.mark.parametrize("hours", [0, 1, 24, 72])
def test_an_action_without_address_waits_and_is_then_cancelled(hours):
    plan = enter(new_plan(reachability=NO_EMAIL, address_wait_hours=hours), "lead")
    mail = plan.planned[0]
    decision = plan.decide_due(mail, T0)
    if hours == 0:
        assert (decision, mail.reason) == (DueDecision.DROPPED, EndReason.NO_ADDRESS)
        return
    assert (decision, mail.reason, mail.is_awaiting_address) == (
        DueDecision.HELD,
        EndReason.AWAITING_ADDRESS,
        True,
    )
    assert (mail.state, mail.due_at, mail.reserved_at) == (ActionState.PENDING, T0 + hours * HOUR, None)
    assert plan.decide_due(mail, mail.due_at) is DueDecision.DROPPED
    assert (mail.reason, mail.finished_at) == (EndReason.NO_ADDRESS, T0 + hours * HOUR)


def test_an_address_within_the_wait_lets_the_action_go_on_even_through_quiet_hours():
    plan = enter(
        new_plan(
            reachability=NO_EMAIL,
            address_wait_hours=72,
            max_hold_hours=12,
            quiet_from="21:00",
            quiet_until="08:00",
        ),
        "lead",
    )
    mail, woken_at = plan.planned[0], day(2).replace(hour=23)
    plan.decide_due(mail, T0)
    plan.reachability = REACHABLE
    assert plan.decide_due(mail, woken_at) is DueDecision.HELD
    assert (mail.reason, mail.planned_at, mail.due_at) == (None, woken_at, day(3).replace(hour=8))
    assert plan.decide_due(mail, mail.due_at) is DueDecision.GO


def test_a_waiting_step_holds_up_no_later_one():
    steps = (MAIL, ActionStep(Channel.SMS, 0, 1, template="t"))
    plan = run(
        enter(new_plan({"lead": (StageAction("act", steps),)}, reachability=NO_EMAIL), "lead"), T0 + HOUR
    )
    assert results(plan) == [("pending", "awaiting_address"), SENT]
    # A step in quiet hours does hold it up.
    plan.planned[0].reason, plan.planned[1].state = None, ActionState.PENDING
    assert run(plan, T0 + 2 * HOUR).planned[1].state is ActionState.PENDING


@pytest.mark.parametrize(
    ("consents", "reason"), [({}, "left_stage"), ({"email": "withdrawn"}, "left_stage"), (None, "erased")]
)
def test_a_waiting_action_ends_with_its_stage_and_its_customer(consents, reason):
    plan = enter(new_plan({"at_risk": (StageAction("act", (MAIL,)),)}, reachability=NO_EMAIL), "at_risk")
    plan.decide_due(plan.planned[0], T0)
    if consents is None:
        plan.end_all(day(1), EndReason.ERASED)
    else:
        plan.reachability = NO_EMAIL._replace(consents=consents)
        enter(plan, "customer", day(1), Motion.RETURN)
    assert results(plan) == [("cancelled", reason)]


# ---- sequences, recurrence, notices


def test_onboarding_is_a_sequence_that_ends_with_the_stage_or_the_consent():
    name = "send_onboarding_sequence"
    plan = enter(new_plan(), "customer")
    assert days_of(plan, name) == [0, 3, 10]
    assert [action.step.template for action in plan.planned if action.name == name] == [
        "onboarding",
        "onboarding_day_3",
        "onboarding_day_10",
    ]
    assert results(run(plan, day(10)), name) == [SENT] * 3

    left = enter(run(enter(new_plan(), "customer"), day(1)), "regular", day(2))
    assert results(left, name) == [SENT, ("cancelled", "left_stage"), ("cancelled", "left_stage")]

    withdrawn = run(enter(new_plan(), "customer"), day(1))
    withdrawn.reachability = REACHABLE._replace(consents={"email": "withdrawn"})
    run(withdrawn, day(3))
    withdrawn.reachability = REACHABLE  # too late: the sequence has ended
    assert results(run(withdrawn, day(30)), name) == [
        SENT,
        ("cancelled", "no_consent"),
        ("cancelled", "no_consent"),
    ]


@pytest.mark.parametrize(
    ("appointment_at", "due_at"),
    [
        (None, day(1)),
        (T0, day(1)),
        (T0 - 3 * HOUR, day(1) - 3 * HOUR),
        (T0 - 30 * DAY, T0),
        (T0 + 5 * DAY, day(1)),
    ],
)
def test_feedback_is_asked_for_a_day_after_the_appointment(appointment_at, due_at):
    plan = new_plan()
    plan.last_appointment_at = appointment_at
    enter(plan, "customer")
    [request] = [action for action in plan.planned if action.name == "create_feedback_request"]
    assert request.due_at == due_at


def test_feedback_is_asked_for_at_the_same_local_time_across_a_change_of_the_clocks():
    at = datetime.fromisoformat("2026-03-28T15:00:00+01:00")
    plan = new_plan()
    plan.zone, plan.last_appointment_at = ZoneInfo("Europe/Berlin"), at
    enter(plan, "customer", at + HOUR)
    [request] = [action for action in plan.planned if action.name == "create_feedback_request"]
    assert request.due_at == datetime.fromisoformat("2026-03-29T15:00:00+02:00")


def test_the_quarterly_review_recurs_until_the_customer_leaves_and_again_after_a_return():
    name = "create_quarterly_review"
    plan = run(enter(new_plan(), "vip"), day(200))
    assert days_of(plan, name) == [0, 90, 180, 270]
    assert [task.name for task in plan.tasks] == [name] * 3
    enter(plan, "at_risk", day(200), Motion.LAPSE)
    assert results(plan, name)[-1] == ("cancelled", "left_stage")
    enter(plan, "vip", day(210), Motion.RETURN)
    run(plan, day(310))
    assert days_of(plan, name)[4:] == [300, 390]
    # A customer who has never had one gets none by a return, and every entry starts it anew.
    assert enter(new_plan(), "vip", T0, Motion.RETURN).planned == []
    assert days_of(run(enter(enter(plan, "regular", day(311)), "vip", day(312)), day(312)), name)[-2:] == [
        312,
        402,
    ]


def test_a_recurring_action_survives_failures_and_ends_with_its_configuration():
    action = StageAction("act", (MAIL._replace(every_days=7),))
    plan = enter(new_plan({"vip": (action,)}, reachability=NO_EMAIL, address_wait_hours=0), "vip")
    run(plan, day(7))
    assert results(plan) == [("cancelled", "no_address")] * 2 + [("pending", None)]
    # A retried occurrence plans no second one.
    plan.planned[0].state, plan.planned[0].reason = ActionState.PENDING, None
    run(plan, day(7))
    assert len(plan.planned) == 3
    plan.stage_actions = {}
    assert len(run(plan, day(100)).planned) == 3


@pytest.mark.parametrize(
    ("owner", "setting", "recipient"),
    [
        (None, None, None),
        ("ada", None, None),
        ("ada", "team@salon.example", "team@salon.example"),
        (None, "team@salon.example", "team@salon.example"),
        ("ada@salon.example", None, "ada@salon.example"),
        (" ada@salon.example ", "team@salon.example", "ada@salon.example"),
    ],
)
def test_the_owner_or_the_account_manager_of_the_company_is_notified(owner, setting, recipient):
    plan = new_plan(
        account_manager_email=setting, reachability=Reachability({"email": "withdrawn"}, False, False)
    )
    plan.owner = owner
    assert account_manager_email(owner, plan.policy) == recipient == plan.account_manager
    run(enter(plan, "at_risk"), T0)
    planned = [str(action.step.channel) for action in plan.planned if action.name == "notify_account_manager"]
    assert planned == (["task"] if recipient is None else ["task", "notice"])
    # Neither the customer's consent nor the customer's address matters.
    assert results(plan, "notify_account_manager") == [SENT] * len(planned)


def test_a_notice_whose_recipient_was_removed_is_cancelled_without_waiting():
    plan = new_plan(account_manager_email="team@salon.example")
    enter(plan, "at_risk")
    plan.policy = parse_policy({})
    run(plan, T0)
    assert results(plan, "notify_account_manager") == [SENT, ("cancelled", "no_address")]
    assert DelayFrom.ENTRY is ActionStep(Channel.NOTICE).delay_from
