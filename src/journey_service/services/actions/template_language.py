"""The template language: Liquid without the tags and filters that are unsafe, with limits on size and work."""

import re
from collections.abc import Callable, Mapping
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

from journey_service.domain.errors import quote_value

MAX_LOOP_ITERATIONS: Final = 1_000
MAX_OUTPUT_BYTES: Final = 256 * 1024
MAX_VARIABLE_BYTES: Final = 64 * 1024
MAX_WORK: Final = 1_000_000
"""Characters that one rendering may process in loops, filters and variables; more is an error."""
MAX_TAG_LENGTH: Final = 1_000
MAX_TAG_BLANKS: Final = 50
"""Consecutive blanks within a tag: the time to parse them grows with the square of their number."""
_STARTS: Final = ("#", "assign", "break", "capture", "continue", "for", "if", "unless")
_TAGS: Final = (*_STARTS, "else", "elsif", "endcapture", "endfor", "endif", "endunless")
FILTERS: Final = (
    *("append", "capitalize", "default", "downcase", "escape", "lstrip", "newline_to_br", "prepend"),
    *("remove", "rstrip", "size", "squish", "strip", "strip_newlines", "truncate", "truncatewords"),
    *("upcase", "url_encode"),
)
"""Filters that process text only and whose output is at most a few times as long as their input."""
_OPENING: Final = re.compile(r"\{\{|\{%")
_NAME: Final = re.compile(r"-?\s*(#|\w*)")
_BLANKS: Final = re.compile(rf"\s{{{MAX_TAG_BLANKS + 1}}}")
RENDER_ERRORS: Final = (LiquidError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""Errors of the library, and Python errors that it lets through for invalid templates."""
_LIMIT_ERRORS: Final[Mapping[type[LiquidError], str]] = {
    BlockNestingError: "is nested too deeply",
    ContextDepthError: "is nested too deeply",
    LocalNamespaceLimitError: "exceeds the variable size limit",
    LoopIterationLimitError: "has too many loop iterations",
    OutputStreamLimitError: "renders too much text",
    ResourceLimitError: "exceeds the rendering limit",
}


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

    def get_item(self, obj: object, key: object) -> object:
        """Attributes named `size`, `first` or `last` are no properties of the mapping."""
        if isinstance(obj, Mapping) and key in ("size", "first", "last"):
            return obj[key]
        return super().get_item(obj, key)

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
        self.filters = {name: self.filters[name] for name in FILTERS}

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
def parse_source(source: str, *, is_html: bool) -> BoundTemplate:
    """Parses one part of a template. Raises LiquidError."""
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


def describe_error(error: Exception, source: str) -> str:
    """Returns the message of an error, with its position in the source."""
    if not isinstance(error, LiquidError):
        return "cannot be rendered"
    at = -1 if error.token is None else error.token.start_index
    excess = next((text for kind, text in _LIMIT_ERRORS.items() if isinstance(error, kind)), None)
    return f"{name_line(source, at)}: {excess or str(error.message)[:300]}"


def name_line(source: str, at: int) -> str:
    """Returns the line of a position for a message; a negative position is the end."""
    return "at the end" if at < 0 else f"line {source.count(chr(10), 0, at) + 1}"
