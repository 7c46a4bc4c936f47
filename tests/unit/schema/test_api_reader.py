"""From an API's SDL back to the data model it was made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import parse

from django_datastore.appsync_local.transform import api_of
from django_datastore.exceptions import SchemaError
from django_datastore.schema.api_reader import models_of
from django_datastore.schema.sdl import parse_sdl
from django_datastore.schema.types import Association, ConnectionType
from tests.e2e.transformer.api_facts import api_facts

DATA = Path(__file__).parents[2] / "data"
FILES = [*sorted((DATA / "schemas").glob("*.graphql")), DATA / "amplify_example" / "models.graphql"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_model_read_from_an_api_makes_the_same_api(file: Path):
    api = api_of(parse_sdl(file.read_text())).sdl
    assert api_facts(api_of(parse_sdl(api)).sdl) == api_facts(api)


@pytest.mark.parametrize(
    "model",
    [
        'type Post @model(timestamps: { createdAt: "made", updatedAt: "changed" }) { id: ID! createdAt: String }',
        'type Post @model(timestamps: { createdAt: "made" }) { id: ID! createdAt: String }',
        'type Post @model(timestamps: { createdAt: "made" }, mutations: { create: null }) { id: ID! }',
    ],
)
def test_timestamps_are_those_that_no_mutation_takes(model: str):
    api = api_of(parse_sdl(model)).sdl
    assert api_facts(api_of(parse_sdl(api)).sdl) == api_facts(api)


def test_api_of_the_transformer_tells_keys_relations_and_values():
    schema = parse_sdl((DATA / "amplify_example" / "appsync-schema.graphql").read_text())
    assert list(schema.models) == ["Blog", "Post", "Comment", "Product"]
    assert schema.models["Product"].primary_key == ("sku", "region")
    assert schema.enums["PostStatus"].values == ("DRAFT", "PUBLISHED")
    assert schema.models["Post"].field("blog").association == Association(
        ConnectionType.BELONGS_TO, target_names=("blogPostsId",)
    )
    assert schema.models["Blog"].field("posts").association == Association(
        ConnectionType.HAS_MANY, associated_with=("blogPostsId",)
    )


POST = """
    type Post { id: ID! title: String _version: Int! _deleted: Boolean _lastChangedAt: AWSTimestamp! }
    type ModelPostConnection { items: [Post]! nextToken: String startedAt: AWSTimestamp }
"""
QUERY = "type Query { getPost(id: ID!): Post syncPostList(lastSync: AWSTimestamp): ModelPostConnection }"


def test_plurals_are_those_of_the_api():
    schema = parse_sdl(POST + QUERY)
    assert schema.models["Post"].plural_name == "PostList"
    assert "syncPostList" in api_of(schema).queries


def test_what_an_api_has_not_got_is_switched_off():
    api = api_of(parse_sdl(POST + QUERY))
    assert list(api.queries) == ["getPost", "syncPostList"]
    assert api.mutations == api.subscriptions == {}
    assert "timestamps: { createdAt: null, updatedAt: null }" in models_of(parse(POST + QUERY))


def test_subscriptions_without_directive_are_known_by_their_name():
    mutation = (
        "type Mutation { createPost(input: CreatePostInput!): Post } input CreatePostInput { id: ID title: String }"
    )
    api = api_of(parse_sdl(POST + QUERY + mutation + "type Subscription { onCreatePost: Post }"))
    assert api.events == {"createPost": ("onCreatePost",)}


REFUSED = [
    # what is wrong, and a part of the message
    ("type Query { x: Int }", "made without conflict resolution"),
    (POST + QUERY + "\ntype Mutation { echo(text: String): String }", "Line 5: Mutation.echo is no root field"),
    (POST.replace("id: ID!", "name: ID!") + QUERY, "Line 2: the key of Post is (id), which are no fields of it."),
    (POST.replace("title: String", "blog: Blog") + QUERY, "cannot be told from it: Post.blog has the unknown type"),
    (
        POST.replace("title: String", "others: ModelPostConnection") + QUERY,
        "Line 2: Post.others is a relation, and the API does not tell by which fields of Post.",
    ),
    (POST + QUERY + "\nunion Any = Post\ntype Holder { any: Any }", "Holder.any has the unknown type 'Any'"),
]


@pytest.mark.parametrize(("sdl", "message"), REFUSED)
def test_refused_api_names_the_way_out(sdl: str, message: str):
    with pytest.raises(SchemaError) as caught:
        parse_sdl(sdl)
    assert message in str(caught.value)
