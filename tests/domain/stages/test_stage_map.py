"""Stages and the map they form: the seven defaults, kinds, what is refused and where, archived stages."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from domain.builders import DEFAULT_MAP, any_of, defaults_with, rule, stage
from domain.generators import stage_forms
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.stage_map import (
    StageKind,
    StageMap,
    inactivity_days,
    parse_stage_map,
    stage_map_to_json,
)

LAPSED = rule("days_since_last_appointment", days=">90")
LONG_GONE = rule("days_since_last_appointment", days=">180")
PAIR = (stage("here", 1), stage("there", 2))


def read(*forms, pointer=""):
    return parse_stage_map(forms, version=1, pointer=pointer)


def faults_of(raw, pointer=""):
    with pytest.raises(InvalidInputError) as caught:
        parse_stage_map(raw, version=1, pointer=pointer)
    return [(fault.pointer, fault.message) for fault in caught.value.errors]


def without(form, name):
    return {key: value for key, value in form.items() if key != name}


# ---- the defaults


GUIDE = (
    ("prospect", "Prospect", "Initial contact or inquiry", "#94A3B8", "user-plus", "progress"),
    ("lead", "Lead", "Qualified interest expressed", "#60A5FA", "phone", "progress"),
    ("customer", "Customer", "First appointment completed", "#34D399", "check-circle", "progress"),
    ("regular", "Regular Customer", "Multiple appointments completed", "#10B981", "star", "progress"),
    ("vip", "VIP Customer", "High-value loyal customer", "#8B5CF6", "crown", "progress"),
    ("at_risk", "At Risk", "No recent activity", "#F59E0B", "exclamation-triangle", "risk"),
    ("churned", "Churned", "Lost customer", "#EF4444", "x-circle", "risk"),
)
GUIDE_RULES = {
    "prospect": rule("call_received"),
    "lead": any_of(
        rule("appointment_requested", call_duration=">60"), rule("call_received", call_duration=">60")
    ),
    "customer": rule("appointment_completed"),
    "regular": rule("appointment_count", count=">=3"),
    "vip": rule("lifetime_value", value=">=1000"),
    "at_risk": any_of(LAPSED, rule("risk_score", score=">0.7")),
    "churned": LONG_GONE,
}


@pytest.mark.parametrize(("order", "told"), list(enumerate(GUIDE, 1)), ids=[told[0] for told in GUIDE])
def test_a_default_stage_is_the_guides(order, told):
    key, name, description, color, icon, kind = told
    assert stage_map_to_json(DEFAULT_MAP)[order - 1] == {
        "key": key,
        "name": name,
        "description": description,
        "color": color,
        "icon": icon,
        "order": order,
        "kind": kind,
        "auto_rules": GUIDE_RULES[key],
        "retention_days": None,
        "is_active": True,
        "remapped_to": None,
    }


def test_there_are_seven_default_stages_and_nothing_to_warn_of():
    assert [stage.key for stage in DEFAULT_MAP.stages] == [
        "prospect", "lead", "customer", "regular", "vip", "at_risk", "churned",
    ]  # fmt: skip
    assert DEFAULT_MAP.warnings == ()


def test_the_guides_own_rule_forms_are_accepted_verbatim():
    guides = [
        {"trigger": "call_received", "conditions": []},
        {"trigger": "appointment_requested", "conditions": {"call_duration": ">60"}},
        {"trigger": "appointment_completed", "conditions": []},
        {"trigger": "appointment_count", "conditions": {"count": ">=3"}},
        {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}},
        {"trigger": "days_since_last_appointment", "conditions": {"days": ">90"}},
        {"trigger": "days_since_last_appointment", "conditions": {"days": ">180"}},
    ]
    forms = [
        {**without(form, "kind"), "auto_rules": rules}
        for form, rules in zip(DEFAULT_STAGES, guides, strict=True)
    ]
    assert [stage.kind for stage in read(*forms).stages] == [stage.kind for stage in DEFAULT_MAP.stages]


def test_the_default_kinds_are_the_derived_ones():
    derived = read(*(without(form, "kind") for form in DEFAULT_STAGES))
    assert derived == DEFAULT_MAP


# ---- kinds


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        pytest.param(None, StageKind.PROGRESS, id="no rules"),
        pytest.param(rule("appointment_count", count=">=3"), StageKind.PROGRESS, id="a count"),
        pytest.param(rule("appointment_missed"), StageKind.PROGRESS, id="a missed appointment"),
        pytest.param(rule("missed_rate", rate=">0.5"), StageKind.PROGRESS, id="the missed rate"),
        pytest.param(rule("engagement_score", score="<0.2"), StageKind.PROGRESS, id="low engagement"),
        pytest.param(rule("days_in_stage", days=">90"), StageKind.PROGRESS, id="days in the stage"),
        pytest.param(LAPSED, StageKind.RISK, id="inactivity"),
        pytest.param(rule("risk_score", score=">0.7"), StageKind.RISK, id="the risk score"),
        pytest.param(any_of(rule("ticket_opened"), LAPSED), StageKind.RISK, id="inactivity among others"),
    ],
)
def test_a_stage_is_of_kind_risk_if_its_rules_look_at_inactivity_or_risk(rules, kind):
    assert read(*PAIR, stage("new", 3, rules)).by_key["new"].kind is kind
    assert read(*PAIR, stage("new", 3, rules, kind=None)).by_key["new"].kind is kind


@pytest.mark.parametrize("kind", StageKind)
def test_a_kind_that_is_given_stands(kind):
    assert read(*PAIR, stage("new", 3, LAPSED, kind=kind.value)).by_key["new"].kind is kind
    assert read(*PAIR, stage("new", 3, None, kind=kind.value)).by_key["new"].kind is kind


# ---- one stage


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("key", None, "must be a lower-case word of at most 50 characters"),
        ("key", "", "must be a lower-case word of at most 50 characters"),
        ("key", "VIP", "must be a lower-case word of at most 50 characters"),
        ("key", "at-risk", "must be a lower-case word of at most 50 characters"),
        ("key", "1st", "must be a lower-case word of at most 50 characters"),
        ("key", "a" * 51, "must be a lower-case word of at most 50 characters"),
        ("key", "vip\n", "must be a lower-case word of at most 50 characters"),
        ("key", "café", "must be a lower-case word of at most 50 characters"),
        ("key", 7, "must be a lower-case word of at most 50 characters"),
        ("name", None, "must be a text of 1 to 255 characters"),
        ("name", "", "must be a text of 1 to 255 characters"),
        ("name", "n" * 256, "must be a text of 1 to 255 characters"),
        ("name", "V\x00P", "must be a text of 1 to 255 characters"),
        ("name", 7, "must be a text of 1 to 255 characters"),
        ("order", None, "must be a whole number from 1 to 1000"),
        ("order", 0, "must be a whole number from 1 to 1000"),
        ("order", 1001, "must be a whole number from 1 to 1000"),
        ("order", 1.5, "must be a whole number from 1 to 1000"),
        ("order", "3", "must be a whole number from 1 to 1000"),
        ("order", True, "must be a whole number from 1 to 1000"),
        ("description", "", "must be a text of at most 2000 characters"),
        ("description", "d" * 2001, "must be a text of at most 2000 characters"),
        ("description", ["d"], "must be a text of at most 2000 characters"),
        ("color", "94A3B8", "must look like #94A3B8"),
        ("color", "#94A3B", "must look like #94A3B8"),
        ("color", "#94A3BG", "must look like #94A3B8"),
        ("color", "red", "must look like #94A3B8"),
        ("icon", "", "must be the name of a known icon, such as user-plus"),
        ("icon", "User Plus", "must be the name of a known icon, such as user-plus"),
        ("icon", "<svg>", "must be the name of a known icon, such as user-plus"),
        ("icon", "no-such-icon", "must be the name of a known icon, such as user-plus"),
        ("icon", ["user-plus"], "must be the name of a known icon, such as user-plus"),
        ("kind", "danger", "must be 'progress' or 'risk'"),
        ("kind", "", "must be 'progress' or 'risk'"),
        ("kind", True, "must be 'progress' or 'risk'"),
        ("kind", ["risk"], "must be 'progress' or 'risk'"),
        ("retention_days", 0, "must be a whole number of days from 1 to 3650"),
        ("retention_days", 3651, "must be a whole number of days from 1 to 3650"),
        ("retention_days", 30.0, "must be a whole number of days from 1 to 3650"),
        ("retention_days", False, "must be a whole number of days from 1 to 3650"),
        ("is_active", None, "must be true or false"),
        ("is_active", 1, "must be true or false"),
        ("is_active", "true", "must be true or false"),
        ("remapped_to", 3, "must be the key of a stage"),
        ("remapped_to", "Not A Key", "must be the key of a stage"),
        ("auto_rules", "call_received", 'must be a rule or {"any": [rule, ...]}'),
        ("colour", "#94A3B8", "is not part of a stage"),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_a_faulty_property_of_a_stage_is_refused_with_its_place(name, value, message):
    assert faults_of([*PAIR, {**stage("new", 3), name: value}], "/stages") == [(f"/stages/2/{name}", message)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "a" * 50),
        ("key", "s3_b"),
        ("name", "n" * 255),
        ("name", "Ålesund ☂"),
        ("order", 1000),
        ("description", None),
        ("description", "d" * 2000),
        ("color", None),
        ("color", "#abcdef"),
        ("icon", None),
        ("retention_days", None),
        ("retention_days", 3650),
        ("auto_rules", []),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_a_property_at_the_edge_of_what_is_allowed_is_taken(name, value):
    assert len(read(*PAIR, {**stage("new", 3), name: value}).stages) == 3


@pytest.mark.parametrize("name", ["key", "name", "order"])
def test_key_name_and_order_are_required(name):
    [(place, _)] = faults_of([*PAIR, without(stage("new", 3), name)])
    assert place == f"/2/{name}"


def test_faults_in_rules_are_told_within_the_stage():
    wrong = stage("new", 3, any_of(rule("call_received"), rule("appointment_count", count="=>3")))
    assert faults_of([*PAIR, wrong], "/stages") == [
        (
            "/stages/2/auto_rules/any/1/conditions/count",
            "must be one of > >= < <= == != followed by a decimal number, such as '>=3'; got '=>3'",
        )
    ]


def test_an_unknown_property_is_escaped_in_its_pointer():
    assert faults_of([*PAIR, {**stage("new", 3), "a/b~c": 1}]) == [("/2/a~1b~0c", "is not part of a stage")]


def test_every_fault_of_every_stage_is_told_at_once():
    raw = [{"key": "here", "order": 0}, 7, {**stage("there", 2), "icon": 1, "x": 2}]
    assert [place for place, _ in faults_of(raw)] == ["/0/name", "/0/order", "/1", "/2/x", "/2/icon"]


# ---- the map


@pytest.mark.parametrize("raw", [None, {}, "stages", 7], ids=repr)
def test_a_map_is_a_list(raw):
    assert faults_of(raw, "/stages") == [("/stages", "must be a list of stages")]


def test_a_stage_is_an_object():
    assert faults_of([*PAIR, "vip"]) == [("/2", "must be an object")]


@pytest.mark.parametrize(
    ("count", "is_taken"), [(0, False), (1, False), (2, True), (20, True), (21, False)], ids=str
)
def test_a_map_has_2_to_20_active_stages(count, is_taken):
    forms = [stage(f"s{number}", number) for number in range(1, count + 1)]
    archived = stage("old", 99, is_active=False)
    if is_taken:
        assert len(read(*forms, archived).active) == count
    else:
        assert ("", f"a map has 2 to 20 active stages, this one {count}") in faults_of([*forms, archived])


@pytest.mark.parametrize(
    ("count", "warnings"),
    [
        (4, ("4 active stages; between 5 and 8 are easiest to work with",)),
        (5, ()),
        (8, ()),
        (9, ("9 active stages; between 5 and 8 are easiest to work with",)),
    ],
    ids=str,
)
def test_outside_5_to_8_stages_there_is_a_warning(count, warnings):
    forms = [stage(f"s{number}", number) for number in range(1, count + 1)]
    assert read(*forms, stage("old", 99, is_active=False)).warnings == warnings


def test_a_key_is_used_once_archived_stages_included():
    assert faults_of([*PAIR, stage("here", 3, is_active=False)]) == [("/2/key", "'here' is used twice")]


def test_names_of_active_stages_are_unique():
    assert faults_of([*PAIR, stage("new", 3, name="Here")]) == [("/2/name", "is also the name of 'here'")]


def test_an_archived_stage_may_share_its_name_and_order():
    assert len(read(*PAIR, stage("old", 1, name="Here", is_active=False)).active) == 2


def test_orders_of_active_stages_are_unique():
    assert faults_of([*PAIR, stage("new", 2)]) == [("/2/order", "is also the order of 'there'")]


def test_stages_are_put_in_order_and_faults_still_told_where_they_were_written():
    backwards = [stage("last", 9, LAPSED), stage("first", 2), stage("second", 5)]
    assert [stage.key for stage in read(*backwards).stages] == ["first", "second", "last"]
    assert faults_of([*backwards, stage("again", 2)]) == [("/3/order", "is also the order of 'first'")]


def test_at_least_one_active_stage_is_progress():
    forms = [stage("gone", 1, LAPSED), stage("lost", 2, LONG_GONE), stage("old", 3, is_active=False)]
    assert faults_of(forms, "/stages") == [
        ("/stages", "at least one active stage must be of kind 'progress'")
    ]


@pytest.mark.parametrize(("days", "is_taken"), [(89, True), (179, True), (180, False), (181, False)], ids=str)
def test_retention_days_stay_below_the_next_risk_stage(days, is_taken):
    forms = defaults_with(vip={"retention_days": days})
    if is_taken:
        assert read(*forms).by_key["vip"].retention_days == days
    else:
        assert faults_of(forms, "/stages") == [
            ("/stages/4/retention_days", "must be below 180, the days of the next risk stage 'churned'")
        ]


def test_retention_days_are_held_against_the_fewest_days_of_the_next_risk_stage():
    forms = defaults_with(
        churned={"auto_rules": any_of(LONG_GONE, rule("days_since_last_appointment", days=">120.5"))},
        lead={"retention_days": 121},
        vip={"retention_days": 120},
    )
    assert faults_of(forms) == [
        ("/1/retention_days", "must be below 120.5, the days of the next risk stage 'churned'")
    ]


@pytest.mark.parametrize(
    "risk",
    [
        pytest.param([], id="no risk stage"),
        pytest.param([stage("gone", 8, LAPSED)], id="one risk stage"),
        pytest.param(
            [stage("gone", 8, LAPSED), stage("lost", 9, rule("risk_score", score=">0.9"))],
            id="the next one does not look at inactivity",
        ),
    ],
)
def test_without_days_in_a_next_risk_stage_retention_days_are_free(risk):
    assert read(*PAIR, stage("new", 3, retention_days=3650), *risk).by_key["new"].retention_days == 3650


def test_the_fewest_days_of_inactivity_are_those_of_any_rule():
    assert inactivity_days(DEFAULT_MAP.by_key["at_risk"]) == 90
    assert inactivity_days(DEFAULT_MAP.by_key["vip"]) is None


# ---- archived stages


def archived(key, remapped_to=None):
    return stage(key, 50, is_active=False, remapped_to=remapped_to)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        pytest.param("here", "here", id="an active stage is itself"),
        pytest.param("old", "here", id="an archived one is what it was remapped to"),
        pytest.param("older", "here", id="which may have been archived since"),
        pytest.param("dropped", None, id="an archived one without a successor is nothing"),
        pytest.param("unknown", None, id="an unknown key is nothing"),
        pytest.param(None, None, id="no key is nothing"),
    ],
)
def test_a_key_stands_for_the_stage_it_was_remapped_to(key, found):
    stage_map = read(*PAIR, archived("old", "here"), archived("older", "old"), archived("dropped"))
    stage_found = stage_map.find(key)
    assert (stage_found and stage_found.key) == found


@pytest.mark.parametrize(
    ("forms", "places"),
    [
        pytest.param([archived("old", "nowhere")], ["/2/remapped_to"], id="to no stage"),
        pytest.param([archived("old", "old")], ["/2/remapped_to"], id="to itself"),
        pytest.param(
            [archived("old", "older"), archived("older", "old")],
            ["/2/remapped_to", "/3/remapped_to"],
            id="in a circle",
        ),
        pytest.param(
            [archived("old", "dropped"), archived("dropped")],
            ["/2/remapped_to"],
            id="to a stage dropped for good",
        ),
    ],
)
def test_remapping_leads_to_an_active_stage(forms, places):
    found = faults_of([*PAIR, *forms])
    assert sorted(found) == [(place, "must lead to an active stage") for place in places]


def test_following_a_circle_of_remappings_ends():
    sound = read(*PAIR, archived("old", "here"), archived("older", "old"))
    circle = [replace(sound.by_key["old"], remapped_to="older"), sound.by_key["older"]]
    assert StageMap(1, (*sound.active, *circle)).find("old") is None


def test_archived_stages_are_kept_and_not_used():
    stage_map = read(*PAIR, stage("gone", 3, LAPSED, is_active=False), stage("zero", 1, is_active=False))
    assert set(stage_map.by_key) == {"here", "there", "gone", "zero"}
    assert [stage.key for stage in stage_map.active] == ["here", "there"]
    assert stage_map.risk_descending == ()
    assert stage_map.mildest_risk is None
    assert stage_map.start.key == "here"


# ---- views of a map


def test_a_map_ranks_its_stages():
    assert DEFAULT_MAP.start.key == "prospect"
    assert [stage.key for stage in DEFAULT_MAP.progress_descending] == [
        "vip",
        "regular",
        "customer",
        "lead",
        "prospect",
    ]
    assert [stage.key for stage in DEFAULT_MAP.risk_descending] == ["churned", "at_risk"]
    assert DEFAULT_MAP.mildest_risk is DEFAULT_MAP.by_key["at_risk"]


def test_the_lowest_progress_stage_opens_a_journey_whatever_its_place_in_the_list():
    forms = [stage("gone", 1, LAPSED), stage("second", 5), stage("first", 2)]
    assert read(*forms).start.key == "first"


@given(stage_forms())
def test_any_map_comes_back_as_it_was(forms):
    stage_map = parse_stage_map(forms, version=3)
    written = json.loads(json.dumps(stage_map_to_json(stage_map)))
    assert parse_stage_map(written, version=3) == stage_map


def test_a_map_has_at_most_a_hundred_rules():
    def crowded(number):
        rules = any_of(*(rule("appointment_count", count=f">={n}") for n in range(1, number + 1)))
        return [stage("start", 1), *(stage(f"s{n}", n + 2, rules) for n in range(10))]

    assert len(parse_stage_map(crowded(10), version=1).stages) == 11
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(crowded(11), version=1, pointer="/stages")
    assert [fault.pointer for fault in refused.value.errors] == ["/stages"]


@pytest.mark.parametrize("trigger", ["days_in_stage", "days_since_last_appointment"])
def test_a_rule_asks_for_at_most_a_hundred_years(trigger):
    def patient(days):
        return [stage("start", 1), stage("later", 2, rule(trigger, days=f">{days}"))]

    assert len(parse_stage_map(patient(36_500), version=1).stages) == 2
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(patient(36_501), version=1)
    assert [fault.pointer for fault in refused.value.errors] == ["/1/auto_rules/conditions/days"]


@pytest.mark.parametrize("name", [" ", "\t", "\u200b", "\x7f", "Kundin\nX", "\u202eabc", "Prospect ", " P"])
def test_a_name_is_something_that_can_be_seen(name):
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map([{**stage("here", 1), "name": name}, stage("there", 2)], version=1)
    assert [fault.pointer for fault in refused.value.errors] == ["/0/name"]


@pytest.mark.parametrize("name", ["Stammkundin", "常連", "VIP 💎", "Família 👨\u200d👩\u200d👧", "a/b"])
def test_a_name_may_be_in_any_language(name):
    assert (
        parse_stage_map([{**stage("here", 1), "name": name}, stage("there", 2)], version=1).stages[0].name
        == name
    )


def test_names_that_differ_in_case_alone_are_the_same():
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(
            [{**stage("here", 1), "name": "LEAD"}, {**stage("there", 2), "name": "Lead"}], version=1
        )
    assert [fault.pointer for fault in refused.value.errors] == ["/1/name"]
