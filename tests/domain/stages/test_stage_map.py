"""Stages and the stage map: defaults, kinds, errors with their pointers, archived stages."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from domain.builders import DEFAULT_MAP, any_of, defaults_with, rule, stage
from domain.generators import stage_forms
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json
from journey_service.domain.stages.stage_map import StageKind, StageMap, inactivity_days

INACTIVE_90 = rule("days_since_last_appointment", days=">90")
INACTIVE_180 = rule("days_since_last_appointment", days=">180")
TWO_STAGES = (stage("here", 1), stage("there", 2))


def read(*forms, pointer=""):
    return parse_stage_map(forms, version=1, pointer=pointer)


def errors_of(raw, pointer=""):
    with pytest.raises(InvalidInputError) as caught:
        parse_stage_map(raw, version=1, pointer=pointer)
    return [(error.pointer, error.message) for error in caught.value.errors]


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
    "at_risk": any_of(INACTIVE_90, rule("risk_score", score=">0.7")),
    "churned": INACTIVE_180,
}


@pytest.mark.parametrize(("order", "fields"), list(enumerate(GUIDE, 1)), ids=[fields[0] for fields in GUIDE])
def test_default_stages_are_those_of_the_guide(order, fields):
    key, name, description, color, icon, kind = fields
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


def test_there_are_seven_default_stages_and_no_warnings():
    assert [stage.key for stage in DEFAULT_MAP.stages] == [
        "prospect", "lead", "customer", "regular", "vip", "at_risk", "churned",
    ]  # fmt: skip
    assert DEFAULT_MAP.warnings == ()


def test_rules_in_the_form_of_the_guide_are_accepted():
    guide_rules = [
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
        for form, rules in zip(DEFAULT_STAGES, guide_rules, strict=True)
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
        pytest.param(INACTIVE_90, StageKind.RISK, id="inactivity"),
        pytest.param(rule("risk_score", score=">0.7"), StageKind.RISK, id="the risk score"),
        pytest.param(
            any_of(rule("ticket_opened"), INACTIVE_90), StageKind.RISK, id="inactivity among others"
        ),
    ],
)
def test_rules_on_inactivity_or_risk_make_a_risk_stage(rules, kind):
    assert read(*TWO_STAGES, stage("new", 3, rules)).by_key["new"].kind is kind
    assert read(*TWO_STAGES, stage("new", 3, rules, kind=None)).by_key["new"].kind is kind


@pytest.mark.parametrize("kind", StageKind)
def test_a_given_kind_is_kept(kind):
    assert read(*TWO_STAGES, stage("new", 3, INACTIVE_90, kind=kind.value)).by_key["new"].kind is kind
    assert read(*TWO_STAGES, stage("new", 3, None, kind=kind.value)).by_key["new"].kind is kind


# ---- one stage


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("key", None, "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        ("key", "", "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        ("key", "VIP", "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        (
            "key",
            "at-risk",
            "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter",
        ),
        ("key", "1st", "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        (
            "key",
            "a" * 51,
            "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter",
        ),
        (
            "key",
            "vip\n",
            "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter",
        ),
        ("key", "café", "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        ("key", 7, "must be 1 to 50 lowercase letters, digits and underscores, starting with a letter"),
        ("name", None, "must be text of 1 to 255 characters"),
        ("name", "", "must be text of 1 to 255 characters"),
        ("name", "n" * 256, "must be text of 1 to 255 characters"),
        ("name", "V\x00P", "must be text of 1 to 255 characters"),
        ("name", 7, "must be text of 1 to 255 characters"),
        ("order", None, "must be a whole number from 1 to 1000"),
        ("order", 0, "must be a whole number from 1 to 1000"),
        ("order", 1001, "must be a whole number from 1 to 1000"),
        ("order", 1.5, "must be a whole number from 1 to 1000"),
        ("order", "3", "must be a whole number from 1 to 1000"),
        ("order", True, "must be a whole number from 1 to 1000"),
        ("description", "", "must be text of 1 to 2000 characters, or null"),
        ("description", "d" * 2001, "must be text of 1 to 2000 characters, or null"),
        ("description", ["d"], "must be text of 1 to 2000 characters, or null"),
        ("color", "94A3B8", "must be a color such as #94A3B8, or null"),
        ("color", "#94A3B", "must be a color such as #94A3B8, or null"),
        ("color", "#94A3BG", "must be a color such as #94A3B8, or null"),
        ("color", "red", "must be a color such as #94A3B8, or null"),
        ("icon", "", "must be the name of a known icon, such as user-plus"),
        ("icon", "User Plus", "must be the name of a known icon, such as user-plus"),
        ("icon", "<svg>", "must be the name of a known icon, such as user-plus"),
        ("icon", "no-such-icon", "must be the name of a known icon, such as user-plus"),
        ("icon", ["user-plus"], "must be the name of a known icon, such as user-plus"),
        ("kind", "danger", "must be one of progress, risk"),
        ("kind", "", "must be one of progress, risk"),
        ("kind", True, "must be one of progress, risk"),
        ("kind", ["risk"], "must be one of progress, risk"),
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
        ("colour", "#94A3B8", "is not a field of a stage"),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_an_invalid_field_of_a_stage_is_rejected_with_its_pointer(name, value, message):
    assert errors_of([*TWO_STAGES, {**stage("new", 3), name: value}], "/stages") == [
        (f"/stages/2/{name}", message)
    ]


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
def test_a_field_at_a_limit_is_accepted(name, value):
    assert len(read(*TWO_STAGES, {**stage("new", 3), name: value}).stages) == 3


@pytest.mark.parametrize("name", ["key", "name", "order"])
def test_key_name_and_order_are_required(name):
    [(pointer, _)] = errors_of([*TWO_STAGES, without(stage("new", 3), name)])
    assert pointer == f"/2/{name}"


def test_errors_in_rules_have_pointers_into_the_stage():
    wrong = stage("new", 3, any_of(rule("call_received"), rule("appointment_count", count="=>3")))
    assert errors_of([*TWO_STAGES, wrong], "/stages") == [
        (
            "/stages/2/auto_rules/any/1/conditions/count",
            "must be one of > >= < <= == != followed by a decimal number, such as '>=3'; got '=>3'",
        )
    ]


def test_an_unknown_field_is_escaped_in_its_pointer():
    assert errors_of([*TWO_STAGES, {**stage("new", 3), "a/b~c": 1}]) == [
        ("/2/a~1b~0c", "is not a field of a stage")
    ]


def test_all_errors_of_all_stages_are_reported_together():
    raw = [{"key": "here", "order": 0}, 7, {**stage("there", 2), "icon": 1, "x": 2}]
    assert [pointer for pointer, _ in errors_of(raw)] == ["/0/name", "/0/order", "/1", "/2/x", "/2/icon"]


# ---- the map


@pytest.mark.parametrize("raw", [None, {}, "stages", 7], ids=repr)
def test_a_map_must_be_a_list(raw):
    assert errors_of(raw, "/stages") == [("/stages", "must be a list of stages")]


def test_a_stage_must_be_an_object():
    assert errors_of([*TWO_STAGES, "vip"]) == [("/2", "must be an object")]


@pytest.mark.parametrize(
    ("count", "is_accepted"), [(0, False), (1, False), (2, True), (20, True), (21, False)], ids=str
)
def test_a_map_has_2_to_20_active_stages(count, is_accepted):
    forms = [stage(f"s{number}", number) for number in range(1, count + 1)]
    archived = stage("old", 99, is_active=False)
    if is_accepted:
        assert len(read(*forms, archived).active) == count
    else:
        assert ("", f"must contain 2 to 20 active stages, not {count}") in errors_of([*forms, archived])


@pytest.mark.parametrize(
    ("count", "warnings"),
    [
        (4, ("the map has 4 active stages; 5 to 8 are recommended",)),
        (5, ()),
        (8, ()),
        (9, ("the map has 9 active stages; 5 to 8 are recommended",)),
    ],
    ids=str,
)
def test_outside_5_to_8_stages_there_is_a_warning(count, warnings):
    forms = [stage(f"s{number}", number) for number in range(1, count + 1)]
    assert read(*forms, stage("old", 99, is_active=False)).warnings == warnings


def test_keys_are_unique_including_archived_stages():
    assert errors_of([*TWO_STAGES, stage("here", 3, is_active=False)]) == [
        ("/2/key", "'here' is already used by another stage")
    ]


def test_names_of_active_stages_are_unique():
    assert errors_of([*TWO_STAGES, stage("new", 3, name="Here")]) == [
        ("/2/name", "must be unique: 'here' has the same name")
    ]


def test_an_archived_stage_may_share_its_name_and_order():
    assert len(read(*TWO_STAGES, stage("old", 1, name="Here", is_active=False)).active) == 2


def test_orders_of_active_stages_are_unique():
    assert errors_of([*TWO_STAGES, stage("new", 2)]) == [
        ("/2/order", "must be unique: 'there' has the same order")
    ]


def test_stages_are_sorted_and_errors_keep_their_original_pointers():
    backwards = [stage("last", 9, INACTIVE_90), stage("first", 2), stage("second", 5)]
    assert [stage.key for stage in read(*backwards).stages] == ["first", "second", "last"]
    assert errors_of([*backwards, stage("again", 2)]) == [
        ("/3/order", "must be unique: 'first' has the same order")
    ]


def test_at_least_one_active_stage_is_progress():
    forms = [stage("gone", 1, INACTIVE_90), stage("lost", 2, INACTIVE_180), stage("old", 3, is_active=False)]
    assert errors_of(forms, "/stages") == [
        ("/stages", "must contain at least one active stage of kind 'progress'")
    ]


@pytest.mark.parametrize(
    ("days", "is_accepted"), [(89, True), (179, True), (180, False), (181, False)], ids=str
)
def test_retention_days_are_below_those_of_the_next_risk_stage(days, is_accepted):
    forms = defaults_with(vip={"retention_days": days})
    if is_accepted:
        assert read(*forms).by_key["vip"].retention_days == days
    else:
        assert errors_of(forms, "/stages") == [
            (
                "/stages/4/retention_days",
                "must be less than 180, the days of inactivity of the next risk stage 'churned'",
            )
        ]


def test_retention_days_are_compared_with_the_fewest_days_of_the_next_risk_stage():
    forms = defaults_with(
        churned={"auto_rules": any_of(INACTIVE_180, rule("days_since_last_appointment", days=">120.5"))},
        lead={"retention_days": 121},
        vip={"retention_days": 120},
    )
    assert errors_of(forms) == [
        (
            "/1/retention_days",
            "must be less than 120.5, the days of inactivity of the next risk stage 'churned'",
        )
    ]


@pytest.mark.parametrize(
    "risk",
    [
        pytest.param([], id="no risk stage"),
        pytest.param([stage("gone", 8, INACTIVE_90)], id="one risk stage"),
        pytest.param(
            [stage("gone", 8, INACTIVE_90), stage("lost", 9, rule("risk_score", score=">0.9"))],
            id="the next one has no rule on inactivity",
        ),
    ],
)
def test_without_days_in_a_next_risk_stage_any_retention_days_are_accepted(risk):
    assert read(*TWO_STAGES, stage("new", 3, retention_days=3650), *risk).by_key["new"].retention_days == 3650


def test_the_fewest_days_of_inactivity_are_found():
    assert inactivity_days(DEFAULT_MAP.by_key["at_risk"]) == 90
    assert inactivity_days(DEFAULT_MAP.by_key["vip"]) is None


# ---- archived stages


def archived(key, remapped_to=None):
    return stage(key, 50, is_active=False, remapped_to=remapped_to)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("here", "here", id="an active stage is itself"),
        pytest.param("old", "here", id="an archived one is what it was remapped to"),
        pytest.param("older", "here", id="which may be archived as well"),
        pytest.param("dropped", None, id="an archived one without a successor is nothing"),
        pytest.param("unknown", None, id="an unknown key is nothing"),
        pytest.param(None, None, id="no key is nothing"),
    ],
)
def test_a_key_is_resolved_to_the_stage_it_was_remapped_to(key, expected):
    stage_map = read(*TWO_STAGES, archived("old", "here"), archived("older", "old"), archived("dropped"))
    found = stage_map.find(key)
    assert (found and found.key) == expected


@pytest.mark.parametrize(
    ("forms", "pointers"),
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
            id="to an archived stage without a successor",
        ),
    ],
)
def test_remapping_must_end_at_an_active_stage(forms, pointers):
    found = errors_of([*TWO_STAGES, *forms])
    assert sorted(found) == [(pointer, "must be the key of an active stage") for pointer in pointers]


def test_resolving_circular_remappings_ends():
    valid = read(*TWO_STAGES, archived("old", "here"), archived("older", "old"))
    circle = [replace(valid.by_key["old"], remapped_to="older"), valid.by_key["older"]]
    assert StageMap(1, (*valid.active, *circle)).find("old") is None


def test_archived_stages_are_kept_but_not_active():
    stage_map = read(
        *TWO_STAGES, stage("gone", 3, INACTIVE_90, is_active=False), stage("zero", 1, is_active=False)
    )
    assert set(stage_map.by_key) == {"here", "there", "gone", "zero"}
    assert [stage.key for stage in stage_map.active] == ["here", "there"]
    assert stage_map.risk_descending == ()
    assert stage_map.mildest_risk is None
    assert stage_map.start.key == "here"


# ---- views of a map


def test_a_map_orders_its_stages():
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


def test_the_lowest_progress_stage_is_the_start():
    forms = [stage("gone", 1, INACTIVE_90), stage("second", 5), stage("first", 2)]
    assert read(*forms).start.key == "first"


@given(stage_forms())
def test_any_map_survives_a_round_trip(forms):
    stage_map = parse_stage_map(forms, version=3)
    written = json.loads(json.dumps(stage_map_to_json(stage_map)))
    assert parse_stage_map(written, version=3) == stage_map


def test_a_map_has_at_most_a_hundred_rules():
    def map_with_rules(number):
        rules = any_of(*(rule("appointment_count", count=f">={n}") for n in range(1, number + 1)))
        return [stage("start", 1), *(stage(f"s{n}", n + 2, rules) for n in range(10))]

    assert len(parse_stage_map(map_with_rules(10), version=1).stages) == 11
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(map_with_rules(11), version=1, pointer="/stages")
    assert [error.pointer for error in refused.value.errors] == ["/stages"]


@pytest.mark.parametrize("trigger", ["days_in_stage", "days_since_last_appointment"])
def test_a_condition_has_at_most_36500_days(trigger):
    def map_with_days(days):
        return [stage("start", 1), stage("later", 2, rule(trigger, days=f">{days}"))]

    assert len(parse_stage_map(map_with_days(36_500), version=1).stages) == 2
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(map_with_days(36_501), version=1)
    assert [error.pointer for error in refused.value.errors] == ["/1/auto_rules/conditions/days"]


@pytest.mark.parametrize("name", [" ", "\t", "\u200b", "\x7f", "Kundin\nX", "\u202eabc", "Prospect ", " P"])
def test_a_name_must_be_visible(name):
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map([{**stage("here", 1), "name": name}, stage("there", 2)], version=1)
    assert [error.pointer for error in refused.value.errors] == ["/0/name"]


@pytest.mark.parametrize("name", ["Stammkundin", "常連", "VIP 💎", "Família 👨\u200d👩\u200d👧", "a/b"])
def test_a_name_may_be_in_any_language(name):
    assert (
        parse_stage_map([{**stage("here", 1), "name": name}, stage("there", 2)], version=1).stages[0].name
        == name
    )


def test_names_are_compared_without_case():
    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(
            [{**stage("here", 1), "name": "LEAD"}, {**stage("there", 2), "name": "Lead"}], version=1
        )
    assert [error.pointer for error in refused.value.errors] == ["/1/name"]
