"""How many items a list has: exact for short lists, estimated for long ones."""

from typing import Final, NamedTuple

MAX_COUNTED: Final = 10_000
"""Items that are counted; the number of a longer list is estimated."""


class RowCount(NamedTuple):
    """The number of items of a list: `total` up to MAX_COUNTED, `estimate` beyond; both None if not requested."""

    total: int | None = None
    estimate: int | None = None


NOT_COUNTED: Final = RowCount()
