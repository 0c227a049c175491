"""What is to be done for one customer: planned on entering a stage, judged when it falls due, dropped on leaving."""

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
)
from journey_service.domain.actions.action_plan import (
    ActionPlan,
    DueDecision,
    manual_action,
    running_campaigns,
)
from journey_service.domain.actions.parsing import step_from_json, step_to_json
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ActionStep,
    Channel,
    Reachability,
    StageAction,
)
from journey_service.domain.actions.timing import due, quiet_until, triggers_actions
from journey_service.domain.companies.policy import parse_policy
from journey_service.domain.journeys.relationship import Transition, TransitionCause, TriggerType

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
EVERYWHERE = Reachability({}, has_email=True, has_phone=True)
NO_NIGHT = {"quiet_from": None, "quiet_until": None}
YEAR = 365 * DAY
CAMPAIGN = "create_retention_campaign"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def agenda_of(
    stage_actions=DEFAULT_ACTIONS, *, zone=UTC_ZONE, reachability=EVERYWHERE, stage_map=DEFAULT_MAP, **policy
):
    """The agenda of a customer for whom nothing has been planned yet."""
    return ActionPlan(parse_policy(policy), zone, stage_map, stage_actions, reachability=reachability)


def transition(seq, to_stage, at, *, is_silent=False):
    cause = TransitionCause("event", str(seq))
    return Transition(seq, None, to_stage, at, TriggerType.AUTOMATIC, "x", cause, 1, is_silent=is_silent)


def enter(action_plan, to_stage, at=T0, *, runs_actions=True):
    action_plan.apply_transition(transition(action_plan.version + 1, to_stage, at), runs_actions=runs_actions)
    return action_plan


def at_risk(at=T0, **more):
    return enter(agenda_of(**more), "at_risk", at)


def book(*steps, name="act", is_campaign=False):
    """A stage_actions whose stage `x` has one action."""
    return {"x": (StageAction(name, steps, is_campaign=is_campaign),)}


def worded(channel, day=0, hours=0):
    return ActionStep(channel, day, hours, template="t")


def one(channel=Channel.EMAIL, at=T0, **more):
    """An agenda with one action at an instant, and that action."""
    action_plan = enter(agenda_of(book(worded(channel)), **more), "x", at)
    return action_plan, action_plan.planned[0]


def consenting(**statuses):
    return Reachability(statuses, has_email=True, has_phone=True)


def fates(action_plan, name=None):
    """What has become of everything planned: the channel, and the reason or the state."""
    return [
        (str(action.step.channel), str(action.reason or action.state))
        for action in action_plan.planned
        if name in (None, action.name)
    ]


def dates(action_plan, name=None):
    """When everything planned was over."""
    return [action.finished_at for action in action_plan.planned if name in (None, action.name)]


def gone(actions):
    return [(str(action.step.channel), action.finished_at) for action in actions]


def outbound_events(action_plan):
    return [str(one.type) for one in action_plan.outbound_events]


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
                ("create_feedback_request", "email", 0),
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
def test_entering_a_stage_plans_what_the_guide_has_it_do(to_stage, planned):
    action_plan = enter(agenda_of(), to_stage)

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


def test_what_a_stage_does_is_the_company_s_to_say():
    mine = {"regular": (StageAction("thank", (worded(Channel.SMS),)),)}

    assert fates(enter(agenda_of(mine), "regular")) == [("sms", "pending")]
    assert fates(enter(agenda_of(mine), "lead")) == []


@pytest.mark.parametrize(
    ("zone", "entered", "steps"),
    [
        (UTC_ZONE, "2026-01-01T12:00", ["01-01T12:00", "01-04T12:00", "01-08T12:00", "01-15T12:00"]),
        # the clocks go forward on 29 March: the same time on the wall is an hour sooner
        (BERLIN, "2026-03-22T09:00", ["03-22T09:00", "03-25T09:00", "03-29T08:00", "04-05T08:00"]),
        # at 02:30 on 29 March there is no such time: the first one after the gap
        (BERLIN, "2026-03-15T01:30", ["03-15T01:30", "03-18T01:30", "03-22T01:30", "03-29T01:00"]),
        # and back on 25 October
        (BERLIN, "2026-10-22T10:00", ["10-22T10:00", "10-25T11:00", "10-29T11:00", "11-05T11:00"]),
        # at 02:30 on 25 October there are two such times: the first one
        (BERLIN, "2026-10-11T00:30", ["10-11T00:30", "10-14T00:30", "10-18T00:30", "10-25T00:30"]),
        # entered at the second one
        (BERLIN, "2026-10-25T01:30", ["10-25T01:30", "10-28T01:30", "11-01T01:30", "11-08T01:30"]),
        (KOLKATA, "2026-05-01T03:45", ["05-01T03:45", "05-04T03:45", "05-08T03:45", "05-15T03:45"]),
        # half an hour back on 5 April
        (LORD_HOWE, "2026-04-02T01:00", ["04-02T01:00", "04-05T01:30", "04-09T01:30", "04-16T01:30"]),
        # half an hour forward on 4 October at 02:00
        (LORD_HOWE, "2026-09-30T15:45", ["09-30T15:45", "10-03T15:30", "10-07T15:15", "10-14T15:15"]),
    ],
)
def test_a_step_is_due_on_its_day_at_the_same_time_on_the_wall(zone, entered, steps):
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
def test_hours_are_counted_from_the_day_they_are_of(days, hours, expected):
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
def test_a_silent_move_and_one_of_long_ago_are_not_heard(age, is_silent, has_test_clock, expected):
    moved = transition(1, "lead", T0, is_silent=is_silent)

    assert triggers_actions(moved, T0 + age, has_test_clock=has_test_clock) is expected


def test_a_move_that_is_not_heard_plans_nothing_but_ends_what_was():
    action_plan = at_risk()
    before = len(action_plan.planned)
    enter(action_plan, "customer", day(1), runs_actions=False)

    assert len(action_plan.planned) == before
    assert [str(campaign.reason) for campaign in action_plan.campaigns] == ["left_stage"]
    assert outbound_events(action_plan)[-2:] == ["stage.changed", "campaign.ended"]


# ---- the stories of a lapse


def test_whoever_comes_back_on_the_fifth_day_gets_neither_the_call_nor_the_offer():
    action_plan = at_risk()
    sent = action_plan.run_due(day(5), is_inclusive=True)
    enter(action_plan, "regular", day(5))
    sent += action_plan.run_due(day(365), is_inclusive=True)

    assert gone(sent) == [("email", day(0)), ("sms", day(3))]
    assert fates(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "done"),
        ("call", "left_stage"),
        ("offer", "left_stage"),
    ]
    assert dates(action_plan, CAMPAIGN) == [day(0), day(3), day(5), day(5)]
    assert tasks(action_plan) == [
        ("notify_account_manager", "left_stage"),
        ("schedule_check_in_call", "left_stage"),
    ]
    assert [task.ended_at for task in action_plan.tasks] == [day(5), day(5)]
    [campaign] = action_plan.campaigns
    assert (campaign.started_at, campaign.ended_at, campaign.reason) == (day(0), day(5), EndReason.LEFT_STAGE)


def test_whoever_stays_away_gets_it_all_and_the_campaign_is_completed_by_its_last_step():
    action_plan = at_risk()

    assert gone(action_plan.run_due(day(14), is_inclusive=True)) == [
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


def test_whoever_withdraws_consent_while_a_mail_waits_for_the_morning_gets_the_rest():
    action_plan = at_risk(quiet_from="21:00", quiet_until="13:00")
    action_plan.run_due(day(0), is_inclusive=True)
    action_plan.reachability = consenting(email="withdrawn", call="withdrawn", offer="granted")
    sent = action_plan.run_due(day(365), is_inclusive=True)

    assert gone(sent) == [("sms", day(3) + HOUR), ("offer", day(14) + HOUR)]
    assert fates(action_plan, CAMPAIGN) == [
        ("email", "no_consent"),
        ("sms", "done"),
        ("call", "no_consent"),
        ("offer", "done"),
    ]
    assert action_plan.campaigns[0].reason is EndReason.COMPLETED


def test_consent_withdrawn_on_the_first_day_stops_what_is_still_to_come():
    action_plan = at_risk()
    action_plan.run_due(day(1), is_inclusive=True)
    action_plan.reachability = consenting(sms="withdrawn", offer="withdrawn")
    action_plan.run_due(day(365), is_inclusive=True)

    assert fates(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "no_consent"),
        ("call", "done"),
        ("offer", "no_consent"),
    ]
    assert dates(action_plan, CAMPAIGN) == [day(0), day(3), day(7), day(14)]
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(14), EndReason.COMPLETED)


def test_whoever_is_erased_is_left_in_peace():
    action_plan = at_risk()
    action_plan.request(
        manual_action(ManualActionRequest(Channel.EMAIL), day(9), stage="at_risk", actor="ann")
    )
    action_plan.run_due(day(4), is_inclusive=True)
    action_plan.end_all(day(4), EndReason.ERASED)

    assert action_plan.run_due(day(365), is_inclusive=True) == []
    assert fates(action_plan, CAMPAIGN) == [
        ("email", "done"),
        ("sms", "done"),
        ("call", "erased"),
        ("offer", "erased"),
    ]
    assert fates(action_plan, "personal_email") == [("email", "erased")]
    assert {(task.ended_at, task.reason) for task in action_plan.tasks} == {(day(4), EndReason.ERASED)}
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(4), EndReason.ERASED)
    assert outbound_events(action_plan)[-1] == "campaign.ended"


def test_whoever_lapses_again_within_the_pause_gets_the_tasks_but_no_campaign():
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
    assert outbound_events(action_plan).count("campaign.started") == 1


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
def test_no_campaign_begins_within_the_pause_after_the_last_one(pause, after, is_refused):
    action_plan = at_risk(campaign_pause_days=pause)
    enter(action_plan, "customer", day(5))
    enter(action_plan, "at_risk", day(5) + after)

    assert len(action_plan.campaigns) == 2 - is_refused
    again = fates(action_plan, CAMPAIGN)[4:]
    assert {fate for _, fate in again} == {"campaign_pause" if is_refused else "pending"}


def test_the_pause_begins_with_the_end_however_that_came_about():
    action_plan = at_risk()
    action_plan.run_due(day(14), is_inclusive=True)
    enter(action_plan, "customer", day(40))
    enter(action_plan, "at_risk", day(44) - INSTANT)
    assert len(action_plan.campaigns) == 1
    enter(action_plan, "customer", day(44))
    enter(action_plan, "at_risk", day(44))
    assert len(action_plan.campaigns) == 2


def test_the_pause_is_of_one_type():
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


def test_a_second_campaign_of_a_stage_does_not_begin_beside_the_first():
    steps = (worded(Channel.EMAIL), worded(Channel.EMAIL, 1))
    stage_actions = {
        "x": (
            StageAction("first", steps, is_campaign=True),
            StageAction("second", steps, is_campaign=True),
            StageAction("third", steps),
        )
    }
    action_plan = enter(agenda_of(stage_actions), "x")

    assert fates(action_plan, "first") == fates(action_plan, "third") == [("email", "pending")] * 2
    assert fates(action_plan, "second") == [("email", "campaign_running")] * 2
    assert len(action_plan.campaigns) == 1


def test_what_is_refused_is_no_part_of_a_campaign_and_ends_none():
    action_plan = agenda_of()
    old = Campaign("at_risk", 1, day(-20), (), id=5, ended_at=day(-10), reason=EndReason.LEFT_STAGE)
    action_plan.campaigns.append(old)
    enter(action_plan, "at_risk")

    assert {action.campaign for action in action_plan.planned} == {None}
    assert outbound_events(action_plan) == ["stage.changed", "customer.at_risk"]
    assert not old.is_changed


# ---- leaving a stage


@pytest.mark.parametrize("to_stage", ["prospect", "customer", "vip", "churned"])
def test_any_move_ends_what_was_for_the_stage_left(to_stage):
    action_plan = at_risk()
    action_plan.run_due(T0, is_inclusive=True)
    enter(action_plan, to_stage, day(1))

    assert fates(action_plan, CAMPAIGN)[1:] == [(c, "left_stage") for c in ("sms", "call", "offer")]
    assert {reason for _, reason in tasks(action_plan)} == {"left_stage"}
    assert running_campaigns(action_plan.campaigns) == []


def test_what_was_to_be_done_at_once_for_progress_is_done_however_far_the_customer_has_come():
    late = utc("2026-01-01T23:00")
    action_plan = enter(agenda_of(), "lead", late)
    action_plan.run_due(late, is_inclusive=True)
    assert fates(action_plan) == [("email", "pending"), ("assignment", "done"), ("task", "done")]
    enter(action_plan, "customer", late + HOUR)
    action_plan.run_due(late + DAY, is_inclusive=True)

    assert fates(action_plan)[0] == ("email", "done")
    assert tasks(action_plan)[0] == ("create_follow_up_task", None)


@pytest.mark.parametrize(
    ("to_stage", "step", "is_campaign", "is_stage_bound"),
    [
        ("lead", worded(Channel.EMAIL), False, False),
        ("lead", worded(Channel.EMAIL, 1), False, True),
        ("lead", worded(Channel.EMAIL, 0, 1), False, True),
        ("lead", worded(Channel.EMAIL), True, True),
        ("at_risk", worded(Channel.EMAIL), False, True),
        ("churned", ActionStep(Channel.TASK), False, True),
        ("nowhere", ActionStep(Channel.TASK), False, False),
    ],
)
def test_risk_and_delay_and_campaigns_bind_an_action_to_its_stage(
    to_stage, step, is_campaign, is_stage_bound
):
    stage_actions = {to_stage: (StageAction("act", (step,), is_campaign=is_campaign),)}
    action_plan = enter(agenda_of(stage_actions), to_stage)
    assert action_plan.planned[0].is_stage_bound is is_stage_bound
    enter(action_plan, "regular", day(0))
    assert fates(action_plan) == [(str(step.channel), "left_stage" if is_stage_bound else "pending")]


def test_what_a_person_asked_for_outlives_any_move():
    action_plan = at_risk()
    action_plan.request(manual_action(ManualActionRequest(Channel.CALL), T0, stage="at_risk", actor="ann"))
    action_plan.run_due(T0, is_inclusive=True)
    enter(action_plan, "customer", day(1))

    assert tasks(action_plan)[-1] == ("personal_call", None)


def test_what_is_over_stays_as_it_was():
    action_plan = at_risk()
    action_plan.run_due(day(20), is_inclusive=True)
    before = [replace(action) for action in action_plan.planned]
    action_plan.outbound_events.clear()
    enter(action_plan, "regular", day(21))
    action_plan.end_all(day(22), EndReason.ERASED)

    assert action_plan.planned == before
    assert outbound_events(action_plan) == ["stage.changed"]


def test_what_a_worker_is_at_is_not_dropped_but_judged_when_it_is_tried_again():
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
    action_plan, action = one(channel, reachability=consenting(**statuses), consent=model)

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
            action_plan, action = one(channel, reachability=Reachability({}, has_email, has_phone))
            is_lost = (needs == "email" and not has_email) or (needs == "phone" and not has_phone)
            assert action_plan.decide_due(action, T0) is (DueDecision.DROPPED if is_lost else DueDecision.GO)
            assert action.reason is (EndReason.NO_ADDRESS if is_lost else None)


@pytest.mark.parametrize("channel", [Channel.CRM, Channel.TASK, Channel.ASSIGNMENT])
def test_what_does_not_reach_the_customer_needs_no_consent_and_knows_no_night(channel):
    nothing = Reachability(dict.fromkeys(map(str, Channel), "withdrawn"), has_email=False, has_phone=False)
    action_plan, action = one(
        channel, utc("2026-01-02T03:00"), reachability=nothing, consent="opt_in", frequency_cap=1
    )

    assert action_plan.decide_due(action, action.due_at) is DueDecision.GO
    assert action.reserved_at is None


# ---- the night


@pytest.mark.parametrize(
    ("start", "end", "zone", "now", "until"),
    [
        # over midnight
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
        # where the company is
        ("21:00", "08:00", "Europe/Berlin", "2026-07-01T18:59:59.999999", None),
        ("21:00", "08:00", "Europe/Berlin", "2026-07-01T19:00", "2026-07-02T06:00"),
        ("21:00", "08:00", "Asia/Kolkata", "2026-07-01T15:30", "2026-07-02T02:30"),
        # a night an hour shorter, and one an hour longer
        ("21:00", "08:00", "Europe/Berlin", "2026-03-28T20:00", "2026-03-29T06:00"),
        ("21:00", "08:00", "Europe/Berlin", "2026-10-24T19:00", "2026-10-25T07:00"),
        ("21:00", "08:00", "Europe/Berlin", "2026-10-25T06:59:59.999999", "2026-10-25T07:00"),
        # ends in a gap: with the first time after it
        ("21:00", "02:30", "Europe/Berlin", "2026-03-29T00:59:59.999999", "2026-03-29T01:00"),
        ("21:00", "02:30", "Europe/Berlin", "2026-03-29T01:00", None),
        # ends at a time that comes twice: at the first one
        ("21:00", "02:30", "Europe/Berlin", "2026-10-25T00:29:59.999999", "2026-10-25T00:30"),
        ("21:00", "02:30", "Europe/Berlin", "2026-10-25T01:15", None),
        # lies in a gap: does not come about
        ("02:10", "02:50", "Europe/Berlin", "2026-03-29T01:00", None),
        # begins at a time that comes twice: at the first one
        ("02:30", "08:00", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T07:00"),
        # half an hour that comes twice
        ("21:00", "01:45", "Australia/Lord_Howe", "2026-04-04T14:30", "2026-04-04T14:45"),
        ("21:00", "01:45", "Australia/Lord_Howe", "2026-04-04T15:10", None),
    ],
)
def test_it_is_quiet_from_the_first_time_up_to_the_second(start, end, zone, now, until):
    policy = parse_policy({"quiet_from": start, "quiet_until": end})

    assert quiet_until(utc(now), policy, ZoneInfo(zone)) == (None if until is None else utc(until))


@pytest.mark.parametrize("channel", [Channel.EMAIL, Channel.SMS, Channel.OFFER])
def test_what_would_reach_the_customer_at_night_waits_for_the_morning_and_is_judged_again(channel):
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, action = one(channel, late)

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert (action.state, action.due_at, action.planned_at) == (ActionState.PENDING, morning, late)
    assert action.reserved_at is None
    assert action_plan.sent == {}
    action_plan.reachability = consenting(**{str(channel): "withdrawn"})
    assert action_plan.decide_due(action, morning) is DueDecision.DROPPED


def test_a_call_is_a_task_and_may_be_written_down_at_night():
    late = utc("2026-05-01T22:00")
    action_plan, action = one(Channel.CALL, late)

    assert action_plan.decide_due(action, late) is DueDecision.GO


def test_what_was_held_goes_out_in_the_morning():
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, _ = one(at=late)

    assert action_plan.run_due(morning, is_inclusive=False) == []
    assert gone(action_plan.run_due(morning, is_inclusive=True)) == [("email", morning)]


@pytest.mark.parametrize(
    ("hours", "verdict", "reason"),
    [
        (1, DueDecision.DROPPED, "held_too_long"),
        (9, DueDecision.DROPPED, "held_too_long"),
        (10, DueDecision.GO, None),
    ],
)
def test_what_was_held_for_longer_than_the_company_wants_is_not_sent_any_more(hours, verdict, reason):
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    action_plan, action = one(at=late, longest_hold_hours=hours)

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert action_plan.decide_due(action, morning) is verdict
    assert action.reason == reason


def test_what_nobody_got_round_to_was_not_held():
    action_plan, action = one(longest_hold_hours=1)

    assert action_plan.decide_due(action, day(3)) is DueDecision.GO


# ---- the cap


def sent_on(*days, channel=Channel.EMAIL, **policy):
    """What becomes of mails due on these days, one after the other."""
    action_plan = agenda_of(book(*(worded(channel, number) for number in days)), **policy)
    action_plan.run_due(enter(action_plan, "x").planned[-1].due_at, is_inclusive=True)
    return [fate for _, fate in fates(action_plan)]


@pytest.mark.parametrize(
    ("days", "policy", "expected"),
    [
        ([0, 0, 0, 0], {}, ["done", "done", "done", "capped"]),
        ([0, 1, 2, 6], {}, ["done", "done", "done", "capped"]),
        ([0, 1, 2, 7], {}, ["done", "done", "done", "done"]),
        # what was capped takes no place itself
        ([0, 1, 2, 6, 7, 8, 9], {}, ["done", "done", "done", "capped", "done", "done", "done"]),
        ([0, 1, 2, 7, 7, 8], {}, ["done", "done", "done", "done", "capped", "done"]),
        ([0, 1, 2], {"frequency_cap": 1, "frequency_cap_days": 2}, ["done", "capped", "done"]),
    ],
)
def test_no_channel_is_used_more_often_than_the_company_wants(days, policy, expected):
    assert sent_on(*days, **policy) == expected


@pytest.mark.parametrize(
    ("span", "verdict"),
    [(7 * DAY - INSTANT, DueDecision.DROPPED), (7 * DAY, DueDecision.GO)],
    ids=["within", "after"],
)
def test_the_seven_days_are_counted_from_message_to_message(span, verdict):
    action_plan, action = one()
    action_plan.sent[Channel.EMAIL] = [T0 - span, T0 - DAY, T0 - DAY]

    assert action_plan.decide_due(action, T0) is verdict
    assert action.reason is (None if verdict is DueDecision.GO else EndReason.CAPPED)


def test_the_cap_is_of_one_channel():
    action_plan, action = one()
    action_plan.sent[Channel.SMS] = [T0, T0, T0]

    assert action_plan.decide_due(action, T0) is DueDecision.GO


def test_calls_are_capped_like_messages():
    assert sent_on(0, 0, 1, channel=Channel.CALL, frequency_cap=2) == ["done", "done", "capped"]


def test_a_capped_step_is_cancelled_and_the_campaign_goes_on():
    steps = (
        worded(Channel.EMAIL),
        worded(Channel.EMAIL, 1),
        worded(Channel.SMS, 2),
        worded(Channel.EMAIL, 9),
    )
    action_plan = enter(agenda_of(book(*steps, is_campaign=True), frequency_cap=1), "x")
    action_plan.run_due(day(9), is_inclusive=True)

    assert fates(action_plan) == [("email", "done"), ("email", "capped"), ("sms", "done"), ("email", "done")]
    assert action_plan.campaigns[0].reason is EndReason.COMPLETED


def test_what_is_tried_again_keeps_its_place_and_is_not_counted_twice():
    action_plan = enter(agenda_of(book(*[worded(Channel.EMAIL)] * 3), frequency_cap=2), "x")
    first, second, third = action_plan.planned
    assert action_plan.decide_due(first, T0) is DueDecision.GO
    for number in range(1, 5):
        assert action_plan.decide_due(first, T0 + number * HOUR) is DueDecision.GO
    assert first.reserved_at == T0
    assert action_plan.decide_due(second, T0 + 5 * HOUR) is DueDecision.GO
    assert action_plan.decide_due(third, T0 + 5 * HOUR) is DueDecision.DROPPED
    assert action_plan.decide_due(first, T0 + 6 * HOUR) is DueDecision.GO


def test_a_place_that_was_taken_long_ago_is_still_held():
    action_plan, action = one(frequency_cap=1)
    action_plan.decide_due(action, T0)
    action_plan.sent[Channel.EMAIL] = [day(9)]

    assert action_plan.decide_due(action, day(10)) is DueDecision.GO


@pytest.mark.parametrize(
    "end",
    [
        lambda action_plan, action: action_plan.cancel(action, EndReason.NO_MAIL_SERVER, day(1)),
        lambda action_plan, _: enter(action_plan, "regular", day(1)),
        lambda action_plan, _: action_plan.cancel_campaign(action_plan.campaigns[0], day(1)),
    ],
    ids=["dropped", "left behind", "ended by hand"],
)
def test_a_place_is_free_again_once_it_turns_out_that_nothing_goes_out(end):
    action_plan = enter(agenda_of(book(worded(Channel.EMAIL), is_campaign=True), frequency_cap=1), "x")
    action = action_plan.planned[0]
    action_plan.decide_due(action, T0)
    end(action_plan, action)

    assert action.reserved_at is None
    assert action_plan.sent == {Channel.EMAIL: []}
    other = manual_action(ManualActionRequest(Channel.EMAIL), day(1), stage="x", actor="ann")
    assert action_plan.decide_due(other, day(1)) is DueDecision.GO


def test_what_was_done_keeps_its_place():
    action_plan, action = one(frequency_cap=1)
    action_plan.decide_due(action, T0)
    action_plan.complete(action, T0 + HOUR)
    other = manual_action(ManualActionRequest(Channel.EMAIL), day(1), stage="x", actor="ann")

    assert action_plan.decide_due(other, day(1)) is DueDecision.DROPPED
    assert action.reserved_at == T0


# ---- what is looked at first


OBSTACLES = [
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


@pytest.mark.parametrize("first", range(len(OBSTACLES)), ids=[reason for reason, _ in OBSTACLES])
@pytest.mark.parametrize("is_tried_again", [False, True], ids=["new", "tried again"])
def test_the_first_reason_is_told_and_none_waits_for_the_night_or_counts(first, is_tried_again):
    late = utc("2026-05-01T12:00")
    stage_actions = book(worded(Channel.EMAIL, 1), is_campaign=True)
    action_plan = enter(agenda_of(stage_actions, frequency_cap=1), "x", late - DAY)
    [action] = action_plan.planned
    if is_tried_again:
        assert action_plan.decide_due(action, late) is DueDecision.GO
    action_plan.sent[Channel.EMAIL] = [late]
    for _, stop in reversed(OBSTACLES[first:]):
        stop(action_plan)

    assert action_plan.decide_due(action, late + 10 * HOUR) is DueDecision.DROPPED
    assert str(action.reason) == OBSTACLES[first][0]
    assert action.finished_at == late + 10 * HOUR
    assert action.reserved_at is None


def test_the_night_comes_before_the_cap():
    late = utc("2026-05-01T22:00")
    action_plan, action = one(at=late, frequency_cap=1)
    action_plan.sent[Channel.EMAIL] = [late - HOUR]

    assert action_plan.decide_due(action, late) is DueDecision.HELD
    assert action_plan.decide_due(action, action.due_at) is DueDecision.DROPPED
    assert action.reason is EndReason.CAPPED


def test_what_is_tried_again_at_night_waits_and_keeps_its_place():
    late, morning = utc("2026-05-01T20:59"), utc("2026-05-02T08:00")
    action_plan, action = one(at=late, frequency_cap=1)
    assert action_plan.decide_due(action, late) is DueDecision.GO
    assert action_plan.decide_due(action, late + HOUR) is DueDecision.HELD
    assert (action.due_at, action.reserved_at) == (morning, late)
    assert action_plan.decide_due(action, morning) is DueDecision.GO


def test_it_may_turn_out_that_something_cannot_be_done_here():
    action_plan, action = one(Channel.SMS)
    action_plan.decide_due(action, T0)
    action_plan.cancel(action, EndReason.NO_ENDPOINT, T0)

    assert (action.state, action.reason, action.is_changed) == (
        ActionState.CANCELLED,
        EndReason.NO_ENDPOINT,
        True,
    )


# ---- the end of a campaign


@pytest.mark.parametrize(
    ("last", "reachability", "policy", "reason"),
    [
        (worded(Channel.EMAIL, 2), EVERYWHERE, {}, None),
        (worded(Channel.EMAIL, 2), EVERYWHERE, {"frequency_cap": 1}, "capped"),
        (worded(Channel.SMS, 2), consenting(sms="withdrawn"), {}, "no_consent"),
        (worded(Channel.SMS, 2), Reachability({}, True, False), {}, "no_address"),
        (ActionStep(Channel.TASK, 2, title="Look"), EVERYWHERE, {}, None),
        (ActionStep(Channel.CRM, 2), EVERYWHERE, {}, None),
    ],
)
def test_a_campaign_is_completed_when_its_last_step_is_over_whatever_became_of_it(
    last, reachability, policy, reason
):
    stage_actions = book(worded(Channel.EMAIL), last, is_campaign=True)
    action_plan = enter(agenda_of(stage_actions, reachability=reachability, **policy), "x")
    action_plan.run_due(day(2), is_inclusive=False)
    assert running_campaigns(action_plan.campaigns) == action_plan.campaigns
    action_plan.run_due(day(2), is_inclusive=True)

    assert action_plan.planned[-1].reason == reason
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason, campaign.is_changed) == (day(2), EndReason.COMPLETED, True)
    assert outbound_events(action_plan).count("campaign.ended") == 1


def test_a_step_that_a_worker_is_at_keeps_its_campaign_from_ending():
    action_plan = enter(agenda_of(book(worded(Channel.EMAIL), worded(Channel.SMS), is_campaign=True)), "x")
    email, sms = action_plan.planned
    for action in (email, sms):
        action_plan.decide_due(action, T0)
        action.state = ActionState.LEASED
    action_plan.complete(sms, T0)
    assert running_campaigns(action_plan.campaigns) == action_plan.campaigns
    action_plan.complete(email, T0 + HOUR)
    assert action_plan.campaigns[0].ended_at == T0 + HOUR


def test_steps_read_back_count_like_those_just_planned():
    action_plan = at_risk()
    kept = agenda_of()
    kept.version, kept.actions, kept.campaigns = 1, action_plan.planned, action_plan.campaigns
    kept.run_due(day(14), is_inclusive=True)

    assert [str(campaign.reason) for campaign in kept.campaigns] == ["completed"]
    assert outbound_events(kept)[-1] == "campaign.ended"


def test_a_person_may_end_a_campaign():
    action_plan = at_risk()
    action_plan.run_due(day(8), is_inclusive=True)
    action_plan.cancel_campaign(action_plan.campaigns[0], day(9))

    assert fates(action_plan, CAMPAIGN)[2:] == [("call", "done"), ("offer", "campaign_ended")]
    assert tasks(action_plan) == [
        ("notify_account_manager", None),
        ("schedule_check_in_call", None),
        (CAMPAIGN, "campaign_ended"),
    ]
    [campaign] = action_plan.campaigns
    assert (campaign.ended_at, campaign.reason) == (day(9), EndReason.BY_HAND)
    assert outbound_events(action_plan).count("campaign.ended") == 1
    assert action_plan.run_due(day(99), is_inclusive=True) == []


# ---- what is done here


@pytest.mark.parametrize(
    ("assignee_seed", "expected"), [(0, "ann"), (1, "bob"), (2, "cem"), (3, "ann"), (10**9, "bob")]
)
def test_every_customer_gets_one_of_the_assignees_and_always_the_same(assignee_seed, expected):
    people = ("ann", "bob", "cem")
    stage_actions = book(
        ActionStep(Channel.ASSIGNMENT, assignees=people), ActionStep(Channel.TASK, assignees=people)
    )
    action_plan = agenda_of(stage_actions)
    action_plan.assignee_seed = assignee_seed
    enter(action_plan, "x").run_due(T0, is_inclusive=True)

    assert (action_plan.owner, action_plan.tasks[0].assignee) == (expected, expected)


def test_a_task_for_nobody_in_particular_is_the_owner_s():
    action_plan = agenda_of()
    action_plan.owner = "zoe"
    enter(action_plan, "at_risk").run_due(T0, is_inclusive=True)
    assert {task.assignee for task in action_plan.tasks} == {"zoe"}
    enter(action_plan, "vip", day(1)).run_due(day(1), is_inclusive=True)
    assert (action_plan.owner, action_plan.tasks[-1].assignee) == ("vip managers", "vip managers")


def test_a_task_without_anybody_has_no_assignee():
    assert {task.assignee for task in settled(at_risk(), T0).tasks} == {None}


def settled(action_plan, until):
    action_plan.run_due(until, is_inclusive=True)
    return action_plan


@pytest.mark.parametrize(
    ("step", "zone", "at", "title", "due_at"),
    [
        (ActionStep(Channel.TASK), "UTC", "2026-05-01T22:00", "say hello", "2026-05-02T22:00"),
        (ActionStep(Channel.TASK, due_days=0), "UTC", "2026-05-01T22:00", "say hello", "2026-05-01T22:00"),
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
            "say hello",
            "2026-03-30T08:00",
        ),
        (
            ActionStep(Channel.TASK, due_days=90),
            "Asia/Kolkata",
            "2026-01-01T00:15",
            "say hello",
            "2026-04-01T00:15",
        ),
    ],
)
def test_a_task_has_a_title_and_so_many_days(step, zone, at, title, due_at):
    action_plan = enter(agenda_of(book(step, name="say_hello"), zone=ZoneInfo(zone)), "x", utc(at))
    [task] = settled(action_plan, utc(at)).tasks

    assert (task.title, task.due_at, task.created_at) == (title, utc(due_at), utc(at))
    assert (task.name, task.stage, task.channel, task.transition_seq) == ("say_hello", "x", step.channel, 1)
    assert task.action is action_plan.planned[0]


def test_the_task_of_a_campaign_is_its_own():
    action_plan = settled(at_risk(), day(7))

    assert [task.campaign for task in action_plan.tasks] == [None, None, action_plan.campaigns[0]]


# ---- news


def test_news_come_in_the_order_in_which_things_happened():
    action_plan = settled(at_risk(), day(7))
    assert outbound_events(action_plan) == [
        "stage.changed",
        "customer.at_risk",
        "campaign.started",
        "task.created",
        "task.created",
        "task.created",
    ]
    action_plan.outbound_events.clear()
    enter(action_plan, "customer", day(8))
    settled(action_plan, day(9))
    assert outbound_events(action_plan) == ["stage.changed", "campaign.ended"]


def test_news_say_of_what_they_are():
    action_plan = settled(at_risk(), day(0))
    by_type = {one.type: one for one in action_plan.outbound_events}

    assert by_type[OutboundEventType.STAGE_CHANGED].transition_seq == 1
    assert by_type[OutboundEventType.CUSTOMER_AT_RISK].transition_seq == 1
    assert by_type[OutboundEventType.CAMPAIGN_STARTED].campaign is action_plan.campaigns[0]
    assert by_type[OutboundEventType.TASK_CREATED].task is action_plan.tasks[-1]


@pytest.mark.parametrize(
    ("stage_map", "told"),
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
def test_only_the_mildest_risk_stage_is_told_of_as_a_risk(stage_map, told):
    found = []
    for key in stage_map.by_key:
        for runs_actions in (True, False):
            action_plan = enter(agenda_of({}, stage_map=stage_map), key, runs_actions=runs_actions)
            assert outbound_events(action_plan)[0] == "stage.changed"
            found += [key] if "customer.at_risk" in outbound_events(action_plan) else []
    assert found == [key for key in told for _ in range(2)]


# ---- time that is moved


def test_everything_happens_at_its_own_instant_and_in_the_order_of_time():
    first = StageAction("first", (worded(Channel.EMAIL, 2), worded(Channel.SMS, 5)))
    second = StageAction("second", (worded(Channel.SMS, 1), worded(Channel.EMAIL, 5)))
    action_plan = enter(agenda_of({"x": (first, second)}), "x")
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


def test_what_is_due_at_an_instant_comes_after_what_time_brings_then_and_before_what_is_told_then():
    for is_inclusive, fate in ((True, "done"), (False, "left_stage")):
        action_plan = at_risk()
        action_plan.run_due(day(3), is_inclusive=is_inclusive)
        enter(action_plan, "churned", day(3))
        assert fates(action_plan, CAMPAIGN)[1] == ("sms", fate)


def test_only_what_leaves_the_house_is_handed_on():
    action_plan = enter(agenda_of(), "customer")
    assert gone(action_plan.run_due(T0, is_inclusive=True)) == [
        ("email", T0),
        ("email", T0),
        ("crm", T0),
    ]
    enter(action_plan, "vip")
    assert gone(action_plan.run_due(T0, is_inclusive=True)) == [("email", T0)]


def test_nothing_happens_twice():
    action_plan = settled(at_risk(), day(14))
    before = [replace(action) for action in action_plan.planned]

    assert action_plan.run_due(day(400), is_inclusive=True) == []
    assert action_plan.planned == before


def test_a_step_waits_for_those_before_it():
    late, morning = utc("2026-05-01T22:00"), utc("2026-05-02T08:00")
    steps = (worded(Channel.EMAIL), ActionStep(Channel.CALL, 0, 2), ActionStep(Channel.CRM, 0, 3))
    stage_actions = {
        "x": (StageAction("chain", steps), StageAction("beside", (ActionStep(Channel.TASK, 0, 1),)))
    }
    action_plan = settled(enter(agenda_of(stage_actions), "x", late), day(365))

    assert dates(action_plan, "chain") == [morning, morning, morning]
    assert dates(action_plan, "beside") == [late + HOUR]


def cleared(action_plan, until):
    """Let time be moved in a company that delivers all the same: what has gone out is still to be taken away."""
    sent = action_plan.run_due(until, is_inclusive=True)
    for action in sent:
        action.state, action.finished_at, action.is_released_by_test_clock = ActionState.PENDING, None, True
    return sent


def test_what_a_test_clock_has_let_go_is_neither_called_back_nor_let_go_again():
    action_plan = at_risk()
    email, sms = cleared(action_plan, day(3))
    assert action_plan.run_due(day(4), is_inclusive=True) == []
    enter(action_plan, "customer", day(5))

    assert (email.state, sms.state) == (ActionState.PENDING, ActionState.PENDING)
    assert email.reserved_at == day(0)
    action_plan.end_all(day(6), EndReason.ERASED)
    assert (email.reason, sms.reason) == (EndReason.ERASED, EndReason.ERASED)


def test_what_a_test_clock_has_let_go_keeps_no_campaign_from_ending():
    action_plan = at_risk()
    cleared(action_plan, day(3))
    action_plan.run_due(day(14), is_inclusive=True)

    assert (action_plan.campaigns[0].ended_at, action_plan.campaigns[0].reason) == (
        day(14),
        EndReason.COMPLETED,
    )


# ---- what people ask for


@pytest.mark.parametrize(
    ("wish", "step"),
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
def test_a_person_asks_for_something_at_once(wish, step):
    action = manual_action(replace(wish, note="soon", request_key="k"), T0, stage="regular", actor="ann")

    assert action.step == step
    assert (action.name, action.number, action.stage) == (f"personal_{wish.channel}", 0, "regular")
    assert (action.planned_at, action.due_at, action.state) == (T0, T0, ActionState.PENDING)
    assert (action.transition_seq, action.is_stage_bound, action.campaign) == (None, False, None)
    assert (action.note, action.actor, action.request_key) == ("soon", "ann", "k")
    assert step_from_json(step_to_json(action.step)) == action.step


@pytest.mark.parametrize("channel", [Channel.CALL, Channel.EMAIL, Channel.OFFER])
def test_what_means_nothing_on_a_channel_is_left_out_so_that_what_is_kept_can_be_read_again(channel):
    everything = ManualActionRequest(channel, "t", "Title", "ann", 3, (("title", "Tea"),))
    step = manual_action(everything, T0, stage="x", actor="ann").step

    assert step_from_json(step_to_json(step)) == step
    assert (step.template is None) == (channel is Channel.CALL)
    assert (step.offer == ()) == (channel is not Channel.OFFER)


def test_what_a_person_asks_for_is_judged_like_anything_else():
    night = utc("2026-05-01T23:00")
    action_plan = agenda_of(reachability=consenting(call="withdrawn"), frequency_cap=1)
    for wish in (Channel.CALL, Channel.EMAIL, Channel.EMAIL):
        action_plan.request(manual_action(ManualActionRequest(wish, note="n"), night, stage="x", actor="ann"))
    action_plan.run_due(night + DAY, is_inclusive=True)

    assert fates(action_plan) == [("call", "no_consent"), ("email", "done"), ("email", "capped")]
    assert action_plan.planned[1].finished_at == utc("2026-05-02T08:00")


def test_a_person_s_call_is_a_task_with_their_note():
    action_plan = agenda_of()
    action_plan.request(
        manual_action(ManualActionRequest(Channel.CALL, note="mind the dog"), T0, stage="vip", actor="ann")
    )
    [task] = settled(action_plan, T0).tasks

    assert (task.title, task.note, task.is_stage_bound) == ("Call this customer", "mind the dog", False)
    assert task.due_at == day(1)


# ---- a company that has paused its messages


@pytest.mark.parametrize("channel", MESSAGES)
def test_a_pause_holds_whatever_would_be_written_and_nothing_else(channel):
    action_plan, action = one(channel, messages_paused=True, **NO_NIGHT)

    is_held = channel is not Channel.CALL
    assert action_plan.decide_due(action, T0) is (DueDecision.HELD if is_held else DueDecision.GO)
    assert (action.due_at > T0) is is_held


def test_a_pause_that_is_taken_back_lets_what_waits_go():
    action_plan, action = one(messages_paused=True, **NO_NIGHT)
    action_plan.decide_due(action, T0)

    action_plan.policy = replace(action_plan.policy, messages_paused=False)

    assert action_plan.decide_due(action, action.due_at) is DueDecision.GO


def test_what_has_waited_for_too_long_is_not_sent_any_more():
    action_plan, action = one(messages_paused=True, **NO_NIGHT)

    assert action_plan.run_due(T0 + 2 * DAY, is_inclusive=True) == []
    assert (action.state, action.reason) == (ActionState.CANCELLED, EndReason.HELD_TOO_LONG)
    assert action.finished_at is not None
    assert DAY < action.finished_at - T0 <= DAY + HOUR
