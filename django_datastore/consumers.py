"""The browser's door: WebSocket connections watch through the hub, and processes tell each other of changes.

A connection may watch what `observe.access` allows its user; that is asked anew with each subscription and every
30 seconds. Announcements over the channel layer are nudges only: without them hubs find the changes by polling.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
import threading
import weakref
from collections.abc import Hashable
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar, TypeAlias

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate, ModelNotRegistered
from django_datastore.introspection import SyncedModel
from django_datastore.observe import access, hub, protocol
from django_datastore.observe.hub import Overrun, Watcher
from django_datastore.observe.live_query import Diff, ObservedChange, Selection, State
from django_datastore.observe.protocol import Observe, ObserveQuery, ProtocolError, Unsubscribe
from django_datastore.predicates import graphql
from django_datastore.predicates import sort as sorting
from django_datastore.storage.transactions import outbox_alias

logger = logging.getLogger(__name__)

_GROUP = "django_datastore.changes"
_SEND_TIMEOUT_SECONDS = 5.0
_REJOIN_SECONDS = 6 * 3600.0
"""Channel layers forget the members of a group after a day."""
_MANY = 200
"""Rows from which JSON is made beside the event loop."""

Source: TypeAlias = State | Diff | ObservedChange

_local = threading.local()
_in_the_making: weakref.WeakKeyDictionary[Source, asyncio.Future[str]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class _Permit:
    """What a message asks for, as far as its user may watch it."""

    sync: SyncedModel
    q: Q
    identity: tuple[Hashable, ...]
    """The rows in the database's words, with all values: what tells whether a later permit allows the same."""


@dataclass(eq=False)
class _Subscription:
    message: Observe | ObserveQuery
    permit: _Permit
    task: asyncio.Task[None]

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class DataStoreConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One browser's connection. Speaks the messages of `observe.protocol`."""

    channel_layer_alias = "no channel layer: connections are told by the hub"
    max_subscriptions: ClassVar[int] = 100
    """Things one connection may watch at a time."""
    recheck_seconds: ClassVar[float] = 30.0
    """How often it is asked whether the user may still watch."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the connection; whatever ends it ends its subscriptions."""
        self._subscriptions: dict[str, _Subscription] = {}
        self._tasks: list[asyncio.Task[None]] = []
        ear = _ear()
        ear.join()
        try:
            await super().__call__(scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            ending = [self._subscriptions.pop(name).end() for name in list(self._subscriptions)]
            await asyncio.gather(*self._tasks, *ending, return_exceptions=True)
            await ear.leave()

    async def connect(self) -> None:
        """Anybody may connect; what they may watch is decided by subscription."""
        self._is_of_session = await database_sync_to_async(_is_of_session)(self.scope)
        await self.accept()
        await self._send(protocol.ready(self.max_subscriptions))
        self._tasks.append(asyncio.create_task(self._keep_checking()))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Follow one message, or say why not."""
        try:
            if text_data is None:
                raise ProtocolError("bad_message", "Binary frames are not understood. Send JSON as text.")
            message = protocol.parse(text_data)
            if isinstance(message, Unsubscribe):
                await self._unsubscribe(message)
            else:
                await self._subscribe(message)
        except ProtocolError as exc:
            await self._send(protocol.error(exc.code, str(exc), exc.subscription))

    async def _subscribe(self, message: Observe | ObserveQuery) -> None:
        if message.id in self._subscriptions:
            raise ProtocolError(
                "duplicate_id", f"The id {message.id!r} is in use on this connection.", subscription=message.id
            )
        if len(self._subscriptions) >= self.max_subscriptions:
            raise ProtocolError(
                "too_many",
                f"A connection may watch {self.max_subscriptions} things at a time. Unsubscribe from some first.",
                subscription=message.id,
            )
        self._start(message, await self._permit(await self._user(), message))

    async def _unsubscribe(self, message: Unsubscribe) -> None:
        found = self._subscriptions.pop(message.id, None)
        if found is None:
            raise ProtocolError(
                "unknown_id", f"There is no subscription {message.id!r} on this connection.", subscription=message.id
            )
        await found.end()
        await self._send(protocol.complete(message.id))

    def _start(self, message: Observe | ObserveQuery, permit: _Permit) -> None:
        task = asyncio.create_task(self._pump(message, permit))
        self._subscriptions[message.id] = _Subscription(message, permit, task)

    async def _pump(self, message: Observe | ObserveQuery, permit: _Permit) -> None:
        """Carry what the hub has for one subscription to the browser, until that ends it or cannot go on."""
        watcher: Watcher | None = None
        try:
            watcher = await _watch(message, permit)
            while True:
                await self._send(protocol.frame(message.id, await _body(await watcher.next())))
        except Exception as exc:  # whatever ended the watch, the browser is told in our words
            self._subscriptions.pop(message.id, None)
            found = _ended(exc, message)
            await self._send(protocol.error(found.code, str(found), message.id))
        finally:
            if watcher is not None:
                await hub.get_hub().release(watcher)

    async def _send(self, text: str) -> None:
        try:
            await self.send(text_data=text)
        except OSError:  # the browser is gone; the server says so with its next message
            logger.debug("A frame was not sent: the browser is gone")

    # -- who may watch what ------------------------------------------------------------------------------------------

    async def _user(self) -> Any:
        return await database_sync_to_async(_fresh_user)(self.scope, of_session=self._is_of_session)

    async def _permit(self, user: Any, message: Observe | ObserveQuery) -> _Permit:
        try:
            permit: _Permit = await database_sync_to_async(_allowed)(user, message)
            return permit
        except ProtocolError:
            raise
        except Exception as exc:  # a database that is away, a site's permission backend
            logger.exception("It cannot be told who may watch %s", message.model)
            raise _unavailable(message) from exc

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(self.recheck_seconds)
            if self._subscriptions:
                try:
                    await self._recheck()
                except Exception:  # a database that is away sends nothing either; the next check decides
                    logger.warning("The permissions of a connection could not be checked", exc_info=True)

    async def _recheck(self) -> None:
        user = await self._user()
        for found in list(self._subscriptions.values()):
            try:
                permit = await self._permit(user, found.message)
            except ProtocolError as exc:
                if exc.code != "unavailable" and self._is_current(found):
                    del self._subscriptions[found.message.id]
                    await found.end()
                    await self._send(protocol.error(exc.code, str(exc), found.message.id))
                continue
            if self._is_current(found) and permit.identity != found.permit.identity:
                await found.end()
                self._start(found.message, permit)

    def _is_current(self, found: _Subscription) -> bool:
        return self._subscriptions.get(found.message.id) is found


async def _watch(message: Observe | ObserveQuery, permit: _Permit) -> Watcher:
    if isinstance(message, Observe):
        return await hub.get_hub().watch_changes(permit.sync, permit.q)
    return await hub.get_hub().watch_query(permit.sync, permit.q, message.sort)


def _allowed(user: Any, message: Observe | ObserveQuery) -> _Permit:
    """What a message asks for, as far as the user may watch it; raises `ProtocolError`."""
    try:
        sync = registry.get(message.model)
    except ModelNotRegistered as exc:
        raise ProtocolError("unknown_model", _unknown(user, message.model), subscription=message.id) from exc
    watchable = access.observable(user, sync)
    if watchable is None:
        raise _forbidden(message)
    try:
        wanted = graphql.from_filter(message.filter, sync)
    except InvalidPredicate as exc:
        raise ProtocolError("bad_filter", str(exc), subscription=message.id) from exc
    try:
        sorting.parse(list(message.sort) if isinstance(message, ObserveQuery) else [], sync)
    except InvalidPredicate as exc:
        raise ProtocolError("bad_sort", str(exc), subscription=message.id) from exc
    try:
        identity = Selection(sync, wanted & watchable, outbox_alias()).identity()
    except InvalidPredicate as exc:
        if not access.is_readable(watchable, sync):
            raise _forbidden(message) from exc
        raise _unreadable(message) from exc
    return _Permit(sync, wanted & watchable, identity)


def _forbidden(message: Observe | ObserveQuery) -> ProtocolError:
    return ProtocolError("forbidden", f"You may not watch {message.model!r}.", subscription=message.id)


def _unreadable(message: Observe | ObserveQuery) -> ProtocolError:
    """The database takes no such predicate. Said in the browser's words alone: the rest of it, what `observable_by`
    allows, may hold other people's names, and so may what the database says of it.
    """
    if not message.filter:
        return _unavailable(message)
    return ProtocolError(
        "bad_filter",
        f"This site's database cannot select {message.model!r} by the filter {json.dumps(message.filter):.200}. "
        "Compare its fields with values they can have.",
        subscription=message.id,
    )


def _unavailable(message: Observe | ObserveQuery) -> ProtocolError:
    return ProtocolError("unavailable", "This cannot be watched right now. Try again later.", subscription=message.id)


def _unknown(user: Any, name: str) -> str:
    """Says what there is, but only of what the user may see."""
    known = [sync.name for sync in registry.all() if access.observable(user, sync) is not None]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no model {name!r:.80} to watch.{hint}"


def _ended(exc: Exception, message: Observe | ObserveQuery) -> ProtocolError:
    """What the browser is told of the end of its subscription."""
    if isinstance(exc, Overrun):
        return ProtocolError("too_slow", str(exc), subscription=message.id)
    logger.error("A subscription of %s ended with an error", message.model, exc_info=exc)
    return _unreadable(message) if isinstance(exc, InvalidPredicate) else _unavailable(message)


def _is_of_session(scope: Any) -> bool:
    """Whether the user is who the session says, and not who another middleware says."""
    user, session = scope.get("user"), scope.get("session")
    if user is None or session is None or not user.is_authenticated:
        return False
    return bool(session.get(auth.SESSION_KEY) == str(user.pk))


def _fresh_user(scope: Any, *, of_session: bool) -> Any:
    """The connection's user as of now: logged out, disabled or given other permissions meanwhile."""
    user = scope.get("user")
    if user is None or not user.is_authenticated:
        return user if user is not None else AnonymousUser()
    if of_session:
        store = import_module(settings.SESSION_ENGINE).SessionStore(scope["session"].session_key)
        return auth.get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]  # it looks at nothing else
    return auth.get_user_model()._default_manager.filter(pk=user.pk).first() or AnonymousUser()


async def _body(source: Source) -> str:
    """The JSON text, made once for everybody it is for; large ones beside the event loop."""
    if "body" in vars(source) or _size(source) < _MANY:
        return source.body
    making = _in_the_making.get(source)
    if making is None:
        making = asyncio.get_running_loop().run_in_executor(None, lambda: source.body)
        _in_the_making[source] = making
    return await asyncio.shield(making)


def _size(source: Source) -> int:
    match source:
        case State():
            return len(source.items)
        case Diff():
            return len(source.upserts)
    return 1


# -- announcements ---------------------------------------------------------------------------------------------------


def announce_changes() -> None:
    """Something was committed: wake this process's hubs, and through the channel layer those of others.

    Called in the announcer's thread, which keeps one event loop: a channel layer opens its connections anew for each.
    """
    hub.wake()
    layer = _shared_layer()
    if layer is None:
        return
    if not hasattr(_local, "runner"):
        _local.runner = asyncio.Runner()
    _local.runner.run(_announce(layer))


async def _announce(layer: Any) -> None:
    await asyncio.wait_for(layer.group_send(_GROUP, {"type": "changes"}), _SEND_TIMEOUT_SECONDS)


class _Ear:
    """Hears other processes' announcements for one event loop, while browsers are connected to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connections = 0
        self._task: asyncio.Task[None] | None = None

    def join(self) -> None:
        self._connections += 1
        if self._task is None and (layer := _shared_layer()) is not None:
            self._task = self._loop.create_task(_keep_listening(layer), name="datastore-ear")

    async def leave(self) -> None:
        self._connections -= 1
        if self._connections:
            return
        _ears.pop(self._loop, None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


_ears: dict[asyncio.AbstractEventLoop, _Ear] = {}


def _ear() -> _Ear:
    """The ear of the running event loop; it is gone with the last connection."""
    loop = asyncio.get_running_loop()
    return _ears.setdefault(loop, _Ear(loop))


async def _keep_listening(layer: Any) -> None:
    delay_seconds = 1.0
    while True:
        try:
            await _listen(layer)
            delay_seconds = 1.0
        except Exception:  # whatever a channel layer raises when its server is away
            logger.warning("The channel layer cannot be heard; the hub polls until it can", exc_info=True)
            await asyncio.sleep(delay_seconds)
            delay_seconds = min(30.0, delay_seconds * 2)


async def _listen(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_add(_GROUP, channel)
    try:
        async with asyncio.timeout(_REJOIN_SECONDS):
            while True:
                await layer.receive(channel)
                hub.wake()
    except TimeoutError:
        return
    finally:
        await layer.group_discard(_GROUP, channel)


def _shared_layer() -> Any:
    """The channel layer, if there is one that other processes hear."""
    layer = get_channel_layer()
    return None if isinstance(layer, InMemoryChannelLayer) else layer
