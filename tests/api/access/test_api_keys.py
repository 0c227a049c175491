"""API keys: what each role may, a successor that takes over without a gap, and secrets that are kept nowhere."""

import asyncio
import base64
import json
import re

import pytest

from api.calls import API, JSON, NOON, every_page, ingest, problem, without_id
from api.published import published
from conftest import PEPPER
from journey_service.api import authentication
from journey_service.domain.access.actors import EVERYTHING, OPERATE, ROLE_SCOPES, SELF, Actor, Role
from journey_service.domain.errors import InvalidInputError
from journey_service.repositories.access import api_keys as stored
from journey_service.services.access import credentials, key_installation
from server_versions import newest_only

KEYS = f"{API}/admin/keys"
_OF_EVERYBODY = {"self"}
_OF_AGENTS = {
    *("customers:read", "customers:write", "journeys:write", "stages:read"),
    *("actions:read", "actions:write"),
    *_OF_EVERYBODY,
}
MAY = {
    "service": {"events:write", "customers:read", "customers:write"} | _OF_EVERYBODY,
    "agent": _OF_AGENTS,
    "manager": _OF_AGENTS | {"stages:write", "analytics:read"},
    "admin": _OF_AGENTS | {"stages:write", "analytics:read", "events:write", "privacy", "admin"},
}
"""What each role may do; everything else is refused."""


def _operations():
    for path, methods in published()["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                yield operation["operationId"], (method.upper(), path, operation["security"][0]["key"][0])


OPERATIONS = dict(_operations())


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def key_of(tenant):
    return tenant.token.split("_")[1]


async def make(http, maker, **properties):
    """A key that a caller has created for their own company."""
    answer = await http.post(KEYS, headers=maker, json={"name": "a key", **properties})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def rotate(http, maker, key_id, **properties):
    return await http.post(f"{KEYS}/{key_id}/rotate", headers=maker, json=properties or None)


async def listed(http, maker):
    return {
        key["id"]: key for page in await every_page(http, maker, "/admin/keys", limit=200) for key in page
    }


async def opens(http, secret):
    """Whether a key is alive."""
    answer = await http.get(f"{API}/session", headers=bearer(secret))
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.fixture(autouse=True)
def no_cookies(http):
    """What a test was given to keep is not kept for the next one."""
    yield
    http.cookies.clear()


@pytest.fixture(scope="module")
async def keys_of_role(http, create_test_company):
    """A key of each role of one company's."""
    tenant = await create_test_company()
    return {role: (await make(http, tenant.headers, role=role))["secret"] for role in MAY}


@pytest.fixture
def forget(api):
    """Makes the process look up every credential again, as every other process does within two seconds."""
    return api.state.app_state.credential_cache.clear


@pytest.fixture
def move_end(database_owner):
    """Let the time pass for a key: it ends so many seconds sooner."""

    async def move(key_id, seconds):
        done = await database_owner.connection.execute(
            "UPDATE api_keys SET expires_at = expires_at - make_interval(secs => $2) WHERE key_id = $1",
            key_id,
            seconds,
        )
        assert done == "UPDATE 1"

    return move


async def seconds_left(database_owner, key_id):
    return await database_owner.connection.fetchval(
        "SELECT extract(epoch FROM expires_at - clock_timestamp())::float FROM api_keys WHERE key_id = $1",
        key_id,
    )


# ---- roles


def test_every_operation_belongs_to_a_role_but_for_those_of_operators():
    assert MAY.keys() == {*Role} - {Role.OPERATOR}
    assert {scope for _, _, scope in OPERATIONS.values()} == {*MAY["admin"], OPERATE}


@newest_only
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_role_may_do_what_it_is_for_and_no_more(http, keys_of_role, operation):
    method, path, scope = OPERATIONS[operation]
    # Nothing exists under these ids, and nothing is sent: permitted callers get 404 or 422.
    path = re.sub(r"\{[^}]*(id|version)\}", "999999", path).replace("{key}", "nothing")
    assert "{" not in path
    seen = {}
    for role, secret in keys_of_role.items():
        answer = await http.request(method, path, headers={**bearer(secret), "content-type": JSON})
        assert answer.status_code != 401
        seen[role] = answer.status_code != 403

    assert seen == {role: scope in scopes for role, scopes in MAY.items()}


async def test_letting_every_role_do_everything_is_noticed(http, keys_of_role, monkeypatch):
    monkeypatch.setattr(authentication, "_check_scopes", lambda *_: None)

    with pytest.raises(AssertionError):
        await test_each_role_may_do_what_it_is_for_and_no_more(http, keys_of_role, "list_api_keys")
    print("guard removed: detected")


async def test_a_role_is_shown_with_what_it_may_do(http, salon):
    for role in MAY:
        values = await make(http, salon.headers, role=role)
        assert values["role"] == role
        assert values["scopes"] == sorted(ROLE_SCOPES[Role(role)])
        seen = (await http.get(f"{API}/session", headers=bearer(values["secret"]))).json()
        assert seen.pop("company")["id"] == salon.id
        assert seen == {
            "name": f"key:{values['id']}",
            "assignee": values["id"],
            "company_id": salon.id,
            "role": role,
            "scopes": values["scopes"],
            "expires_at": None,
            "idle_until": None,
        }


async def test_scopes_that_are_named_are_all_that_a_role_may_do(http, salon):
    values = await make(http, salon.headers, role="admin", scopes=["stages:read"])

    assert (values["role"], values["scopes"]) == ("admin", ["stages:read"])
    assert (await http.get(f"{API}/stages", headers=bearer(values["secret"]))).status_code == 200
    problem(await http.get(KEYS, headers=bearer(values["secret"])), 403, "forbidden")


async def test_scopes_without_a_role_are_a_service_s(http, salon):
    assert (await make(http, salon.headers, scopes=["analytics:read"]))["role"] == "service"


@newest_only
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a"}, ""),
        ({"name": "a", "scopes": []}, "/scopes"),
        ({"name": "a", "scopes": ["admin", "operate"]}, "/scopes/1"),
        ({"name": "a", "scopes": ["self"]}, "/scopes/0"),
        ({"name": "a", "scopes": ["customers:*"]}, "/scopes/0"),
        ({"name": "a", "role": "operator"}, "/role"),
        ({"name": "a", "role": "owner"}, "/role"),
        ({"name": "a", "role": "admin", "company_id": 1}, "/company_id"),
        ({"role": "admin"}, "/name"),
        ({"name": "", "role": "admin"}, "/name"),
        ({"name": "a", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "a", "role": "admin", "expires_at": "2020-01-01"}, "/expires_at"),
    ],
)
async def test_a_key_that_cannot_be_is_not_made(http, operator, salon, database_owner, body, pointer):
    before = await database_owner.rows(salon.id)

    problem(await http.post(KEYS, headers=salon.headers, json=body), 422, "invalid-input", pointer)
    path = f"{API}/admin/companies/{salon.id}/keys"
    problem(await http.post(path, headers=operator, json=body), 422, "invalid-input", pointer)

    assert await database_owner.rows(salon.id) == before


# ---- a caller gives only scopes of their own


GIVEN = {
    "everything": {"scopes": ["*"]},
    "more than one has": {"scopes": ["admin", "privacy"]},
    "something else": {"scopes": ["customers:read"]},
    "the role of an admin": {"role": "admin"},
    "a role that may other things": {"role": "agent"},
    "no role, which is a service's": {"role": "service"},
}


@pytest.mark.parametrize("wish", GIVEN.values(), ids=GIVEN)
async def test_no_caller_gives_scopes_they_do_not_have(http, create_test_company, database_owner, wish):
    limited = await create_test_company(scopes=("admin", "stages:read"))
    before = await database_owner.rows(limited.id)

    answer = await http.post(KEYS, headers=limited.headers, json={"name": "a key", **wish})

    problem(answer, 403, "forbidden")
    assert await database_owner.rows(limited.id) == before


async def test_a_caller_gives_exactly_the_scopes_they_have(http, create_test_company):
    limited = await create_test_company(scopes=("admin", "stages:read"))

    given = await make(http, limited.headers, scopes=["stages:read"])
    same = await make(
        http, bearer((await make(http, limited.headers, scopes=["admin"]))["secret"]), scopes=["admin"]
    )

    assert (given["scopes"], same["scopes"]) == (["stages:read"], ["admin"])


async def test_a_successor_is_no_way_to_more_either(http, salon, database_owner):
    limited = await make(http, salon.headers, scopes=["admin"])
    for wider in (key_of(salon), (await make(http, salon.headers, role="agent"))["id"]):
        before = await database_owner.rows(salon.id)
        problem(await rotate(http, bearer(limited["secret"]), wider, overlap_seconds=0), 403, "forbidden")
        assert await database_owner.rows(salon.id) == before
    narrow = await make(http, salon.headers, scopes=["admin"])
    assert (await rotate(http, bearer(limited["secret"]), narrow["id"])).status_code == 201


async def test_letting_every_caller_give_everything_is_noticed(
    http, create_test_company, database_owner, monkeypatch
):
    monkeypatch.setattr(credentials.Principal, "may_grant", lambda *_: True)

    with pytest.raises(AssertionError):
        await test_no_caller_gives_scopes_they_do_not_have(
            http, create_test_company, database_owner, {"scopes": ["*"]}
        )
    print("guard removed: detected")


@pytest.mark.parametrize("role", ["service", "agent", "manager"])
async def test_who_is_no_admin_makes_ends_and_sees_no_keys(http, salon, database_owner, role):
    headers = bearer((await make(http, salon.headers, role=role))["secret"])
    before = await database_owner.rows(salon.id)

    for request in (
        http.get(KEYS, headers=headers),
        http.post(KEYS, headers=headers, json={"name": "a", "role": role}),
        rotate(http, headers, key_of(salon)),
        http.delete(f"{KEYS}/{key_of(salon)}", headers=headers),
    ):
        problem(await request, 403, "forbidden")

    assert await database_owner.rows(salon.id) == before


# ---- one's own company, and those of others


async def test_an_admin_s_keys_are_those_of_the_own_company(http, salon, create_test_company):
    neighbour = await create_test_company()
    made = await make(http, salon.headers, role="agent")

    assert (await listed(http, salon.headers)).keys() == {key_of(salon), made["id"]}
    assert (await listed(http, neighbour.headers)).keys() == {key_of(neighbour)}


async def test_a_neighbour_s_key_is_like_one_that_is_not_there(
    http, salon, create_test_company, database_owner
):
    neighbour = await create_test_company()
    before = await database_owner.rows(neighbour.id)

    for request in (http.delete, lambda path, headers: http.post(f"{path}/rotate", headers=headers)):
        theirs = await request(f"{KEYS}/{key_of(neighbour)}", headers=salon.headers)
        nobodys = await request(f"{KEYS}/{'0' * 16}", headers=salon.headers)
        problem(theirs, 404, "key-not-found")
        assert theirs.text.replace(key_of(neighbour), "0" * 16) == nobodys.text
        assert len(without_id(theirs)) == len(without_id(nobodys))

    assert await database_owner.rows(neighbour.id) == before
    assert await opens(http, neighbour.token)


async def test_keys_of_companies_by_their_id_are_for_operators(http, operator, salon):
    path = f"{API}/admin/companies/{salon.id}/keys"
    made = (await http.post(path, headers=operator, json={"name": "a", "role": "manager"})).json()

    for request in (
        http.get(path, headers=salon.headers),
        http.post(path, headers=salon.headers, json={"name": "a", "role": "agent"}),
        http.post(f"{path}/{made['id']}/rotate", headers=salon.headers),
        http.delete(f"{path}/{made['id']}", headers=salon.headers),
    ):
        problem(await request, 403, "forbidden")
    assert await opens(http, made["secret"])
    rotated = await http.post(f"{path}/{made['id']}/rotate", headers=operator)
    assert rotated.status_code == 201
    assert (rotated.json()["role"], rotated.json()["rotated_from"]) == ("manager", made["id"])
    seen = {key["id"] for key in (await http.get(path, headers=operator)).json()["items"]}
    assert seen == {key_of(salon), made["id"], rotated.json()["id"]}


async def test_an_operator_reaches_a_key_under_its_own_company_only(
    http, operator, salon, create_test_company
):
    neighbour = await create_test_company()
    path = f"{API}/admin/companies/{salon.id}/keys/{key_of(neighbour)}"

    problem(await http.post(f"{path}/rotate", headers=operator), 404, "key-not-found")
    problem(await http.delete(path, headers=operator), 404, "key-not-found")
    assert await opens(http, neighbour.token)


async def test_an_operator_makes_keys_of_a_company_as_its_admin_does(http, operator, salon):
    requires_scope = {**operator, "X-Company-Id": str(salon.id)}

    made = await make(http, requires_scope, role="admin")

    assert (await listed(http, salon.headers))[made["id"]]["role"] == "admin"
    assert (await http.delete(f"{KEYS}/{made['id']}", headers=requires_scope)).status_code == 204
    assert not await opens(http, made["secret"])


async def test_an_admin_may_end_the_very_key_in_use(http, salon):
    made = await make(http, salon.headers, role="admin")

    assert (await http.delete(f"{KEYS}/{made['id']}", headers=bearer(made["secret"]))).status_code == 204

    problem(await http.get(KEYS, headers=bearer(made["secret"])), 401, "unauthenticated")


# ---- rotation


async def test_both_keys_work_until_the_old_one_s_time_is_over(http, salon, forget, move_end, database_owner):
    old = await make(http, salon.headers, name="booking", role="manager")

    answer = await rotate(http, salon.headers, old["id"], overlap_seconds=3_600)

    assert answer.status_code == 201
    new = answer.json()
    assert (new["name"], new["role"], new["scopes"]) == (old["name"], old["role"], old["scopes"])
    assert (new["rotated_from"], new["expires_at"], new["revoked_at"]) == (old["id"], None, None)
    assert new["id"] != old["id"]
    assert new["secret"].split("_", 2)[2] != old["secret"].split("_", 2)[2]
    assert 3_500 < await seconds_left(database_owner, old["id"]) <= 3_600
    for secret in (old["secret"], new["secret"]):
        assert await opens(http, secret)

    await move_end(old["id"], 3_500)
    forget()
    assert await opens(http, old["secret"]), "there is time left"
    await move_end(old["id"], 100)
    forget()
    assert not await opens(http, old["secret"])
    assert await opens(http, new["secret"])


async def test_without_a_word_the_old_key_has_a_week(http, salon, database_owner):
    old = await make(http, salon.headers, role="service")

    for body in ({}, {"json": {}}):
        made = await make(http, salon.headers, role="service")
        assert (
            await http.post(f"{KEYS}/{made['id']}/rotate", headers=salon.headers, **body)
        ).status_code == 201
        assert 0 < 7 * 86_400 - await seconds_left(database_owner, made["id"]) < 60
    assert await seconds_left(database_owner, old["id"]) is None


async def test_no_overlap_ends_the_old_key_at_once(http, salon):
    old = await make(http, salon.headers, role="service")
    assert await opens(http, old["secret"]), "it is remembered"

    new = (await rotate(http, salon.headers, old["id"], overlap_seconds=0)).json()

    assert not await opens(http, old["secret"])
    assert await opens(http, new["secret"])


@pytest.mark.parametrize("overlap", [-1, 90 * 86_400 + 1, 1.5, "soon", None])
async def test_an_overlap_is_up_to_ninety_days(http, salon, database_owner, overlap):
    old = await make(http, salon.headers, role="service")
    before = await database_owner.rows(salon.id)

    answer = await rotate(http, salon.headers, old["id"], overlap_seconds=overlap)

    problem(answer, 422, "invalid-input", "/overlap_seconds")
    assert await database_owner.rows(salon.id) == before
    assert (await rotate(http, salon.headers, old["id"], overlap_seconds=90 * 86_400)).status_code == 201


async def test_an_overlap_does_not_keep_a_key_alive_beyond_its_own_time(http, salon, database_owner):
    old = await make(http, salon.headers, role="service", expires_at="2199-01-01T00:00:00Z")
    near = await make(http, salon.headers, role="service", expires_at="2199-01-01T00:00:00Z")
    await database_owner.connection.execute(
        "UPDATE api_keys SET expires_at = clock_timestamp() + interval '1 hour' WHERE key_id = $1", near["id"]
    )

    for key in (old, near):
        assert (await rotate(http, salon.headers, key["id"], overlap_seconds=86_400)).status_code == 201

    assert 86_000 < await seconds_left(database_owner, old["id"]) <= 86_400
    assert 3_500 < await seconds_left(database_owner, near["id"]) <= 3_600


async def test_two_keys_are_alive_at_most_and_neither_is_rotated_before_the_other_has_ended(
    http, salon, database_owner
):
    first = await make(http, salon.headers, role="service")
    second = (await rotate(http, salon.headers, first["id"])).json()
    before = await database_owner.rows(salon.id)

    for key in (first, second):
        problem(await rotate(http, salon.headers, key["id"]), 409, "rotation-in-progress")

    assert await database_owner.rows(salon.id) == before
    await database_owner.expire_key(first["id"])
    third = (await rotate(http, salon.headers, second["id"])).json()
    assert third["rotated_from"] == second["id"]
    for key in (second, third):
        assert await opens(http, key["secret"])


async def test_the_successor_of_a_key_that_ends_lives_as_long_as_that_one_was_made_to(
    http, salon, database_owner
):
    first = await make(http, salon.headers, role="service", expires_at="2199-01-01T00:00:00Z")
    await database_owner.connection.execute(
        "UPDATE api_keys SET expires_at = created_at + interval '90 days' WHERE key_id = $1", first["id"]
    )

    second = (await rotate(http, salon.headers, first["id"])).json()

    assert 90 * 86_400 - 60 < await seconds_left(database_owner, second["id"]) <= 90 * 86_400


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_successor_that_has_ended_makes_room_for_another(http, salon, database_owner, end):
    first = await make(http, salon.headers, role="service")
    second = (await rotate(http, salon.headers, first["id"])).json()
    if end == "revoked":
        assert (await http.delete(f"{KEYS}/{second['id']}", headers=salon.headers)).status_code == 204
    else:
        await database_owner.expire_key(second["id"])

    third = await rotate(http, salon.headers, first["id"])

    assert third.status_code == 201
    assert await opens(http, first["secret"])
    assert await opens(http, third.json()["secret"])


async def test_of_many_who_rotate_a_key_at_once_one_gets_a_successor(http, salon, database_owner):
    old = await make(http, salon.headers, role="service")

    answers = await asyncio.gather(*(rotate(http, salon.headers, old["id"]) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    number = "SELECT count(*) FROM api_keys WHERE rotated_from = $1"
    assert await database_owner.connection.fetchval(number, old["id"]) == 1


async def test_a_key_that_is_not_alive_has_no_successor(http, salon, database_owner):
    revoked, expired = [await make(http, salon.headers, role="service") for _ in range(2)]
    await http.delete(f"{KEYS}/{revoked['id']}", headers=salon.headers)
    await database_owner.expire_key(expired["id"])
    before = await database_owner.rows(salon.id)

    for key_id in (revoked["id"], expired["id"], "0" * 16, "tests"):
        problem(await rotate(http, salon.headers, key_id), 404, "key-not-found")

    assert await database_owner.rows(salon.id) == before


async def test_a_key_may_rotate_itself(http, salon):
    own = await make(http, salon.headers, scopes=["admin"])

    new = (await rotate(http, bearer(own["secret"]), own["id"], overlap_seconds=0)).json()

    assert not await opens(http, own["secret"])
    assert new["scopes"] == ["admin"]
    assert new["id"] in await listed(http, bearer(new["secret"]))


async def test_a_rotation_that_forgets_to_hold_the_key_is_found_out(http, salon, database_owner, monkeypatch):
    async def nobody(*_):
        return None

    monkeypatch.setattr("journey_service.repositories.access.api_keys.ApiKeys.find_successor", nobody)

    with pytest.raises(AssertionError):
        await test_of_many_who_rotate_a_key_at_once_one_gets_a_successor(http, salon, database_owner)
    print("guard removed: detected")


# ---- time


async def test_that_a_key_was_used_is_noted_to_the_minute(http, salon, forget, database_owner):
    key = await make(http, salon.headers, role="agent")
    assert key["last_used_at"] is None
    assert (await listed(http, salon.headers))[key["id"]]["last_used_at"] is None

    async def used():
        forget()
        assert await opens(http, key["secret"])
        return (await listed(http, salon.headers))[key["id"]]["last_used_at"]

    first = await used()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", first)
    assert await used() == first, "within the minute nothing is written"
    await database_owner.connection.execute(
        "UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds' WHERE key_id = $1", key["id"]
    )
    assert await used() > first


async def test_a_key_that_was_refused_was_not_used(http, salon, forget):
    key = await make(http, salon.headers, role="agent")

    for wrong in (key["secret"][:-1] + "~", key["secret"][:-2], f"jrn_{key['id']}_" + "x" * 43):
        assert not await opens(http, wrong)

    assert (await listed(http, salon.headers))[key["id"]]["last_used_at"] is None


async def test_a_key_ends_by_the_database_s_clock_and_no_other(http, salon, forget, move_end, database_owner):
    """The company's own clock stands in 2026, wherever time is."""
    key = await make(http, salon.headers, role="agent", expires_at="2199-01-01T00:00:00Z")
    assert await opens(http, key["secret"])

    await move_end(key["id"], await seconds_left(database_owner, key["id"]) - 600)
    forget()
    assert await opens(http, key["secret"])
    await move_end(key["id"], 600)
    forget()
    assert not await opens(http, key["secret"])
    assert (await listed(http, salon.headers))[key["id"]]["revoked_at"] is None


async def test_a_key_that_never_ends_is_found_out(http, salon, forget, move_end, database_owner, monkeypatch):
    async def whenever(self, key_id):
        row = (await self._connection.execute(stored._FIND_LIVE, {"key_id": key_id})).one_or_none()
        return None if row is None else stored._to_key(row)

    monkeypatch.setattr(stored.KeyLookup, "find_live", whenever)

    with pytest.raises(AssertionError):
        await test_a_key_ends_by_the_database_s_clock_and_no_other(
            http, salon, forget, move_end, database_owner
        )
    print("guard removed: detected")


async def test_an_ended_key_is_not_found_to_be_ended_again(http, salon, database_owner):
    key = await make(http, salon.headers, role="agent")
    path = f"{KEYS}/{key['id']}"
    assert (await http.delete(path, headers=salon.headers)).status_code == 204
    first = (await listed(http, salon.headers))[key["id"]]["revoked_at"]

    problem(await http.delete(path, headers=salon.headers), 404, "key-not-found")

    assert (await listed(http, salon.headers))[key["id"]]["revoked_at"] == first


# ---- secrets


async def _dumped(database_owner, find):
    """Where in the database a text stands, whichever table, column and spelling."""
    seen = set()
    tables = await database_owner.connection.fetch(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    assert len(tables) > 15
    for row in tables:
        rest = b""

        async def fetch(chunk, table=row["table_name"]):
            nonlocal rest
            text = rest + chunk
            seen.update((table, name) for name, spelling in find.items() if spelling in text)
            rest = text[-200:]

        await database_owner.connection.copy_from_table(row["table_name"], schema_name="public", output=fetch)
    return seen


def _spellings(name, secret):
    raw = secret.encode()
    return {
        f"{name}": raw,
        f"{name} in hexadecimal": raw.hex().encode(),
        f"{name} in base64": base64.b64encode(raw).rstrip(b"=")[:-1],
        f"{name} in JSON": json.dumps(secret).strip('"').encode(),
    }


async def test_no_secret_stands_anywhere_in_the_database(http, operator, salon, database_owner):
    made = await make(http, salon.headers, role="admin")
    successor = (await rotate(http, salon.headers, made["id"])).json()
    await http.post(f"{API}/session", headers=bearer(made["secret"]))
    opened = await http.post(f"{API}/session", headers=bearer(successor["secret"]))
    await ingest(http, salon, "e-1", customer_id=1, occurred_at=NOON)
    path = f"{API}/admin/companies/{salon.id}/keys"
    by_operator = (await http.post(path, headers=operator, json={"name": "k", "role": "agent"})).json()
    secrets = {
        "a new key": made["secret"],
        "a successor": successor["secret"],
        "an operator's gift": by_operator["secret"],
        "the first key": salon.token,
        "the bootstrap key": operator["Authorization"].split()[1],
        "a session": opened.cookies["journey_session"],
    }
    find = {}
    for name, token in secrets.items():
        find |= _spellings(name, token)
        secret = token.split("_", 2)[2] if token.startswith("jrn_") else token.partition(".")[2]
        find |= _spellings(f"the secret of {name}", secret)
    find["a key's id"] = made["id"].encode()

    seen = await _dumped(database_owner, find)

    assert {name for _, name in seen} == {"a key's id"}, "the look itself finds what is there"
    assert ("api_keys", "a key's id") in seen


async def test_a_secret_that_was_written_down_is_found(http, salon, database_owner):
    made = await make(http, salon.headers, role="admin")
    secret = made["secret"].split("_", 2)[2]
    await database_owner.connection.execute(
        "UPDATE api_keys SET name = $2 WHERE key_id = $1", made["id"], f"k {secret}"
    )

    seen = await _dumped(database_owner, _spellings("a secret", secret))

    await database_owner.connection.execute("UPDATE api_keys SET name = 'k' WHERE key_id = $1", made["id"])
    assert ("api_keys", "a secret") in seen
    print("guard removed: detected")


async def test_no_answer_but_the_first_contains_a_secret(http, operator, salon):
    made = await make(http, salon.headers, role="admin")
    successor = (await rotate(http, salon.headers, made["id"])).json()
    response = [
        *[await http.get(KEYS, headers=salon.headers)],
        *[await http.get(f"{API}/admin/companies/{salon.id}/keys", headers=operator)],
        *[await http.get(f"{API}/session", headers=bearer(made["secret"]))],
        *[await http.get(f"{API}/admin/audit", headers=salon.headers)],
        *[await rotate(http, salon.headers, made["id"])],
        *[await http.delete(f"{KEYS}/{made['id']}", headers=salon.headers)],
        *[await http.get(f"{API}/session", headers=bearer(made["secret"]))],
    ]

    for answer in response:
        for key in (made, successor):
            assert key["secret"].split("_", 2)[2] not in answer.text
            assert key["secret"].split("_", 2)[2] not in str(answer.headers)
        assert "hash" not in answer.text.replace("before_hash", "").replace("after_hash", "")


def test_a_star_covers_everything_of_a_company_and_nothing_of_operators():
    admin = credentials.Principal("key:k", 1, Role.ADMIN, frozenset((EVERYTHING, OPERATE)))
    nothing = credentials.Principal("key:k", 1, Role.SERVICE, frozenset())

    assert (admin.may(SELF), nothing.may(SELF)) == (True, True)
    assert admin.may("privacy")
    assert not admin.may(OPERATE)
    assert not nothing.may("privacy")
    assert not admin.may_grant([OPERATE])


# ---- what ends


async def test_a_key_that_ends_makes_none_that_outlives_it(http, salon, database_owner):
    short = await make(http, salon.headers, role="admin", expires_at="2199-01-01T00:00:00Z")
    await database_owner.connection.execute(
        "UPDATE api_keys SET expires_at = clock_timestamp() + interval '1 hour' WHERE key_id = $1",
        short["id"],
    )

    for wished in ({}, {"expires_at": "2198-01-01T00:00:00Z"}):
        child = await make(http, bearer(short["secret"]), role="agent", **wished)
        assert 3_500 < await seconds_left(database_owner, child["id"]) <= 3_600


async def test_a_bootstrap_key_that_was_revoked_stays_so_and_another_choice_ends_the_former(
    http, database, database_owner, api
):
    former, later = ("jrn_boot-a_" + "Zq7Lw2Xe9R" * 4), ("jrn_boot-b_" + "mT4cV8nB1k" * 4)
    name = "SELECT count(*) FROM api_keys WHERE company_id = 0 AND key_id = $1 AND revoked_at IS NULL"

    async def install(token):
        await key_installation.install_bootstrap_key(database, token, pepper=PEPPER)
        api.state.app_state.credential_cache.clear()

    try:
        await install(former)
        assert await opens(http, former)
        await credentials.revoke_key(database, 0, "boot-a", by=Actor("tests"))
        await install(former)
        assert not await opens(http, former)

        await install(later)
        assert await opens(http, later)
        assert await database_owner.connection.fetchval(name, "tests") == 0  # the one that was chosen before
    finally:
        await database_owner.connection.execute(
            "UPDATE api_keys SET revoked_at = NULL WHERE company_id = 0 AND key_id = 'tests'"
        )
        await database_owner.connection.execute(
            "DELETE FROM api_keys WHERE company_id = 0 AND key_id LIKE 'boot-_'"
        )
        api.state.app_state.credential_cache.clear()


async def test_a_bootstrap_key_takes_no_other_key_s_id(http, salon, database):
    taken = await make(http, salon.headers, role="agent")

    with pytest.raises(InvalidInputError, match="the id of another key"):
        await key_installation.install_bootstrap_key(
            database, f"jrn_{taken['id']}_" + "Zq7Lw2Xe9R" * 4, pepper=PEPPER
        )

    assert await opens(http, taken["secret"])
