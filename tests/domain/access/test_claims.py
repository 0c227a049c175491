"""Claims: found by name or path; roles in every form that providers write them in."""

import pytest

from journey_service.domain.access.actors import Role
from journey_service.domain.access.claims import ClaimMapping, find_claim, parse_role_map
from journey_service.domain.errors import InvalidInputError


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"roles": "found"}, "roles"),
        ({"realm_access": {"roles": "found"}}, "realm_access.roles"),
        ({"realm_access.roles": "found", "realm_access": {"roles": "other"}}, "realm_access.roles"),
        ({"https://company.com/roles": "found"}, "https://company.com/roles"),
        ({"https://company.com": {"roles": "found"}}, "https://company.com.roles"),
        ({"resource_access": {"my.client": {"roles": "found"}}}, "resource_access.my.client.roles"),
        ({"a.b": {"x": 1}, "a": {"b": {"c": "found"}}}, "a.b.c"),
        ({"realm_access": ["roles"]}, "realm_access.roles"),
        ({"realm_access": {"groups": 1}}, "realm_access.roles"),
        ({"a": {"b": 1}}, "a..b"),
        ({}, "."),
    ],
)
def test_a_claim_is_found_by_its_name_and_then_by_its_path(claims, name):
    assert find_claim(claims, name) == ("found" if "found" in str(claims) else None)


MANAGER = {Role.MANAGER}


@pytest.mark.parametrize(
    ("value", "roles"),
    [
        ("manager", MANAGER),
        (["manager", "unknown"], MANAGER),
        ([["manager"], [["agent"]]], MANAGER | {Role.AGENT}),
        ({"name": "manager", "agent": True}, MANAGER),
        ([{"name": "manager", "id": 7}, "agent"], MANAGER | {Role.AGENT}),
        ({"manager": {"312": "company.com"}, "agent": {}}, MANAGER | {Role.AGENT}),
        ({"manager": True, "admin": False, "agent": None}, MANAGER),
        ({"name": ["manager"]}, set()),
        ({"roles": ["manager"]}, set()),
        ("manager agent", set()),
        ("Manager", set()),
        *((value, set()) for value in (None, 7, True, "", [], {}, [None, 1.5, [[]], {}], {"name": None})),
    ],
)
def test_roles_are_read_in_every_form_and_anything_else_names_none(value, roles):
    mapping = ClaimMapping("company_id", "roles")

    assert mapping.roles({"roles": value}) == roles


def test_with_a_map_its_names_alone_are_roles():
    mapping = ClaimMapping("org.id", "groups", {"heads": Role.MANAGER, "admin": Role.AGENT})

    assert mapping.roles({"groups": ["heads", "manager", "operator"]}) == MANAGER
    assert mapping.roles({"groups": [{"name": "admin"}]}) == {Role.AGENT}
    assert mapping.company({"org": {"id": 7}}) == 7


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("heads=manager", {"heads": Role.MANAGER}),
        (" Front desk = agent , heads=manager ", {"Front desk": Role.AGENT, "heads": Role.MANAGER}),
        ("cn=desk=agent", {"cn=desk": Role.AGENT}),
        ('{"cn=heads,dc=company": "manager"}', {"cn=heads,dc=company": Role.MANAGER}),
        ("platform=operator", {"platform": Role.OPERATOR}),
    ],
)
def test_a_role_map_is_pairs_or_an_object(text, roles):
    assert parse_role_map(text) == roles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heads", "must be name=role pairs, separated by commas, or a JSON object of roles by name"),
        ("=manager", "must be name=role pairs, separated by commas, or a JSON object of roles by name"),
        ("heads=manager,", "must be name=role pairs, separated by commas, or a JSON object of roles by name"),
        ("heads=boss", "must map names to service, agent, manager, admin, operator; got 'boss'"),
        ("heads=", "must map names to service, agent, manager, admin, operator; got ''"),
        ("heads=manager,heads=agent", "contains a name twice"),
        ('{"heads": "manager"', "is not a valid JSON object"),
        (
            '{"heads": ["manager"]}',
            "must map names to service, agent, manager, admin, operator; got ['manager']",
        ),
        ("{}", "must contain at least one name, and no empty one"),
        ('{"": "agent"}', "must contain at least one name, and no empty one"),
    ],
)
def test_an_invalid_role_map_is_refused_with_the_reason(text, message):
    with pytest.raises(InvalidInputError) as refused:
        parse_role_map(text)

    [error] = refused.value.errors
    assert (error.pointer, error.message) == ("OIDC_ROLE_MAP", message)
