"""Templates over the wire."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema

from journey_service.api.schema_fields import JsonObject, RequestModel, ResponseModel
from journey_service.domain.actions.records import StoredTemplate
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import (
    HTML_LENGTH,
    KEY,
    LANGUAGE,
    SUBJECT_LENGTH,
    TEXT_LENGTH,
    WRITTEN,
    Template,
)
from journey_service.services.actions.template_rendering import VARIABLES, Rendered

_LIQUID: Final = f"Liquid, which may speak of {', '.join(VARIABLES)}"

# Read by the domain, which knows the place of every fault; what is said here is for those who write them.
TemplateIn = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "required": ["key", "channel", "language", "text"],
            "properties": {
                "key": {
                    "type": "string",
                    "pattern": f"^{KEY.pattern}$",
                    "description": "what stages' actions name; one of the service's own is replaced by it",
                },
                "channel": {"enum": [*WRITTEN]},
                "language": {"type": "string", "pattern": f"^{LANGUAGE.pattern}$"},
                "subject": {
                    "type": ["string", "null"],
                    "maxLength": SUBJECT_LENGTH,
                    "description": "of an email, which has to have one",
                },
                "text": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": TEXT_LENGTH,
                    "description": f"{_LIQUID}; emails have to show unsubscribe_url",
                },
                "html": {
                    "type": ["string", "null"],
                    "maxLength": HTML_LENGTH,
                    "description": "of an email, beside its text; what is filled in is escaped",
                },
            },
            "additionalProperties": False,
            "examples": [
                {
                    "key": "spring_offer",
                    "channel": "sms",
                    "language": "en",
                    "text": "Hello {{ customer.first_name }}, spring is here. {{ company.name }}",
                }
            ],
        }
    ),
]


class TemplateTextOut(ResponseModel):
    """A template: a message on one channel in one language, in Liquid."""

    key: str
    channel: Channel
    language: str
    subject: str | None
    text: str
    html: str | None


class BuiltInTemplatesOut(ResponseModel):
    """The templates that come with the service."""

    items: list[TemplateTextOut]

    @classmethod
    def of(cls, templates: Sequence[Template]) -> "BuiltInTemplatesOut":
        """Show templates."""
        return cls(items=[TemplateTextOut(**asdict(template)) for template in templates])


class TemplateOut(TemplateTextOut):
    """A template of the company's own."""

    id: int
    author: str = Field(description="who last wrote it", examples=["key:console"])
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: StoredTemplate) -> "TemplateOut":
        """Show a template."""
        return cls(
            id=stored.id,
            author=stored.author,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            **asdict(stored.template),
        )


class TemplatesOut(ResponseModel):
    """A page of the company's own templates, by id."""

    items: list[TemplateOut]
    next_cursor: str | None


class RenderingIn(RequestModel):
    """What a template is filled in with."""

    values: JsonObject = Field(
        default=None,
        description="in place of those of a sample customer",
        examples=[{"customer": {"first_name": "Ada"}, "note": "See you soon."}],
    )


class RenderedOut(ResponseModel):
    """A message as somebody gets it."""

    subject: str | None
    text: str
    html: str | None

    @classmethod
    def of(cls, rendered: Rendered) -> "RenderedOut":
        """Show a message."""
        return cls(**asdict(rendered))
