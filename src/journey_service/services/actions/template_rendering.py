"""Filling templates in: what companies write is Liquid with few tags and a budget; what is filled in is data only."""

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
from journey_service.domain.actions.templates import SMS_LENGTH, SUBJECT_LENGTH, Template
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
"""What a template may speak of."""

LOOPS: Final = 1_000
OUTPUT_BYTES: Final = 256 * 1024
VARIABLE_BYTES: Final = 64 * 1024
WORK: Final = 1_000_000
"""How many characters one rendering may go through in loops, filters and variables."""
TAG_LENGTH: Final = 1_000
TAG_BLANKS: Final = 50
"""Blanks in a row within a tag: the time to read them grows with the square of their number."""
MAX_FAULTS: Final = 10

_STARTS: Final = ("#", "assign", "break", "capture", "continue", "for", "if", "unless")
_TAGS: Final = (*_STARTS, "else", "elsif", "endcapture", "endfor", "endif", "endunless")
_FILTERS: Final = (
    *("append", "capitalize", "default", "downcase", "escape", "lstrip", "newline_to_br", "prepend"),
    *("remove", "rstrip", "size", "squish", "strip", "strip_newlines", "truncate", "truncatewords"),
    *("upcase", "url_encode"),
)
"""Those that look at nothing but a text, and make it a few times as long at most."""
_OPENING: Final = re.compile(r"\{\{|\{%")
_NAME: Final = re.compile(r"-?\s*(#|\w*)")
_BLANKS: Final = re.compile(rf"\s{{{TAG_BLANKS + 1}}}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNFIT: Final = re.compile("[\x00\ud800-\udfff]")
_FAILURES: Final = (LiquidError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""The language's own errors, and what it lets through when it is asked for nonsense."""
_EXCESSES: Final[Mapping[type[LiquidError], str]] = {
    BlockNestingError: "is nested too deeply",
    ContextDepthError: "is nested too deeply",
    LocalNamespaceLimitError: "keeps too much in variables",
    LoopIterationLimitError: "loops too often",
    OutputStreamLimitError: "becomes too long",
    ResourceLimitError: "takes too much work",
}
_CLOCK: Final[Mapping[str, object]] = {"now": None, "today": None}
"""What the language would tell the time by."""
_SAMPLE_URL: Final = "https://example.com/unsubscribe"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as somebody gets it; subject and HTML belong to emails."""

    subject: str | None
    text: str
    html: str | None


def render(template: Template, values: Mapping[str, object]) -> Rendered:
    """Fill a template in; what is not known, or blank, becomes nothing.

    Values come as `VARIABLES` has them: `{"customer": {"name": ...}, "note": ...}`. Raises InvalidInputError for
    what goes beyond the limits.
    """
    known = _known(values)
    filled: dict[str, str] = {}
    faults: list[FieldError] = []
    for name, source in _parts(template):
        try:
            filled[name] = _parsed(source, is_html=name == "html").render(known)
        except _FAILURES as error:
            faults.append(FieldError(f"/{name}", _told(error, source)))
    if faults:
        raise InvalidInputError(faults)
    subject = filled.get("subject")
    return Rendered(None if subject is None else _line(subject), filled["text"], filled.get("html"))


def check(template: Template) -> None:
    """Refuse what could not be sent, before it is kept.

    It is rendered for a customer of whom everything is known, and for one of whom nothing is. Raises
    InvalidInputError.
    """
    faults = [
        FieldError(f"/{name}", told)
        for name, source in _parts(template)
        for told in _faults_of(source, is_html=name == "html")
    ]
    if faults:
        raise InvalidInputError(faults)
    full = preview(template)
    try:
        bare = render(template, {"unsubscribe_url": _SAMPLE_URL})
    except InvalidInputError as error:
        raise InvalidInputError(
            [
                FieldError(fault.pointer, f"{fault.message}, where nothing is known of a customer")
                for fault in error.errors
            ]
        ) from error
    if not full.text.strip():
        faults.append(FieldError("/text", "says nothing"))
    if full.subject is not None and not full.subject:
        faults.append(FieldError("/subject", "says nothing"))
    if template.channel is Channel.SMS and len(full.text) > SMS_LENGTH:
        faults.append(FieldError("/text", f"becomes longer than {SMS_LENGTH} characters"))
    if template.channel is Channel.EMAIL:
        # Looked for in what is sent: the variable may stand where it is never shown.
        faults += [
            FieldError(f"/{name}", "must always show {{ unsubscribe_url }}")
            for name, sent in (("text", (full.text, bare.text)), ("html", (full.html, bare.html)))
            if not all(each is None or _SAMPLE_URL in each for each in sent)
        ]
    if faults:
        raise InvalidInputError(faults)


def sample_values() -> dict[str, object]:
    """What previews are filled in with."""
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


def preview(template: Template, overrides: Mapping[str, object] | None = None) -> Rendered:
    """How a template looks with sample values; `overrides` take the place of those they name.

    Raises InvalidInputError like `render`.
    """
    values = sample_values()
    for root, told in (overrides or {}).items():
        sample = values.get(root)
        if isinstance(told, Mapping) and isinstance(sample, Mapping):
            values[root] = {**sample, **told}
        else:
            values[root] = told
    return render(template, values)


# ---- what goes in


def _known(values: Mapping[str, object]) -> dict[str, object]:
    """The values that templates may speak of, as plain data; empty ones are left out, so that defaults apply."""
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
    # Of a subclass of str the text alone: some claim to be safe already.
    text = str.__str__(value) if isinstance(value, str) else str(value)
    return _UNFIT.sub("\ufffd", text) if text.strip() else None


def _line(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())[:SUBJECT_LENGTH].rstrip()


# ---- the language, within limits


class _Metered(RenderContext):
    """Counts what a rendering goes through, across all its loops and filters.

    The limits of the language count nested loops but not those after one another, and not what filters make on the
    way.
    """

    spent = 0

    def _spend(self, characters: int) -> None:
        self.spent += characters
        if self.spent > WORK:
            raise ResourceLimitError("takes too much work", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Take every turn of a loop to go through the whole template."""
        super().raise_for_loop_limit(length)
        self._spend(length * len(self.template.nodes[0].token.source))

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        """Count what is looked up: it is shown, compared or searched."""
        found = super().get(path, token=token, default=default)
        self._spend(_size(found))
        return found

    def assign(self, key: str, val: object) -> None:
        """Count what is kept in a variable."""
        self._spend(_size(val))
        super().assign(key, val)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Count what goes into a filter, and what comes out."""
        apply = super().filter(name, token)

        def metered(value: object, *args: object, **options: object) -> object:
            result = apply(value, *args, **options)
            self._spend(_size(value) + _size(result))
            return result

        return metered


class _Template(BoundTemplate):
    context_class = _Metered


class _Language(Environment):
    """Liquid without what reads files, tells the time, or multiplies without being counted."""

    template_class = _Template
    block_nesting_limit = 10
    context_depth_limit = 20
    loop_iteration_limit = LOOPS
    output_stream_limit = OUTPUT_BYTES
    local_namespace_limit = VARIABLE_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Keep the few that letters need."""
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
        """Place an error that only says "at the end" at the tag that ends there."""
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
    """Refuse what the language takes long to read: braces left open, long tags, and those that swallow others."""
    at = 0
    while opening := _OPENING.search(source, at):
        closing = "}}" if opening[0] == "{{" else "%}"
        end = source.find(closing, opening.end())
        if end < 0:
            raise _misread(f"{opening[0]} is not closed by {closing}", source, opening.start())
        if end - opening.start() > TAG_LENGTH:
            raise _misread(f"a tag is longer than {TAG_LENGTH} characters", source, opening.start())
        if _BLANKS.search(source, opening.end(), end):
            raise _misread(f"a tag has more than {TAG_BLANKS} blanks in a row", source, opening.start())
        name = _NAME.match(source, opening.end())
        if opening[0] == "{%" and name is not None and name[1] not in _TAGS:
            told = f"the tag {quote_value(name[1])} is unknown; known: {', '.join(_TAGS)}"
            raise _misread(told, source, opening.start())
        at = end + len(closing)


def _misread(message: str, source: str, at: int) -> LiquidSyntaxError:
    return LiquidSyntaxError(message, token=Token(TOKEN_TAG, "", at, source))


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else 1


# ---- what is wrong


def _parts(template: Template) -> Iterator[tuple[str, str]]:
    for name, source in (("subject", template.subject), ("text", template.text), ("html", template.html)):
        if source is not None:
            yield name, source


def _faults_of(source: str, *, is_html: bool) -> list[str]:
    """What is wrong with a part, whoever it is for."""
    try:
        used = _parsed(source, is_html=is_html).analyze()
    except _FAILURES as error:
        return [_told(error, source)]
    strange = {
        str(variable): variable.span.index
        for variables in used.globals.values()
        for variable in variables
        if ".".join(map(str, variable.segments)) not in VARIABLES
    }
    faults = [
        f"{_place(source, at)}: {quote_value(name)} is unknown; known: {', '.join(VARIABLES)}"
        for name, at in strange.items()
    ]
    faults += [
        f"{_place(source, spans[0].index)}: the filter {quote_value(name)} is unknown; known: {', '.join(_FILTERS)}"
        for name, spans in used.filters.items()
        if name not in _FILTERS
    ]
    return faults[:MAX_FAULTS]


def _told(error: Exception, source: str) -> str:
    if not isinstance(error, LiquidError):
        return "cannot be rendered"
    at = -1 if error.token is None else error.token.start_index
    excess = next((told for kind, told in _EXCESSES.items() if isinstance(error, kind)), None)
    return f"{_place(source, at)}: {excess or str(error.message)[:300]}"


def _place(source: str, at: int) -> str:
    return "at the end" if at < 0 else f"line {source.count(chr(10), 0, at) + 1}"
