"""The change log: written in the transaction of each write to storage, read past a cursor by hubs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db.models import Max

from django_datastore.models import Change
from django_datastore.types import OpType, WireRecord

_LOOK_BACK = 1000
"""How many ids below the highest are watched for rows whose transaction commits late."""
_GAP_SECONDS = 60.0
"""How long a missing id is waited for; after that its transaction was rolled back."""
_MAX_GAPS = 10_000
"""How many ids between what was read and the highest can be missing at once; more is a sequence that jumped."""
_PAGE = 1000
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One changed row."""

    op_type: OpType
    key: str
    snapshot: WireRecord | None
    """The wire record of a deleted row."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was committed since the last batch, by model label and in order."""

    entries: dict[str, list[Entry]]
    ids: tuple[int, ...]
    is_full: bool = False
    """There is more."""


class Reader:
    """Reads the log in order, and every row of it.

    Ids are given out before commit: 6 may be visible before 5. A reader that only looked above the highest id it has
    seen would miss 5, so it remembers the ids it has not seen below, and asks for them until they show up or are too
    old.
    """

    def __init__(self, using: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._using = using
        self._clock = clock
        self._gaps: dict[int, float] = {}
        self.cursor = 0
        """The highest id that was read."""

    @property
    def gaps(self) -> frozenset[int]:
        """The ids that are waited for."""
        return frozenset(self._gaps)

    def start(self) -> None:
        """Begin after what is committed now. What is being committed at this moment is read when it shows up."""
        changes = Change.objects.using(self._using)
        self.cursor = changes.aggregate(highest=Max("id"))["highest"] or 0
        seen = set(changes.filter(id__gt=self.cursor - _LOOK_BACK).values_list("id", flat=True))
        self._expect(range(max(1, self.cursor - _LOOK_BACK + 1), self.cursor + 1), seen)

    def read(self) -> Batch:
        """What is new. Nothing is taken as read before `accept`."""
        changes = Change.objects.using(self._using)
        late = sorted(self._gaps)
        rows: list[Change] = []
        for start in range(0, len(late), _CHUNK):
            rows += changes.filter(id__in=late[start : start + _CHUNK]).order_by("id")
        newer = list(changes.filter(id__gt=self.cursor).order_by("id")[:_PAGE])
        entries: dict[str, list[Entry]] = {}
        for row in [*rows, *newer]:
            found = entries.setdefault(row.model, [])
            found += (Entry(OpType(op_type), key, snapshot) for op_type, key, snapshot in row.entries)
        return Batch(entries, tuple(row.pk for row in [*rows, *newer]), is_full=len(newer) == _PAGE)

    def accept(self, batch: Batch) -> None:
        """The batch was dealt with."""
        seen = set(batch.ids)
        for found in seen:
            self._gaps.pop(found, None)
        highest = max(seen, default=0)
        if highest > self.cursor:
            self._expect(range(max(self.cursor + 1, highest - _MAX_GAPS), highest), seen)
            self.cursor = highest
        oldest = self._clock() - _GAP_SECONDS
        self._gaps = {missing: since for missing, since in self._gaps.items() if since > oldest}

    def _expect(self, ids: Iterable[int], seen: set[int]) -> None:
        now = self._clock()
        for missing in ids:
            if missing not in seen:
                self._gaps.setdefault(missing, now)
