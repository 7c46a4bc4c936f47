"""Amplify SDL in and out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.exceptions import SchemaError
from django_datastore.schema.sdl import parse_sdl, print_sdl
from django_datastore.schema.types import (
    Association,
    ConnectionType,
    EnumSchema,
    FieldKind,
    FieldSchema,
    ModelSchema,
    NonModelSchema,
    Schema,
)

EXAMPLE = Path(__file__).parents[2] / "data" / "amplify_example" / "models.graphql"


def model(sdl: str, name: str = "Post") -> ModelSchema:
    return parse_sdl(sdl).models[name]


def test_example_has_amplifys_foreign_keys_as_id_fields():
    schema = parse_sdl(EXAMPLE.read_text())
    assert [item.name for item in schema.models["Post"].value_fields][-1] == "blogPostsId"
    assert schema.models["Post"].field("blogPostsId").graphql_type == "ID"
    assert schema.models["Comment"].field("postCommentsId").graphql_type == "ID"
    assert schema.models["Product"].primary_key == ("sku", "region")
    assert schema.enums["PostStatus"].values == ("DRAFT", "PUBLISHED")


def test_belongs_to_and_has_many_name_the_same_foreign_key():
    schema = parse_sdl(EXAMPLE.read_text())
    assert schema.models["Post"].field("blog").association == Association(
        ConnectionType.BELONGS_TO, target_names=("blogPostsId",)
    )
    assert schema.models["Blog"].field("posts").association == Association(
        ConnectionType.HAS_MANY, associated_with=("blogPostsId",)
    )


def test_foreign_key_to_a_composite_key_has_a_field_for_each_part():
    schema = parse_sdl("""
        type Shop @model { code: ID! @primaryKey(sortKeyFields: ["country"]) country: String! items: [Item!]! @hasMany }
        type Item @model { id: ID! shop: Shop @belongsTo }
    """)
    item = schema.models["Item"]
    assert item.field("shop").association == Association(
        ConnectionType.BELONGS_TO, target_names=("shopItemsCode", "shopItemsCountry")
    )
    assert item.field("shopItemsCode").graphql_type == "ID!"  # a non-null @hasMany makes its foreign keys non-null
    assert item.field("shopItemsCountry").graphql_type == "String!"


def test_has_one_holds_its_foreign_key_itself_and_so_does_its_belongs_to():
    schema = parse_sdl("""
        type Project @model { id: ID! team: Team @hasOne }
        type Team @model { id: ID! project: Project @belongsTo }
    """)
    assert schema.models["Project"].field("team").association == Association(
        ConnectionType.HAS_ONE, target_names=("projectTeamId",), associated_with=("id",)
    )
    assert schema.models["Team"].field("project").association == Association(
        ConnectionType.BELONGS_TO, target_names=("teamProjectId",)
    )


def test_explicit_fields_and_index_join_declared_fields():
    schema = parse_sdl("""
        type Blog @model { id: ID! posts: [Post] @hasMany(indexName: "byBlog", fields: ["id"]) }
        type Post @model {
          id: ID!
          blogID: ID! @index(name: "byBlog", sortKeyFields: ["title"], queryField: "postsByBlog")
          title: String!
          blog: Blog @belongsTo(fields: ["blogID"])
        }
    """)
    post = schema.models["Post"]
    assert [item.name for item in post.fields] == ["id", "blogID", "title", "blog"]  # nothing was added
    assert post.field("blog").association == Association(ConnectionType.BELONGS_TO, target_names=("blogID",))
    assert schema.models["Blog"].field("posts").association == Association(
        ConnectionType.HAS_MANY, associated_with=("blogID",)
    )
    assert post.indexes[0].fields == ("blogID", "title")
    assert post.indexes[0].query_field == "postsByBlog"


def test_model_without_key_gets_an_id():
    assert model("type Post @model { title: String! }").fields[0] == FieldSchema("id", "ID", is_required=True)


def test_types_lists_defaults_and_auth_are_kept():
    schema = parse_sdl("""
        type Post @model @auth(rules: [{ allow: owner, operations: [read] }]) {
          id: ID!
          state: State @default(value: "NEW")
          tags: [String!]!
          places: [Place]
        }
        type Place { lat: Float! }
        enum State { NEW OLD }
    """)
    post = schema.models["Post"]
    assert post.auth_rules == ({"allow": "owner", "operations": ["read"]},)
    assert post.field("state").kind is FieldKind.ENUM
    assert post.field("state").attributes == ({"type": "default", "value": "NEW"},)
    assert post.field("tags").graphql_type == "[String!]!"
    assert post.field("places").kind is FieldKind.NON_MODEL
    assert schema.non_models["Place"] == NonModelSchema("Place", (FieldSchema("lat", "Float", is_required=True),))


REFUSED = [
    # what is wrong, and a part of the message: the line and the way out
    ("type Post @model {", "Line 1: this is no GraphQL"),
    (
        "type Post @model { id: ID!\n title: Strin }",
        "Line 2: Post.title has the unknown type 'Strin'. Did you mean 'String'?",
    ),
    ("type Post @model { id: ID! }\ntype Query { x: Int }", "Line 2: type Query is made by the server. Remove it"),
    ("type Post @model { id: Int! }", "Line 1: Post.id is Int!. Write `id: ID!`"),
    ("type Post { id: ID! }", "no type with @model"),
    ("type Post @model @searchable { id: ID! }", "Line 1: @searchable cannot be used here; remove it"),
    ("type Post @model { tags: [Tag] @manyToMany }\ntype Tag @model { id: ID! }", "write the join model yourself"),
    ("interface X { id: ID! }", "Line 1: interface type definition cannot stand in a data model"),
    ("type Post @model { id: ID! }\ntype Post @model { id: ID! }", "Line 2: there is a type 'Post' already"),
    ("type Post @model { id: ID! blog: Blog }\ntype Blog @model { id: ID! }", "Post.blog is a model. Add @belongsTo"),
    ("type Post @model { id: ID! blog: Blog @belongsTo }\ntype Blog @model { id: ID! }", "has no @hasOne or @hasMany"),
    ("type Post @model { id: ID! blog: Blgo @belongsTo }\ntype Blog @model { id: ID! }", "Did you mean 'Blog'?"),
    ('type A @model { id: ID! b: B @hasOne(fields: ["bID"]) }\ntype B @model { id: ID! }', "A has no field 'bID'"),
    ('type A @model { b: [B] @hasMany(indexName: "byA") }\ntype B @model { id: ID! }', "no @index named 'byA'"),
    ("type A @model { b: B @hasMany }\ntype B @model { id: ID! }", "@hasMany stands on a list"),
    ("type A @model { id: ID! m: [[Int]] }", "m is a list of lists"),
    ('type A @model { sku: ID! @primaryKey(sortKeyFields: ["rgn"]) }', "the key of A names 'rgn', which is no field"),
    ("type A @model { n: N }\ntype N { b: B }\ntype B @model { id: ID! }", "N has no table. Store its ID instead"),
]


@pytest.mark.parametrize(("sdl", "message"), REFUSED)
def test_refused_sdl_names_line_and_way_out(sdl: str, message: str):
    with pytest.raises(SchemaError, match=r".") as caught:
        parse_sdl(sdl)
    assert message in str(caught.value)


def test_sandbox_auth_rule_is_accepted():
    assert (
        "Post"
        in parse_sdl(
            "input AMPLIFY { globalAuthRule: AuthRule = { allow: public } } type Post @model { id: ID! }"
        ).models
    )


ROUND_TRIPS = [
    EXAMPLE.read_text(),
    """
    type Blog @model(timestamps: { createdAt: "made", updatedAt: null }) {
      id: ID!
      posts: [Post] @hasMany(indexName: "byBlog", fields: ["id"])
    }
    type Post @model @auth(rules: [{ allow: owner, ownerField: "author", operations: [read, update] }]) {
      slug: String! @primaryKey
      blogID: ID @index(name: "byBlog", sortKeyFields: ["title"], queryField: "postsByBlog")
      title: String @default(value: "a \\"quoted\\" title")
      blog: Blog @belongsTo(fields: ["blogID"])
      place: [Place!]
    }
    type Place { lat: Float }
    """,
    "type A @model { id: ID! b: B! @hasOne } type B @model { id: ID! a: A @belongsTo }",
]


@pytest.mark.parametrize("sdl", ROUND_TRIPS)
def test_printed_sdl_reads_back_to_the_same_schema(sdl: str):
    schema = parse_sdl(sdl)
    assert parse_sdl(print_sdl(schema)) == schema


names = st.from_regex(r"[a-z][a-zA-Z0-9]{0,8}", fullmatch=True).filter(lambda name: name != "id")
scalars = st.sampled_from(["String", "Int", "Float", "Boolean", "ID", "AWSDate", "AWSJSON", "State", "Place"])


@st.composite
def fields(draw: st.DrawFn) -> tuple[FieldSchema, ...]:
    found = []
    for name in draw(st.lists(names, unique=True, max_size=6)):
        kind = draw(scalars)
        is_list = draw(st.booleans())
        found.append(
            FieldSchema(
                name=name,
                type=kind,
                kind={"State": FieldKind.ENUM, "Place": FieldKind.NON_MODEL}.get(kind, FieldKind.SCALAR),
                is_required=draw(st.booleans()),
                is_list=is_list,
                is_list_required=is_list and draw(st.booleans()),
            )
        )
    return tuple(found)


@given(fields(), st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, unique=True))
def test_any_schema_of_values_round_trips(found: tuple[FieldSchema, ...], values: list[str]):
    key = FieldSchema("id", "ID", is_required=True)
    schema = Schema(
        models={"Post": ModelSchema("Post", "Posts", (key, *found))},
        enums={"State": EnumSchema("State", tuple(values))},
        non_models={"Place": NonModelSchema("Place", (FieldSchema("lat", "Float"),))},
    )
    assert parse_sdl(print_sdl(schema)) == schema
