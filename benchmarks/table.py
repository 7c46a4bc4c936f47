"""The table, as it is printed: a line for each row, with columns for each checkout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from benchmarks.timing import Row, Skipped

_WHAT = "{:72}"
_COLUMNS = " {:>11} {:>11} {:>7}"


class Table:
    """One database's."""

    def __init__(self, database: str, sources: Sequence[str]) -> None:
        heads = _COLUMNS.format("ours", "raw", "ratio")
        if len(sources) > 1:
            print("\n" + _WHAT.format("") + "".join(f" {source[-30:]:>31}" for source in sources), end="")
        print("\n" + _WHAT.format(database) + heads * len(sources), flush=True)

    def add(self, measured: Sequence[Iterable[Row | Skipped]]) -> list[str]:
        """Prints the rows of one part, measured with one checkout after the other; returns what was skipped."""
        skipped: list[str] = []
        for beside in zip_longest(*[list(rows) for rows in measured]):
            rows = [found for found in beside if isinstance(found, Row)]
            skipped += [found.skipped for found in beside if isinstance(found, Skipped)]
            if rows:
                print(_WHAT.format(rows[0].what) + "".join(map(_columns, beside)), flush=True)
        return skipped


def _columns(found: Row | Skipped | None) -> str:
    if not isinstance(found, Row):
        return _COLUMNS.format("-", "-", "-")
    return _COLUMNS.format(_value(found.ours, found), _value(found.raw, found), f"{found.ratio:.2f}")


def _value(value: float, row: Row) -> str:
    if row.unit in ("", "/s", "MB"):
        return f"{value:,.0f} {row.unit}".rstrip()
    return f"{value:.2f} {row.unit}"
