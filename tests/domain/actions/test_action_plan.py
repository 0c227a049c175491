"""Action plan of one customer: planning on a transition, decisions on due actions, and cancellation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.builders import DAY, DEFAULT_MAP, HOUR, INSTANT, T0, company, day, defaults_with, rule, stage
from journey_service.domain.actions.action import (
    ActionState,
    Campaign,
    EndReason,
    ManualActionRequest,
    OutboundEventType,
    manual_action,
)
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.contact_policy import Reachability, quiet_until
from journey_service.domain.actions.parsing import step_from_json, step_to_json
from journey_service.domain.actions.planning.campaigns import running_campaigns
from journey_service.domain.actions.planning.state import DueDecision
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ActionStep,
    Channel,
    StageAction,
)
from journey_service.domain.actions.timing import due, triggers_actions
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.journeys.relationship import Transition, TransitionCause, TriggerType

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
REACHABLE = Reachability({}, has_email=True, has_phone=True)
NO_QUIET_HOURS = {"quiet_from": None, "quiet_until": None}
YEAR = 365 * DAY
CAMPAIGN = "create_retention_campaign"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def new_plan(
    stage_actions=DEFAULT_ACTIONS, *, zone=UTC_ZONE, reachability=REACHABLE, stage_map=DEFAULT_MAP, **policy
):
    """Creates the action plan of a new customer."""
    return ActionPlan(parse_policy(policy), zone, stage_map, stage_actions, reachability=reachability)


def transition(seq, to_stage, at, *, is_silent=False):
    cause = TransitionCause("event", str(seq))
    return Transition(seq, None, to_stage, at, TriggerType.AUTOMATIC, "x", cause, 1, is_silent=is_silent)


def enter(action_plan, to_stage, at=T0, *, runs_actions=True):
    action_plan.apply_transition(transition(action_plan.version + 1, to_stage, at), runs_actions=runs_actions)
    return action_plan


def at_risk(at=T0, **more):
    return enter(new_plan(**more), "at_risk", at)


def stage_with(*steps, name="act", is_campaign=False):
    """Returns stage actions in which stage `x` has one action."""
    return {"x": (StageAction(name, steps, is_campaign=is_campaign),)}


def templated(channel, day=0, hours=0):
    return ActionStep(channel, day, hours, template="t")


def plan_with_one(channel=Channel.EMAIL, at=T0, **more):
    """Returns a plan with one action, and that action."""
    action_plan = enter(new_plan(stage_with(templated(channel)), **more), "x", at)
    return action_plan, action_plan.planned[0]


def with_consents(**statuses):
    return Reachability(statuses, has_email=True, has_phone=True)


def outcomes(action_plan, name=None):
    """Returns the channel, and the reason or the state, of every planned action."""
    return [
        (str(action.step.channel), str(action.reason or action.state))
        for action in action_plan.planned
        if name in (None, action.name)
    ]


def finish_times(action_plan, name=None):
    """Returns when each planned action was finished."""
    return [action.finished_at for action in action_plan.planned if name in (None, action.name)]


def sent_messages(actions):
    return [(str(action.step.channel), action.finished_at) for action in actions]


def event_types(action_plan):
    return [str(event.type) for event in action_plan.outbound_events]


def tasks(action_plan):
    return [(task.name, None if task.reason is None else str(task.reason)) for task in action_plan.tasks]


# ---- entering a stage


@pytest.mark.parametrize(
    ("to_stage", "planned"),
    [
        ("prospect", []),
        (
            "lead",
            [
                ("send_welcome_email", "email", 0),
                ("assign_to_sales_team", "assignment", 0),
                ("create_follow_up_task", "task", 0),
            ],
        ),
        (
            "customer",
            [
                ("send_onboarding_sequence", "email", 0),
                ("send_onboarding_sequence", "email", 3),
                ("send_onboarding_sequence", "email", 10),
                ("create_feedback_request", "email", 1),
                ("update_crm_status", "crm", 0),
            ],
        ),
        ("regular", []),
        (
            "vip",
            [
                ("assign_dedicated_manager", "assignment", 0),
                ("send_vip_benefits_email", "email", 0),
                ("create_quarterly_review", "task", 0),
            ],
        ),
        (
            "at_risk",
            [
                ("notify_account_manager", "task", 0),
                (CAMPAIGN, "email", 0),
                (CAMPAIGN, "sms", 3),
                (CAMPAIGN, "call", 7),
                (CAMPAIGN, "offer", 14),
                ("schedule_check_in_call", "call", 0),
            ],
        ),
        ("churned", []),
    ],
)
def test_entering_a_stage_plans_the_actions_of_the_guide(to_stage, planned):
    action_plan = enter(new_plan(), to_stage)

    assert [
        (action.name, str(action.step.channel), (action.due_at - T0).days) for action in action_plan.planned
    ] == planned
    assert all(
        action.state is ActionState.PENDING and action.stage == to_stage for action in action_plan.planned
    )
    assert all(
        action.transition_seq == 1 and action.due_at == action.planned_at for action in action_plan.planned
    )
    assert len(action_plan.campaigns) == (to_stage == "at_risk")


def test_actions_set_by_the_company_replace_the_defaults():
    mine = {"regular": (StageAction("thank", (templated(Channel.SMS),)),)}

    assert outcomes(enter(new_plan(mine), "regular")) == [("sms", "pending")]
    assert outcomes(enter(new_plan(mine), "lead")) == []


@pytest.mark.parametrize(
    ("zone", "entered", "steps"),
    [
        (UTC_ZONE, "2026-01-01T12:00", ["01-01T12:00", "01-04T12:00", "01-08T12:00", "01-15T12:00"]),
        # clocks go forward on 29 March: the same local time is an hour earlier
        (BERLIN, "2026-03-22T09:00", ["03-22T09:00", "03-25T09:00", "03-29T08:00", "04-05T08:00"]),
        # 02:30 does not exist on 29 March: the first time after the gap
        (BERLIN, "2026-03-15T01:30", ["03-15T01:30", "03-18T01:30", "03-22T01:30", "03-29T01:00"]),
        # clocks go back on 25 October
        (BERLIN, "2026-10-22T10:00", ["10-22T10:00", "10-25T11:00", "10-29T11:00", "11-05T11:00"]),
        # 02:30 occurs twice on 25 October: the first one
        (BERLIN, "2026-10-11T00:30", ["10-11T00:30", "10-14T00:30", "10-18T00:30", "10-25T00:30"]),
        # entered at the second 02:30
        (BERLIN, "2026-10-25T01:30", ["10-25T01:30", "10-28T01:30", "11-01T01:30", "11-08T01:30"]),
        (KOLKATA, "2026-05-01T03:45", ["05-01T03:45", "05-04T03:45", "05-08T03:45", "05-15T03:45"]),
        # half an hour back on 5 April
        (LORD_HOWE, "2026-04-02T01:00", ["04-02T01:00", "04-05T01:30", "04-09T01:30", "04-16T01:30"]),
        # half an hour forward on 4 October at 02:00
        (LORD_HOWE, "2026-09-30T15:45", ["09-30T15:45", "10-03T15:30", "10-07T15:15", "10-14T15:15"]),
    ],
)
def test_a_step_is_due_on_its_day_at_the_same_local_time(zone, entered, steps):
    action_plan = at_risk(utc(entered), zone=zone)

    planned = [action.due_at for action in action_plan.planned if action.name == CAMPAIGN]
    assert planned == [utc(f"2026-{step}") for step in steps]


@pytest.mark.parametrize(
    ("days", "hours", "expected"),
    [
        (0, 0, "2026-03-28T12:00"),
        (0, 23, "2026-03-29T11:00"),
        (1, 0, "2026-03-29T11:00"),
        (1, 5, "2026-03-29T16:00"),
        (365, 0, "2027-03-28T11:00"),
    ],
)
def test_hours_are_added_after_days(days, hours, expected):
    found = due(utc("2026-03-28T12:00").astimezone(BERLIN), days, hours, BERLIN)

    assert found == utc(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("age", "is_silent", "has_test_clock", "expected"),
    [
        (timedelta(0), False, False, True),
        (24 * HOUR, False, False, True),
        (24 * HOUR + INSTANT, False, False, False),
        (24 * HOUR + INSTANT, False, True, True),
        (YEAR, False, True, True),
        (timedelta(0), True, False, False),
        (timedelta(0), True, True, False),
    ],
)
def test_silent_and_old_transitions_trigger_no_actions(age, is_silent, has_test_clock, expected):
    moved = transition(1, "lead", T0, is_silent=is_silent)

    assert triggers_actions(moved, T0 + age, has_test_clock=has_test_clock) is expected


def test_a_transition_that_triggers_nothing_still_ends_what_was_planned():
    action_plan = at_risk()
    before = len(action_plan.planned)
    enter(action_plan, "customer", day(1), runs_actions=False)

    assert len(action_plan.planned) == before
    assert [str(campaign.reason) for campaign in action_plan.campaigns] == ["left_stage"]
    assert event_types(action_plan)[-2:] == ["stage.changed", "campaign.ended"]


# ---- the retention campaign from start to end


def test_a_customer_who_returns_on_day_five_gets_neither_call_nor_offer():
    action_plan = at_risk()
    sent = action_plan.run_due(day(5), is_inclusive=True)
    enter(action_plan, "regular", day(5))
    sent += action_plan.run_due(day(365), is_inclusive=True)

    assert sent_messages(sent) == [("email", day(0)), ("sms", day(3))]
    assert outcomes(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "done"),
        ("call", "left_stage"),
        ("offer", "left_stage"),
    ]
    assert finish_times(action_plan, CAMPAIGN) == [day(0), day(3), day(5), day(5)]
    assert tasks(action_plan) == [
        ("notify_account_manager", "left_stage"),
        ("schedule_check_in_call", "left_stage"),
    ]
    assert [task.ended_at for task in action_plan.tasks] == [day(5), day(5)]
    [campaign] = action_plan.campaigns
    assert (campaign.started_at, campaign.ended_at, campaign.reason) == (day(0), day(5), EndReason.LEFT_STAGE)


def test_a_customer_who_stays_away_gets_every_step_and_the_last_completes_the_campaign():
    action_plan = at_risk()

    assert sent_messages(action_plan.run_due(day(14), is_inclusive=True)) == [
        ("email", day(0)),
        ("sms", day(3)),
        ("offer", day(14)),
    ]
    assert tasks(action_plan) == [
        ("notify_account_manager", None),
        ("schedule_check_in_call", None),
        (CAMPAIGN, None),
    ]
    assert [(task.created_at, task.due_at) for task in action_plan.tasks] == [
        (day(0), day(1)),
        (day(0), day(3)),
        (day(7), day(9)),
    ]
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(14), EndReason.COMPLETED)


@pytest.mark.parametrize(
    ("policy", "sms"), [({}, "has_booking"), ({"open_booking_pauses_risk": False}, "done")], ids=["on", "off"]
)
def test_steps_due_while_a_booking_is_open_are_cancelled_and_the_campaign_goes_on(policy, sms):
    action_plan = at_risk(**policy)
    action_plan.open_bookings = (T0 + 2 * DAY,)
    action_plan.run_due(T0 + DAY / 2, is_inclusive=True)
    assert outcomes(action_plan, "create_retention_campaign")[0] == (
        "email",
        "has_booking" if not policy else "done",
    )
    action_plan.open_bookings = (T0 + 3 * DAY,)

    action_plan.run_due(T0 + 20 * DAY, is_inclusive=True)

    found = outcomes(action_plan, "create_retention_campaign")
    assert found[1:] == [("sms", sms), ("call", "done"), ("offer", "done")]
    assert [str(campaign.reason) for campaign in action_plan.campaigns] == ["completed"]
    assert outcomes(action_plan, "notify_account_manager") == [("task", "done")]


def test_consent_withdrawn_during_quiet_hours_cancels_only_the_channels_concerned():
    action_plan = at_risk(quiet_from="21:00", quiet_until="13:00")
    action_plan.run_due(day(0), is_inclusive=True)
    action_plan.reachability = with_consents(email="withdrawn", call="withdrawn", offer="granted")
    sent = action_plan.run_due(day(365), is_inclusive=True)

    assert sent_messages(sent) == [("sms", day(3) + HOUR), ("offer", day(14) + HOUR)]
    assert outcomes(action_plan, CAMPAIGN) == [
        ("email", "no_consent"),
        ("sms", "done"),
        ("call", "no_consent"),
        ("offer", "done"),
    ]
    assert action_plan.campaigns[0].reason is EndReason.COMPLETED


def test_consent_withdrawn_on_the_first_day_cancels_later_messages():
    action_plan = at_risk()
    action_plan.run_due(day(1), is_inclusive=True)
    action_plan.reachability = with_consents(sms="withdrawn", offer="withdrawn")
    action_plan.run_due(day(365), is_inclusive=True)

    assert outcomes(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "no_consent"),
        ("call", "done"),
        ("offer", "no_consent"),
    ]
    assert finish_times(action_plan, CAMPAIGN) == [day(0), day(3), day(7), day(14)]
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(14), EndReason.COMPLETED)


def test_erasure_cancels_everything():
    action_plan = at_risk()
    action_plan.request(
        manual_action(ManualActionRequest(Channel.EMAIL), day(9), stage="at_risk", actor="ann")
    )
    action_plan.run_due(day(4), is_inclusive=True)
    action_plan.end_all(day(4), EndReason.ERASED)

    assert action_plan.run_due(day(365), is_inclusive=True) == []
    assert outcomes(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "done"),
        ("call", "erased"),
        ("offer", "erased"),
    ]
    assert outcomes(action_plan, "personal_email") == [("email", "erased")]
    assert {(task.ended_at, task.reason) for task in action_plan.tasks} == {(day(4), EndReason.ERASED)}
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(4), EndReason.ERASED)
    assert event_types(action_plan)[-1] == "campaign.ended"


def test_a_second_lapse_within_the_pause_creates_tasks_but_no_campaign():
    action_plan = at_risk()
    action_plan.run_due(day(5), is_inclusive=True)
    enter(action_plan, "regular", day(5))
    count = len(action_plan.planned)
    enter(action_plan, "at_risk", day(34))
    action_plan.run_due(day(365), is_inclusive=True)

    again = [(action.name, str(action.reason or action.state)) for action in action_plan.planned[count:]]
    assert again == [
        ("notify_account_manager", "done"),
        *[(CAMPAIGN, "campaign_pause")] * 4,
        ("schedule_check_in_call", "done"),
    ]
    assert {action.finished_at for action in action_plan.planned[count:]} == {day(34)}
    assert len(action_plan.campaigns) == 1
    assert event_types(action_plan).count("campaign.started") == 1


# ---- one campaign at a time


@pytest.mark.parametrize(
    ("pause", "after", "is_refused"),
    [
        (30, 30 * DAY - INSTANT, True),
        (30, 30 * DAY, False),
        (30, timedelta(0), True),
        (1, DAY - INSTANT, True),
        (1, DAY, False),
        (0, timedelta(0), False),
    ],
)
def test_no_campaign_starts_within_the_pause_after_the_last_one(pause, after, is_refused):
    action_plan = at_risk(campaign_pause_days=pause)
    enter(action_plan, "customer", day(5))
    enter(action_plan, "at_risk", day(5) + after)

    assert len(action_plan.campaigns) == 2 - is_refused
    again = outcomes(action_plan, CAMPAIGN)[4:]
    assert {outcome for _, outcome in again} == {"campaign_pause" if is_refused else "pending"}


def test_the_pause_begins_when_the_campaign_ends_for_any_reason():
    action_plan = at_risk()
    action_plan.run_due(day(14), is_inclusive=True)
    enter(action_plan, "customer", day(40))
    enter(action_plan, "at_risk", day(44) - INSTANT)
    assert len(action_plan.campaigns) == 1
    enter(action_plan, "customer", day(44))
    enter(action_plan, "at_risk", day(44))
    assert len(action_plan.campaigns) == 2


def test_the_pause_applies_to_one_campaign_type():
    stage_actions = {
        **DEFAULT_ACTIONS,
        "churned": (StageAction("win_back", (ActionStep(Channel.CRM, 1),), is_campaign=True),),
    }
    action_plan = at_risk(stage_actions=stage_actions)
    enter(action_plan, "churned", day(5))

    assert [(c.type, str(c.reason)) for c in action_plan.campaigns] == [
        ("at_risk", "left_stage"),
        ("churned", "None"),
    ]
    assert [c.type for c in running_campaigns(action_plan.campaigns)] == ["churned"]


def test_a_second_campaign_of_a_stage_does_not_start_while_the_first_is_running():
    steps = (templated(Channel.EMAIL), templated(Channel.EMAIL, 1))
    stage_actions = {
        "x": (
            StageAction("first", steps, is_campaign=True),
            StageAction("second", steps, is_campaign=True),
            StageAction("third", steps),
        )
    }
    action_plan = enter(new_plan(stage_actions), "x")

    assert outcomes(action_plan, "first") == outcomes(action_plan, "third") == [("email", "pending")] * 2
    assert outcomes(action_plan, "second") == [("email", "campaign_running")] * 2
    assert len(action_plan.campaigns) == 1


def test_refused_steps_belong_to_no_campaign_and_end_none():
    action_plan = new_plan()
    old = Campaign("at_risk", 1, day(-20), (), id=5, ended_at=day(-10), reason=EndReason.LEFT_STAGE)
    action_plan.campaigns.append(old)
    enter(action_plan, "at_risk")

    assert {action.campaign for action in action_plan.planned} == {None}
    assert event_types(action_plan) == ["stage.changed", "customer.at_risk"]
    assert not old.is_changed


# ---- leaving a stage


@pytest.mark.parametrize("to_stage", ["prospect", "customer", "vip", "churned"])
def test_any_transition_cancels_what_is_bound_to_the_previous_stage(to_stage):
    action_plan = at_risk()
    action_plan.run_due(T0, is_inclusive=True)
    enter(action_plan, to_stage, day(1))

    assert outcomes(action_plan, CAMPAIGN)[1:] == [(c, "left_stage") for c in ("sms", "call", "offer")]
    assert {reason for _, reason in tasks(action_plan)} == {"left_stage"}
    assert running_campaigns(action_plan.campaigns) == []


def test_immediate_actions_of_a_progress_stage_survive_later_transitions():
    late = utc("2026-01-01T23:00")
    action_plan = enter(new_plan(), "lead", late)
    action_plan.run_due(late, is_inclusive=True)
    assert outcomes(action_plan) == [("email", "pending"), ("assignment", "done"), ("task", "done")]
    enter(action_plan, "customer", late + HOUR)
    action_plan.run_due(late + DAY, is_inclusive=True)

    assert outcomes(action_plan)[0] == ("email", "done")
    assert tasks(action_plan)[0] == ("create_follow_up_task", None)


@pytest.mark.parametrize(
    ("to_stage", "step", "is_campaign", "is_stage_bound"),
    [
        ("lead", templated(Channel.EMAIL), False, False),
        ("lead", templated(Channel.EMAIL, 1), False, True),
        ("lead", templated(Channel.EMAIL, 0, 1), False, True),
        ("lead", templated(Channel.EMAIL), True, True),
        ("at_risk", templated(Channel.EMAIL), False, True),
        ("churned", ActionStep(Channel.TASK), False, True),
        ("nowhere", ActionStep(Channel.TASK), False, False),
    ],
)
def test_risk_stages_delays_and_campaigns_make_an_action_stage_bound(
    to_stage, step, is_campaign, is_stage_bound
):
    stage_actions = {to_stage: (StageAction("act", (step,), is_campaign=is_campaign),)}
    action_plan = enter(new_plan(stage_actions), to_stage)
    assert action_plan.planned[0].is_stage_bound is is_stage_bound
    enter(action_plan, "regular", day(0))
    assert outcomes(action_plan) == [(str(step.channel), "left_stage" if is_stage_bound else "pending")]


def test_a_manual_action_survives_transitions():
    action_plan = at_risk()
    action_plan.request(manual_action(ManualActionRequest(Channel.CALL), T0, stage="at_risk", actor="ann"))
    action_plan.run_due(T0, is_inclusive=True)
    enter(action_plan, "customer", day(1))

    assert tasks(action_plan)[-1] == ("personal_call", None)


def test_finished_actions_do_not_change():
    action_plan = at_risk()
    action_plan.run_due(day(20), is_inclusive=True)
    before = [replace(action) for action in action_plan.planned]
    action_plan.outbound_events.clear()
    enter(action_plan, "regular", day(21))
    action_plan.end_all(day(22), EndReason.ERASED)

    assert action_plan.planned == before
    assert event_types(action_plan) == ["stage.changed"]


def test_a_leased_action_is_not_cancelled_but_decided_again_on_retry():
    action_plan = at_risk()
    email = action_plan.planned[1]
    assert action_plan.decide_due(email, T0) is DueDecision.GO
    email.state = ActionState.LEASED
    enter(action_plan, "customer", day(1))

    assert email.state is ActionState.LEASED
    assert (action_plan.decide_due(email, day(1)), email.reason) == (
        DueDecision.DROPPED,
        EndReason.LEFT_STAGE,
    )


# ---- consent and addresses


@pytest.mark.parametrize("channel", MESSAGES)
@pytest.mark.parametrize(
    ("status", "model", "is_allowed"),
    [
        ("granted", "opt_out", True),
        ("granted", "opt_in", True),
        ("unknown", "opt_out", True),
        ("unknown", "opt_in", False),
        (None, "opt_out", True),
        (None, "opt_in", False),
        ("withdrawn", "opt_out", False),
        ("withdrawn", "opt_in", False),
    ],
)
def test_a_message_needs_the_consent_for_its_channel(channel, status, model, is_allowed):
    others = {str(other): "granted" if status == "withdrawn" else "withdrawn" for other in MESSAGES}
    statuses = {**others, str(channel): status}
    if status is None:
        del statuses[str(channel)]
    action_plan, action = plan_with_one(channel, reachability=with_consents(**statuses), consent=model)

    assert action_plan.decide_due(action, T0) is (DueDecision.GO if is_allowed else DueDecision.DROPPED)
    assert action.reason is (None if is_allowed else EndReason.NO_CONSENT)


@pytest.mark.parametrize(
    ("channel", "needs"),
    [
        (Channel.EMAIL, "email"),
        (Channel.SMS, "phone"),
        (Channel.CALL, "phone"),
        (Channel.OFFER, None),
        (Channel.CRM, None),
        (Channel.TASK, None),
        (Channel.ASSIGNMENT, None),
    ],
)
def test_a_message_needs_an_address(channel, needs):
    for has_email in (True, False):
        for has_phone in (True, False):
            action_plan, action = plan_with_one(
                channel, reachability=Reachability({}, has_email, has_phone), address_wait_hours=0
            )
            is_lost = (needs == "email" and not has_email) or (needs == "phone" and not has_phone)
            assert action_plan.decide_due(action, T0) is (DueDecision.DROPPED if is_lost else DueDecision.GO)
            assert action.reason is (EndReason.NO_ADDRESS if is_lost else None)


@pytest.mark.parametrize("channel", [Channel.CRM, Channel.TASK, Channel.ASSIGNMENT])
def test_channels_that_do_not_contact_the_customer_ignore_consent_and_quiet_hours(channel):
    nothing = Reachability(dict.fromkeys(map(str, Channel), "withdrawn"), has_email=False, has_phone=False)
    action_plan, action = plan_with_one(
        channel, utc("2026-01-02T03:00"), reachability=nothing, consent="opt_in", frequency_cap=1
    )

    assert action_plan.decide_due(action, action.due_at) is DueDecision.GO
    assert action.reserved_at is None


# ---- quiet hours


@pytest.mark.parametrize(
    ("start", "end", "zone", "now", "until"),
    [
        # across midnight
        ("21:00", "08:00", "UTC", "2026-05-01T20:59:59.999999", None),
        ("21:00", "08:00", "UTC", "2026-05-01T21:00", "2026-05-02T08:00"),
        ("21:00", "08:00", "UTC", "2026-05-02T00:00", "2026-05-02T08:00"),
        ("21:00", "08:00", "UTC", "2026-05-02T07:59:59.999999", "2026-05-02T08:00"),
        ("21:00", "08:00", "UTC", "2026-05-02T08:00", None),
        ("21:00", "08:00", "UTC", "2026-05-02T12:00", None),
        # within a day
        ("12:00", "14:00", "UTC", "2026-05-01T11:59:59.999999", None),
        ("12:00", "14:00", "UTC", "2026-05-01T12:00", "2026-05-01T14:00"),
        ("12:00", "14:00", "UTC", "2026-05-01T14:00", None),
        ("00:00", "23:59", "UTC", "2026-05-01T00:00", "2026-05-01T23:59"),
        ("00:00", "23:59", "UTC", "2026-05-01T23:59", None),
        ("23:59", "00:00", "UTC", "2026-05-01T23:59:30", "2026-05-02T00:00"),
        # never
        (None, None, "UTC", "2026-05-02T03:00", None),
        # in the company's time zone
        ("21:00", "08:00", "Europe/Berlin", "2026-07-01T18:59:59.999999", None),
        ("21:00", "08:00", "Europe/Berlin", "2026-07-01T19:00", "2026-07-02T06:00"),
        ("21:00", "08:00", "Asia/Kolkata", "2026-07-01T15:30", "2026-07-02T02:30"),
        # an hour shorter, and an hour longer
        ("21:00", "08:00", "Europe/Berlin", "2026-03-28T20:00", "2026-03-29T06:00"),
        ("21:00", "08:00", "Europe/Berlin", "2026-10-24T19:00", "2026-10-25T07:00"),
        ("21:00", "08:00", "Europe/Berlin", "2026-10-25T06:59:59.999999", "2026-10-25T07:00"),
        # ends in a gap: at the first time after it
        ("21:00", "02:30", "Europe/Berlin", "2026-03-29T00:59:59.999999", "2026-03-29T01:00"),
        ("21:00", "02:30", "Europe/Berlin", "2026-03-29T01:00", None),
        # ends at a time that occurs twice: at the first one
        ("21:00", "02:30", "Europe/Berlin", "2026-10-25T00:29:59.999999", "2026-10-25T00:30"),
        ("21:00", "02:30", "Europe/Berlin", "2026-10-25T01:15", None),
        # lies in a gap: no quiet hours
        ("02:10", "02:50", "Europe/Berlin", "2026-03-29T01:00", None),
        # starts at a time that occurs twice: at the first one
        ("02:30", "08:00", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T07:00"),
        # half an hour that occurs twice
        ("21:00", "01:45", "Australia/Lord_Howe", "2026-04-04T14:30", "2026-04-04T14:45"),
        ("21:00", "01:45", "Australia/Lord_Howe", "2026-04-04T15:10", None),
    ],
)
def test_quiet_hours_last_from_the_start_time_to_the_end_time(start, end, zone, now, until):
    policy = parse_policy({"quiet_from": start, "quiet_until": end})

    assert quiet_until(utc(now), policy, ZoneInfo(zone)) == (None if until is None else utc(until))


@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS, Channel.OFFER])
def test_a_message_in_quiet_hours_is_deferred_and_decided_again(channel):
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, action = plan_with_one(channel, late)

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert (action.state, action.due_at, action.planned_at) == (ActionState.PENDING, morning, late)
    assert action.reserved_at is None
    assert action_plan.sent == {}
    action_plan.reachability = with_consents(**{str(channel): "withdrawn"})
    assert action_plan.decide_due(action, morning) is DueDecision.DROPPED


def test_a_call_creates_a_task_even_in_quiet_hours():
    late = utc("2026-05-01T22:00")
    action_plan, action = plan_with_one(Channel.CALL, late)

    assert action_plan.decide_due(action, late) is DueDecision.GO


def test_a_deferred_message_is_sent_when_quiet_hours_end():
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, _ = plan_with_one(at=late)

    assert action_plan.run_due(morning, is_inclusive=False) == []
    assert sent_messages(action_plan.run_due(morning, is_inclusive=True)) == [("email", morning)]


@pytest.mark.parametrize(
    ("hours", "decision", "reason"),
    [
        (1, DueDecision.DROPPED, "held_too_long"),
        (9, DueDecision.DROPPED, "held_too_long"),
        (10, DueDecision.GO, None),
    ],
)
def test_a_message_deferred_beyond_the_limit_is_cancelled(hours, decision, reason):
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, action = plan_with_one(at=late, max_hold_hours=hours)

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert action_plan.decide_due(action, morning) is decision
    assert action.reason == reason


def test_a_message_that_is_late_without_being_deferred_is_sent():
    action_plan, action = plan_with_one(max_hold_hours=1)

    assert action_plan.decide_due(action, day(3)) is DueDecision.GO


# ---- the cap


def sent_on(*days, channel=Channel.EMAIL, **policy):
    """Returns the outcomes of messages that are due on these days."""
    action_plan = new_plan(stage_with(*(templated(channel, number) for number in days)), **policy)
    action_plan.run_due(enter(action_plan, "x").planned[-1].due_at, is_inclusive=True)
    return [outcome for _, outcome in outcomes(action_plan)]


@pytest.mark.parametrize(
    ("days", "policy", "expected"),
    [
        ([0, 0, 0, 0], {}, ["done", "done", "done", "capped"]),
        ([0, 1, 2, 6], {}, ["done", "done", "done", "capped"]),
        ([0, 1, 2, 7], {}, ["done", "done", "done", "done"]),
        # a capped message does not count itself
        ([0, 1, 2, 6, 7, 8, 9], {}, ["done", "done", "done", "capped", "done", "done", "done"]),
        ([0, 1, 2, 7, 7, 8], {}, ["done", "done", "done", "done", "capped", "done"]),
        ([0, 1, 2], {"frequency_cap": 1, "frequency_cap_days": 2}, ["done", "capped", "done"]),
    ],
)
def test_the_frequency_cap_limits_messages_per_channel(days, policy, expected):
    assert sent_on(*days, **policy) == expected


@pytest.mark.parametrize(
    ("span", "decision"),
    [(7 * DAY - INSTANT, DueDecision.DROPPED), (7 * DAY, DueDecision.GO)],
    ids=["within", "after"],
)
def test_the_cap_window_is_measured_between_messages(span, decision):
    action_plan, action = plan_with_one()
    action_plan.sent[Channel.EMAIL] = [T0 - span, T0 - DAY, T0 - DAY]

    assert action_plan.decide_due(action, T0) is decision
    assert action.reason is (None if decision is DueDecision.GO else EndReason.CAPPED)


def test_the_cap_applies_to_one_channel():
    action_plan, action = plan_with_one()
    action_plan.sent[Channel.SMS] = [T0, T0, T0]

    assert action_plan.decide_due(action, T0) is DueDecision.GO


def test_calls_are_capped_like_messages():
    assert sent_on(0, 0, 1, channel=Channel.CALL, frequency_cap=2) == ["done", "done", "capped"]


def test_a_capped_step_is_cancelled_and_the_campaign_continues():
    steps = (
        templated(Channel.EMAIL),
        templated(Channel.EMAIL, 1),
        templated(Channel.SMS, 2),
        templated(Channel.EMAIL, 9),
    )
    action_plan = enter(new_plan(stage_with(*steps, is_campaign=True), frequency_cap=1), "x")
    action_plan.run_due(day(9), is_inclusive=True)

    assert outcomes(action_plan) == [
        ("email", "done"),
        ("email", "capped"),
        ("sms", "done"),
        ("email", "done"),
    ]
    assert action_plan.campaigns[0].reason is EndReason.COMPLETED


def test_a_retried_message_is_counted_once():
    action_plan = enter(new_plan(stage_with(*[templated(Channel.EMAIL)] * 3), frequency_cap=2), "x")
    first, second, third = action_plan.planned
    assert action_plan.decide_due(first, T0) is DueDecision.GO
    for number in range(1, 5):
        assert action_plan.decide_due(first, T0 + number * HOUR) is DueDecision.GO
    assert first.reserved_at == T0
    assert action_plan.decide_due(second, T0 + 5 * HOUR) is DueDecision.GO
    assert action_plan.decide_due(third, T0 + 5 * HOUR) is DueDecision.DROPPED
    assert action_plan.decide_due(first, T0 + 6 * HOUR) is DueDecision.GO


def test_a_retried_message_keeps_an_old_reservation():
    action_plan, action = plan_with_one(frequency_cap=1)
    action_plan.decide_due(action, T0)
    action_plan.sent[Channel.EMAIL] = [day(9)]

    assert action_plan.decide_due(action, day(10)) is DueDecision.GO


@pytest.mark.parametrize(
    "end",
    [
        lambda action_plan, action: action_plan.cancel(action, EndReason.NO_CHANNEL, day(1)),
        lambda action_plan, _: enter(action_plan, "regular", day(1)),
        lambda action_plan, _: action_plan.cancel_campaign(action_plan.campaigns[0], day(1)),
    ],
    ids=["cancelled", "stage left", "campaign ended manually"],
)
def test_a_cancelled_message_no_longer_counts(end):
    action_plan = enter(
        new_plan(stage_with(templated(Channel.EMAIL), is_campaign=True), frequency_cap=1), "x"
    )
    action = action_plan.planned[0]
    action_plan.decide_due(action, T0)
    end(action_plan, action)

    assert action.reserved_at is None
    assert action_plan.sent == {Channel.EMAIL: []}
    other = manual_action(ManualActionRequest(Channel.EMAIL), day(1), stage="x", actor="ann")
    assert action_plan.decide_due(other, day(1)) is DueDecision.GO


def test_a_sent_message_keeps_counting():
    action_plan, action = plan_with_one(frequency_cap=1)
    action_plan.decide_due(action, T0)
    action_plan.complete(action, T0 + HOUR)
    other = manual_action(ManualActionRequest(Channel.EMAIL), day(1), stage="x", actor="ann")

    assert action_plan.decide_due(other, day(1)) is DueDecision.DROPPED
    assert action.reserved_at == T0


# ---- order of the checks


CANCELLATIONS = [
    ("erased", lambda action_plan: setattr(action_plan, "is_erased", True)),
    ("left_stage", lambda action_plan: setattr(action_plan, "version", 9)),
    ("campaign_ended", lambda action_plan: setattr(action_plan.campaigns[0], "ended_at", T0)),
    (
        "no_consent",
        lambda action_plan: setattr(
            action_plan, "reachability", Reachability({"email": "withdrawn"}, False, False)
        ),
    ),
    ("no_address", lambda action_plan: setattr(action_plan, "reachability", Reachability({}, False, True))),
]


@pytest.mark.parametrize("first", range(len(CANCELLATIONS)), ids=[reason for reason, _ in CANCELLATIONS])
@pytest.mark.parametrize("is_retried", [False, True], ids=["new", "retried"])
def test_the_first_reason_is_recorded_without_deferring_or_counting(first, is_retried):
    late = utc("2026-05-01T12:00")
    stage_actions = stage_with(templated(Channel.EMAIL, 1), is_campaign=True)
    action_plan = enter(new_plan(stage_actions, frequency_cap=1, address_wait_hours=0), "x", late - DAY)
    [action] = action_plan.planned
    if is_retried:
        assert action_plan.decide_due(action, late) is DueDecision.GO
    action_plan.sent[Channel.EMAIL] = [late]
    for _, stop in reversed(CANCELLATIONS[first:]):
        stop(action_plan)

    assert action_plan.decide_due(action, late + 10 * HOUR) is DueDecision.DROPPED
    assert str(action.reason) == CANCELLATIONS[first][0]
    assert action.finished_at == late + 10 * HOUR
    assert action.reserved_at is None


def test_quiet_hours_are_checked_before_the_cap():
    late = utc("2026-05-01T22:00")
    action_plan, action = plan_with_one(at=late, frequency_cap=1)
    action_plan.sent[Channel.EMAIL] = [late - HOUR]

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert action_plan.decide_due(action, action.due_at) is DueDecision.DROPPED
    assert action.reason is EndReason.CAPPED


def test_a_retry_in_quiet_hours_is_deferred_and_stays_counted():
    late, morning = utc("2026-05-01T20:59"), utc("2026-05-02T08:00")
    action_plan, action = plan_with_one(at=late, frequency_cap=1)
    assert action_plan.decide_due(action, late) is DueDecision.GO
    assert action_plan.decide_due(action, late + HOUR) is DueDecision.HELD
    assert (action.due_at, action.reserved_at) == (morning, late)
    assert action_plan.decide_due(action, morning) is DueDecision.GO


def test_an_action_can_be_cancelled_with_a_reason_from_outside():
    action_plan, action = plan_with_one(Channel.SMS)
    action_plan.decide_due(action, T0)
    action_plan.cancel(action, EndReason.NO_CHANNEL, T0)

    assert (action.state, action.reason, action.is_changed) == (
        ActionState.CANCELLED,
        EndReason.NO_CHANNEL,
        True,
    )


# ---- the end of a campaign


@pytest.mark.parametrize(
    ("last", "reachability", "policy", "reason"),
    [
        (templated(Channel.EMAIL, 2), REACHABLE, {}, None),
        (templated(Channel.EMAIL, 2), REACHABLE, {"frequency_cap": 1}, "capped"),
        (templated(Channel.SMS, 2), with_consents(sms="withdrawn"), {}, "no_consent"),
        (templated(Channel.SMS, 2), Reachability({}, True, False), {"address_wait_hours": 0}, "no_address"),
        (ActionStep(Channel.TASK, 2, title="Look"), REACHABLE, {}, None),
        (ActionStep(Channel.CRM, 2), REACHABLE, {}, None),
    ],
)
def test_a_campaign_completes_when_its_last_step_is_over_for_any_reason(last, reachability, policy, reason):
    stage_actions = stage_with(templated(Channel.EMAIL), last, is_campaign=True)
    action_plan = enter(new_plan(stage_actions, reachability=reachability, **policy), "x")
    action_plan.run_due(day(2), is_inclusive=False)
    assert running_campaigns(action_plan.campaigns) == action_plan.campaigns
    action_plan.run_due(day(2), is_inclusive=True)

    assert action_plan.planned[-1].reason == reason
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason, campaign.is_changed) == (day(2), EndReason.COMPLETED, True)
    assert event_types(action_plan).count("campaign.ended") == 1


def test_a_leased_step_keeps_its_campaign_running():
    action_plan = enter(
        new_plan(stage_with(templated(Channel.EMAIL), templated(Channel.SMS), is_campaign=True)), "x"
    )
    email, sms = action_plan.planned
    for action in (email, sms):
        action_plan.decide_due(action, T0)
        action.state = ActionState.LEASED
    action_plan.complete(sms, T0)
    assert running_campaigns(action_plan.campaigns) == action_plan.campaigns
    action_plan.complete(email, T0 + HOUR)
    assert action_plan.campaigns[0].ended_at == T0 + HOUR


def test_stored_steps_count_like_newly_planned_ones():
    action_plan = at_risk()
    kept = new_plan()
    kept.version, kept.actions, kept.campaigns = 1, action_plan.planned, action_plan.campaigns
    kept.run_due(day(14), is_inclusive=True)

    assert [str(campaign.reason) for campaign in kept.campaigns] == ["completed"]
    assert event_types(kept)[-1] == "campaign.ended"


def test_a_campaign_can_be_ended_manually():
    action_plan = at_risk()
    action_plan.run_due(day(8), is_inclusive=True)
    action_plan.cancel_campaign(action_plan.campaigns[0], day(9))

    assert outcomes(action_plan, CAMPAIGN)[2:] == [("call", "done"), ("offer", "campaign_ended")]
    assert tasks(action_plan) == [
        ("notify_account_manager", None),
        ("schedule_check_in_call", None),
        (CAMPAIGN, "campaign_ended"),
    ]
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(9), EndReason.MANUAL)
    assert event_types(action_plan).count("campaign.ended") == 1
    assert action_plan.run_due(day(99), is_inclusive=True) == []


# ---- actions without a sender


@pytest.mark.parametrize(
    ("assignee_seed", "expected"), [(0, "ann"), (1, "bob"), (2, "cem"), (3, "ann"), (10**9, "bob")]
)
def test_a_customer_always_gets_the_same_assignee(assignee_seed, expected):
    people = ("ann", "bob", "cem")
    stage_actions = stage_with(
        ActionStep(Channel.ASSIGNMENT, assignees=people), ActionStep(Channel.TASK, assignees=people)
    )
    action_plan = new_plan(stage_actions)
    action_plan.assignee_seed = assignee_seed
    enter(action_plan, "x").run_due(T0, is_inclusive=True)

    assert (action_plan.owner, action_plan.tasks[0].assignee) == (expected, expected)


def test_a_task_without_assignees_goes_to_the_owner():
    action_plan = new_plan()
    action_plan.owner = "zoe"
    enter(action_plan, "at_risk").run_due(T0, is_inclusive=True)
    assert {task.assignee for task in action_plan.tasks} == {"zoe"}
    enter(action_plan, "vip", day(1)).run_due(day(1), is_inclusive=True)
    assert (action_plan.owner, action_plan.tasks[-1].assignee) == ("vip managers", "vip managers")


def test_a_task_without_assignees_and_owner_has_no_assignee():
    assert {task.assignee for task in after_running(at_risk(), T0).tasks} == {None}


def after_running(action_plan, until):
    action_plan.run_due(until, is_inclusive=True)
    return action_plan


@pytest.mark.parametrize(
    ("step", "zone", "at", "title", "due_at"),
    [
        (ActionStep(Channel.TASK), "UTC", "2026-05-01T22:00", "greet customer", "2026-05-02T22:00"),
        (
            ActionStep(Channel.TASK, due_days=0),
            "UTC",
            "2026-05-01T22:00",
            "greet customer",
            "2026-05-01T22:00",
        ),
        (
            ActionStep(Channel.CALL, title="Call", due_days=2),
            "UTC",
            "2026-05-01T22:00",
            "Call",
            "2026-05-03T22:00",
        ),
        (
            ActionStep(Channel.TASK, due_days=2),
            "Europe/Berlin",
            "2026-03-28T09:00",
            "greet customer",
            "2026-03-30T08:00",
        ),
        (
            ActionStep(Channel.TASK, due_days=90),
            "Asia/Kolkata",
            "2026-01-01T00:15",
            "greet customer",
            "2026-04-01T00:15",
        ),
    ],
)
def test_a_task_has_a_title_and_a_deadline(step, zone, at, title, due_at):
    action_plan = enter(new_plan(stage_with(step, name="greet_customer"), zone=ZoneInfo(zone)), "x", utc(at))
    [task] = after_running(action_plan, utc(at)).tasks

    assert (task.title, task.due_at, task.created_at) == (title, utc(due_at), utc(at))
    assert (task.name, task.stage, task.channel, task.transition_seq) == (
        "greet_customer",
        "x",
        step.channel,
        1,
    )
    assert task.action is action_plan.planned[0]


def test_a_task_refers_to_its_campaign():
    action_plan = after_running(at_risk(), day(7))

    assert [task.campaign for task in action_plan.tasks] == [None, None, action_plan.campaigns[0]]


# ---- outbound events


def test_outbound_events_are_in_chronological_order():
    action_plan = after_running(at_risk(), day(7))
    assert event_types(action_plan) == [
        "stage.changed",
        "customer.at_risk",
        "campaign.started",
        "task.created",
        "task.created",
        "task.created",
    ]
    action_plan.outbound_events.clear()
    enter(action_plan, "customer", day(8))
    after_running(action_plan, day(9))
    assert event_types(action_plan) == ["stage.changed", "campaign.ended"]


def test_outbound_events_refer_to_what_they_report():
    action_plan = after_running(at_risk(), day(0))
    by_type = {event.type: event for event in action_plan.outbound_events}

    assert by_type[OutboundEventType.STAGE_CHANGED].transition_seq == 1
    assert by_type[OutboundEventType.CUSTOMER_AT_RISK].transition_seq == 1
    assert by_type[OutboundEventType.CAMPAIGN_STARTED].campaign is action_plan.campaigns[0]
    assert by_type[OutboundEventType.TASK_CREATED].task is action_plan.tasks[-1]


@pytest.mark.parametrize(
    ("stage_map", "expected"),
    [
        (DEFAULT_MAP, ["at_risk"]),
        (
            company(*defaults_with(at_risk={"is_active": False, "remapped_to": "churned"})).stage_map,
            ["churned"],
        ),
        (
            company(
                stage("start", 1),
                stage("gone", 9, rule("days_since_last_appointment", days=">9")),
                stage("quiet", 5, rule("days_since_last_appointment", days=">5")),
            ).stage_map,
            ["quiet"],
        ),
        (company(stage("start", 1), stage("known", 2)).stage_map, []),
    ],
    ids=["default", "archived", "own", "none"],
)
def test_only_the_mildest_risk_stage_publishes_customer_at_risk(stage_map, expected):
    found = []
    for key in stage_map.by_key:
        for runs_actions in (True, False):
            action_plan = enter(new_plan({}, stage_map=stage_map), key, runs_actions=runs_actions)
            assert event_types(action_plan)[0] == "stage.changed"
            found += [key] if "customer.at_risk" in event_types(action_plan) else []
    assert found == [key for key in expected for _ in range(2)]


# ---- test clocks


def test_actions_are_carried_out_at_their_due_time_in_order():
    first = StageAction("first", (templated(Channel.EMAIL, 2), templated(Channel.SMS, 5)))
    second = StageAction("second", (templated(Channel.SMS, 1), templated(Channel.EMAIL, 5)))
    action_plan = enter(new_plan({"x": (first, second)}), "x")
    action_plan.request(manual_action(ManualActionRequest(Channel.OFFER), day(3), stage="x", actor="ann"))

    assert [
        (action.name, action.finished_at) for action in action_plan.run_due(day(99), is_inclusive=True)
    ] == [
        ("second", day(1)),
        ("first", day(2)),
        ("personal_offer", day(3)),
        ("first", day(5)),
        ("second", day(5)),
    ]


def test_an_inclusive_run_carries_out_what_is_due_at_its_end():
    for is_inclusive, outcome in ((True, "done"), (False, "left_stage")):
        action_plan = at_risk()
        action_plan.run_due(day(3), is_inclusive=is_inclusive)
        enter(action_plan, "churned", day(3))
        assert outcomes(action_plan, CAMPAIGN)[1] == ("sms", outcome)


def test_only_actions_that_need_a_sender_are_returned():
    action_plan = enter(new_plan(), "customer")
    assert sent_messages(action_plan.run_due(T0, is_inclusive=True)) == [
        ("email", T0),
        ("crm", T0),
    ]
    enter(action_plan, "vip")
    assert sent_messages(action_plan.run_due(T0, is_inclusive=True)) == [("email", T0)]


def test_nothing_is_carried_out_twice():
    action_plan = after_running(at_risk(), day(14))
    before = [replace(action) for action in action_plan.planned]

    assert action_plan.run_due(day(400), is_inclusive=True) == []
    assert action_plan.planned == before


def test_a_step_waits_for_the_steps_before_it():
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    steps = (templated(Channel.EMAIL), ActionStep(Channel.CALL, 0, 2), ActionStep(Channel.CRM, 0, 3))
    stage_actions = {
        "x": (StageAction("chain", steps), StageAction("parallel", (ActionStep(Channel.TASK, 0, 1),)))
    }
    action_plan = after_running(enter(new_plan(stage_actions), "x", late), day(365))

    assert finish_times(action_plan, "chain") == [morning, morning, morning]
    assert finish_times(action_plan, "parallel") == [late + HOUR]


def released_by_test_clock(action_plan, until):
    """Runs what is due as for a test clock with real delivery: sent actions remain to be delivered."""
    sent = action_plan.run_due(until, is_inclusive=True)
    for action in sent:
        action.state, action.finished_at, action.is_released_by_test_clock = ActionState.PENDING, None, True
    return sent


def test_a_released_action_is_neither_cancelled_by_a_transition_nor_released_again():
    action_plan = at_risk()
    email, sms = released_by_test_clock(action_plan, day(3))
    assert action_plan.run_due(day(4), is_inclusive=True) == []
    enter(action_plan, "customer", day(5))

    assert (email.state, sms.state) == (ActionState.PENDING, ActionState.PENDING)
    assert email.reserved_at == day(0)
    action_plan.end_all(day(6), EndReason.ERASED)
    assert (email.reason, sms.reason) == (EndReason.ERASED, EndReason.ERASED)


def test_a_released_action_does_not_keep_its_campaign_running():
    action_plan = at_risk()
    released_by_test_clock(action_plan, day(3))
    action_plan.run_due(day(14), is_inclusive=True)

    assert (action_plan.campaigns[0].ended_at, action_plan.campaigns[0].reason) == (
        day(14),
        EndReason.COMPLETED,
    )


# ---- manual actions


@pytest.mark.parametrize(
    ("requested", "step"),
    [
        (ManualActionRequest(Channel.CALL), ActionStep(Channel.CALL, title="Call this customer")),
        (
            ManualActionRequest(Channel.CALL, title="Ask why", assignee="ann", due_days=0),
            ActionStep(Channel.CALL, title="Ask why", assignees=("ann",), due_days=0),
        ),
        (ManualActionRequest(Channel.EMAIL), ActionStep(Channel.EMAIL, template="personal_email")),
        (ManualActionRequest(Channel.EMAIL, template="mine"), ActionStep(Channel.EMAIL, template="mine")),
        (ManualActionRequest(Channel.OFFER), ActionStep(Channel.OFFER, template="personal_offer")),
        (
            ManualActionRequest(Channel.OFFER, offer=(("title", "Tea"), ("valid_days", 3))),
            ActionStep(Channel.OFFER, template="personal_offer", offer=(("title", "Tea"), ("valid_days", 3))),
        ),
    ],
)
def test_a_manual_action_is_due_at_once(requested, step):
    action = manual_action(replace(requested, note="soon", request_key="k"), T0, stage="regular", actor="ann")

    assert action.step == step
    assert (action.name, action.number, action.stage) == (f"personal_{requested.channel}", 0, "regular")
    assert (action.planned_at, action.due_at, action.state) == (T0, T0, ActionState.PENDING)
    assert (action.transition_seq, action.is_stage_bound, action.campaign) == (None, False, None)
    assert (action.note, action.actor, action.request_key) == ("soon", "ann", "k")
    assert step_from_json(step_to_json(action.step)) == action.step


@pytest.mark.parametrize("channel", [Channel.CALL, Channel.EMAIL, Channel.OFFER])
def test_fields_that_do_not_apply_to_the_channel_are_dropped(channel):
    everything = ManualActionRequest(channel, "t", "Title", "ann", 3, (("title", "Tea"),))
    step = manual_action(everything, T0, stage="x", actor="ann").step

    assert step_from_json(step_to_json(step)) == step
    assert (step.template is None) == (channel is Channel.CALL)
    assert (step.offer == ()) == (channel is not Channel.OFFER)


def test_a_manual_action_is_subject_to_consent_quiet_hours_and_cap():
    night = utc("2026-05-01T23:00")
    action_plan = new_plan(reachability=with_consents(call="withdrawn"), frequency_cap=1)
    for channel in (Channel.CALL, Channel.EMAIL, Channel.EMAIL):
        action_plan.request(
            manual_action(ManualActionRequest(channel, note="n"), night, stage="x", actor="ann")
        )
    action_plan.run_due(night + DAY, is_inclusive=True)

    assert outcomes(action_plan) == [("call", "no_consent"), ("email", "done"), ("email", "capped")]
    assert action_plan.planned[1].finished_at == utc("2026-05-02T08:00")


def test_a_manual_call_is_a_task_with_the_note():
    action_plan = new_plan()
    action_plan.request(
        manual_action(ManualActionRequest(Channel.CALL, note="mind the dog"), T0, stage="vip", actor="ann")
    )
    [task] = after_running(action_plan, T0).tasks

    assert (task.title, task.note, task.is_stage_bound) == ("Call this customer", "mind the dog", False)
    assert task.due_at == day(1)


# ---- paused messages


@pytest.mark.parametrize("channel", MESSAGES)
def test_paused_messages_defer_templated_channels_only(channel):
    action_plan, action = plan_with_one(channel, messages_paused=True, **NO_QUIET_HOURS)

    is_held = channel is not Channel.CALL
    assert action_plan.decide_due(action, T0) is (DueDecision.HELD if is_held else DueDecision.GO)
    assert (action.due_at > T0) is is_held


def test_deferred_messages_are_sent_after_the_pause():
    action_plan, action = plan_with_one(messages_paused=True, **NO_QUIET_HOURS)
    action_plan.decide_due(action, T0)

    action_plan.policy = replace(action_plan.policy, messages_paused=False)

    assert action_plan.decide_due(action, action.due_at) is DueDecision.GO


def test_a_message_paused_beyond_the_limit_is_cancelled():
    action_plan, action = plan_with_one(messages_paused=True, **NO_QUIET_HOURS)

    assert action_plan.run_due(T0 + 2 * DAY, is_inclusive=True) == []
    assert (action.state, action.reason) == (ActionState.CANCELLED, EndReason.HELD_TOO_LONG)
    assert action.finished_at is not None
    assert DAY < action.finished_at - T0 <= DAY + HOUR
