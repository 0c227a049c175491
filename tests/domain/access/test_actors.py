"""Names under which tasks are assigned to the holders of credentials."""

import pytest

from journey_service.domain.access.actors import assignee_of


@pytest.mark.parametrize(
    ("actor", "name"),
    [
        ("user:ada", "ada"),
        ("user:auth0|5f:1", "auth0|5f:1"),
        ("user:key:console", "key:console"),
        ("key:console", "console"),
        ("link:demo", "demo"),
        ("link:journey sign-in-link", "journey sign-in-link"),
        ("link:user:ada", "ada"),
        ("link:key:console", "console"),
        ("schedule", "schedule"),
        ("crm:7", "crm:7"),
    ],
)
def test_tasks_are_assigned_under_the_name_without_the_kind_of_the_credential(actor, name):
    assert assignee_of(actor) == name
