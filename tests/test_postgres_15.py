"""Tests that exercise SQL also run on the oldest supported PostgreSQL."""

import os
from collections import Counter

import asyncpg
import pytest

from server_versions import (
    HTTP_ONLY,
    NEWEST,
    OLDEST,
    OLDEST_BIN,
    REPEATED,
    TESTS,
    check_version,
    is_exempt,
    is_installed,
    repeated_unit,
)
from statements import executed, failure, refused_by


def test_the_oldest_version_is_there():
    if not is_installed():
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(f"PostgreSQL {OLDEST} is required and {OLDEST_BIN} is not there")
        pytest.skip(f"PostgreSQL {OLDEST} is not here: {OLDEST_BIN}")


async def test_the_server_is_of_the_version_that_its_parameter_names(servers, request):
    version = request.node.callspec.params["servers"]
    if version == NEWEST and os.environ.get("JOURNEY_TEST_POSTGRES_BIN"):
        pytest.skip("JOURNEY_TEST_POSTGRES_BIN names another version")
    connection = await asyncpg.connect(servers.database_url)
    try:
        found = await connection.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    finally:
        await connection.close()
    assert found == int(version)


async def test_a_server_of_another_version_is_refused(servers, request):
    [other] = {NEWEST, OLDEST} - {request.node.callspec.params["servers"]}
    with pytest.raises(AssertionError, match=f"PostgreSQL {other} was expected"):
        await check_version(servers.database_url, other)


def test_every_test_that_reaches_the_servers_is_repeated_unless_its_file_is_left_out(request):
    """Once, or with each of its parameters if each has its SQL; of services and the API, one test of each file."""
    if not is_installed() or request.config.option.keyword or request.config.option.markexpr:
        pytest.skip("only a choice of the tests was collected")
    newest, oldest = Counter(), Counter()
    for item in request.session.items:
        path = item.path.relative_to(TESTS)
        if "servers" in item.fixturenames and path.parts[0] in REPEATED:
            is_left_out = path.as_posix() in HTTP_ONLY or is_exempt(item)
            counted = {NEWEST: newest, OLDEST: oldest}[item.callspec.params["servers"]]
            unit = repeated_unit(item)
            counted[unit] += not is_left_out
            if item.get_closest_marker("each_has_its_sql") is None or unit == path.as_posix():
                counted[unit] = min(counted[unit], 1)
    assert newest.total() > 0
    assert +oldest == +newest


async def test_statements_of_the_service_are_recorded(database, tenant):
    await database.run(tenant.id, lambda uow: uow.relationships.count())
    assert any("count(*) FROM customer_relationships" in statement for statement in executed)


def test_a_statement_that_the_oldest_version_does_not_know_is_found():
    if not is_installed():
        pytest.skip(f"PostgreSQL {OLDEST} is not here: {OLDEST_BIN}")
    known = "SELECT count(*) FROM customers WHERE company_id = $1"
    newer = "SELECT any_value(name) FROM customers"  # since version 16
    [error] = refused_by(OLDEST_BIN, {known, newer})
    assert newer in error
    assert newer in failure([error])


def test_files_that_are_left_out_exist():
    assert [name for name in HTTP_ONLY if not (TESTS / name).exists()] == []
