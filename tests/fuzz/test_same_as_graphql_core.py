"""Our compiled completion answers what graphql-core itself would: the same data, errors at the same places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLResolveInfo, GraphQLSchema, build_schema, execute_sync, parse
from hypothesis import event, given

from django_datastore.appsync_local.auth.access import FULL_ACCESS
from django_datastore.appsync_local.auth.identity import ANYONE
from django_datastore.appsync_local.errors import DocumentError, RequestError
from django_datastore.appsync_local.graphql.coercion import install_scalars
from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.store import key_of
from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl
from django_datastore.schema.types import ConnectionType, FieldSchema, ModelSchema
from tests.fuzz.conftest import fuzzing
from tests.fuzz.documents import aimed_queries
from tests.integration.local_server_tools import SDL, local_server

SCHEMA = parse_sdl(SDL)
API = api_of(SCHEMA)


class Peer:
    """graphql-core over the same resolvers."""

    def __init__(self, server: LocalServer) -> None:
        self._resolvers = server.service.executable.resolvers
        self._schema: GraphQLSchema = build_schema(API.sdl)
        install_scalars(self._schema)
        query = self._schema.query_type
        assert query is not None
        for name, operation in API.queries.items():
            query.fields[name].resolve = self._root(operation)
        for model in SCHEMA.models.values():
            kind: Any = self._schema.type_map[model.name]
            for item in model.fields:
                if item.is_relation:
                    kind.fields[item.name].resolve = self._relation(model, item)

    def execute(self, text: str) -> ExecutionResult:
        """The answer."""
        return execute_sync(self._schema, parse(text))

    def _root(self, operation: Any) -> Any:
        return lambda _, info, **arguments: self._resolvers.query(operation, arguments, FULL_ACCESS)

    def _relation(self, model: ModelSchema, item: FieldSchema) -> Any:
        association = item.association
        assert association is not None
        target = SCHEMA.models[item.type]

        def one(record: dict[str, Any], info: GraphQLResolveInfo) -> Any:
            if any(record.get(name) is None for name in association.target_names):
                return None
            key = key_of(association.target_names, record)
            return self._resolvers.load(target, [key], with_data=True).get(key)

        def many(record: dict[str, Any], info: GraphQLResolveInfo, **arguments: Any) -> Any:
            return self._resolvers.children(model.name, item.name, record, arguments, FULL_ACCESS)

        return many if association.connection_type is ConnectionType.HAS_MANY else one


@pytest.fixture(scope="module")
def filled() -> Iterator[LocalServer]:
    """A server with parents, children, orphans, nulls and tombstones; its clock stands still."""
    with local_server(SDL, now=lambda: 1_800_000_000_000) as server:
        mutate = "mutation M($i: Create%sInput!) { create%s(input: $i) { id } }"
        for number in range(3):
            _run(server, mutate % ("Blog", "Blog"), {"id": f"b{number}", "name": f"Blog {number}"})
        for number in range(7):
            post = {"id": f"p{number}", "title": f"Post {number}", "status": ("DRAFT", "PUBLISHED")[number % 2]}
            post |= {"rating": number} if number % 3 else {}
            post |= {"tags": ["a", None, "b"][:number]} if number < 2 else {}
            post |= {"blogPostsId": f"b{number % 4}"} if number < 6 else {}
            _run(server, mutate % ("Post", "Post"), post)
        for number in range(5):
            comment = {"id": f"c{number}", "content": "!", "postCommentsId": f"p{number % 2}"}
            _run(server, mutate % ("Comment", "Comment"), comment)
        delete = "mutation M($i: DeletePostInput!) { deletePost(input: $i) { id } }"
        _run(server, delete, {"id": "p3", "_version": 1})
        yield server


def _run(server: LocalServer, text: str, values: dict[str, Any]) -> None:
    answer = server.execute(text, {"i": values})
    assert "errors" not in answer, answer


@fuzzing
@given(aimed_queries(API.sdl))
def test_the_same_answer(filled: LocalServer, document: str):
    executable = filled.service.executable
    try:
        prepared = executable.prepare(document, {})
    except (DocumentError, RequestError):
        event("refused as a whole")
        return
    ours = filled.service.workers.call(executable.execute, prepared, ANYONE)
    theirs = filled.service.workers.call(Peer(filled).execute, document)
    event("with errors" if theirs.errors else "with data" if any(theirs.data.values()) else "empty")
    assert ours["data"] == theirs.data
    assert {_place(error["path"]) for error in ours.get("errors", ())} == {
        _place(error.path) for error in theirs.errors or ()
    }


def _place(path: Any) -> tuple[Any, ...]:
    return tuple(path or ())
