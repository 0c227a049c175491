"""The next version of a map: drawn up, checked against what histories speak of, and told apart from the last."""

import pytest

from domain.builders import any_of, rule, stage
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.changes import FieldChange, archive, build_draft, diff, edit_stage
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.errors import StageArchivedError, StageNotFoundError
from journey_service.domain.stages.stage_map import parse_stage_map, stage_map_to_json

APPOINTMENT = rule("appointment_completed")
SILENT = rule("days_since_last_appointment", days=">90")
STAGES = [
    stage("lead", 1),
    stage("customer", 2, APPOINTMENT),
    stage("regular", 3, rule("appointment_count", count=">=3")),
    stage("at_risk", 4, SILENT),
]
MAP = parse_stage_map(STAGES, version=4)


def without(*keys, stages=STAGES):
    return [form for form in stages if form["key"] not in keys]


def changed(key, **fields):
    return [{**form, **(fields if form["key"] == key else {})} for form in STAGES]


def places(error):
    return [fault.pointer for fault in error.value.errors]


def archived_map():
    """Version 5: regular is archived, its customers are in customer."""
    return build_draft(MAP, without("regular"), remap={"regular": "customer"}).stage_map


def test_what_is_read_can_be_told_again_and_changes_nothing():
    draft = build_draft(MAP, stage_map_to_json(MAP), pointer="/stages")

    assert draft.stage_map.version == 5
    assert draft.stage_map.stages == MAP.stages
    assert draft.archived == {}
    assert diff(MAP, draft.stage_map) == ((), (), ())


def test_the_default_map_can_be_told_again():
    default = parse_stage_map(DEFAULT_STAGES, version=1)

    assert build_draft(default, stage_map_to_json(default)).stage_map.stages == default.stages


def test_a_stage_left_out_is_archived_and_its_customers_are_sent_where_the_remap_says():
    draft = build_draft(MAP, without("regular"), remap={"regular": "customer"})

    gone = draft.stage_map.by_key["regular"]
    assert (gone.is_active, gone.remapped_to) == (False, "customer")
    assert draft.archived == {"regular": "/remap/regular"}
    assert draft.stage_map.find("regular").key == "customer"


def test_a_stage_left_out_with_no_remap_is_archived_and_leads_nowhere():
    draft = build_draft(MAP, without("regular"))

    assert draft.stage_map.by_key["regular"].remapped_to is None
    assert draft.stage_map.find("regular") is None
    assert draft.archived == {"regular": "/remap/regular"}


def test_a_stage_may_be_archived_in_its_place():
    draft = build_draft(MAP, changed("regular", is_active=False, remapped_to="customer"), pointer="/stages")

    assert draft.stage_map.find("regular").key == "customer"
    assert draft.archived == {"regular": "/stages/2/remapped_to"}


def test_an_archived_stage_is_kept_without_being_told_again():
    again = build_draft(archived_map(), without("regular"))

    assert again.stage_map.version == 6
    assert again.stage_map.by_key["regular"].remapped_to == "customer"
    assert again.archived == {}


def test_the_key_of_an_archived_stage_is_never_used_again():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), STAGES, pointer="/stages")

    assert places(refused) == ["/stages/2/key"]


def test_an_archived_stage_stays_as_it_was():
    forms = stage_map_to_json(archived_map())
    renamed = [{**form, **({"name": "Other"} if form["key"] == "regular" else {})} for form in forms]

    assert build_draft(archived_map(), forms, pointer="/stages").stage_map.by_key["regular"].name == "Regular"
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), renamed, pointer="/stages")
    assert places(refused) == ["/stages/2"]


def test_a_stage_that_others_lead_to_is_archived_only_with_a_way_on():
    chained = build_draft(archived_map(), without("regular", "customer"), remap={"customer": "lead"})

    assert chained.stage_map.find("regular").key == "lead"
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), without("regular", "customer"))
    assert places(refused) == ["/remap/regular"]


def test_a_key_keeps_its_kind():
    build_draft(MAP, changed("at_risk", kind="risk"))
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, changed("at_risk", kind="progress"), pointer="/stages")

    assert places(refused) == ["/stages/3/kind"]


def test_a_kind_that_is_left_out_is_the_one_the_stage_has():
    # By its rules alone it would be a progress stage now.
    draft = build_draft(MAP, changed("at_risk", auto_rules=rule("ticket_opened")))

    assert draft.stage_map.by_key["at_risk"].kind == "risk"


@pytest.mark.parametrize(
    ("remap", "place"),
    [
        ({"regular": "nowhere"}, "/remap/regular"),
        ({"regular": "regular"}, "/remap/regular"),
        ({"customer": "lead"}, "/remap/customer"),
        ({"no~such/stage": "lead"}, "/remap/no~0such~1stage"),
        ({"regular": "at_risk"}, "/remap/regular"),
    ],
)
def test_a_remap_leads_from_an_archived_stage_to_one_in_use(remap, place):
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, without("regular"), remap=remap, pointer="/stages")

    assert places(refused) == [place]


def test_customers_of_a_risk_stage_may_go_back_to_progress():
    assert build_draft(MAP, without("at_risk"), remap={"at_risk": "customer"}).archived == {
        "at_risk": "/remap/at_risk"
    }


def test_faults_of_the_stages_are_told_at_their_places():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, [*STAGES[:3], {"key": "at_risk", "order": 4, "colour": "red"}], pointer="/stages")

    assert sorted(places(refused)) == ["/stages/3/colour", "/stages/3/name"]


@pytest.mark.parametrize("raw", [None, {}, "stages", 7])
def test_what_is_no_list_of_stages_is_refused(raw):
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, raw, pointer="/stages")

    assert places(refused) == ["/stages"]


# ---- one stage


def test_one_stage_is_amended_and_the_others_stay():
    draft = edit_stage(MAP, "regular", {"name": "Stammkunde"})

    assert draft.stage_map.by_key["regular"].name == "Stammkunde"
    assert diff(MAP, draft.stage_map) == ((), (), (FieldChange("regular", "name", "Regular", "Stammkunde"),))


def test_faults_of_an_amended_stage_are_told_without_its_index():
    with pytest.raises(InvalidInputError) as refused:
        edit_stage(
            MAP, "regular", {"auto_rules": any_of(rule("appointment_count", count="three")), "order": "3"}
        )

    assert sorted(places(refused)) == ["/auto_rules/any/0/conditions/count", "/order"]


def test_an_amendment_that_another_stage_cannot_stand_is_told_at_that_stage():
    named = edit_stage(MAP, "lead", {"retention_days": 30}).stage_map
    with pytest.raises(InvalidInputError) as refused:
        edit_stage(named, "lead", {"name": "Customer"})

    assert places(refused) == ["/stages/1/name"]


def test_a_stage_is_archived_alone():
    draft = archive(MAP, "regular", "customer")

    assert draft.stage_map.find("regular").key == "customer"
    assert draft.archived == {"regular": "/remapped_to"}


@pytest.mark.parametrize(
    "change", [lambda m, key: edit_stage(m, key, {"name": "X"}), lambda m, key: archive(m, key, None)]
)
def test_only_a_stage_in_use_is_changed(change):
    with pytest.raises(StageNotFoundError):
        change(MAP, "nobody")
    with pytest.raises(StageArchivedError):
        change(archived_map(), "regular")


def test_archiving_what_others_were_sent_to_asks_where_they_go_on_to():
    with pytest.raises(InvalidInputError) as refused:
        archive(archived_map(), "customer", None)
    assert places(refused) == ["/remapped_to"]
    assert "'regular'" in refused.value.errors[0].message

    assert archive(archived_map(), "customer", "lead").stage_map.find("regular").key == "lead"


def test_a_stage_in_use_leads_nowhere_else_and_a_new_one_begins_in_use():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, changed("regular", remapped_to="customer"), pointer="/stages")
    assert places(refused) == ["/stages/2/remapped_to"]
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, [*STAGES, stage("ghost", 9, is_active=False)], pointer="/stages")
    assert places(refused) == ["/stages/4/is_active"]


# ---- the diff


def test_the_diff_names_stages_added_and_archived_and_every_field_that_is_another_one():
    new = stage("vip", 5, rule("lifetime_value", value=">=1000"), kind="progress")
    draft = build_draft(
        MAP,
        [*without("regular", stages=changed("customer", color="#123456", retention_days=30)), new],
        remap={"regular": "customer"},
    )

    assert diff(MAP, draft.stage_map) == (
        ("vip",),
        ("regular",),
        (
            FieldChange("customer", "color", None, "#123456"),
            FieldChange("customer", "retention_days", None, 30),
            FieldChange("regular", "remapped_to", None, "customer"),
        ),
    )


def test_the_diff_backwards_is_the_other_way_round():
    later = edit_stage(MAP, "customer", {"auto_rules": rule("appointment_requested")}).stage_map

    forth, back = diff(MAP, later).changed, diff(later, MAP).changed
    assert [(c.stage, c.field) for c in forth] == [("customer", "auto_rules")]
    assert [(c.before, c.after) for c in forth] == [(c.after, c.before) for c in back]
