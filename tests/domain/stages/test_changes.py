"""Changes of a stage map: drafts, checks against the present version, and differences."""

import pytest

from domain.builders import any_of, rule, stage
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.changes import FieldChange, archive, build_draft, diff, edit_stage
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.errors import StageArchivedError, StageNotFoundError
from journey_service.domain.stages.parsing import parse_stage_map, stage_map_to_json

APPOINTMENT = rule("appointment_completed")
INACTIVE = rule("days_since_last_appointment", days=">90")
STAGES = [
    stage("lead", 1),
    stage("customer", 2, APPOINTMENT),
    stage("regular", 3, rule("appointment_count", count=">=3")),
    stage("at_risk", 4, INACTIVE),
]
MAP = parse_stage_map(STAGES, version=4)


def without(*keys, stages=STAGES):
    return [form for form in stages if form["key"] not in keys]


def changed(key, **fields):
    return [{**form, **(fields if form["key"] == key else {})} for form in STAGES]


def pointers(error):
    return [error.pointer for error in error.value.errors]


def archived_map():
    """Version 5: regular is archived, its customers are in customer."""
    return build_draft(MAP, without("regular"), remap={"regular": "customer"}).stage_map


def test_a_draft_of_the_same_stages_has_no_differences():
    draft = build_draft(MAP, stage_map_to_json(MAP), pointer="/stages")

    assert draft.stage_map.version == 5
    assert draft.stage_map.stages == MAP.stages
    assert draft.archived == {}
    assert diff(MAP, draft.stage_map) == ((), (), ())


def test_a_draft_of_the_default_map_has_the_same_stages():
    default = parse_stage_map(DEFAULT_STAGES, version=1)

    assert build_draft(default, stage_map_to_json(default)).stage_map.stages == default.stages


def test_a_stage_left_out_is_archived_and_remapped():
    draft = build_draft(MAP, without("regular"), remap={"regular": "customer"})

    archived = draft.stage_map.by_key["regular"]
    assert (archived.is_active, archived.remapped_to) == (False, "customer")
    assert draft.archived == {"regular": "/remap/regular"}
    assert draft.stage_map.find("regular").key == "customer"


def test_a_stage_left_out_without_a_remap_is_archived_without_a_successor():
    draft = build_draft(MAP, without("regular"))

    assert draft.stage_map.by_key["regular"].remapped_to is None
    assert draft.stage_map.find("regular") is None
    assert draft.archived == {"regular": "/remap/regular"}


def test_a_stage_may_be_archived_in_the_list():
    draft = build_draft(MAP, changed("regular", is_active=False, remapped_to="customer"), pointer="/stages")

    assert draft.stage_map.find("regular").key == "customer"
    assert draft.archived == {"regular": "/stages/2/remapped_to"}


def test_an_archived_stage_may_be_omitted():
    again = build_draft(archived_map(), without("regular"))

    assert again.stage_map.version == 6
    assert again.stage_map.by_key["regular"].remapped_to == "customer"
    assert again.archived == {}


def test_the_key_of_an_archived_stage_is_never_used_again():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), STAGES, pointer="/stages")

    assert pointers(refused) == ["/stages/2/key"]


def test_an_archived_stage_cannot_be_changed():
    forms = stage_map_to_json(archived_map())
    renamed = [{**form, **({"name": "Other"} if form["key"] == "regular" else {})} for form in forms]

    assert build_draft(archived_map(), forms, pointer="/stages").stage_map.by_key["regular"].name == "Regular"
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), renamed, pointer="/stages")
    assert pointers(refused) == ["/stages/2"]


def test_a_stage_that_others_are_remapped_to_needs_a_successor():
    chained = build_draft(archived_map(), without("regular", "customer"), remap={"customer": "lead"})

    assert chained.stage_map.find("regular").key == "lead"
    with pytest.raises(InvalidInputError) as refused:
        build_draft(archived_map(), without("regular", "customer"))
    assert pointers(refused) == ["/remap/regular"]


def test_the_kind_of_a_stage_cannot_be_changed():
    build_draft(MAP, changed("at_risk", kind="risk"))
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, changed("at_risk", kind="progress"), pointer="/stages")

    assert pointers(refused) == ["/stages/3/kind"]


def test_a_missing_kind_is_the_present_one():
    # Its rules alone would make it a progress stage.
    draft = build_draft(MAP, changed("at_risk", auto_rules=rule("ticket_opened")))

    assert draft.stage_map.by_key["at_risk"].kind == "risk"


@pytest.mark.parametrize(
    ("remap", "pointer"),
    [
        ({"regular": "nowhere"}, "/remap/regular"),
        ({"regular": "regular"}, "/remap/regular"),
        ({"customer": "lead"}, "/remap/customer"),
        ({"no~such/stage": "lead"}, "/remap/no~0such~1stage"),
        ({"regular": "at_risk"}, "/remap/regular"),
    ],
)
def test_a_remap_leads_from_an_archived_stage_to_an_active_one(remap, pointer):
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, without("regular"), remap=remap, pointer="/stages")

    assert pointers(refused) == [pointer]


def test_a_risk_stage_may_be_remapped_to_a_progress_stage():
    assert build_draft(MAP, without("at_risk"), remap={"at_risk": "customer"}).archived == {
        "at_risk": "/remap/at_risk"
    }


def test_errors_of_stages_have_their_pointers():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, [*STAGES[:3], {"key": "at_risk", "order": 4, "colour": "red"}], pointer="/stages")

    assert sorted(pointers(refused)) == ["/stages/3/colour", "/stages/3/name"]


@pytest.mark.parametrize("raw", [None, {}, "stages", 7])
def test_a_map_must_be_a_list_of_stages(raw):
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, raw, pointer="/stages")

    assert pointers(refused) == ["/stages"]


# ---- one stage


def test_one_stage_is_edited_and_the_others_stay():
    draft = edit_stage(MAP, "regular", {"name": "Stammkunde"})

    assert draft.stage_map.by_key["regular"].name == "Stammkunde"
    assert diff(MAP, draft.stage_map) == ((), (), (FieldChange("regular", "name", "Regular", "Stammkunde"),))


def test_errors_of_an_edited_stage_have_relative_pointers():
    with pytest.raises(InvalidInputError) as refused:
        edit_stage(
            MAP, "regular", {"auto_rules": any_of(rule("appointment_count", count="three")), "order": "3"}
        )

    assert sorted(pointers(refused)) == ["/auto_rules/any/0/conditions/count", "/order"]


def test_an_edit_that_conflicts_with_another_stage_is_rejected_with_its_pointer():
    named = edit_stage(MAP, "lead", {"retention_days": 30}).stage_map
    with pytest.raises(InvalidInputError) as refused:
        edit_stage(named, "lead", {"name": "Customer"})

    assert pointers(refused) == ["/stages/1/name"]


def test_one_stage_is_archived():
    draft = archive(MAP, "regular", "customer")

    assert draft.stage_map.find("regular").key == "customer"
    assert draft.archived == {"regular": "/remapped_to"}


@pytest.mark.parametrize(
    "change", [lambda m, key: edit_stage(m, key, {"name": "X"}), lambda m, key: archive(m, key, None)]
)
def test_only_an_active_stage_can_be_changed(change):
    with pytest.raises(StageNotFoundError):
        change(MAP, "nobody")
    with pytest.raises(StageArchivedError):
        change(archived_map(), "regular")


def test_archiving_a_stage_that_others_are_remapped_to_needs_a_successor():
    with pytest.raises(InvalidInputError) as refused:
        archive(archived_map(), "customer", None)
    assert pointers(refused) == ["/remapped_to"]
    assert "'regular'" in refused.value.errors[0].message

    assert archive(archived_map(), "customer", "lead").stage_map.find("regular").key == "lead"


def test_an_active_stage_has_no_successor_and_a_new_one_is_active():
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, changed("regular", remapped_to="customer"), pointer="/stages")
    assert pointers(refused) == ["/stages/2/remapped_to"]
    with pytest.raises(InvalidInputError) as refused:
        build_draft(MAP, [*STAGES, stage("ghost", 9, is_active=False)], pointer="/stages")
    assert pointers(refused) == ["/stages/4/is_active"]


# ---- the diff


def test_the_diff_has_added_and_archived_stages_and_changed_fields():
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


def test_the_reverse_diff_swaps_before_and_after():
    later = edit_stage(MAP, "customer", {"auto_rules": rule("appointment_requested")}).stage_map

    forth, back = diff(MAP, later).changed, diff(later, MAP).changed
    assert [(c.stage, c.field) for c in forth] == [("customer", "auto_rules")]
    assert [(c.before, c.after) for c in forth] == [(c.after, c.before) for c in back]
