"""The linter of migrations accepts steps that keep traffic moving, and refuses those that do not."""

import os

import pytest

from chaos.system import assert_detected
from upgrade.lint import RELEASED, find_violations, is_installed, main
from upgrade.next_schema import LAST, next_schema, render

UNSAFE = {
    "a column without a default": "ALTER TABLE customers ADD COLUMN n integer NOT NULL;",
    "a type that is rewritten": "ALTER TABLE customers ALTER COLUMN language TYPE varchar(9);",
    "an index that blocks writes": "CREATE INDEX i ON customers (language);",
    "a check of all rows": "ALTER TABLE customers ADD CONSTRAINT c CHECK (language <> '');",
    "a backfill": "UPDATE customers SET language = 'de';",
    "a dropped column": "ALTER TABLE customers DROP COLUMN language;",
    "a renamed column": "ALTER TABLE customers RENAME COLUMN language TO tongue;",
}


@pytest.fixture(autouse=True)
def _squawk():
    if not is_installed():
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail("squawk is required and not installed")
        pytest.skip("squawk is not installed")


def test_migrations_that_expand_are_accepted(tmp_path):
    configuration = next_schema(tmp_path, "postgresql://")
    assert find_violations(render(configuration, RELEASED, LAST)) == ""


@pytest.mark.parametrize("sql", UNSAFE.values(), ids=UNSAFE)
def test_unsafe_steps_are_detected(sql):
    assert_detected(sql, find_violations(sql))


def test_the_migrations_of_the_checkout_are_accepted():
    assert main() == 0
