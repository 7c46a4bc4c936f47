"""Whatever a socket sends: known frames or none come back, each of them JSON, and the socket still works."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.api_keys import ApiKeys
from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.appsync_local.realtime import Close, Protocol, credentials
from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.service import Call
from tests.fuzz.conftest import fuzzing
from tests.fuzz.documents import json_values

KEY = {"x-api-key": "secret"}
KINDS = ("connection_init", "start", "stop", "ka", "complete", "data", "")
KNOWN = {"connection_ack", "connection_error", "ka", "start_ack", "complete", "error"}

_documents = st.sampled_from(
    [
        "subscription { onCreatePost { id title } }",
        "subscription { onCreatePost(filter: {rating: {gt: 3}}) { id } }",
        "subscription { onCreatePost(filter: {rating: 3}) { id } }",
        "query { listPosts { items { id } } }",
        "subscription {",
    ]
)
_starts = st.builds(
    lambda data, authorization: {"data": data, "extensions": {"authorization": authorization}},
    st.builds(lambda query, variables: json.dumps({"query": query, "variables": variables}), _documents, json_values)
    | st.text(max_size=20),
    st.just(KEY) | json_values,
)
_frames = st.one_of(
    st.builds(lambda kind, id_, payload: json.dumps({"type": kind, "id": id_, "payload": payload}),
              st.sampled_from(KINDS), st.sampled_from(["1", "2", None, 3]), _starts | json_values),
    json_values.map(json.dumps),
    st.text(max_size=30),
    st.none(),
)  # fmt: skip


@fuzzing
@given(st.lists(_frames, max_size=12))
def test_any_frames(server: LocalServer, frames: list[str | None]):
    executable = server.service.executable

    def start(subscription_id: str, data: str, identity: Identity) -> None:
        call = Call.parse(data)
        prepared = executable.prepare(call.query, call.variables, call.operation_name)
        executable.subscription(prepared, subscription_id, identity)

    protocol = Protocol(KEY, authenticate=ApiKeys(["secret"]).authenticate, start=start, stop=lambda _: None)
    for frame in ['{"type":"connection_init"}', *frames]:
        for answer in protocol.receive(frame):
            if not isinstance(answer, Close):
                found: dict[str, Any] = json.loads(answer)
                assert found["type"] in KNOWN


@fuzzing
@given(st.lists(st.text(max_size=40), max_size=3), st.text(max_size=60), st.dictionaries(st.text(), st.text()))
def test_any_credentials(subprotocols: list[str], query_string: str, headers: dict[str, str]):
    spelled = [f"header-{item}" for item in subprotocols]
    found = credentials(spelled, f"header={query_string}", headers)
    assert all(isinstance(value, str) for value in found.values())
