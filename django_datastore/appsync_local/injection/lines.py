"""The lines to a server that a test started: requests, answers and sockets that get lost, late or spoilt on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local.errors import RequestError
from django_datastore.appsync_local.injection import Injection, subjects_of
from django_datastore.appsync_local.injection.faults import (
    Answer,
    Body,
    Faults,
    Hit,
    OnRequest,
    OnSocket,
    Place,
    Subject,
)
from django_datastore.appsync_local.injection.journal import Request
from django_datastore.appsync_local.realtime import KEEP_ALIVE
from django_datastore.appsync_local.service import Call, Service

Scope: TypeAlias = Mapping[str, Any]
Message: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(inner: Application, service: Service, injection: Injection) -> Application:
    """The same application at the end of lines that have faults."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            await _Exchange(inner, service, injection, scope, receive, send).run()
        elif scope["type"] == "websocket":
            await _Line(inner, service, injection.faults).run(scope, receive, send)
        else:
            await inner(scope, receive, send)

    return serve


async def _whole_body(receive: Receive) -> list[Message]:
    """The messages of a request, to be read once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        inner: Application,
        service: Service,
        injection: Injection,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._inner = inner
        self._service = service
        self._injection = injection
        self._scope = scope
        self._receive = receive
        self._send = send

    async def run(self) -> None:
        """From the request to the end of its answer."""
        messages = await _whole_body(self._receive)
        subjects = _subjects(self._service, b"".join(message.get("body", b"") for message in messages))
        hits = self._injection.faults.take(Place.REQUEST, subjects)
        effects: list[OnRequest] = [hit.effect for hit in hits]
        answer: list[Message] = []
        body = Body.NONE
        self._injection.journal.begin_request()
        try:
            if await self._arrives("request", hits, sum(effect.before_seconds for effect in effects)):
                answer = await self._answer(messages, effects)
                if await self._arrives("reply", hits, sum(effect.after_seconds for effect in effects)):
                    body = next((effect.body for effect in effects if effect.body is not Body.WHOLE), Body.WHOLE)
        finally:
            # before the last byte is out: a client that has its answer finds its request written down
            self._write_down(subjects, hits, answer, body)
        await self._reply(answer, body, effects)

    async def _arrives(self, moment: str, hits: list[Hit], seconds: float) -> bool:
        """Whether request or reply come through, late or not."""
        if seconds:
            await asyncio.sleep(seconds)
        for hit in hits:
            if hit.effect.holds == moment:
                if moment == "reply":
                    self._injection.faults.hit(hit.number)
                await _released(self._injection.faults, hit.number)
                if self._injection.is_stopping:
                    return False
        return True

    async def _answer(self, messages: list[Message], effects: list[OnRequest]) -> list[Message]:
        """The messages of the answer; none, if nothing answers."""
        found: list[Message] = []
        if all(effect.is_executed for effect in effects):
            found = await _call(self._inner, self._scope, messages)
        for effect in effects:
            if effect.answer is not None:
                return _messages(effect.answer)
        return found

    def _write_down(self, subjects: list[Subject], hits: list[Hit], answer: list[Message], body: Body) -> None:
        names = tuple(subject.operation for subject in subjects)
        status = answer[0]["status"] if answer and body is not Body.NONE else None
        outcome = _outcome(status, answer, body)
        self._injection.journal.add_request(Request(names, outcome, status, tuple(hit.number for hit in hits)))

    async def _reply(self, answer: list[Message], body: Body, effects: list[OnRequest]) -> None:
        if body is Body.NONE or not answer:
            await self._cut()
            return
        start, content = answer[0], b"".join(message.get("body", b"") for message in answer[1:])
        match body:
            case Body.HALF:
                await self._send(start)
                await self._send(
                    {"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True}
                )
                await self._cut()
            case Body.SHORT:
                half = content[: len(content) // 2]
                await self._send({**start, "headers": _with_length(start["headers"], len(half))})
                await self._send({"type": "http.response.body", "body": half})
            case Body.SLOW:
                slow = next(effect for effect in effects if effect.body is Body.SLOW)
                await self._drip(start, content, slow)
            case _:
                for message in answer:
                    await self._send(message)

    async def _drip(self, start: Message, content: bytes, slow: OnRequest) -> None:
        await self._send(start)
        for at in range(0, len(content), slow.chunk_bytes):
            chunk = content[at : at + slow.chunk_bytes]
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(slow.chunk_seconds)
        await self._send({"type": "http.response.body", "body": b""})

    async def _cut(self) -> None:
        """Ends the connection; what was sent before still arrives."""
        self._scope["state"]["transport"].close()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _call(inner: Application, scope: Scope, messages: list[Message]) -> list[Message]:
    """What the application answers to a request that is here already."""
    answer: list[Message] = []
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        answer.append(message)

    await inner(scope, receive, send)
    return answer


async def _released(faults: Faults, number: int) -> None:
    """Returns once the fault is switched off."""
    loop, released = asyncio.get_running_loop(), asyncio.Event()

    def release() -> None:
        with contextlib.suppress(RuntimeError):  # the server stopped meanwhile
            loop.call_soon_threadsafe(released.set)

    faults.on_release(number, release)
    await released.wait()


def _subjects(service: Service, body: bytes | str) -> list[Subject]:
    try:
        return subjects_of(service.executable, Call.parse(body))
    except RequestError:
        return []


def _messages(answer: Answer) -> list[Message]:
    headers = [
        (b"Content-Type", answer.content_type.encode()),
        (b"Content-Length", str(len(answer.body)).encode()),
        (b"Access-Control-Allow-Origin", b"*"),
    ]
    if answer.error_type:
        headers.append((b"x-amzn-ErrorType", answer.error_type.encode()))
    return [
        {"type": "http.response.start", "status": answer.status, "headers": headers},
        {"type": "http.response.body", "body": answer.body},
    ]


def _with_length(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"Content-Length", str(length).encode())]


def _outcome(status: int | None, answer: list[Message], body: Body) -> str:
    if status is None or body in (Body.HALF, Body.SHORT):
        return "lost"
    if status >= 400:
        return "refused"
    content = b"".join(message.get("body", b"") for message in answer[1:])
    try:
        return "errors" if json.loads(content).get("errors") else "ok"
    except (ValueError, AttributeError):
        return "lost"


class _Line:
    """One socket."""

    def __init__(self, inner: Application, service: Service, faults: Faults) -> None:
        self._inner = inner
        self._service = service
        self._faults = faults

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the handshake to the end."""
        for hit in self._faults.take(Place.CONNECT):
            await receive()
            await self._refuse(hit.effect, send)
            return

        async def listen() -> Message:
            while True:
                message = await receive()
                answers = self._instead(message)
                if answers is None:
                    return message
                for answer in answers:
                    await send(answer)

        async def speak(message: Message) -> None:
            if message.get("text") == KEEP_ALIVE and self._faults.take(Place.KEEP_ALIVE):
                return
            await send(message)

        await self._inner(scope, listen, speak)

    @staticmethod
    async def _refuse(effect: OnSocket, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"0")]
        await send({"type": "websocket.http.response.start", "status": effect.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})

    def _instead(self, message: Message) -> list[Message] | None:
        """What to answer in place of the server: nothing for silence, None to let it answer."""
        if message["type"] != "websocket.receive" or not self._faults.has(Place.INIT, Place.START):
            return None
        found = _parsed(message.get("text"))
        match found.get("type"):
            case "connection_init":
                hits = self._faults.take(Place.INIT)
            case "start":
                hits = self._faults.take(Place.START, self._started(found))
            case _:
                return None
        return _refusal(hits[0].effect, found.get("id")) if hits else None

    def _started(self, message: Mapping[str, Any]) -> list[Subject]:
        payload = message.get("payload")
        text = payload.get("data") if isinstance(payload, dict) else None
        return _subjects(self._service, text) if isinstance(text, str) else []


def _refusal(effect: OnSocket, subscription_id: object) -> list[Message]:
    if not effect.error_type:
        return []
    error: dict[str, Any] = {"errorType": effect.error_type, "message": effect.message}
    if effect.place is Place.INIT:
        frame = {"payload": {"errors": [{**error, "errorCode": 401}]}, "type": "connection_error"}
        return [_text(frame), {"type": "websocket.close", "code": 4401}]
    return [_text({"id": subscription_id, "payload": {"errors": [error]}, "type": "error"})]


def _text(frame: Mapping[str, Any]) -> Message:
    return {"type": "websocket.send", "text": json.dumps(frame)}


def _parsed(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}
