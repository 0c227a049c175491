"""Stage actions and planned messages: defaults, consent, addresses, the frequency cap."""

from dataclasses import replace
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.builders import DAY, DEFAULT_MAP, T0
from journey_service.domain.actions.action import ActionState
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.contact_policy import ContactDecision, Reachability, planned_messages
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    HUMAN_TASK_CHANNELS,
    MESSAGES,
    QUIET_HOURS_CHANNELS,
    RETENTION_CAMPAIGN,
    TEMPLATED_CHANNELS,
    ActionStep,
    Channel,
    StageAction,
)
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.journeys.relationship import Transition, TransitionCause, TriggerType

REACHABLE = Reachability({}, has_email=True, has_phone=True)
GUIDE = {
    "lead": ["send_welcome_email", "assign_to_sales_team", "create_follow_up_task"],
    "customer": ["send_onboarding_sequence", "create_feedback_request", "update_crm_status"],
    "vip": ["assign_dedicated_manager", "send_vip_benefits_email", "create_quarterly_review"],
    "at_risk": ["notify_account_manager", "create_retention_campaign", "schedule_check_in_call"],
}


def decisions_of(entered, reachability=REACHABLE, policy=DEFAULT_POLICY, **actions):
    return [
        (str(c), str(decision))
        for c, decision in planned_messages(entered, reachability, policy, actions or DEFAULT_ACTIONS)
    ]


def test_the_default_actions_are_those_of_the_guide():
    assert {key: [action.name for action in actions] for key, actions in DEFAULT_ACTIONS.items()} == GUIDE


def test_the_retention_campaign_is_that_of_the_guide():
    assert [(str(step.channel), step.day, step.hours) for step in RETENTION_CAMPAIGN] == [
        ("email", 0, 0),
        ("sms", 3, 0),
        ("call", 7, 0),
        ("offer", 14, 0),
    ]
    campaigns = [
        action.name for actions in DEFAULT_ACTIONS.values() for action in actions if action.is_campaign
    ]
    assert campaigns == ["create_retention_campaign"]


def test_a_step_is_delayed_by_days_or_hours():
    assert not ActionStep(Channel.EMAIL, template="t", due_days=3).is_delayed
    assert ActionStep(Channel.EMAIL, 1).is_delayed
    assert ActionStep(Channel.EMAIL, 0, 1).is_delayed


@pytest.mark.parametrize(
    ("channel", "traits"),
    [
        (Channel.EMAIL, "message, quiet hours, templated"),
        (Channel.SMS, "message, quiet hours, templated"),
        (Channel.CALL, "message, human task"),
        (Channel.OFFER, "message, quiet hours, templated"),
        (Channel.CRM, ""),
        (Channel.TASK, "human task"),
        (Channel.ASSIGNMENT, ""),
        (Channel.NOTICE, "templated"),
        (Channel.WEBHOOK, ""),
    ],
)
def test_channel_groups(channel, traits):
    kinds = {
        "message": MESSAGES,
        "quiet hours": QUIET_HOURS_CHANNELS,
        "templated": TEMPLATED_CHANNELS,
        "human task": HUMAN_TASK_CHANNELS,
    }

    assert ", ".join(kind for kind, channels in kinds.items() if channel in channels) == traits


def test_tasks_assignments_and_crm_are_not_messages():
    assert decisions_of(["lead"]) == [("email", "sent")]
    assert decisions_of(["prospect", "regular", "churned"]) == []


def test_entering_at_risk_sends_the_whole_campaign_in_order():
    assert decisions_of(["at_risk"]) == [
        ("email", "sent"),
        ("call", "sent"),
        ("sms", "sent"),
        ("call", "sent"),
        ("offer", "sent"),
    ]


@pytest.mark.parametrize(
    ("status", "model", "decision"),
    [
        ("granted", "opt_out", ContactDecision.SENT),
        ("granted", "opt_in", ContactDecision.SENT),
        ("withdrawn", "opt_out", ContactDecision.NO_CONSENT),
        ("withdrawn", "opt_in", ContactDecision.NO_CONSENT),
        ("unknown", "opt_out", ContactDecision.SENT),
        ("unknown", "opt_in", ContactDecision.NO_CONSENT),
    ],
)
def test_a_message_needs_consent_under_the_company_s_policy(status, model, decision):
    policy = replace(DEFAULT_POLICY, consent=model)

    assert (
        Reachability({"email": status}, has_email=True, has_phone=False).contact_decision(
            Channel.EMAIL, policy
        )
        is decision
    )
    if status == "unknown":
        assert REACHABLE.contact_decision(Channel.EMAIL, policy) is decision


@pytest.mark.parametrize(
    ("channel", "has_email", "has_phone", "decision"),
    [
        (Channel.EMAIL, True, False, ContactDecision.SENT),
        (Channel.EMAIL, False, True, ContactDecision.NO_ADDRESS),
        (Channel.SMS, False, True, ContactDecision.SENT),
        (Channel.SMS, True, False, ContactDecision.NO_ADDRESS),
        (Channel.CALL, False, True, ContactDecision.SENT),
        (Channel.CALL, True, False, ContactDecision.NO_ADDRESS),
        (Channel.OFFER, False, False, ContactDecision.SENT),
    ],
)
def test_a_message_needs_an_address(channel, has_email, has_phone, decision):
    assert Reachability({}, has_email, has_phone).contact_decision(channel, DEFAULT_POLICY) is decision


@pytest.mark.parametrize(
    ("days", "decisions"),
    [
        ([0, 1, 2, 3], ["sent", "sent", "sent", "capped"]),
        ([0, 1, 2, 7], ["sent", "sent", "sent", "sent"]),
        ([0, 0, 0, 0, 7, 7], ["sent", "sent", "sent", "capped", "sent", "sent"]),
        ([0, 1, 2, 6, 8], ["sent", "sent", "sent", "capped", "sent"]),
    ],
)
def test_the_default_cap_is_three_messages_per_channel_in_seven_days(days, decisions):
    frequent = (StageAction("frequent", tuple(ActionStep(Channel.SMS, day) for day in days)),)

    assert decisions_of(["x"], x=frequent) == [("sms", decision) for decision in decisions]
    mixed = (StageAction("mixed", (*frequent[0].steps, ActionStep(Channel.EMAIL, 3))),)
    assert ("email", "sent") in decisions_of(["x"], x=mixed), "the cap applies to one channel"


def test_an_unsent_message_does_not_count_under_the_cap():
    steps = tuple(ActionStep(Channel.SMS) for _ in range(4))
    withdrawn = Reachability({"sms": "withdrawn"}, has_email=True, has_phone=True)

    assert decisions_of(["x"], withdrawn, x=(StageAction("a", steps),)) == [("sms", "no_consent")] * 4


def test_the_cap_of_the_policy_applies():
    strict = replace(DEFAULT_POLICY, frequency_cap=1, frequency_cap_days=14)

    assert [
        decision for channel, decision in decisions_of(["at_risk"], policy=strict) if channel == "call"
    ] == [
        "sent",
        "capped",
    ]


def test_hours_count_for_the_cap():
    late = StageAction(
        "late", (ActionStep(Channel.SMS, 0, 23), ActionStep(Channel.SMS, 7), ActionStep(Channel.SMS, 7, 23))
    )
    policy = replace(DEFAULT_POLICY, frequency_cap=1)

    assert decisions_of(["x"], policy=policy, x=(late,)) == [
        ("sms", "sent"),
        ("sms", "capped"),
        ("sms", "sent"),
    ]
    early = StageAction("early", (ActionStep(Channel.SMS, 0, 5),))
    assert decisions_of(
        ["x"], policy=policy, x=(early, StageAction("first", (ActionStep(Channel.SMS),)))
    ) == [
        ("sms", "sent"),
        ("sms", "capped"),
    ]


# ---- planned messages compared with the action plan

due_times = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 23)), min_size=1, max_size=4).map(sorted)
reachabilities = st.builds(
    Reachability,
    st.dictionaries(st.sampled_from(MESSAGES), st.sampled_from(["granted", "withdrawn", "unknown"])),
    st.booleans(),
    st.booleans(),
)
policies = st.builds(
    lambda consent, cap, days: replace(
        DEFAULT_POLICY,
        consent=consent,
        frequency_cap=cap,
        frequency_cap_days=days,
        quiet_from=None,
        quiet_until=None,
    ),
    st.sampled_from(["opt_in", "opt_out"]),
    st.integers(1, 3),
    st.sampled_from([1, 7, 9]),
)


@st.composite
def random_actions(draw):
    """Draws the actions of a stage, with steps on any channel."""
    drawn = draw(st.lists(due_times, max_size=4))
    numbers = count()
    channels = st.sampled_from([channel for channel in Channel if channel is not Channel.WEBHOOK])
    return tuple(
        StageAction(
            f"act_{next(numbers)}", tuple(ActionStep(draw(channels), day, hours) for day, hours in each)
        )
        for each in drawn
    )


@given(st.one_of(random_actions(), st.sampled_from(list(DEFAULT_ACTIONS.values()))), reachabilities, policies)
def test_planned_messages_agree_with_the_action_plan_of_a_customer_who_stays(actions, reachability, policy):
    action_plan = ActionPlan(
        policy, ZoneInfo("UTC"), DEFAULT_MAP, {"regular": actions}, reachability=reachability
    )
    cause = TransitionCause("event", "1")
    action_plan.apply_transition(
        Transition(1, None, "regular", T0, TriggerType.AUTOMATIC, None, cause, 1), runs_actions=True
    )
    # Three days more than the last step: it may wait for an address.
    action_plan.run_due(T0 + 33 * DAY, is_inclusive=True)

    made = [action for action in action_plan.planned if action.step.channel in MESSAGES]
    found = sorted(
        (str(action.step.channel), "sent" if action.state is ActionState.DONE else str(action.reason))
        for action in made
    )
    assert sorted(decisions_of(["regular"], reachability, policy, regular=actions)) == found
