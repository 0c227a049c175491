"""Template rendering: checks, previews and renders message templates; values are plain data."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import MAX_SMS_LENGTH, MAX_SUBJECT_LENGTH, Template
from journey_service.domain.customers.attributes import is_attribute_name
from journey_service.domain.errors import FieldError, InvalidInputError, quote_value
from journey_service.services.actions.template_language import (
    FILTERS,
    RENDER_ERRORS,
    describe_error,
    name_line,
    parse_source,
)

VARIABLES: Final = (
    "customer.name",
    "customer.first_name",
    "customer.id",
    "company.name",
    "stage.key",
    "stage.name",
    "offer.title",
    "offer.description",
    "offer.code",
    "offer.valid_until",
    "note",
    "unsubscribe_url",
    "action.name",
    "action.id",
)
"""Variables that a template may use, beside the attributes of the customer."""
ATTRIBUTES: Final = "customer.attributes"
"""Variables of attributes begin like this: `customer.attributes.plan`."""
_KNOWN: Final = ", ".join((*VARIABLES, f"{ATTRIBUTES}.<name>"))

MAX_ERRORS: Final = 10
"""Errors reported for one part of a template."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNSUPPORTED: Final = re.compile("[\x00\ud800-\udfff]")
_CLOCK: Final[Mapping[str, object]] = {"now": None, "today": None}
"""Values that replace the library's own variables for the current time."""
_SAMPLE_URL: Final = "https://example.com/unsubscribe"


@dataclass(frozen=True, slots=True)
class RenderedTemplate:
    """A rendered message. Only emails have a subject and HTML."""

    subject: str | None
    text: str
    html: str | None


def render(template: Template, values: Mapping[str, object]) -> RenderedTemplate:
    """Renders a template; unknown and blank values render as nothing.

    Values are nested as in `VARIABLES`: `{"customer": {"name": ...}, "note": ...}`; attributes are a mapping in
    `customer`. Raises InvalidInputError if a limit is exceeded.
    """
    known = _known(values)
    filled: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, source in _parts(template):
        try:
            filled[name] = parse_source(source, is_html=name == "html").render(known)
        except RENDER_ERRORS as error:
            errors.append(FieldError(f"/{name}", describe_error(error, source)))
    if errors:
        raise InvalidInputError(errors)
    subject = filled.get("subject")
    return RenderedTemplate(None if subject is None else _line(subject), filled["text"], filled.get("html"))


def check(template: Template) -> None:
    """Rejects a template that could not be sent.

    It is rendered twice: with all values known, and with none. Raises InvalidInputError.
    """
    errors = [
        FieldError(f"/{name}", message)
        for name, source in _parts(template)
        for message in _errors_of(source, is_html=name == "html")
    ]
    if errors:
        raise InvalidInputError(errors)
    errors = _message_errors(template, preview(template), _render_bare(template))
    if errors:
        raise InvalidInputError(errors)


def _render_bare(template: Template) -> RenderedTemplate:
    """Renders a template for a customer without any data. Raises InvalidInputError."""
    try:
        return render(template, {"unsubscribe_url": _SAMPLE_URL})
    except InvalidInputError as error:
        raise InvalidInputError(
            [
                FieldError(each.pointer, f"{each.message}, for a customer without any values")
                for each in error.errors
            ]
        ) from error


def _message_errors(template: Template, full: RenderedTemplate, bare: RenderedTemplate) -> list[FieldError]:
    """Returns why rendered messages could not be sent."""
    errors = []
    if not full.text.strip():
        errors.append(FieldError("/text", "must not be empty when rendered"))
    if full.subject is not None and not full.subject:
        errors.append(FieldError("/subject", "must not be empty when rendered"))
    if template.channel is Channel.SMS and len(full.text) > MAX_SMS_LENGTH:
        errors.append(
            FieldError("/text", f"must not be longer than {MAX_SMS_LENGTH} characters when rendered")
        )
    if template.channel is Channel.EMAIL:
        # Checked in the output: the variable may stand in a branch that is never rendered.
        errors += [
            FieldError(f"/{name}", "must contain {{ unsubscribe_url }} for every customer")
            for name, sent in (("text", (full.text, bare.text)), ("html", (full.html, bare.html)))
            if not all(each is None or _SAMPLE_URL in each for each in sent)
        ]
    return errors


def sample_values(attributes: Iterable[str] = ()) -> dict[str, object]:
    """Returns the sample values of previews; each of the attributes has its name as the value."""
    return {
        "customer": {
            "name": "Anna Keller",
            "first_name": "Anna",
            "id": 4711,
            "attributes": {name: name for name in attributes},
        },
        "company": {"name": "Atelier Nord"},
        "stage": {"key": "customer", "name": "Customer"},
        "offer": {
            "title": "10% off your next visit",
            "description": "For every appointment you book this month.",
            "code": "HELLO10",
            "valid_until": "2026-12-31",
        },
        "note": "It was good to see you last time. How have you been since?",
        "unsubscribe_url": _SAMPLE_URL,
        "action": {"name": "send_welcome_email", "id": 1},
    }


def preview(template: Template, overrides: Mapping[str, object] | None = None) -> RenderedTemplate:
    """Renders a template with sample values; `overrides` replace those they name.

    Each attribute of the customer has its name as the sample value. Raises InvalidInputError.
    """
    values = sample_values(_used_attributes(template))
    for root, override in (overrides or {}).items():
        values[root] = _merged(values.get(root), override)
    return render(template, values)


# ---- values


def _merged(sample: object, override: object) -> object:
    """Returns a sample value with what the override names."""
    if not isinstance(sample, Mapping) or not isinstance(override, Mapping):
        return override
    return {**sample, **{name: _merged(sample.get(name), value) for name, value in override.items()}}


def _known(values: Mapping[str, object]) -> dict[str, object]:
    """Returns the values of known variables as plain data, without empty ones, so that `default` filters apply."""
    known: dict[str, object] = dict(_CLOCK)
    inner: dict[str, dict[str, object]] = {}
    for name in VARIABLES:
        root, _, part = name.partition(".")
        value = values.get(root)
        if part:
            value = value.get(part) if isinstance(value, Mapping) else None
        value = _plain(value)
        if value is None:
            continue
        if part:
            inner.setdefault(root, {})[part] = value
        else:
            known[root] = value
    attributes = _known_attributes(values)
    if attributes:
        inner.setdefault("customer", {})["attributes"] = attributes
    return {**known, **inner}


def _known_attributes(values: Mapping[str, object]) -> dict[str, object]:
    customer = values.get("customer")
    attributes = customer.get("attributes") if isinstance(customer, Mapping) else None
    if not isinstance(attributes, Mapping):
        return {}
    plain = {name: _plain(value) for name, value in attributes.items() if is_attribute_name(name)}
    return {name: value for name, value in plain.items() if value is not None}


def _plain(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    # The plain text of str subclasses: some are marked as safe and would not be escaped.
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return _UNSUPPORTED.sub("\ufffd", text) if text.strip() else None


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())[:MAX_SUBJECT_LENGTH].rstrip()


def _parts(template: Template) -> Iterator[tuple[str, str]]:
    for name, source in (("subject", template.subject), ("text", template.text), ("html", template.html)):
        if source is not None:
            yield name, source


def _errors_of(source: str, *, is_html: bool) -> list[str]:
    """Returns the errors of a part that do not depend on the customer."""
    try:
        used = parse_source(source, is_html=is_html).analyze()
    except RENDER_ERRORS as error:
        return [describe_error(error, source)]
    unknown = {
        str(variable): variable.span.index
        for variables in used.globals.values()
        for variable in variables
        if ".".join(map(str, variable.segments)) not in VARIABLES and _attribute_of(variable.segments) is None
    }
    errors = [
        f"{name_line(source, at)}: {quote_value(name)} is unknown; known: {_KNOWN}"
        for name, at in unknown.items()
    ]
    errors += [
        f"{name_line(source, spans[0].index)}: the filter {quote_value(name)} is unknown; known: {', '.join(FILTERS)}"
        for name, spans in used.filters.items()
        if name not in FILTERS
    ]
    return errors[:MAX_ERRORS]


def _used_attributes(template: Template) -> Iterator[str]:
    """Yields the names of the attributes that a template uses; none of a part that cannot be parsed."""
    for name, source in _parts(template):
        try:
            used = parse_source(source, is_html=name == "html").analyze()
        except RENDER_ERRORS:
            continue
        for variables in used.globals.values():
            yield from filter(None, (_attribute_of(variable.segments) for variable in variables))


def _attribute_of(segments: Sequence[object]) -> str | None:
    """Returns the attribute that a variable names; None for other variables."""
    *path, name = segments
    return (
        name if isinstance(name, str) and path == ATTRIBUTES.split(".") and is_attribute_name(name) else None
    )
