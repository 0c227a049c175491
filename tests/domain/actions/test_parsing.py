"""What a company has a stage do on entry: read from JSON with the place of every fault, and written as it is read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journey_service.domain.actions.parsing import (
    actions_to_json,
    parse_actions,
    step_from_json,
    step_to_json,
)
from journey_service.domain.actions.stage_actions import DEFAULT_ACTIONS, ActionStep, Channel, StageAction
from journey_service.domain.errors import InvalidInputError
from profiles import examples

OBJECT = "must be an object"
UNKNOWN = "is not known here"
NAME = "must be 1 to 64 small letters, digits and underscores, a letter first"
PERSONAL = "must not begin as what people ask for by hand does"
TWICE = "is the name of another action of the stage"
LIST = "must be a list of at most 20 actions"
STEPS = "must be a list of 1 to 20 steps"
ORDER = "must not be due before the step above it"
TEXT = "must be a text of 1 to 255 characters on one line"
TEXTS = "must be a list of at most 100 texts"
YES_OR_NO = "must be true or false"
DAYS = "must be a whole number from 0 to 365"
HOURS = "must be a whole number from 0 to 23"
VALID = "must be a whole number from 1 to 365"
SOMEBODY = "must name somebody to assign the customer to"
CHANNELS = "email, sms, call, offer, crm, task, assignment"

EMAIL = {"channel": "email", "template": "welcome"}
SMS = {"channel": "sms", "template": "hello"}
OFFER = {"channel": "offer", "template": "treat"}
CALL = {"channel": "call"}
TASK = {"channel": "task"}
CRM = {"channel": "crm"}
ASSIGNMENT = {"channel": "assignment", "assignees": ["ann"]}


def act(*steps, name="act", **more):
    return {"name": name, "steps": list(steps) or [CRM], **more}


def parsed(*steps):
    """The steps of one action."""
    [action] = parse_actions([act(*steps)])
    return action.steps


def faults_of(raw, pointer="/actions"):
    with pytest.raises(InvalidInputError) as caught:
        parse_actions(raw, pointer)
    return [(fault.pointer, fault.message) for fault in caught.value.errors]


def faults_of_step(step):
    """The faults of one step, by the place within it."""
    found = faults_of([act(step)])
    prefix = "/actions/0/steps/0"
    assert all(pointer.startswith(prefix) for pointer, _ in found), found
    return [(pointer.removeprefix(prefix), message) for pointer, message in found]


def unfit(channel):
    return f"means nothing on the channel {channel}"


# ---- what is read


@pytest.mark.parametrize("stage", DEFAULT_ACTIONS)
def test_what_the_guide_has_a_stage_do_can_be_written_and_read(stage):
    actions = DEFAULT_ACTIONS[stage]

    assert parse_actions(json.loads(json.dumps(actions_to_json(actions)))) == actions


def test_what_is_not_said_is_not_written():
    campaign = DEFAULT_ACTIONS["at_risk"][1]

    assert actions_to_json([campaign]) == [
        {
            "name": "create_retention_campaign",
            "campaign": True,
            "steps": [
                {"channel": "email", "delay_days": 0, "template": "retention_email"},
                {"channel": "sms", "delay_days": 3, "template": "retention_sms"},
                {
                    "channel": "call",
                    "delay_days": 7,
                    "title": "Call a customer we have not seen for a while",
                    "due_days": 2,
                },
                {
                    "channel": "offer",
                    "delay_days": 14,
                    "template": "retention_offer",
                    "offer": {
                        "title": "A treat for your next visit",
                        "description": "10% off your next appointment",
                        "valid_days": 30,
                    },
                },
            ],
        }
    ]


@pytest.mark.parametrize(
    ("raw", "step"),
    [
        (EMAIL, ActionStep(Channel.EMAIL, template="welcome")),
        ({**SMS, "delay_days": 365, "delay_hours": 23}, ActionStep(Channel.SMS, 365, 23, "hello")),
        (CALL, ActionStep(Channel.CALL)),
        (
            {**TASK, "title": "Look", "assignees": ["ann", "bob"], "due_days": 0},
            ActionStep(Channel.TASK, title="Look", assignees=("ann", "bob"), due_days=0),
        ),
        (CRM, ActionStep(Channel.CRM)),
        (ASSIGNMENT, ActionStep(Channel.ASSIGNMENT, assignees=("ann",))),
        (OFFER, ActionStep(Channel.OFFER, template="treat")),
        ({**OFFER, "offer": {}}, ActionStep(Channel.OFFER, template="treat")),
        (
            {**OFFER, "offer": {"valid_days": 1, "code": "X1", "description": "d", "title": "t"}},
            ActionStep(
                Channel.OFFER,
                template="treat",
                offer=(("title", "t"), ("description", "d"), ("code", "X1"), ("valid_days", 1)),
            ),
        ),
        # null, and nobody, are as good as nothing
        (
            {**EMAIL, "delay_days": None, "title": None, "assignees": [], "offer": None, "due_days": None},
            ActionStep(Channel.EMAIL, template="welcome"),
        ),
        ({**TASK, "title": "x" * 255}, ActionStep(Channel.TASK, title="x" * 255)),
        (
            {**TASK, "title": "Grüß Gott, 李さん 👋🏽"},
            ActionStep(Channel.TASK, title="Grüß Gott, 李さん 👋🏽"),
        ),
    ],
)
def test_a_step_is_read(raw, step):
    assert parsed(raw) == (step,)
    assert step_from_json(raw) == step
    assert step_from_json(step_to_json(step)) == step


def test_a_stage_may_do_nothing_and_twenty_things():
    assert parse_actions([]) == ()
    names = [f"act_{number}" for number in range(20)]
    assert [action.name for action in parse_actions([act(name=name) for name in names])] == names
    assert len(parsed(*[CRM] * 20)) == 20


def test_steps_are_in_order_if_none_is_due_before_the_one_above():
    days = [(0, 0), (0, 5), (0, 5), (1, 0), (1, 23), (30, 0)]
    steps = [{**CRM, "delay_days": number, "delay_hours": hours} for number, hours in days]

    assert [(step.day, step.hours) for step in parsed(*steps)] == days


@pytest.mark.parametrize(
    ("told", "expected"), [({}, False), ({"campaign": True}, True), ({"campaign": False}, False)]
)
def test_an_action_is_a_campaign_if_it_says_so(told, expected):
    assert parse_actions([act(**told)])[0].is_campaign is expected


# ---- what is refused


@pytest.mark.parametrize(
    "raw",
    [None, {}, "x", 3, True, [act(name=f"a{number}") for number in range(21)]],
    ids=lambda raw: str(raw)[:9],
)
def test_the_actions_of_a_stage_are_a_list(raw):
    assert faults_of(raw, "/here") == [("/here", LIST)]


@pytest.mark.parametrize("raw", [None, [], "x", 3, True])
def test_an_action_is_an_object(raw):
    assert faults_of([act(), raw]) == [("/actions/1", OBJECT)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, NAME),
        ("", NAME),
        (3, NAME),
        (["a"], NAME),
        ("Act", NAME),
        ("1st", NAME),
        ("_act", NAME),
        ("an act", NAME),
        ("act\n", NAME),
        ("a\x00", NAME),
        ("ärger", NAME),
        ("a" * 65, NAME),
        ("personal_", PERSONAL),
        ("personal_email", PERSONAL),
    ],
    ids=repr,
)
def test_an_action_has_a_name_of_its_own_kind(name, message):
    assert faults_of([act(name=name)]) == [("/actions/0/name", message)]


@pytest.mark.parametrize("name", ["a", "a" * 64, "personal", "a1_", "impersonal_"])
def test_other_names_are_fine(name):
    assert parse_actions([act(name=name)])[0].name == name


def test_no_two_actions_have_one_name():
    assert faults_of([act(name="a"), act(name="b"), act(name="a"), act(name="a")]) == [
        ("/actions/2/name", TWICE),
        ("/actions/3/name", TWICE),
    ]


@pytest.mark.parametrize("steps", [None, [], {}, "x", 0, [CRM] * 21], ids=lambda raw: str(raw)[:9])
def test_an_action_has_one_to_twenty_steps(steps):
    assert faults_of([{"name": "a", "steps": steps}]) == [("/actions/0/steps", STEPS)]


def test_an_action_without_steps_says_nothing():
    assert faults_of([{"name": "a"}]) == [("/actions/0/steps", STEPS)]


@pytest.mark.parametrize("value", [0, 1, "true", None, []], ids=repr)
def test_an_action_is_a_campaign_or_not(value):
    assert faults_of([act(campaign=value)]) == [("/actions/0/campaign", YES_OR_NO)]


@pytest.mark.parametrize("raw", [None, [], "email", 3, False], ids=repr)
def test_a_step_is_an_object(raw):
    assert faults_of_step(raw) == [("", OBJECT)]


@pytest.mark.parametrize(
    ("channel", "shown"),
    [
        ("webhook", "'webhook'"),
        ("fax", "'fax'"),
        ("EMAIL", "'EMAIL'"),
        ("", "''"),
        (None, "None"),
        (3, "3"),
        (True, "True"),
        (["email"], "['email']"),
        ("x" * 100, repr("x" * 100)[:60]),
    ],
    ids=repr,
)
def test_a_step_goes_over_a_channel_that_there_is(channel, shown):
    assert faults_of_step({"channel": channel}) == [("/channel", f"{shown} is not one of {CHANNELS}")]


@pytest.mark.parametrize(
    ("step", "place", "message"),
    [
        # texts
        ({"channel": "email"}, "/template", "is required on the channel email"),
        ({"channel": "sms", "template": None}, "/template", "is required on the channel sms"),
        ({"channel": "offer"}, "/template", "is required on the channel offer"),
        ({**CRM, "template": "t"}, "/template", unfit("crm")),
        ({**TASK, "template": "t"}, "/template", unfit("task")),
        ({**CALL, "template": "t"}, "/template", unfit("call")),
        ({**ASSIGNMENT, "template": "t"}, "/template", unfit("assignment")),
        ({**EMAIL, "title": "Hi"}, "/title", unfit("email")),
        ({**SMS, "title": "Hi"}, "/title", unfit("sms")),
        ({**OFFER, "title": "Hi"}, "/title", unfit("offer")),
        ({**CRM, "title": "Hi"}, "/title", unfit("crm")),
        ({**ASSIGNMENT, "title": "Hi"}, "/title", unfit("assignment")),
        ({**TASK, "title": ""}, "/title", TEXT),
        ({**TASK, "title": "x" * 256}, "/title", TEXT),
        ({**TASK, "title": 3}, "/title", TEXT),
        ({**TASK, "title": ["x"]}, "/title", TEXT),
        ({**TASK, "title": "a\nb"}, "/title", TEXT),
        ({**TASK, "title": "a\rb"}, "/title", TEXT),
        ({**TASK, "title": "a\tb"}, "/title", TEXT),
        ({**TASK, "title": "a\x00b"}, "/title", TEXT),
        ({**TASK, "title": "a\x7fb"}, "/title", TEXT),
        ({**TASK, "title": "a\ud800b"}, "/title", TEXT),
        # assignees
        ({"channel": "assignment"}, "/assignees", SOMEBODY),
        ({"channel": "assignment", "assignees": []}, "/assignees", SOMEBODY),
        ({"channel": "assignment", "assignees": None}, "/assignees", SOMEBODY),
        ({**EMAIL, "assignees": ["ann"]}, "/assignees", unfit("email")),
        ({**CRM, "assignees": ["ann"]}, "/assignees", unfit("crm")),
        ({**TASK, "assignees": "ann"}, "/assignees", TEXTS),
        ({**TASK, "assignees": {"ann": 1}}, "/assignees", TEXTS),
        ({**TASK, "assignees": ["ann"] * 101}, "/assignees", TEXTS),
        ({**TASK, "assignees": ["ann", ""]}, "/assignees/1", TEXT),
        ({**TASK, "assignees": ["ann", "b\nb"]}, "/assignees/1", TEXT),
        ({**TASK, "assignees": [None]}, "/assignees/0", TEXT),
        # days and hours
        ({**CRM, "delay_days": -1}, "/delay_days", DAYS),
        ({**CRM, "delay_days": 366}, "/delay_days", DAYS),
        ({**CRM, "delay_days": 10**400}, "/delay_days", DAYS),
        ({**CRM, "delay_days": True}, "/delay_days", DAYS),
        ({**CRM, "delay_days": 1.0}, "/delay_days", DAYS),
        ({**CRM, "delay_days": "1"}, "/delay_days", DAYS),
        ({**CRM, "delay_days": [1]}, "/delay_days", DAYS),
        ({**CRM, "delay_hours": -1}, "/delay_hours", HOURS),
        ({**CRM, "delay_hours": 24}, "/delay_hours", HOURS),
        ({**CRM, "delay_hours": False}, "/delay_hours", HOURS),
        ({**TASK, "due_days": -1}, "/due_days", DAYS),
        ({**TASK, "due_days": 366}, "/due_days", DAYS),
        ({**TASK, "due_days": True}, "/due_days", DAYS),
        ({**EMAIL, "due_days": 1}, "/due_days", unfit("email")),
        ({**EMAIL, "due_days": 0}, "/due_days", unfit("email")),
        ({**ASSIGNMENT, "due_days": 1}, "/due_days", unfit("assignment")),
        # offers
        ({**EMAIL, "offer": {"title": "x"}}, "/offer", unfit("email")),
        ({**CALL, "offer": {}}, "/offer", unfit("call")),
        ({**OFFER, "offer": "x"}, "/offer", OBJECT),
        ({**OFFER, "offer": [["title", "x"]]}, "/offer", OBJECT),
        ({**OFFER, "offer": {"price": 3}}, "/offer/price", UNKNOWN),
        ({**OFFER, "offer": {"title": ""}}, "/offer/title", TEXT),
        ({**OFFER, "offer": {"title": 3}}, "/offer/title", TEXT),
        ({**OFFER, "offer": {"description": "a\x00"}}, "/offer/description", TEXT),
        ({**OFFER, "offer": {"code": "x" * 256}}, "/offer/code", TEXT),
        ({**OFFER, "offer": {"valid_days": 0}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": 366}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": True}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": "30"}}, "/offer/valid_days", VALID),
        # what there is not
        ({**CRM, "delay": 3}, "/delay", UNKNOWN),
        ({**CRM, "a/b~c": 3}, "/a~1b~0c", UNKNOWN),
        ({**CRM, "a\x00": 3}, "/a\ufffd", UNKNOWN),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_faulty_step_is_refused_with_its_place(step, place, message):
    assert faults_of_step(step) == [(place, message)]


def test_what_is_not_known_of_an_action_is_told():
    assert faults_of([act(delay=3, **{"a/b": 1})]) == [
        ("/actions/0/delay", UNKNOWN),
        ("/actions/0/a~1b", UNKNOWN),
    ]


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ([(1, 0), (0, 0)], [1]),
        ([(0, 5), (0, 4)], [1]),
        ([(3, 0), (2, 23), (3, 0), (1, 0)], [1, 3]),
        ([(1, 5), (2, 0), (1, 6)], [2]),
    ],
)
def test_steps_out_of_order_are_refused(times, places):
    steps = [{**CRM, "delay_days": number, "delay_hours": hours} for number, hours in times]

    assert faults_of([act(*steps)]) == [(f"/actions/0/steps/{place}", ORDER) for place in places]


def test_every_fault_is_told_at_once():
    raw = [
        act({"channel": "fax"}, {**EMAIL, "delay_days": -1, "title": "x"}, name="1"),
        act({**CRM, "delay_days": 2}, CRM, name="b"),
        act(name="b"),
        7,
    ]
    assert [place for place, _ in faults_of(raw)] == [
        "/actions/0/name",
        "/actions/0/steps/0/channel",
        "/actions/0/steps/1/delay_days",
        "/actions/0/steps/1/title",
        "/actions/1/steps/1",
        "/actions/3",
        "/actions/2/name",
    ]


def test_what_was_kept_and_is_faulty_is_told_like_anything_else():
    with pytest.raises(InvalidInputError) as caught:
        step_from_json({"channel": "webhook"})
    assert [fault.pointer for fault in caught.value.errors] == ["/channel"]


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "monster",
    [_nested(5_000), {"a": _nested(5_000)}, "x" * 10**6, 10**4000, float("nan"), float("-inf")],
    ids=["deep", "deep below", "long", "huge", "nan", "inf"],
)
@pytest.mark.parametrize("place", ["channel", "delay_days", "template", "title", "assignees", "offer"])
def test_nothing_is_too_deep_or_too_long_to_be_refused(monster, place):
    assert faults_of([act({**TASK, place: monster}), monster, act(name=monster), act(campaign=monster)])
    assert faults_of([act({**OFFER, "offer": {"title": monster, "valid_days": monster}})])


# ---- under chance

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 400),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*(str(channel) for channel in Channel), "act", "welcome"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
names = st.sampled_from(["act", "b", "personal_x", "Act", "c_1"])
fields = ("delay_days", "delay_hours", "template", "title", "assignees", "due_days", "offer")


def almost(strategy):
    """What is asked for, or now and then something else."""
    return st.one_of(strategy, strategy, strategy, anything)


texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    str.strip
)
offers = st.fixed_dictionaries(
    {},
    optional={
        "title": almost(texts),
        "description": almost(texts),
        "code": almost(texts),
        "valid_days": almost(st.integers(1, 365)),
    },
)
steps = st.fixed_dictionaries(
    {"channel": almost(st.sampled_from([str(channel) for channel in Channel]))},
    optional={
        "delay_days": almost(st.integers(0, 365)),
        "delay_hours": almost(st.integers(0, 23)),
        "template": almost(texts),
        "title": almost(texts),
        "assignees": almost(st.lists(texts, max_size=3)),
        "due_days": almost(st.integers(0, 365)),
        "offer": almost(offers),
        "more": anything,
    },
)
stage_actions = almost(
    st.lists(
        almost(
            st.fixed_dictionaries(
                {"name": almost(names), "steps": almost(st.lists(almost(steps), max_size=3))},
                optional={"campaign": almost(st.booleans())},
            )
        ),
        max_size=3,
    )
)


@settings(max_examples=examples(300))
@given(st.one_of(anything, stage_actions))
def test_whatever_is_told_is_read_or_refused_with_places(raw):
    faults = []
    try:
        found = parse_actions(raw)
    except InvalidInputError as error:
        faults = error.errors
    else:
        assert parse_actions(json.loads(json.dumps(actions_to_json(found)))) == found
    assert all(fault.pointer.startswith("/actions") and fault.message for fault in faults)


@st.composite
def sound_steps(draw):
    channel = draw(st.sampled_from([channel for channel in Channel if channel is not Channel.WEBHOOK]))
    is_worded = channel in (Channel.EMAIL, Channel.SMS, Channel.OFFER)
    is_worked_off = channel in (Channel.CALL, Channel.TASK)
    people = st.lists(texts, min_size=channel is Channel.ASSIGNMENT, max_size=3).map(tuple)
    offer = draw(
        st.fixed_dictionaries({}, optional={"title": texts, "code": texts, "valid_days": st.integers(1, 365)})
    )
    return ActionStep(
        channel,
        draw(st.integers(0, 365)),
        draw(st.integers(0, 23)),
        template=draw(texts) if is_worded else None,
        title=draw(st.one_of(st.none(), texts)) if is_worked_off else None,
        assignees=draw(people) if is_worked_off or channel is Channel.ASSIGNMENT else (),
        due_days=draw(st.one_of(st.none(), st.integers(0, 365))) if is_worked_off else None,
        offer=tuple((name, offer[name]) for name in ("title", "code", "valid_days") if name in offer)
        if channel is Channel.OFFER
        else (),
    )


sound_actions = st.builds(
    StageAction,
    st.from_regex(r"\A[a-oq-z][a-z0-9_]{0,63}\Z", fullmatch=True),
    st.lists(sound_steps(), min_size=1, max_size=5).map(
        lambda drawn: tuple(sorted(drawn, key=lambda step: (step.day, step.hours)))
    ),
    is_campaign=st.booleans(),
)


def _with_one_campaign(actions):
    """A stage has one campaign at most."""
    first = next((place for place, action in enumerate(actions) if action.is_campaign), None)
    return [action._replace(is_campaign=place == first) for place, action in enumerate(actions)]


@given(st.lists(sound_actions, max_size=4, unique_by=lambda action: action.name).map(_with_one_campaign))
def test_whatever_is_sound_comes_back_as_it_was(actions):
    assert parse_actions(json.loads(json.dumps(actions_to_json(actions)))) == tuple(actions)
    for action in actions:
        assert tuple(step_from_json(step_to_json(step)) for step in action.steps) == action.steps


def test_a_stage_has_one_campaign_at_most():
    with pytest.raises(InvalidInputError) as raised:
        parse_actions([act(name="first", campaign=True), act(name="second", campaign=True)])

    assert [fault.pointer for fault in raised.value.errors] == ["/actions/1/campaign"]


@pytest.mark.parametrize("title", [" ", "a\u2028b", "a\u0085b"])
def test_a_title_is_seen_and_on_one_line(title):
    with pytest.raises(InvalidInputError) as raised:
        parse_actions([act(steps=[{"channel": "task", "title": title}])])

    assert [fault.pointer for fault in raised.value.errors] == ["/actions/0/steps/0/title"]
