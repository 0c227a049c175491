"""Prose is plain technical English: words that name people vaguely, or that paint a picture, are counted.

Counted are docstrings, comments, messages, help of commands, descriptions of the contract, README, docs, and the names
of tests. One in a thousand words may be one of these.
"""

import ast
import io
import json
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IDIOMS = re.compile(
    r"\b("
    # People and things have a name: the caller, the worker, another transaction, the customer.
    r"whoever|whatever|whom|whomever|somebody|someone|nobody|everybody|anybody"
    # Software does not speak: it returns, writes, sends, reports.
    r"|told|tells?|telling|said|says?|saying"
    # Words with a plainer one.
    r"|amiss|beside|besides|anew|thereof|hitherto|henceforth|whence|hence|thence"
    r"|com(?:e|es|ing) of|becom(?:e|es|ing) of|became of|gone on with|goes on with|go on with|going on with"
    r"|leaves? the house|told apart|in hand|worked off|work off|found a company|founded|doorbell"
    r"|by hand|out of the house"
    r")\b",
    re.IGNORECASE,
)
ALLOWED_PER_1000_WORDS = 1
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
# A quotation of a forbidden word is no use of it.
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"")


def _docstrings_comments_messages(file: Path) -> Iterator[str]:
    source = file.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("#: ")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_prose(node.value):
            yield node.value


def _is_prose(text: str) -> bool:
    """Whether a string constant is a sentence, and not SQL, a name, or a pattern."""
    words = text.split()
    is_sql = re.match(
        r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|FROM|WHERE|AND|JOIN|GRANT|DROP|ALTER|DO)\b", text
    )
    return len(words) >= 4 and not is_sql and not re.search(r"CAST\(|:company_id|\bunnest\(", text)


def _contract_texts(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for name, inner in node.items():
            if name in ("description", "summary", "title") and isinstance(inner, str):
                yield inner
            else:
                yield from _contract_texts(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _contract_texts(inner)


def _sources() -> Iterator[str]:
    for folder in ("src", "migrations", "bench"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield from _docstrings_comments_messages(file)


def _tests() -> Iterator[str]:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        if file == Path(__file__):
            continue
        yield from _docstrings_comments_messages(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield node.name.replace("_", " ")


def _contract() -> Iterator[str]:
    yield from _contract_texts(json.loads((ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8")))


def _documents() -> Iterator[str]:
    for file in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        # Code blocks are counted where the code is.
        yield re.sub(r"```.*?```", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)


def count(texts: Iterator[str]) -> tuple[Counter[str], int]:
    """Returns how often each idiom occurs, and how many words there are."""
    found: Counter[str] = Counter()
    words = 0
    for text in texts:
        words += len(WORD.findall(text))
        found.update(idiom.lower() for idiom in IDIOMS.findall(QUOTED.sub("", text)))
    return found, words


@pytest.mark.parametrize(
    "texts", [_sources, _tests, _contract, _documents], ids=lambda each: each.__name__.strip("_")
)
def test_idioms_are_rare(texts):
    found, words = count(texts())

    assert words > 2_000
    per_1000 = 1_000 * found.total() / words
    print(f"{found.total()} idioms in {words} words: {per_1000:.2f} in 1,000")
    assert per_1000 <= ALLOWED_PER_1000_WORDS, found.most_common(20)


@pytest.mark.parametrize(
    ("text", "idioms"),
    [
        ("Whoever falls due is told.", ["whoever", "told"]),
        ("What becomes of actions nobody sent.", ["becomes of", "nobody"]),
        ("Evaluates the customers that are due.", []),
        ("The word `whoever` is forbidden.", []),
    ],
)
def test_an_idiom_is_counted_and_a_quotation_is_not(text, idioms):
    found, _ = count(iter([text]))
    assert sorted(found.elements()) == sorted(idioms)
