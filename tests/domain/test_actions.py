"""What a stage sends to a customer, and what becomes of it: consent, addresses, the frequency cap."""

from dataclasses import replace

import pytest

from journey_service.domain.actions import DEFAULT_ACTIONS, StageAction, Channel, Fate, Reach, Step, messages
from journey_service.domain.policy import DEFAULT_POLICY

EVERYWHERE = Reach({}, has_email=True, has_phone=True)
GUIDE = {
    "lead": ["send_welcome_email", "assign_to_sales_team", "create_follow_up_task"],
    "customer": ["send_onboarding_sequence", "create_feedback_request", "update_crm_status"],
    "vip": ["assign_dedicated_manager", "send_vip_benefits_email", "create_quarterly_review"],
    "at_risk": ["notify_account_manager", "create_retention_campaign", "schedule_check_in_call"],
}


def told(entered, reach=EVERYWHERE, policy=DEFAULT_POLICY, **actions):
    return [(str(c), str(fate)) for c, fate in messages(entered, reach, policy, actions or DEFAULT_ACTIONS)]


def test_the_twelve_actions_are_the_guide_s():
    assert {key: [action.name for action in actions] for key, actions in DEFAULT_ACTIONS.items()} == GUIDE


def test_tasks_assignments_and_the_crm_are_no_messages():
    assert told(["lead"]) == [("email", "sent")]
    assert told(["prospect", "regular", "churned"]) == []


def test_a_lapse_is_answered_by_the_whole_campaign_in_the_order_of_its_days():
    assert told(["at_risk"]) == [
        ("email", "sent"),
        ("call", "sent"),
        ("sms", "sent"),
        ("call", "sent"),
        ("offer", "sent"),
    ]


@pytest.mark.parametrize(
    ("status", "model", "fate"),
    [
        ("granted", "opt_out", Fate.SENT),
        ("granted", "opt_in", Fate.SENT),
        ("withdrawn", "opt_out", Fate.NO_CONSENT),
        ("withdrawn", "opt_in", Fate.NO_CONSENT),
        ("unknown", "opt_out", Fate.SENT),
        ("unknown", "opt_in", Fate.NO_CONSENT),
    ],
)
def test_a_message_needs_the_consent_the_company_asks_for(status, model, fate):
    policy = replace(DEFAULT_POLICY, consent=model)

    assert Reach({"email": status}, has_email=True, has_phone=False).fate(Channel.EMAIL, policy) is fate
    if status == "unknown":
        assert EVERYWHERE.fate(Channel.EMAIL, policy) is fate


@pytest.mark.parametrize(
    ("channel", "has_email", "has_phone", "fate"),
    [
        (Channel.EMAIL, True, False, Fate.SENT),
        (Channel.EMAIL, False, True, Fate.NO_ADDRESS),
        (Channel.SMS, False, True, Fate.SENT),
        (Channel.SMS, True, False, Fate.NO_ADDRESS),
        (Channel.CALL, False, True, Fate.SENT),
        (Channel.CALL, True, False, Fate.NO_ADDRESS),
        (Channel.OFFER, False, False, Fate.SENT),
    ],
)
def test_a_message_needs_an_address(channel, has_email, has_phone, fate):
    assert Reach({}, has_email, has_phone).fate(channel, DEFAULT_POLICY) is fate


@pytest.mark.parametrize(
    ("days", "fates"),
    [
        ([0, 1, 2, 3], ["sent", "sent", "sent", "capped"]),
        ([0, 1, 2, 7], ["sent", "sent", "sent", "sent"]),
        ([0, 0, 0, 0, 7, 7], ["sent", "sent", "sent", "capped", "sent", "sent"]),
        ([0, 1, 2, 6, 8], ["sent", "sent", "sent", "capped", "sent"]),
    ],
)
def test_no_channel_is_used_more_than_three_times_within_any_seven_days(days, fates):
    often = (StageAction("often", tuple(Step(Channel.SMS, day) for day in days)),)

    assert told(["x"], x=often) == [("sms", fate) for fate in fates]
    mixed = (StageAction("mixed", (*often[0].steps, Step(Channel.EMAIL, 3))),)
    assert ("email", "sent") in told(["x"], x=mixed), "the cap is of one channel"


def test_what_is_not_sent_does_not_use_up_the_cap():
    steps = tuple(Step(Channel.SMS) for _ in range(4))
    withdrawn = Reach({"sms": "withdrawn"}, has_email=True, has_phone=True)

    assert told(["x"], withdrawn, x=(StageAction("a", steps),)) == [("sms", "no_consent")] * 4


def test_the_cap_is_the_company_s():
    strict = replace(DEFAULT_POLICY, frequency_cap=1, frequency_cap_days=14)

    assert [fate for channel, fate in told(["at_risk"], policy=strict) if channel == "call"] == [
        "sent",
        "capped",
    ]
