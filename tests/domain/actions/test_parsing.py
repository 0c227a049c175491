"""Parsing of stage actions from JSON: accepted fields, the position of every error, and serialization."""

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
from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    ActionStep,
    Channel,
    DelayFrom,
    Repeat,
    StageAction,
)
from journey_service.domain.errors import InvalidInputError
from profiles import examples

OBJECT = "must be an object"
UNKNOWN_FIELD = "is not a known field"
NAME = "must be 1 to 64 lowercase letters, digits and underscores, starting with a letter"
PERSONAL = "must not start with 'personal_', which is reserved for manual actions"
DUPLICATE_NAME = "is already used by another action of the stage"
LIST = "must be a list of at most 20 actions"
STEPS = "must be a list of 1 to 20 steps"
ORDER = "must not be due before the previous step"
TEXT = "must be a text of 1 to 255 characters on one line"
TEXTS = "must be a list of at most 100 texts"
BOOLEAN = "must be true or false"
DAYS = "must be a whole number from 0 to 365"
HOURS = "must be a whole number from 0 to 23"
VALID = "must be a whole number from 1 to 365"
NO_ASSIGNEE = "must contain at least one assignee"
CHANNELS = "email, sms, call, offer, crm, task, assignment, notice"

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
    """Parses the steps of one action."""
    [action] = parse_actions([act(*steps)])
    return action.steps


def errors_of(raw, pointer="/actions"):
    with pytest.raises(InvalidInputError) as caught:
        parse_actions(raw, pointer)
    return [(error.pointer, error.message) for error in caught.value.errors]


def errors_of_step(step):
    """Returns the errors of one step by their position within it."""
    found = errors_of([act(step)])
    prefix = "/actions/0/steps/0"
    assert all(pointer.startswith(prefix) for pointer, _ in found), found
    return [(pointer.removeprefix(prefix), message) for pointer, message in found]


def not_allowed(channel):
    return f"is not allowed on the channel {channel}"


# ---- accepted input


@pytest.mark.parametrize("stage", DEFAULT_ACTIONS)
def test_default_actions_are_parsed_as_they_are_serialized(stage):
    actions = DEFAULT_ACTIONS[stage]

    assert parse_actions(json.loads(json.dumps(actions_to_json(actions)))) == actions


def test_empty_fields_are_not_serialized():
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
        # null and an empty list are the same as a missing field
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
def test_a_step_is_parsed(raw, step):
    assert parsed(raw) == (step,)
    assert step_from_json(raw) == step
    assert step_from_json(step_to_json(step)) == step


def test_a_stage_has_up_to_twenty_actions():
    assert parse_actions([]) == ()
    names = [f"act_{number}" for number in range(20)]
    assert [action.name for action in parse_actions([act(name=name) for name in names])] == names
    assert len(parsed(*[CRM] * 20)) == 20


def test_steps_are_in_order_if_none_is_due_before_the_previous_one():
    days = [(0, 0), (0, 5), (0, 5), (1, 0), (1, 23), (30, 0)]
    steps = [{**CRM, "delay_days": number, "delay_hours": hours} for number, hours in days]

    assert [(step.day, step.hours) for step in parsed(*steps)] == days


@pytest.mark.parametrize(
    ("fields", "expected"), [({}, False), ({"campaign": True}, True), ({"campaign": False}, False)]
)
def test_an_action_is_a_campaign_only_if_the_field_is_true(fields, expected):
    assert parse_actions([act(**fields)])[0].is_campaign is expected


# ---- rejected input


@pytest.mark.parametrize(
    "raw",
    [None, {}, "x", 3, True, [act(name=f"a{number}") for number in range(21)]],
    ids=lambda raw: str(raw)[:9],
)
def test_the_actions_of_a_stage_are_a_list(raw):
    assert errors_of(raw, "/here") == [("/here", LIST)]


@pytest.mark.parametrize("raw", [None, [], "x", 3, True])
def test_an_action_is_an_object(raw):
    assert errors_of([act(), raw]) == [("/actions/1", OBJECT)]


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
def test_an_invalid_name_is_rejected(name, message):
    assert errors_of([act(name=name)]) == [("/actions/0/name", message)]


@pytest.mark.parametrize("name", ["a", "a" * 64, "personal", "a1_", "impersonal_"])
def test_a_valid_name_is_accepted(name):
    assert parse_actions([act(name=name)])[0].name == name


def test_a_repeated_name_is_rejected():
    assert errors_of([act(name="a"), act(name="b"), act(name="a"), act(name="a")]) == [
        ("/actions/2/name", DUPLICATE_NAME),
        ("/actions/3/name", DUPLICATE_NAME),
    ]


@pytest.mark.parametrize("steps", [None, [], {}, "x", 0, [CRM] * 21], ids=lambda raw: str(raw)[:9])
def test_an_action_has_one_to_twenty_steps(steps):
    assert errors_of([{"name": "a", "steps": steps}]) == [("/actions/0/steps", STEPS)]


def test_an_action_without_steps_is_rejected():
    assert errors_of([{"name": "a"}]) == [("/actions/0/steps", STEPS)]


@pytest.mark.parametrize("value", [0, 1, "true", None, []], ids=repr)
def test_campaign_must_be_a_boolean(value):
    assert errors_of([act(campaign=value)]) == [("/actions/0/campaign", BOOLEAN)]


@pytest.mark.parametrize("raw", [None, [], "email", 3, False], ids=repr)
def test_a_step_is_an_object(raw):
    assert errors_of_step(raw) == [("", OBJECT)]


@pytest.mark.parametrize(
    ("channel", "quoted"),
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
def test_an_unknown_channel_is_rejected(channel, quoted):
    assert errors_of_step({"channel": channel}) == [("/channel", f"must be one of {CHANNELS}; got {quoted}")]


@pytest.mark.parametrize(
    ("step", "position", "message"),
    [
        # texts
        ({"channel": "email"}, "/template", "is required on the channel email"),
        ({"channel": "sms", "template": None}, "/template", "is required on the channel sms"),
        ({"channel": "offer"}, "/template", "is required on the channel offer"),
        ({**CRM, "template": "t"}, "/template", not_allowed("crm")),
        ({**TASK, "template": "t"}, "/template", not_allowed("task")),
        ({**CALL, "template": "t"}, "/template", not_allowed("call")),
        ({**ASSIGNMENT, "template": "t"}, "/template", not_allowed("assignment")),
        ({**EMAIL, "title": "Hi"}, "/title", not_allowed("email")),
        ({**SMS, "title": "Hi"}, "/title", not_allowed("sms")),
        ({**OFFER, "title": "Hi"}, "/title", not_allowed("offer")),
        ({**CRM, "title": "Hi"}, "/title", not_allowed("crm")),
        ({**ASSIGNMENT, "title": "Hi"}, "/title", not_allowed("assignment")),
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
        ({"channel": "assignment"}, "/assignees", NO_ASSIGNEE),
        ({"channel": "assignment", "assignees": []}, "/assignees", NO_ASSIGNEE),
        ({"channel": "assignment", "assignees": None}, "/assignees", NO_ASSIGNEE),
        ({**EMAIL, "assignees": ["ann"]}, "/assignees", not_allowed("email")),
        ({**CRM, "assignees": ["ann"]}, "/assignees", not_allowed("crm")),
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
        ({**EMAIL, "due_days": 1}, "/due_days", not_allowed("email")),
        ({**EMAIL, "due_days": 0}, "/due_days", not_allowed("email")),
        ({**ASSIGNMENT, "due_days": 1}, "/due_days", not_allowed("assignment")),
        # offers
        ({**EMAIL, "offer": {"title": "x"}}, "/offer", not_allowed("email")),
        ({**CALL, "offer": {}}, "/offer", not_allowed("call")),
        ({**OFFER, "offer": "x"}, "/offer", OBJECT),
        ({**OFFER, "offer": [["title", "x"]]}, "/offer", OBJECT),
        ({**OFFER, "offer": {"price": 3}}, "/offer/price", UNKNOWN_FIELD),
        ({**OFFER, "offer": {"title": ""}}, "/offer/title", TEXT),
        ({**OFFER, "offer": {"title": 3}}, "/offer/title", TEXT),
        ({**OFFER, "offer": {"description": "a\x00"}}, "/offer/description", TEXT),
        ({**OFFER, "offer": {"code": "x" * 256}}, "/offer/code", TEXT),
        ({**OFFER, "offer": {"valid_days": 0}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": 366}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": True}}, "/offer/valid_days", VALID),
        ({**OFFER, "offer": {"valid_days": "30"}}, "/offer/valid_days", VALID),
        # unknown fields
        ({**CRM, "delay": 3}, "/delay", UNKNOWN_FIELD),
        ({**CRM, "a/b~c": 3}, "/a~1b~0c", UNKNOWN_FIELD),
        ({**CRM, "a\x00": 3}, "/a\ufffd", UNKNOWN_FIELD),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_invalid_step_is_rejected_with_the_position_of_the_error(step, position, message):
    assert errors_of_step(step) == [(position, message)]


def test_unknown_fields_of_an_action_are_rejected():
    assert errors_of([act(delay=3, **{"a/b": 1})]) == [
        ("/actions/0/delay", UNKNOWN_FIELD),
        ("/actions/0/a~1b", UNKNOWN_FIELD),
    ]


@pytest.mark.parametrize(
    ("times", "positions"),
    [
        ([(1, 0), (0, 0)], [1]),
        ([(0, 5), (0, 4)], [1]),
        ([(3, 0), (2, 23), (3, 0), (1, 0)], [1, 3]),
        ([(1, 5), (2, 0), (1, 6)], [2]),
    ],
)
def test_steps_out_of_order_are_rejected(times, positions):
    steps = [{**CRM, "delay_days": number, "delay_hours": hours} for number, hours in times]

    assert errors_of([act(*steps)]) == [(f"/actions/0/steps/{position}", ORDER) for position in positions]


def test_all_errors_are_reported_at_once():
    raw = [
        act({"channel": "fax"}, {**EMAIL, "delay_days": -1, "title": "x"}, name="1"),
        act({**CRM, "delay_days": 2}, CRM, name="b"),
        act(name="b"),
        7,
    ]
    assert [position for position, _ in errors_of(raw)] == [
        "/actions/0/name",
        "/actions/0/steps/0/channel",
        "/actions/0/steps/1/delay_days",
        "/actions/0/steps/1/title",
        "/actions/1/steps/1",
        "/actions/3",
        "/actions/2/name",
    ]


def test_an_invalid_stored_step_is_rejected():
    with pytest.raises(InvalidInputError) as caught:
        step_from_json({"channel": "webhook"})
    assert [error.pointer for error in caught.value.errors] == ["/channel"]


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [_nested(5_000), {"a": _nested(5_000)}, "x" * 10**6, 10**4000, float("nan"), float("-inf")],
    ids=["deep", "deep below", "long", "huge", "nan", "inf"],
)
@pytest.mark.parametrize("position", ["channel", "delay_days", "template", "title", "assignees", "offer"])
def test_deeply_nested_and_oversized_values_are_rejected(value, position):
    assert errors_of([act({**TASK, position: value}), value, act(name=value), act(campaign=value)])
    assert errors_of([act({**OFFER, "offer": {"title": value, "valid_days": value}})])


# ---- properties

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


def mostly(strategy):
    """Draws from the strategy, and sometimes an arbitrary value."""
    return st.one_of(strategy, strategy, strategy, anything)


texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8).filter(
    str.strip
)
offers = st.fixed_dictionaries(
    {},
    optional={
        "title": mostly(texts),
        "description": mostly(texts),
        "code": mostly(texts),
        "valid_days": mostly(st.integers(1, 365)),
    },
)
steps = st.fixed_dictionaries(
    {"channel": mostly(st.sampled_from([str(channel) for channel in Channel]))},
    optional={
        "delay_days": mostly(st.integers(0, 365)),
        "delay_hours": mostly(st.integers(0, 23)),
        "template": mostly(texts),
        "title": mostly(texts),
        "assignees": mostly(st.lists(texts, max_size=3)),
        "due_days": mostly(st.integers(0, 365)),
        "offer": mostly(offers),
        "more": anything,
    },
)
stage_actions = mostly(
    st.lists(
        mostly(
            st.fixed_dictionaries(
                {"name": mostly(names), "steps": mostly(st.lists(mostly(steps), max_size=3))},
                optional={"campaign": mostly(st.booleans())},
            )
        ),
        max_size=3,
    )
)


@settings(max_examples=examples(300))
@given(st.one_of(anything, stage_actions))
def test_any_input_is_parsed_or_rejected_with_positions(raw):
    errors = []
    try:
        found = parse_actions(raw)
    except InvalidInputError as error:
        errors = error.errors
    else:
        assert parse_actions(json.loads(json.dumps(actions_to_json(found)))) == found
    assert all(error.pointer.startswith("/actions") and error.message for error in errors)


@st.composite
def valid_steps(draw):
    channel = draw(st.sampled_from([channel for channel in Channel if channel is not Channel.WEBHOOK]))
    is_templated = channel in (Channel.EMAIL, Channel.SMS, Channel.OFFER, Channel.NOTICE)
    is_human_task = channel in (Channel.CALL, Channel.TASK)
    people = st.lists(texts, min_size=channel is Channel.ASSIGNMENT, max_size=3).map(tuple)
    offer = draw(
        st.fixed_dictionaries({}, optional={"title": texts, "code": texts, "valid_days": st.integers(1, 365)})
    )
    return ActionStep(
        channel,
        draw(st.integers(0, 365)),
        draw(st.integers(0, 23)),
        template=draw(texts) if is_templated else None,
        title=draw(st.one_of(st.none(), texts)) if is_human_task else None,
        assignees=draw(people) if is_human_task or channel is Channel.ASSIGNMENT else (),
        due_days=draw(st.one_of(st.none(), st.integers(0, 365))) if is_human_task else None,
        offer=tuple((name, offer[name]) for name in ("title", "code", "valid_days") if name in offer)
        if channel is Channel.OFFER
        else (),
        delay_from=draw(st.sampled_from(DelayFrom)),
    )


valid_actions = st.builds(
    StageAction,
    st.from_regex(r"\A[a-oq-z][a-z0-9_]{0,63}\Z", fullmatch=True),
    st.lists(valid_steps(), min_size=1, max_size=5).map(
        lambda drawn: tuple(sorted(drawn, key=lambda step: (step.day, step.hours)))
    ),
    is_campaign=st.booleans(),
    repeat=st.sampled_from([None, *Repeat]),
)


def _with_one_campaign(actions):
    """Keeps only the first campaign: a stage has at most one."""
    first = next((position for position, action in enumerate(actions) if action.is_campaign), None)
    return [action._replace(is_campaign=position == first) for position, action in enumerate(actions)]


@given(st.lists(valid_actions, max_size=4, unique_by=lambda action: action.name).map(_with_one_campaign))
def test_valid_actions_are_parsed_as_they_are_serialized(actions):
    assert parse_actions(json.loads(json.dumps(actions_to_json(actions)))) == tuple(actions)
    for action in actions:
        assert tuple(step_from_json(step_to_json(step)) for step in action.steps) == action.steps


def test_a_second_campaign_is_rejected():
    with pytest.raises(InvalidInputError) as raised:
        parse_actions([act(name="first", campaign=True), act(name="second", campaign=True)])

    assert [error.pointer for error in raised.value.errors] == ["/actions/1/campaign"]


REVIEW = {"channel": "task", "every_days": 90}


@pytest.mark.parametrize(
    ("action", "pointer"),
    [
        ({"steps": [REVIEW]}, None),
        ({"steps": [REVIEW], "repeat": "every"}, None),
        ({"steps": [REVIEW], "repeat": "once"}, "/repeat"),
        ({"steps": [REVIEW], "campaign": True}, "/campaign"),
        ({"steps": [REVIEW, CRM]}, "/steps"),
        ({"steps": [{**REVIEW, "every_days": 0}]}, "/steps/0/every_days"),
        ({"steps": [{**REVIEW, "every_days": 366}]}, "/steps/0/every_days"),
        ({"steps": [{**REVIEW, "delay_from": "departure"}]}, "/steps/0/delay_from"),
        ({"steps": [CRM], "repeat": "twice"}, "/repeat"),
        ({"steps": [CRM], "repeat": None}, None),
    ],
)
def test_repetition_and_recurrence_are_checked(action, pointer):
    if pointer is None:
        [parsed] = parse_actions([act(**action)])
        assert parse_actions(actions_to_json([parsed])) == (parsed,)
        assert step_from_json(step_to_json(parsed.steps[0])) == parsed.steps[0]
        return
    with pytest.raises(InvalidInputError) as raised:
        parse_actions([act(**action)])

    assert [error.pointer for error in raised.value.errors] == [f"/actions/0{pointer}"]


@pytest.mark.parametrize("title", [" ", "a\u2028b", "a\u0085b"])
def test_a_blank_or_multi_line_title_is_rejected(title):
    with pytest.raises(InvalidInputError) as raised:
        parse_actions([act(steps=[{"channel": "task", "title": title}])])

    assert [error.pointer for error in raised.value.errors] == ["/actions/0/steps/0/title"]
