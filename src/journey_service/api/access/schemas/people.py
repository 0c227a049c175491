"""Response schemas of people."""

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel


class Person(ResponseModel):
    """An employee of the company."""

    name: str = Field(description="Name under which tasks are assigned", examples=["ada"])


class People(ResponseModel):
    """The employees of the company who are known by name, and the caller."""

    me: str = Field(
        description="Name that `assignee=me` stands for: the caller's name in `GET /session` without the kind before"
        " the colon. Of `user:<subject>` the subject, of `key:<id>` the id of the key, of `link:<author>` the author"
        " of the sign-in link",
        examples=["ada"],
    )
    items: list[Person] = Field(
        description="Assignees of tasks, owners of customers, and users who have signed in within the last 30 days;"
        " each name once, in alphabetical order, at most 1,000",
        examples=[[{"name": "ada"}, {"name": "ben"}]],
    )
