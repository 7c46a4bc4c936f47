"""What is to go wrong, when, and how often: the data of fault injection, free of any I/O. `injection` carries it out.

    Fault(effect, where, after, times) ─▶ Faults.add      request, field, start, event ─▶ Faults.take ─▶ effects

Only servers that tests start have `Faults`; the plain server pays nothing for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from django_datastore.appsync_local.filters import compile_filter


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fault looks at: a root field of a request, or an event."""

    operation: str
    """The root field, such as `createPost`, `syncPosts` or `onCreatePost`."""
    kind: str
    """`query`, `mutation` or `subscription`."""
    action: str
    """What the root field does: `create`, `update`, `delete`, `get`, `list`, `sync`, `index`."""
    model: str
    key: tuple[str, ...] | None = None
    """The record's primary key, where there is one record."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """A mutation's input, a query's arguments, or an event's record."""
    mutation: str = ""
    """The mutation an event comes from."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a fault is about: everything that is given has to be true."""

    operation: str | None = None
    """A root field. An event is found by its subscription or by its mutation."""
    kind: str | None = None
    """`query`, `mutation`, `subscription`, or an action such as `create` or `sync`."""
    model: str | None = None
    key: tuple[str, ...] | None = None
    matching: Mapping[str, Any] | None = None
    """A filter over the values, as queries take it: `{"rating": {"gt": 3}}`."""
    when: Callable[[Subject], bool] | None = None
    beyond: int | None = None
    """Only queries that ask for more records than this."""

    def __post_init__(self) -> None:
        """A mistake is told where it was made."""
        try:
            compile_filter(self.matching)
        except (KeyError, AttributeError, TypeError) as exc:
            raise ValueError(f"matching={self.matching!r} is no filter: {exc}.") from exc

    def finds(self, subjects: Iterable[Subject]) -> bool:
        """Whether it is about one of these; what has no root field is found only by a fault about everything."""
        if self == _EVERYTHING:
            return True
        return any(self._finds(subject) for subject in subjects)

    def _finds(self, subject: Subject) -> bool:
        return (
            self.operation in (None, subject.operation, subject.mutation)
            and self.kind in (None, subject.kind, subject.action)
            and self.model in (None, subject.model)
            and self.key in (None, subject.key)
            and (self.beyond is None or _limit(subject) > self.beyond)
            and self._matches(subject.values)
            and (self.when is None or self.when(subject))
        )

    def _matches(self, values: Mapping[str, Any]) -> bool:
        wanted = compile_filter(self.matching) if self.matching else None
        return wanted is None or wanted(values)


def _limit(subject: Subject) -> int:
    """How many records a query asks for at most."""
    return int(subject.values.get("limit") or _DEFAULT_LIMIT) if subject.kind == "query" else 0


_EVERYTHING = Where()
_DEFAULT_LIMIT = 100


class Place(StrEnum):
    """Where something goes wrong."""

    REQUEST = "request"
    FIELD = "field"
    EVENT = "event"
    CONNECT = "connect"
    """A socket opens."""
    INIT = "connection_init"
    START = "start"
    KEEP_ALIVE = "keep-alive"


class Body(StrEnum):
    """What becomes of an answer's body."""

    WHOLE = "whole"
    NONE = "none"
    """The connection is cut before the answer."""
    HALF = "half"
    """The connection is cut in the middle of the answer."""
    SHORT = "short"
    """Half of it comes, and says that it is all."""
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that stands in for AppSync's own."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=UTF-8"
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class OnRequest:
    """What happens to a request."""

    is_executed: bool = True
    before_seconds: float = 0
    """How late the request arrives."""
    after_seconds: float = 0
    """How late the answer leaves."""
    holds: str = ""
    """`request` or `reply`: what waits until the fault is released."""
    answer: Answer | None = None
    body: Body = Body.WHOLE
    chunk_bytes: int = 1
    chunk_seconds: float = 0
    """How a slow body comes."""
    place: Place = Place.REQUEST


@dataclass(frozen=True, slots=True)
class OnField:
    """What happens to one root field, and to no other of its document."""

    error_type: str = ""
    """Empty for null without an error."""
    message: str = ""
    is_applied: bool = False
    """Whether the mutation is carried out all the same."""
    has_record: bool = False
    """Whether the error's `data` is the record as the server holds it."""
    place: Place = Place.FIELD


class EventFate(StrEnum):
    """What becomes of an event."""

    DROPPED = "dropped"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    HELD = "held"
    SOCKET_CUT = "socket cut"
    SOCKET_CLOSED = "socket closed"


@dataclass(frozen=True, slots=True)
class OnEvent:
    """What happens to an event."""

    fate: EventFate
    count: int = 2
    """How often a duplicate comes, or how many events are sent in reverse."""
    code: int = 1001
    """The code of the close frame."""
    place: Place = Place.EVENT


@dataclass(frozen=True, slots=True)
class OnSocket:
    """What happens to a socket: to its handshake, to a `start`, or to a keep-alive."""

    place: Place
    error_type: str = ""
    """Empty for silence."""
    message: str = ""
    status: int = 0
    """The HTTP status of a refused handshake."""


Effect: TypeAlias = OnRequest | OnField | OnEvent | OnSocket


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, at a place, for a while."""

    effect: Effect
    where: Where = _EVERYTHING
    after: int = 0
    """How many pass unharmed first."""
    times: int | None = None
    """How often it happens; None for as long as the fault is there."""


@dataclass(slots=True)
class _Active:
    fault: Fault
    seen: int = 0
    taken: int = 0
    hits: int = 0
    on_release: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that happens now."""

    number: int
    effect: Any


class Faults:
    """The faults of one server. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._active: dict[int, _Active] = {}
        self._past: dict[int, int] = {}
        self._places: frozenset[Place] = frozenset()
        self._next = 0

    def add(self, fault: Fault) -> int:
        """Switches a fault on; returns its number."""
        with self._changed:
            self._next += 1
            self._active[self._next] = _Active(fault)
            self._count_places()
            return self._next

    def remove(self, number: int) -> None:
        """Switches a fault off, and lets go what it holds; unknown numbers are no error."""
        with self._changed:
            active = self._active.pop(number, None)
            if active is None:
                return
            self._past[number] = active.hits
            self._count_places()
            self._changed.notify_all()
        for release in active.on_release:
            release()

    def clear(self) -> None:
        """Switches all of them off."""
        for number in list(self._active):
            self.remove(number)

    def hits(self, number: int) -> int:
        """How often a fault happened."""
        with self._changed:
            return self._hits(number)

    def wait(self, number: int, count: int, timeout_seconds: float) -> bool:
        """Waits until a fault has happened so often; False if it has not, or can no more."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while self._hits(number) < count:
                if number not in self._active or not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return self._hits(number) >= count
            return True

    def take(self, place: Place, subjects: Sequence[Subject] = ()) -> list[Hit]:
        """The faults that happen to this request, field, event or socket, in the order they were switched on.

        They count as hits, but for those that hold a reply: these hit when it is there.
        """
        if place not in self._places:
            return []
        with self._changed:
            return [
                Hit(number, active.fault.effect)
                for number, active in self._active.items()
                if active.fault.effect.place is place and self._happens(active, subjects)
            ]

    def hit(self, number: int) -> None:
        """A request that was taken before is held at its reply now."""
        with self._changed:
            if number in self._active:
                self._hit(self._active[number])

    def has(self, *places: Place) -> bool:
        """Whether any fault is about one of these places."""
        return not self._places.isdisjoint(places)

    def is_on(self, number: int) -> bool:
        """Whether a fault is still there."""
        return number in self._active

    def on_release(self, number: int, release: Callable[[], None]) -> None:
        """Calls `release` once the fault is switched off: at once, if it is off already."""
        with self._changed:
            active = self._active.get(number)
            if active is not None:
                active.on_release.append(release)
                return
        release()

    def wake(self) -> None:
        """Calls everything that waits for a fault to be switched off; the faults stay."""
        with self._changed:
            waiting = [release for active in self._active.values() for release in active.on_release]
        for release in waiting:
            release()

    def _happens(self, active: _Active, subjects: Sequence[Subject]) -> bool:
        fault = active.fault
        if fault.times is not None and active.taken >= fault.times:
            return False
        if not fault.where.finds(subjects):
            return False
        active.seen += 1
        if active.seen <= fault.after:
            return False
        active.taken += 1
        if not (isinstance(fault.effect, OnRequest) and fault.effect.holds == "reply"):
            self._hit(active)
        return True

    def _hit(self, active: _Active) -> None:
        active.hits += 1
        self._changed.notify_all()

    def _hits(self, number: int) -> int:
        active = self._active.get(number)
        return active.hits if active else self._past.get(number, 0)

    def _count_places(self) -> None:
        self._places = frozenset(active.fault.effect.place for active in self._active.values())
