"""Searches customers by words in a folded text of name, email address, telephone number and id."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_FOUND: Final = 20_000
"""Customers that a search finds by its index, and whose ids are then a condition of a list."""
_FOLD: Final = text("SELECT fold_text(CAST(:q AS text)) AS plain, fold_umlauts(CAST(:q AS text)) AS german")
_WORDS: Final = "CAST(:first AS text), CAST(:second AS text), CAST(:others AS text[])"
_FIND: Final = text(f"SELECT array_agg(id) FROM find_customers({_WORDS}, :most) AS id")
_FIND_BY_NAME: Final = text(
    f"SELECT array_agg(id) FROM find_customers_by_name({_WORDS}, CAST(:name AS text), CAST(:id AS bigint),"
    " :descending, :most) AS id"
)
_MIN_PART: Final = 3
"""Characters of a word that is found anywhere; the index has no shorter parts, so a shorter word begins another."""
_PHONE: Final = re.compile(r"[\d\s+()/.-]*\d[\d\s+()/.-]*", re.ASCII)


class CustomerSearch:
    """The search for one text: every word is part of the search text of a customer, in one of two foldings."""

    def __init__(self, connection: AsyncConnection, phrases: Sequence[Sequence[str]]) -> None:
        self._connection = connection
        self._phrases = phrases
        self._found: Sequence[int] | None = None
        self._is_found = False

    @property
    def values(self) -> Mapping[str, str]:
        """The values of `condition`."""
        return {
            f"part_{number}_{index}": part
            for number, parts in enumerate(self._phrases)
            for index, part in enumerate(parts)
        }

    @property
    def condition(self) -> str:
        """The condition on the profile `c` of a customer, which is compared for each customer that is read.

        It does not use LIKE, of which the planner expects few rows: it would read all of them to sort them.
        """
        phrases = [
            " AND ".join(f"strpos(c.search, :part_{number}_{index}) > 0" for index in range(len(parts)))
            for number, parts in enumerate(self._phrases)
        ]
        return f"({' OR '.join(phrases)})"

    async def find(self) -> Sequence[int] | None:
        """Returns the ids of all customers that match; None if they are more than MAX_FOUND."""
        if not self._is_found:
            found: set[int] = set()
            for words in map(_to_words, self._phrases):
                found.update(await self._connection.scalar(_FIND, {**words, "most": MAX_FOUND + 1}) or ())
                if len(found) > MAX_FOUND:
                    break
            self._found = sorted(found) if len(found) <= MAX_FOUND else None
            self._is_found = True
        return self._found

    async def find_by_name(
        self, after: tuple[str, int] | None, *, is_descending: bool, limit: int
    ) -> Sequence[int]:
        """Returns the ids of the customers that match and come first by name after a sort key of name and id.

        There are at least `limit` of them, unless fewer match.
        """
        name, id_ = after or (None, None)
        position = {"name": name, "id": id_, "descending": is_descending, "most": limit}
        found: set[int] = set()
        for words in map(_to_words, self._phrases):
            found.update(await self._connection.scalar(_FIND_BY_NAME, {**words, **position}) or ())
        return sorted(found)


async def read_search(connection: AsyncConnection, q: str) -> CustomerSearch | None:
    """Returns the search for a text; None for a text without letters and digits, which every customer matches."""
    folded = (await connection.execute(_FOLD, {"q": q})).one()
    phrases = {tuple(_to_parts(q, each)): None for each in (folded.plain, folded.german)}
    return None if () in phrases else CustomerSearch(connection, list(phrases))


def _to_words(parts: Sequence[str]) -> dict[str, Any]:
    """Returns the arguments of the functions that search: the two longest words are planned one by one."""
    patterns = [f"%{part}%" for part in sorted(parts, key=len, reverse=True)]
    return {"first": patterns[0], "second": patterns[min(1, len(patterns) - 1)], "others": patterns[2:]}


def _to_parts(q: str, folded: str) -> list[str]:
    """Returns the parts that the search text must contain.

    A telephone number is compared by its digits without leading zeros, an email address as a whole, all else word by
    word. Text without letters and digits has no parts.
    """
    if _PHONE.fullmatch(q):
        words = ["".join(filter(str.isdigit, q)).lstrip("0") or "0"]
    else:
        words = [folded] if "@" in q and folded else folded.split()
    return [word if len(word) >= _MIN_PART else f" {word}" for word in words]
