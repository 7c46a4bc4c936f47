"""A socket that speaks AppSync's realtime protocol, as Amplify's clients do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, cast

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from django_datastore.testing.contract.api import Target

Way: TypeAlias = Literal["query", "subprotocol", "headers"]
Message: TypeAlias = dict[str, Any]
SECONDS = 20
"""A client gives up an acknowledgement after 15 seconds (amplify-js)."""


class Speaker:
    """One side of the conversation."""

    def __init__(self, socket: ClientConnection, target: Target) -> None:
        self.socket = socket
        self._target = target

    def send(self, kind: str, **fields: Any) -> None:
        """Sends a message."""
        self.socket.send(json.dumps({**fields, "type": kind}))

    def receive_any(self) -> Message:
        """The next message, a keep-alive too."""
        return cast(Message, json.loads(self.socket.recv(SECONDS)))

    def receive(self) -> Message:
        """The next message that is no keep-alive."""
        while (message := self.receive_any()) == {"type": "ka"}:
            pass
        return message

    def start(
        self,
        subscription_id: str,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        authorization: Mapping[str, str] | None = None,
    ) -> Message:
        """Starts a subscription; the answer to it."""
        payload = {
            "data": json.dumps({"query": query, "variables": variables or {}}),
            "extensions": {"authorization": authorization if authorization is not None else key_header(self._target)},
        }
        self.send("start", id=subscription_id, payload=payload)
        return self.receive()

    def started(self, subscription_id: str, query: str, variables: Mapping[str, Any] | None = None) -> None:
        """Starts a subscription that must be acknowledged."""
        answer = self.start(subscription_id, query, variables)
        assert answer == {"id": subscription_id, "type": "start_ack"} or (
            (answer["id"], answer["type"]) == (subscription_id, "start_ack")
        ), answer

    def event(self, *ids: str) -> Message:
        """The next event about one of these records; those of others, which share the API, are passed over."""
        while True:
            message = self.receive()
            assert message["type"] == "data", message
            (record,) = (message["payload"]["data"] or {"": None}).values()
            if not ids or record is None or record.get("id") in ids:
                return message


def key_header(target: Target, api_key: str | None = None) -> dict[str, str]:
    """What authorises with an API key: `host` is the HTTP host, whatever the socket's is."""
    return {"host": target.host, "x-api-key": target.api_key if api_key is None else api_key}


@contextmanager
def connected(
    target: Target, *, url: str = "", way: Way = "subprotocol", header: Mapping[str, str] | None = None
) -> Iterator[Speaker]:
    """An open socket on which nothing was said yet."""
    url = url or target.socket_urls[0]
    header = header or key_header(target)
    text = json.dumps(header).encode()
    protocols, extra = [Subprotocol("graphql-ws")], dict[str, str]()
    match way:
        case "query":
            url += f"?header={base64.b64encode(text).decode()}&payload=e30="
        case "subprotocol":
            protocols.append(Subprotocol(f"header-{base64.urlsafe_b64encode(text).decode().rstrip('=')}"))
        case "headers":
            extra = {name: value for name, value in header.items() if name != "host"}
    with connect(
        url, subprotocols=protocols, additional_headers=extra, open_timeout=SECONDS, close_timeout=2
    ) as socket:
        yield Speaker(socket, target)


@contextmanager
def speaking(target: Target, **options: Any) -> Iterator[Speaker]:
    """An acknowledged connection."""
    with connected(target, **options) as speaker:
        speaker.send("connection_init")
        answer = speaker.receive()
        assert answer["type"] == "connection_ack", answer
        yield speaker
