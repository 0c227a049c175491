"""The agenda under chance: whatever a customer goes through, these promises hold."""

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
from journey_service.domain.actions.action import ActionState, EndReason, ManualActionRequest
from journey_service.domain.actions.action_plan import ActionPlan, manual_action
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ActionStep,
    Channel,
    Reachability,
    StageAction,
)
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Transition, TransitionCause, TriggerType
from profiles import examples

UNASKED = (Channel.EMAIL, Channel.SMS, Channel.OFFER)
"""What reaches the customer at once."""
STAGES = tuple(DEFAULT_MAP.by_key)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York")
BUSY = {
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
class Deed:
    """Something that happens to a customer at an instant; `brings_due` tells whether what is due then comes first."""

    at: datetime
    kind: str
    value: object = None
    brings_due: bool = True


@dataclass(frozen=True)
class Life:
    """A company, and what one of its customers goes through, in the order of time."""

    policy: CompanyPolicy
    zone: ZoneInfo
    is_busy: bool
    deeds: list[Deed]
    halts: list[datetime] = field(default_factory=list)
    """Instants at which somebody looks in: they must not matter."""

    @property
    def end(self) -> datetime:
        """When whatever was planned is long over."""
        return self.deeds[-1].at + LATER


@dataclass
class Record:
    """What came of it: the agenda, and each move with what had been done before it, in order."""

    action_plan: ActionPlan
    handed_on: list[str]
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
    longest_hold_hours=st.sampled_from([2, 8, 24, 24]),
    campaign_pause_days=st.sampled_from([0, 1, 30, 30]),
)


def deeds(at: datetime) -> st.SearchStrategy[Deed]:
    return st.one_of(
        st.builds(Deed, st.just(at), st.just("move"), st.sampled_from(STAGES), st.booleans()),
        st.builds(Deed, st.just(at), st.just("move"), st.sampled_from(["at_risk", "regular"]), st.booleans()),
        st.builds(
            Deed,
            st.just(at),
            st.just("consent"),
            st.tuples(st.sampled_from(MESSAGES), st.sampled_from(["granted", "withdrawn", "unknown"])),
        ),
        st.builds(Deed, st.just(at), st.just("address"), st.tuples(st.booleans(), st.booleans())),
        st.builds(
            Deed, st.just(at), st.just("ask"), st.sampled_from([Channel.CALL, Channel.EMAIL, Channel.OFFER])
        ),
        st.builds(Deed, st.just(at), st.just("end campaign")),
    )


@st.composite
def lives(draw: st.DrawFn) -> Life:
    zone = draw(st.sampled_from(ZONES))
    at = T0 + draw(st.integers(0, 365 * 4)) * 6 * HOUR
    drawn = [Deed(at, "move", draw(st.sampled_from(STAGES)))]
    for _ in range(draw(st.integers(0, 12))):
        at += draw(spans)
        drawn.append(draw(deeds(at)))
    if draw(st.integers(0, 5)) == 5:
        drawn.append(Deed(at + draw(spans), "erase"))
    halts = st.builds(lambda share, off: drawn[0].at + share * HOUR + off, st.integers(0, 24 * 90), spans)
    return Life(
        draw(policies),
        ZoneInfo(zone),
        draw(st.booleans()),
        drawn,
        sorted(draw(st.lists(halts, max_size=8))),
    )


# ---- living it


def live(life: Life, *, looking_in: bool = False, kind: type[ActionPlan] = ActionPlan) -> Record:
    """Let it all happen, each thing due at its own instant."""
    action_plan = kind(life.policy, life.zone, DEFAULT_MAP, BUSY if life.is_busy else DEFAULT_ACTIONS)
    action_plan.reachability = Reachability({}, has_email=True, has_phone=True)
    statuses = {channel: [(life.deeds[0].at, "unknown")] for channel in MESSAGES}
    record = Record(action_plan, [], [], statuses)
    halts = iter(life.halts if looking_in else ())
    halt = next(halts, None)
    for deed in life.deeds:
        while halt is not None and halt < deed.at:
            _settle(record, halt)
            halt = next(halts, None)
        _settle(record, deed.at, is_inclusive=deed.brings_due)
        _do(record, deed)
    while halt is not None:
        _settle(record, halt)
        halt = next(halts, None)
    _settle(record, max([life.end, *life.halts]))
    return record


def _settle(record: Record, until: datetime, *, is_inclusive: bool = True) -> None:
    gone = record.action_plan.run_due(until, is_inclusive=is_inclusive)
    record.handed_on += [f"{action.name}/{action.number} {action.finished_at}" for action in gone]


def _do(record: Record, deed: Deed) -> None:
    action_plan = record.action_plan
    match deed.kind:
        case "move":
            cause = TransitionCause("event", str(action_plan.version + 1))
            moved = Transition(
                action_plan.version + 1, None, str(deed.value), deed.at, TriggerType.AUTOMATIC, None, cause, 1
            )
            record.moves.append((deed.at, set(map(id, done(record)))))
            action_plan.apply_transition(moved, runs_actions=True)
        case "consent":
            channel, status = deed.value
            record.statuses[channel].append((deed.at, status))
            action_plan.reachability = action_plan.reachability._replace(
                consents={**action_plan.reachability.consents, channel: status}
            )
        case "address":
            has_email, has_phone = deed.value
            action_plan.reachability = action_plan.reachability._replace(
                has_email=has_email, has_phone=has_phone
            )
        case "ask":
            action_plan.request(
                manual_action(ManualActionRequest(deed.value), deed.at, stage="x", actor="ann")
            )
        case "end campaign":
            for campaign in action_plan.campaigns:
                if campaign.ended_at is None:
                    action_plan.cancel_campaign(campaign, deed.at)
        case "erase":
            action_plan.is_erased = True
            record.erased_at = deed.at
            action_plan.end_all(deed.at, EndReason.ERASED)


def done(record: Record, *channels: Channel) -> list:
    return [
        action
        for action in record.action_plan.planned
        if action.state is ActionState.DONE and (not channels or action.step.channel in channels)
    ]


def as_told(record: Record) -> tuple[list, ...]:
    """All that can be seen of it afterwards."""
    action_plan = record.action_plan
    return (
        [
            (a.name, a.number, a.transition_seq, a.state, a.reason, a.due_at, a.finished_at, a.reserved_at)
            for a in action_plan.planned
        ],
        [(c.type, c.started_at, c.ended_at, c.reason) for c in action_plan.campaigns],
        [(t.name, t.created_at, t.due_at, t.ended_at, t.reason) for t in action_plan.tasks],
        [(one.type, one.transition_seq) for one in action_plan.outbound_events],
        record.handed_on,
        sorted((channel, tuple(at)) for channel, at in action_plan.sent.items()),
        [action_plan.owner],
    )


# ---- the promises


def assert_capped(life: Life, record: Record) -> None:
    """Of any so many messages on a channel and the next one, the two ends lie as far apart as the company wants."""
    span = timedelta(days=life.policy.frequency_cap_days)
    for channel in MESSAGES:
        times = sorted(action.finished_at for action in done(record, channel))
        for number, at in enumerate(times):
            assert bisect_left(times, at + span) - number <= life.policy.frequency_cap, (channel, at)


def assert_in_order(_: Life, record: Record) -> None:
    """The steps of an action are done one after the other."""
    steps = defaultdict(list)
    for action in done(record):
        if action.transition_seq is not None:
            steps[action.transition_seq, action.name].append((action.number, action.finished_at))
    for found in steps.values():
        assert [at for _, at in sorted(found)] == sorted(at for _, at in found), found


def assert_of_the_stage(_: Life, record: Record) -> None:
    """Nothing that is bound to a stage is done once that was left, and no task of it stays open."""
    for action in done(record):
        if action.is_stage_bound and action.transition_seq < len(record.moves):
            left_at, done_before = record.moves[action.transition_seq]
            assert id(action) in done_before, action
            assert action.finished_at <= left_at, action
    for task in record.action_plan.tasks:
        if task.is_stage_bound and task.transition_seq < len(record.moves):
            assert task.ended_at is not None, task
            assert task.ended_at <= record.moves[task.transition_seq][0]
    for campaign in record.action_plan.campaigns:
        if campaign.transition_seq < len(record.moves):
            assert campaign.ended_at <= record.moves[campaign.transition_seq][0]


def assert_one_campaign_at_a_time(life: Life, record: Record) -> None:
    """No campaign begins before the one of its type is over, and the pause after it."""
    runs = defaultdict(list)
    for campaign in record.action_plan.campaigns:
        runs[campaign.type].append((campaign.started_at, campaign.ended_at))
    pause = timedelta(days=life.policy.campaign_pause_days)
    for found in runs.values():
        for (_, ended_at), (started_at, _) in pairwise(found):
            assert ended_at + pause <= started_at, found


def assert_over(_: Life, record: Record) -> None:
    """Everything ends in one way, with a reason if and only if it was not done."""
    for action in record.action_plan.planned:
        assert action.state in (ActionState.DONE, ActionState.CANCELLED), action
        assert (action.reason is None) == (action.state is ActionState.DONE), action
        assert action.finished_at >= action.planned_at or action.state is ActionState.CANCELLED, action
        assert (action.reserved_at is not None) == (
            action.state is ActionState.DONE and action.step.channel in MESSAGES
        )
    assert all(campaign.ended_at is not None for campaign in record.action_plan.campaigns)
    ended = [one.campaign for one in record.action_plan.outbound_events if one.type == "campaign.ended"]
    assert sorted(map(id, ended)) == sorted(map(id, record.action_plan.campaigns)), "each is told of once"
    places = sorted(at for times in record.action_plan.sent.values() for at in times)
    assert places == sorted(action.finished_at for action in done(record, *MESSAGES))


def assert_asleep(life: Life, record: Record) -> None:
    """Nothing reaches the customer at night, by the clock on the wall."""
    start, end = time.fromisoformat(life.policy.quiet_from), time.fromisoformat(life.policy.quiet_until)
    for action in done(record, *UNASKED):
        shown = action.finished_at.astimezone(life.zone).time()
        is_quiet = start <= shown < end if start < end else shown >= start or shown < end
        assert not is_quiet, (action, shown)


def assert_wanted(life: Life, record: Record) -> None:
    """Nothing is done on a channel that the customer does not want, nor for anybody who was erased."""
    for action in done(record, *MESSAGES):
        # A change counts from its instant on: what was due at that instant came first.
        before = [status for at, status in record.statuses[action.step.channel] if at < action.finished_at]
        status = before[-1] if before else "unknown"
        same = [status for at, status in record.statuses[action.step.channel] if at == action.finished_at]
        allowed = {"granted"} if life.policy.consent == "opt_in" else {"granted", "unknown"}
        assert {status, *same} & allowed, action
    if record.erased_at is not None:
        assert all(action.finished_at <= record.erased_at for action in record.action_plan.planned)


PROMISES = (
    assert_capped,
    assert_in_order,
    assert_of_the_stage,
    assert_one_campaign_at_a_time,
    assert_over,
    assert_asleep,
    assert_wanted,
)


@settings(max_examples=examples(200))
@given(lives())
def test_whatever_happens_every_promise_is_kept(life):
    record = live(life)
    for promise in PROMISES:
        promise(life, record)


@settings(max_examples=examples(150))
@given(lives())
def test_looking_in_now_and_then_changes_nothing(life):
    assert as_told(live(life, looking_in=True)) == as_told(live(life))


@given(lives())
def test_what_is_planned_depends_on_the_moves_alone(life):
    """Consent, caps and nights decide what becomes of an action, not whether there is one."""
    record = live(life)
    stage_actions = BUSY if life.is_busy else DEFAULT_ACTIONS
    entered = [str(deed.value) for deed in life.deeds if deed.kind == "move"]
    expected = [
        (seq, asked.name, number)
        for seq, key in enumerate(entered, 1)
        for asked in stage_actions.get(key, ())
        for number in range(len(asked.steps))
    ]
    found = [
        (action.transition_seq, action.name, action.number)
        for action in record.action_plan.planned
        if action.transition_seq is not None
    ]
    assert found == expected


# ---- the checks themselves


class Uncapped(ActionPlan):
    """Forgets what was sent before."""

    def decide_due(self, action, now):
        self.sent.clear()
        return super().decide_due(action, now)


class Sleepless(ActionPlan):
    """Knows no night."""

    def _defer(self, _action, _now):
        return None


class Clinging(ActionPlan):
    """Goes on with what was for a stage that was left."""

    def apply_transition(self, transition, *, runs_actions):
        kept, self.planned = self.planned, []
        super().apply_transition(transition, runs_actions=runs_actions)
        self.planned = kept + self.planned

    def _cancel_reason(self, action):
        reason = super()._cancel_reason(action)
        return None if reason in (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED) else reason


class Messy(ActionPlan):
    """Leaves tasks open when the customer has come back."""

    def apply_transition(self, transition, *, runs_actions):
        kept, self.tasks = self.tasks, []
        super().apply_transition(transition, runs_actions=runs_actions)
        self.tasks = kept + self.tasks


class Restless(ActionPlan):
    """Begins a campaign whenever it is asked to."""

    def _campaign_obstacle(self, _kind, _at):
        return None


class Hasty(ActionPlan):
    """Lets no step wait for another."""

    def _waits_for_earlier_step(self, _action):
        return False


class Pushy(ActionPlan):
    """Does not ask for consent."""

    def _cancel_reason(self, action):
        reason = super()._cancel_reason(action)
        return None if reason is EndReason.NO_CONSENT else reason


class Endless(ActionPlan):
    """Never completes a campaign."""

    def _complete_campaign(self, _action, _at):
        return None


class Greedy(ActionPlan):
    """Keeps the places of what is not sent."""

    def decide_due(self, action, now):
        verdict = super().decide_due(action, now)
        if action.reason is not None:
            self.sent.setdefault(action.step.channel, []).append(now)
        return verdict


class Late(ActionPlan):
    """Lets everything due happen at the end of the time settled, not at its own instant."""

    def _next_due(self, until, *, is_inclusive):
        action = super()._next_due(until, is_inclusive=is_inclusive)
        if action is not None:
            action.due_at = until
        return action


def breaks(promise: Callable[[Life, Record], None], kind: type[ActionPlan], life: Life) -> bool:
    try:
        promise(life, live(life, kind=kind))
    except AssertionError:
        return True
    return False


def is_torn(life: Life, kind: type[ActionPlan]) -> bool:
    return as_told(live(life, looking_in=True, kind=kind)) != as_told(live(life, kind=kind))


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (Uncapped, assert_capped),
        (Sleepless, assert_asleep),
        (Clinging, assert_of_the_stage),
        (Messy, assert_of_the_stage),
        (Restless, assert_one_campaign_at_a_time),
        (Pushy, assert_wanted),
        (Endless, assert_over),
        (Greedy, assert_over),
    ],
    ids=lambda value: value.__name__,
)
def test_the_check_of_a_promise_finds_who_breaks_it(kind, promise):
    _some_life(partial(breaks, promise, kind))
    print("guard removed: detected")


def test_the_check_of_the_order_finds_a_call_that_overtakes_a_letter_held_at_night():
    late = T0 + 10 * HOUR
    life = Life(CompanyPolicy(), ZoneInfo("UTC"), True, [Deed(late, "move", "churned")])
    assert_in_order(life, live(life))
    with pytest.raises(AssertionError):
        assert_in_order(life, live(life, kind=Hasty))
    print("guard removed: detected")


def test_the_check_of_looking_in_finds_who_does_things_late():
    _some_life(partial(is_torn, kind=Late))
    print("guard removed: detected")


def _some_life(holds: Callable[[Life], bool]) -> None:
    """Find one of which it holds. Raises NoSuchExample."""
    generating = settings(max_examples=3_000, phases=[Phase.generate], database=None)
    find(lives(), holds, settings=generating, random=Random(20260101))
