"""Request and response schemas of message templates."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from journey_service.api.schema_fields import (
    Id,
    JsonObject,
    NextCursor,
    RequestModel,
    ResponseModel,
    Timestamp,
    described_by,
)
from journey_service.domain.actions import templates as domain
from journey_service.domain.actions.records import StoredTemplate
from journey_service.domain.actions.templates import (
    KEY,
    LANGUAGE,
    MAX_HTML_LENGTH,
    MAX_SUBJECT_LENGTH,
    MAX_TEXT_LENGTH,
)
from journey_service.services.actions.template_rendering import VARIABLES, RenderedTemplate

_VARIABLES: Final = (*VARIABLES, "customer.attributes.<name>")
_LIQUID: Final = f"Liquid with the variables {', '.join(f'`{name}`' for name in _VARIABLES)}"
_Channel = Annotated[
    Literal["email", "sms", "offer", "notice"],
    Field(
        description="Channel of the message. `email`: email; `sms`: text message; `offer`: special offer; `notice`:"
        " email to an employee",
        examples=["sms"],
    ),
]
_Key = Annotated[
    str,
    Field(
        pattern=f"^{KEY.pattern}$",
        description="Key by which actions name the template. With the key of a built-in template, the template"
        " replaces it",
        examples=["spring_offer"],
    ),
]
_Language = Annotated[
    str,
    Field(
        pattern=f"^{LANGUAGE.pattern}$",
        description="Language of the message, with or without a region, in lower case",
        examples=["en"],
    ),
]
_Subject = Annotated[
    str | None,
    Field(
        max_length=MAX_SUBJECT_LENGTH,
        description="Subject in Liquid; required for `email` and `notice`, null for other channels",
        examples=[None],
    ),
]
_TextBody = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_TEXT_LENGTH,
        description=f"Message in {_LIQUID}. An email must contain `unsubscribe_url`; an SMS has at most 1,000"
        " characters",
        examples=["Hello {{ customer.first_name }}, spring is here. {{ company.name }}"],
    ),
]
_HtmlBody = Annotated[
    str | None,
    Field(
        max_length=MAX_HTML_LENGTH,
        description="HTML version of an email or a notice in Liquid, with values escaped; null if there is only `text`",
        examples=[None],
    ),
]


class TemplateDefinition(RequestModel):
    """A template: a message on one channel in one language."""

    key: _Key
    channel: _Channel
    language: _Language
    subject: _Subject = None
    text: _TextBody
    html: _HtmlBody = None


TemplateInput = Annotated[dict[str, Any], described_by(TemplateDefinition)]


class BuiltInTemplate(ResponseModel):
    """A template that comes with the service."""

    key: _Key
    channel: _Channel
    language: _Language
    subject: _Subject
    text: _TextBody
    html: _HtmlBody


class BuiltInTemplateList(ResponseModel):
    """All built-in templates."""

    items: list[BuiltInTemplate] = Field(description="The built-in templates")

    @classmethod
    def of(cls, templates: Sequence[domain.Template]) -> "BuiltInTemplateList":
        """Builds the response from templates of the domain."""
        return cls(items=[BuiltInTemplate(**asdict(template)) for template in templates])


class Template(BuiltInTemplate):
    """A template of the company."""

    id: Id = Field(description="Id of the template")
    author: str = Field(
        description="Credential that wrote the current content: `key:<id>` or `user:<subject>`",
        examples=["key:console"],
    )
    created_at: Timestamp = Field(
        description="When the template was created", examples=["2026-03-01T12:00:00Z"]
    )
    updated_at: Timestamp = Field(
        description="When the template was last changed", examples=["2026-03-01T12:00:00Z"]
    )

    @classmethod
    def of(cls, stored: StoredTemplate) -> "Template":
        """Builds the response from a stored template."""
        return cls(
            id=stored.id,
            author=stored.author,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            **asdict(stored.template),
        )


class TemplatePage(ResponseModel):
    """A page of the company's templates, by id."""

    items: list[Template] = Field(description="The templates of this page")
    next_cursor: NextCursor


class TemplatePreviewRequest(RequestModel):
    """Values to render a template with."""

    values: JsonObject = Field(
        default=None,
        description="Values by the name of the variable, which replace those of a sample customer; null or omitted:"
        " the sample",
        examples=[{"customer": {"first_name": "Ada"}, "note": "See you soon."}],
    )


class RenderedMessage(ResponseModel):
    """A rendered message, as a customer receives it."""

    subject: str | None = Field(
        description="Subject; null for channels other than `email` and `notice`", examples=[None]
    )
    text: str = Field(
        description="Text of the message", examples=["Hello Ada, spring is here. Salon Lumière"]
    )
    html: str | None = Field(
        description="HTML version of the message; null if there is none", examples=[None]
    )

    @classmethod
    def of(cls, rendered: RenderedTemplate) -> "RenderedMessage":
        """Builds the response from a rendered message."""
        return cls(**asdict(rendered))
