"""Properties of the action plan: invariants that hold in random scenarios."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from functools import partial
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from domain.builders import DAY, DEFAULT_MAP, HOUR, INSTANT, T0
from journey_service.domain.actions.action import ActionState, EndReason, ManualActionRequest, manual_action
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.contact_policy import Reachability
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ActionStep,
    Channel,
    StageAction,
)
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Transition, TransitionCause, TriggerType
from profiles import examples

MESSAGE_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""Channels that reach the customer immediately."""
STAGES = tuple(DEFAULT_MAP.by_key)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York")
MANY_ACTIONS = {
    **DEFAULT_ACTIONS,
    "regular": (
        StageAction(
            "often",
            tuple(ActionStep(Channel.EMAIL, number, template="t") for number in (0, 0, 1, 2, 5, 7, 8)),
        ),
        StageAction(
            "nightly", tuple(ActionStep(Channel.SMS, 0, hours, template="t") for hours in (0, 1, 9, 23))
        ),
    ),
    "churned": (
        StageAction(
            "win_back",
            (
                ActionStep(Channel.EMAIL, 0, template="t"),
                ActionStep(Channel.CALL, 0, 3),
                ActionStep(Channel.OFFER, 0, 12, template="t"),
                ActionStep(Channel.CRM, 40),
            ),
            is_campaign=True,
        ),
    ),
}
LATER = 365 * DAY


@dataclass(frozen=True)
class Incident:
    """Change of a customer at a time; if `is_after_due`, actions due at that time are carried out first."""

    at: datetime
    kind: str
    value: object = None
    is_after_due: bool = True


@dataclass(frozen=True)
class Scenario:
    """Company, and the incidents of one of its customers in chronological order."""

    policy: CompanyPolicy
    zone: ZoneInfo
    has_many_actions: bool
    incidents: list[Incident]
    extra_runs: list[datetime] = field(default_factory=list)
    """Times of additional runs of due actions: they must not matter."""

    @property
    def end(self) -> datetime:
        """A time after which nothing is planned any more."""
        return self.incidents[-1].at + LATER


@dataclass
class ScenarioResult:
    """Action plan after a scenario, and for each transition the actions done before it."""

    action_plan: ActionPlan
    sent: list[str]
    moves: list[tuple[datetime, set[int]]]
    statuses: dict[Channel, list[tuple[datetime, str]]]
    erased_at: datetime | None = None


spans = st.one_of(
    st.just(timedelta(0)),
    st.integers(0, 12 * 4).map(lambda quarters: quarters * HOUR / 4),
    st.sampled_from([1, 2, 3, 5, 7, 14, 29, 30, 31]).map(lambda days: days * DAY),
    st.sampled_from([3, 7, 30]).map(lambda days: days * DAY - INSTANT),
)
policies = st.builds(
    CompanyPolicy,
    consent=st.sampled_from(["opt_out", "opt_out", "opt_in"]),
    frequency_cap=st.integers(1, 3),
    frequency_cap_days=st.sampled_from([1, 7, 7, 14]),
    quiet_from=st.just("21:00"),
    quiet_until=st.sampled_from(["08:00", "08:00", "06:30", "22:00"]),
    max_hold_hours=st.sampled_from([2, 8, 24, 24]),
    campaign_pause_days=st.sampled_from([0, 1, 30, 30]),
    address_wait_hours=st.sampled_from([0, 24, 72]),
)


def incidents(at: datetime) -> st.SearchStrategy[Incident]:
    return st.one_of(
        st.builds(Incident, st.just(at), st.just("move"), st.sampled_from(STAGES), st.booleans()),
        st.builds(
            Incident, st.just(at), st.just("move"), st.sampled_from(["at_risk", "regular"]), st.booleans()
        ),
        st.builds(
            Incident,
            st.just(at),
            st.just("consent"),
            st.tuples(st.sampled_from(MESSAGES), st.sampled_from(["granted", "withdrawn", "unknown"])),
        ),
        st.builds(Incident, st.just(at), st.just("address"), st.tuples(st.booleans(), st.booleans())),
        st.builds(
            Incident,
            st.just(at),
            st.just("ask"),
            st.sampled_from([Channel.CALL, Channel.EMAIL, Channel.OFFER]),
        ),
        st.builds(Incident, st.just(at), st.just("end campaign")),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    zone = draw(st.sampled_from(ZONES))
    at = T0 + draw(st.integers(0, 365 * 4)) * 6 * HOUR
    drawn = [Incident(at, "move", draw(st.sampled_from(STAGES)))]
    for _ in range(draw(st.integers(0, 12))):
        at += draw(spans)
        drawn.append(draw(incidents(at)))
    if draw(st.integers(0, 5)) == 5:
        drawn.append(Incident(at + draw(spans), "erase"))
    extra_runs = st.builds(
        lambda share, off: drawn[0].at + share * HOUR + off, st.integers(0, 24 * 90), spans
    )
    return Scenario(
        draw(policies),
        ZoneInfo(zone),
        draw(st.booleans()),
        drawn,
        sorted(draw(st.lists(extra_runs, max_size=8))),
    )


# ---- running a scenario


def run_scenario(
    scenario: Scenario, *, with_extra_runs: bool = False, kind: type[ActionPlan] = ActionPlan
) -> ScenarioResult:
    """Applies every incident, and runs due actions before each."""
    action_plan = kind(
        scenario.policy,
        scenario.zone,
        DEFAULT_MAP,
        MANY_ACTIONS if scenario.has_many_actions else DEFAULT_ACTIONS,
    )
    action_plan.reachability = Reachability({}, has_email=True, has_phone=True)
    statuses = {channel: [(scenario.incidents[0].at, "unknown")] for channel in MESSAGES}
    result = ScenarioResult(action_plan, [], [], statuses)
    extra_runs = iter(scenario.extra_runs if with_extra_runs else ())
    extra_run = next(extra_runs, None)
    for incident in scenario.incidents:
        while extra_run is not None and extra_run < incident.at:
            _run_due(result, extra_run)
            extra_run = next(extra_runs, None)
        _run_due(result, incident.at, is_inclusive=incident.is_after_due)
        _apply(result, incident)
    while extra_run is not None:
        _run_due(result, extra_run)
        extra_run = next(extra_runs, None)
    _run_due(result, max([scenario.end, *scenario.extra_runs]))
    return result


def _run_due(result: ScenarioResult, until: datetime, *, is_inclusive: bool = True) -> None:
    sent = result.action_plan.run_due(until, is_inclusive=is_inclusive)
    result.sent += [f"{action.name}/{action.number} {action.finished_at}" for action in sent]


def _apply(result: ScenarioResult, incident: Incident) -> None:
    action_plan = result.action_plan
    match incident.kind:
        case "move":
            cause = TransitionCause("event", str(action_plan.version + 1))
            moved = Transition(
                action_plan.version + 1,
                None,
                str(incident.value),
                incident.at,
                TriggerType.AUTOMATIC,
                None,
                cause,
                1,
            )
            result.moves.append((incident.at, set(map(id, done(result)))))
            action_plan.apply_transition(moved, runs_actions=True)
        case "consent":
            channel, status = incident.value
            result.statuses[channel].append((incident.at, status))
            action_plan.reachability = action_plan.reachability._replace(
                consents={**action_plan.reachability.consents, channel: status}
            )
        case "address":
            has_email, has_phone = incident.value
            action_plan.reachability = action_plan.reachability._replace(
                has_email=has_email, has_phone=has_phone
            )
        case "ask":
            action_plan.request(
                manual_action(ManualActionRequest(incident.value), incident.at, stage="x", actor="ann")
            )
        case "end campaign":
            for campaign in action_plan.campaigns:
                if campaign.ended_at is None:
                    action_plan.cancel_campaign(campaign, incident.at)
        case "erase":
            action_plan.is_erased = True
            result.erased_at = incident.at
            action_plan.end_all(incident.at, EndReason.ERASED)


def done(result: ScenarioResult, *channels: Channel) -> list:
    return [
        action
        for action in result.action_plan.planned
        if action.state is ActionState.DONE and (not channels or action.step.channel in channels)
    ]


def snapshot_of(result: ScenarioResult) -> tuple[list, ...]:
    """Returns everything that is visible after a scenario."""
    action_plan = result.action_plan
    return (
        [
            (a.name, a.number, a.transition_seq, a.state, a.reason, a.due_at, a.finished_at, a.reserved_at)
            for a in action_plan.planned
        ],
        [(c.type, c.started_at, c.ended_at, c.reason) for c in action_plan.campaigns],
        [(t.name, t.created_at, t.due_at, t.ended_at, t.reason) for t in action_plan.tasks],
        [(one.type, one.transition_seq) for one in action_plan.outbound_events],
        result.sent,
        sorted((channel, tuple(at)) for channel, at in action_plan.sent.items()),
        [action_plan.owner],
    )


# ---- invariants


def assert_capped(scenario: Scenario, result: ScenarioResult) -> None:
    """No window of the configured length holds more messages of a channel than the cap."""
    span = timedelta(days=scenario.policy.frequency_cap_days)
    for channel in MESSAGES:
        times = sorted(action.finished_at for action in done(result, channel))
        for number, at in enumerate(times):
            assert bisect_left(times, at + span) - number <= scenario.policy.frequency_cap, (channel, at)


def assert_in_order(scenario: Scenario, result: ScenarioResult) -> None:
    """The steps of a stage action are done in order, unless one may have waited for an address."""
    if scenario.policy.address_wait_hours and any(each.kind == "address" for each in scenario.incidents):
        return
    steps = defaultdict(list)
    for action in done(result):
        if action.transition_seq is not None:
            steps[action.transition_seq, action.name].append((action.number, action.finished_at))
    for found in steps.values():
        assert [at for _, at in sorted(found)] == sorted(at for _, at in found), found


def assert_bound_to_stage(_: Scenario, result: ScenarioResult) -> None:
    """Nothing bound to a stage is done after the customer has left it, and its tasks are closed."""
    for action in done(result):
        if action.is_stage_bound and action.transition_seq < len(result.moves):
            left_at, done_before = result.moves[action.transition_seq]
            assert id(action) in done_before, action
            assert action.finished_at <= left_at, action
    for task in result.action_plan.tasks:
        if task.is_stage_bound and task.transition_seq < len(result.moves):
            assert task.ended_at is not None, task
            assert task.ended_at <= result.moves[task.transition_seq][0]
    for campaign in result.action_plan.campaigns:
        if campaign.transition_seq < len(result.moves):
            assert campaign.ended_at <= result.moves[campaign.transition_seq][0]


def assert_one_campaign_at_a_time(scenario: Scenario, result: ScenarioResult) -> None:
    """No campaign starts before the previous one of its type and the pause after it are over."""
    runs = defaultdict(list)
    for campaign in result.action_plan.campaigns:
        runs[campaign.type].append((campaign.started_at, campaign.ended_at))
    pause = timedelta(days=scenario.policy.campaign_pause_days)
    for found in runs.values():
        for (_, ended_at), (started_at, _) in pairwise(found):
            assert ended_at + pause <= started_at, found


def assert_finished(scenario: Scenario, result: ScenarioResult) -> None:
    """Every action is done or cancelled, with a reason if and only if it was cancelled; one may recur."""
    for action in result.action_plan.planned:
        if action.number > 0 and action.step.every_days is not None and action.state is ActionState.PENDING:
            assert action.due_at > scenario.end, action
            continue
        assert action.state in (ActionState.DONE, ActionState.CANCELLED), action
        assert (action.reason is None) == (action.state is ActionState.DONE), action
        assert action.finished_at >= action.planned_at or action.state is ActionState.CANCELLED, action
        assert (action.reserved_at is not None) == (
            action.state is ActionState.DONE and action.step.channel in MESSAGES
        )
    assert all(campaign.ended_at is not None for campaign in result.action_plan.campaigns)
    ended = [one.campaign for one in result.action_plan.outbound_events if one.type == "campaign.ended"]
    assert sorted(map(id, ended)) == sorted(map(id, result.action_plan.campaigns)), (
        "each end is published once"
    )
    reservations = sorted(at for times in result.action_plan.sent.values() for at in times)
    assert reservations == sorted(action.finished_at for action in done(result, *MESSAGES))


def assert_outside_quiet_hours(scenario: Scenario, result: ScenarioResult) -> None:
    """Nothing reaches the customer in quiet hours, in local time."""
    start, end = (
        time.fromisoformat(scenario.policy.quiet_from),
        time.fromisoformat(scenario.policy.quiet_until),
    )
    for action in done(result, *MESSAGE_CHANNELS):
        local_time = action.finished_at.astimezone(scenario.zone).time()
        is_quiet = start <= local_time < end if start < end else local_time >= start or local_time < end
        assert not is_quiet, (action, local_time)


def assert_consented(scenario: Scenario, result: ScenarioResult) -> None:
    """Nothing is sent without consent, and nothing is done after an erasure."""
    for action in done(result, *MESSAGES):
        # A consent change takes effect after the actions that are due at the same time.
        before = [status for at, status in result.statuses[action.step.channel] if at < action.finished_at]
        status = before[-1] if before else "unknown"
        same = [status for at, status in result.statuses[action.step.channel] if at == action.finished_at]
        allowed = {"granted"} if scenario.policy.consent == "opt_in" else {"granted", "unknown"}
        assert {status, *same} & allowed, action
    if result.erased_at is not None:
        assert all(action.finished_at <= result.erased_at for action in result.action_plan.planned)


INVARIANTS = (
    assert_capped,
    assert_in_order,
    assert_bound_to_stage,
    assert_one_campaign_at_a_time,
    assert_finished,
    assert_outside_quiet_hours,
    assert_consented,
)


@settings(max_examples=examples(200))
@given(scenarios())
def test_invariants_hold_in_any_scenario(scenario):
    result = run_scenario(scenario)
    for invariant in INVARIANTS:
        invariant(scenario, result)


@settings(max_examples=examples(150))
@given(scenarios())
def test_extra_runs_change_nothing(scenario):
    assert snapshot_of(run_scenario(scenario, with_extra_runs=True)) == snapshot_of(run_scenario(scenario))


@given(scenarios())
def test_planned_actions_depend_on_transitions_only(scenario):
    """Consent, caps and quiet hours decide the outcome of an action, not whether it is planned."""
    result = run_scenario(scenario)
    stage_actions = MANY_ACTIONS if scenario.has_many_actions else DEFAULT_ACTIONS
    entered = [str(incident.value) for incident in scenario.incidents if incident.kind == "move"]
    expected = [
        (seq, stage_action.name, number)
        for seq, key in enumerate(entered, 1)
        for stage_action in stage_actions.get(key, ())
        for number, step in enumerate(stage_action.steps)
        if step.channel is not Channel.NOTICE
    ]
    found = [
        (action.transition_seq, action.name, action.number)
        for action in result.action_plan.planned
        if action.transition_seq is not None and not (action.number > 0 and action.step.every_days)
    ]
    assert found == expected


# ---- checks of the invariants


class IgnoresCap(ActionPlan):
    """Forgets earlier messages."""

    def decide_due(self, action, now):
        self.sent.clear()
        return super().decide_due(action, now)


class IgnoresQuietHours(ActionPlan):
    """Sends in quiet hours."""

    def _defer(self, _action, _now):
        return None


class KeepsActions(ActionPlan):
    """Does not cancel actions of a stage that was left."""

    def apply_transition(self, transition, *, runs_actions):
        previous, self.planned = self.planned, []
        super().apply_transition(transition, runs_actions=runs_actions)
        self.planned = previous + self.planned

    def _cancel_reason(self, action, now):
        reason = super()._cancel_reason(action, now)
        return None if reason in (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED) else reason


class KeepsTasks(ActionPlan):
    """Does not close tasks of a stage that was left."""

    def apply_transition(self, transition, *, runs_actions):
        previous, self.tasks = self.tasks, []
        super().apply_transition(transition, runs_actions=runs_actions)
        self.tasks = previous + self.tasks


class IgnoresPause(ActionPlan):
    """Starts campaigns without a pause."""

    def _campaign_obstacle(self, _kind, _at):
        return None


class IgnoresStepOrder(ActionPlan):
    """Does not wait for earlier steps."""

    def _waits_for_earlier_step(self, _action):
        return False


class IgnoresConsent(ActionPlan):
    """Sends without consent."""

    def _cancel_reason(self, action, now):
        reason = super()._cancel_reason(action, now)
        return None if reason is EndReason.NO_CONSENT else reason


class NeverCompletesCampaigns(ActionPlan):
    """Never completes a campaign."""

    def _complete_campaign(self, _action, _at):
        return None


class KeepsReservations(ActionPlan):
    """Counts cancelled messages under the cap."""

    def decide_due(self, action, now):
        decision = super().decide_due(action, now)
        if action.reason is not None:
            self.sent.setdefault(action.step.channel, []).append(now)
        return decision


class RunsLate(ActionPlan):
    """Carries out due actions at the end of the run, not at their own due time."""

    def _next_due(self, until, *, is_inclusive):
        action = super()._next_due(until, is_inclusive=is_inclusive)
        if action is not None:
            action.due_at = until
        return action


def violates(
    invariant: Callable[[Scenario, ScenarioResult], None], kind: type[ActionPlan], scenario: Scenario
) -> bool:
    try:
        invariant(scenario, run_scenario(scenario, kind=kind))
    except AssertionError:
        return True
    return False


def differs_with_extra_runs(scenario: Scenario, kind: type[ActionPlan]) -> bool:
    return snapshot_of(run_scenario(scenario, with_extra_runs=True, kind=kind)) != snapshot_of(
        run_scenario(scenario, kind=kind)
    )


@pytest.mark.parametrize(
    ("kind", "invariant"),
    [
        (IgnoresCap, assert_capped),
        (IgnoresQuietHours, assert_outside_quiet_hours),
        (KeepsActions, assert_bound_to_stage),
        (KeepsTasks, assert_bound_to_stage),
        (IgnoresPause, assert_one_campaign_at_a_time),
        (IgnoresConsent, assert_consented),
        (NeverCompletesCampaigns, assert_finished),
        (KeepsReservations, assert_finished),
    ],
    ids=lambda value: value.__name__,
)
def test_each_invariant_detects_its_violation(kind, invariant):
    _find_scenario(partial(violates, invariant, kind))
    print("guard removed: detected")


def test_the_order_check_detects_a_call_before_a_deferred_email():
    late = T0 + 10 * HOUR
    scenario = Scenario(CompanyPolicy(), ZoneInfo("UTC"), True, [Incident(late, "move", "churned")])
    assert_in_order(scenario, run_scenario(scenario))
    with pytest.raises(AssertionError):
        assert_in_order(scenario, run_scenario(scenario, kind=IgnoresStepOrder))
    print("guard removed: detected")


def test_the_check_of_extra_runs_detects_late_execution():
    _find_scenario(partial(differs_with_extra_runs, kind=RunsLate))
    print("guard removed: detected")


def _find_scenario(holds: Callable[[Scenario], bool]) -> None:
    """Finds a scenario that has a property. Raises NoSuchExample."""
    generating = settings(max_examples=3_000, phases=[Phase.generate], database=None)
    find(scenarios(), holds, settings=generating, random=Random(20260101))
