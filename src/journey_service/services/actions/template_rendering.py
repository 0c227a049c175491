"""Template rendering: a restricted Liquid with limits on work and output; values are plain data."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from liquid import BoundTemplate, Environment, RenderContext, Token
from liquid.exceptions import (
    BlockNestingError,
    ContextDepthError,
    LiquidError,
    LiquidSyntaxError,
    LocalNamespaceLimitError,
    LoopIterationLimitError,
    OutputStreamLimitError,
    ResourceLimitError,
)
from liquid.token import TOKEN_CONTENT, TOKEN_ILLEGAL, TOKEN_OUTPUT, TOKEN_TAG
from liquid.undefined import UNDEFINED

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.actions.templates import MAX_SMS_LENGTH, MAX_SUBJECT_LENGTH, Template
from journey_service.domain.errors import FieldError, InvalidInputError, quote_value

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
"""Variables that a template may use."""

MAX_LOOP_ITERATIONS: Final = 1_000
MAX_OUTPUT_BYTES: Final = 256 * 1024
MAX_VARIABLE_BYTES: Final = 64 * 1024
MAX_WORK: Final = 1_000_000
"""Characters that one rendering may process in loops, filters and variables; more is an error."""
MAX_TAG_LENGTH: Final = 1_000
MAX_TAG_BLANKS: Final = 50
"""Consecutive blanks within a tag: the time to parse them grows with the square of their number."""
MAX_ERRORS: Final = 10
"""Errors reported for one part of a template."""

_STARTS: Final = ("#", "assign", "break", "capture", "continue", "for", "if", "unless")
_TAGS: Final = (*_STARTS, "else", "elsif", "endcapture", "endfor", "endif", "endunless")
_FILTERS: Final = (
    *("append", "capitalize", "default", "downcase", "escape", "lstrip", "newline_to_br", "prepend"),
    *("remove", "rstrip", "size", "squish", "strip", "strip_newlines", "truncate", "truncatewords"),
    *("upcase", "url_encode"),
)
"""Filters that process text only and whose output is at most a few times as long as their input."""
_OPENING: Final = re.compile(r"\{\{|\{%")
_NAME: Final = re.compile(r"-?\s*(#|\w*)")
_BLANKS: Final = re.compile(rf"\s{{{MAX_TAG_BLANKS + 1}}}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNSUPPORTED: Final = re.compile("[\x00\ud800-\udfff]")
_RENDER_ERRORS: Final = (LiquidError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of the library, and Python errors that it lets through for invalid templates."""
_LIMIT_ERRORS: Final[Mapping[type[LiquidError], str]] = {
    BlockNestingError: "is nested too deeply",
    ContextDepthError: "is nested too deeply",
    LocalNamespaceLimitError: "exceeds the variable size limit",
    LoopIterationLimitError: "has too many loop iterations",
    OutputStreamLimitError: "renders too much text",
    ResourceLimitError: "exceeds the rendering limit",
}
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

    Values are nested as in `VARIABLES`: `{"customer": {"name": ...}, "note": ...}`. Raises InvalidInputError if a
    limit is exceeded.
    """
    known = _known(values)
    filled: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, source in _parts(template):
        try:
            filled[name] = _parsed(source, is_html=name == "html").render(known)
        except _RENDER_ERRORS as error:
            errors.append(FieldError(f"/{name}", _message_of(error, source)))
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
    full = preview(template)
    try:
        bare = render(template, {"unsubscribe_url": _SAMPLE_URL})
    except InvalidInputError as error:
        raise InvalidInputError(
            [
                FieldError(each.pointer, f"{each.message}, for a customer without any values")
                for each in error.errors
            ]
        ) from error
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
    if errors:
        raise InvalidInputError(errors)


def sample_values() -> dict[str, object]:
    """Returns the sample values of previews."""
    return {
        "customer": {"name": "Anna Keller", "first_name": "Anna", "id": 4711},
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

    Raises InvalidInputError.
    """
    values = sample_values()
    for root, override in (overrides or {}).items():
        sample = values.get(root)
        if isinstance(override, Mapping) and isinstance(sample, Mapping):
            values[root] = {**sample, **override}
        else:
            values[root] = override
    return render(template, values)


# ---- values


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
    return {**known, **inner}


def _plain(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    # The plain text of str subclasses: some are marked as safe and would not be escaped.
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return _UNSUPPORTED.sub("\ufffd", text) if text.strip() else None


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())[:MAX_SUBJECT_LENGTH].rstrip()


# ---- the language and its limits


class _LimitedContext(RenderContext):
    """Render context that limits the total work of a rendering, across all its loops and filters.

    The library's limits cover nested loops, but neither consecutive loops nor intermediate results of filters.
    """

    spent = 0

    def _spend(self, characters: int) -> None:
        self.spent += characters
        if self.spent > MAX_WORK:
            raise ResourceLimitError("exceeds the rendering limit", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Counts every iteration as the length of the whole template."""
        super().raise_for_loop_limit(length)
        self._spend(length * len(self.template.nodes[0].token.source))

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """Counts the value that is looked up."""
        found = super().get(path, token=token, default=default)
        self._spend(_size(found))
        return found

    def assign(self, key: str, val: object) -> None:
        """Counts the value that is stored in a variable."""
        self._spend(_size(val))
        super().assign(key, val)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Counts the input and the output of a filter."""
        apply = super().filter(name, token)

        def metered(value: object, *args: object, **options: object) -> object:
            result = apply(value, *args, **options)
            self._spend(_size(value) + _size(result))
            return result

        return metered


class _Template(BoundTemplate):
    context_class = _LimitedContext


class _Language(Environment):
    """Liquid without the tags and filters that read files, read the clock, or produce uncounted output."""

    template_class = _Template
    block_nesting_limit = 10
    context_depth_limit = 20
    loop_iteration_limit = MAX_LOOP_ITERATIONS
    output_stream_limit = MAX_OUTPUT_BYTES
    local_namespace_limit = MAX_VARIABLE_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Keeps only the allowed tags and filters."""
        super().setup_tags_and_filters(extra=extra)
        kept = (*_STARTS, TOKEN_CONTENT, TOKEN_OUTPUT, TOKEN_ILLEGAL)
        self.tags = {name: self.tags[name] for name in kept}
        self.filters = {name: self.filters[name] for name in _FILTERS}

    def error(
        self,
        exc: type[LiquidError] | LiquidError,
        msg: str | None = None,
        token: Token | None = None,
    ) -> None:
        """Adds the position of the last tag to errors that have none."""
        if isinstance(exc, LiquidError) and exc.token is not None and exc.token.start_index < 0:
            exc.token = token or exc.token
        super().error(exc, msg, token)


_PLAIN: Final = _Language()
_HTML: Final = _Language(autoescape=True)


@lru_cache(maxsize=64)
def _parsed(source: str, *, is_html: bool) -> BoundTemplate:
    _scan(source)
    return (_HTML if is_html else _PLAIN).from_string(source)


def _scan(source: str) -> None:
    """Rejects what takes the library long to parse: unclosed braces, long tags, unknown block tags."""
    position = 0
    while opening := _OPENING.search(source, position):
        closing = "}}" if opening[0] == "{{" else "%}"
        end = source.find(closing, opening.end())
        if end < 0:
            raise _syntax_error(f"{opening[0]} is not closed by {closing}", source, opening.start())
        if end - opening.start() > MAX_TAG_LENGTH:
            raise _syntax_error(f"a tag is longer than {MAX_TAG_LENGTH} characters", source, opening.start())
        if _BLANKS.search(source, opening.end(), end):
            raise _syntax_error(
                f"a tag has more than {MAX_TAG_BLANKS} blanks in a row", source, opening.start()
            )
        name = _NAME.match(source, opening.end())
        if opening[0] == "{%" and name is not None and name[1] not in _TAGS:
            message = f"the tag {quote_value(name[1])} is unknown; known: {', '.join(_TAGS)}"
            raise _syntax_error(message, source, opening.start())
        position = end + len(closing)


def _syntax_error(message: str, source: str, at: int) -> LiquidSyntaxError:
    return LiquidSyntaxError(message, token=Token(TOKEN_TAG, "", at, source))


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else 1


# ---- errors


def _parts(template: Template) -> Iterator[tuple[str, str]]:
    for name, source in (("subject", template.subject), ("text", template.text), ("html", template.html)):
        if source is not None:
            yield name, source


def _errors_of(source: str, *, is_html: bool) -> list[str]:
    """Returns the errors of a part that do not depend on the customer."""
    try:
        used = _parsed(source, is_html=is_html).analyze()
    except _RENDER_ERRORS as error:
        return [_message_of(error, source)]
    unknown = {
        str(variable): variable.span.index
        for variables in used.globals.values()
        for variable in variables
        if ".".join(map(str, variable.segments)) not in VARIABLES
    }
    errors = [
        f"{_line_of(source, at)}: {quote_value(name)} is unknown; known: {', '.join(VARIABLES)}"
        for name, at in unknown.items()
    ]
    errors += [
        f"{_line_of(source, spans[0].index)}: the filter {quote_value(name)} is unknown; known: {', '.join(_FILTERS)}"
        for name, spans in used.filters.items()
        if name not in _FILTERS
    ]
    return errors[:MAX_ERRORS]


def _message_of(error: Exception, source: str) -> str:
    if not isinstance(error, LiquidError):
        return "cannot be rendered"
    at = -1 if error.token is None else error.token.start_index
    excess = next((text for kind, text in _LIMIT_ERRORS.items() if isinstance(error, kind)), None)
    return f"{_line_of(source, at)}: {excess or str(error.message)[:300]}"


def _line_of(source: str, at: int) -> str:
    return "at the end" if at < 0 else f"line {source.count(chr(10), 0, at) + 1}"
