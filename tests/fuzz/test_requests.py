"""Whatever is posted: an answer in AppSync's shape, and the server lives."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.transform import api_of
from django_datastore.appsync_local.views import Reply
from django_datastore.schema.sdl import parse_sdl
from tests.fuzz.conftest import check, fuzzing
from tests.fuzz.documents import json_values, spoilt, valid_documents
from tests.integration.local_server_tools import SDL

Post = Callable[[bytes], Reply]

API = api_of(parse_sdl(SDL)).sdl
FIELDS = ("createPost", "updatePost", "deletePost", "createBlog", "createComment")


@fuzzing
@given(st.binary(max_size=300))
def test_any_bytes(post: Post, body: bytes):
    check(post(body))


@fuzzing
@given(st.dictionaries(st.sampled_from(["query", "variables", "operationName", "extensions"]), json_values))
def test_any_json(post: Post, body: dict[str, Any]):
    check(post(json.dumps(body).encode()))


@fuzzing
@given(valid_documents(API))
def test_valid_documents(post: Post, document: str):
    check(post(json.dumps({"query": document}).encode()))


@fuzzing
@given(spoilt(valid_documents(API)), json_values)
def test_spoilt_documents(post: Post, document: str, variables: Any):
    check(post(json.dumps({"query": document, "variables": variables}).encode()))


@fuzzing
@given(st.sampled_from(FIELDS), json_values, json_values)
def test_any_input(post: Post, field: str, value: Any, condition: Any):
    kind = field[0].upper() + field[1:]
    model = field.removeprefix("create").removeprefix("update").removeprefix("delete")
    text = (
        f"mutation M($input: {kind}Input!, $condition: Model{model}ConditionInput) "
        f"{{ {field}(input: $input, condition: $condition) {{ id _version }} }}"
    )
    check(post(json.dumps({"query": text, "variables": {"input": value, "condition": condition}}).encode()))


@fuzzing
@given(json_values, json_values, st.sampled_from([None, 0, -1, 1, 10**20, "x"]), json_values)
def test_any_filter(post: Post, filter_: Any, token: Any, limit: Any, since: Any):
    text = (
        "query Q($f: ModelPostFilterInput, $t: String, $l: Int, $s: AWSTimestamp) "
        "{ syncPosts(filter: $f, nextToken: $t, limit: $l, lastSync: $s) { items { id } nextToken startedAt } }"
    )
    variables = {"f": filter_, "t": token, "l": limit, "s": since}
    check(post(json.dumps({"query": text, "variables": variables}).encode()))


def test_the_server_still_works(post: Post, server: LocalServer):
    text = 'mutation { createBlog(input: {name: "still here"}) { name _version } }'
    found = check(post(json.dumps({"query": text}).encode()))
    assert found == {"data": {"createBlog": {"name": "still here", "_version": 1}}}
