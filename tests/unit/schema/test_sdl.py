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
    IndexSchema,
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
    (
        'type Post @model { tags: [Tag] @manyToMany(relationName: "PT") }\ntype Tag @model { id: ID! }',
        "Line 1: relationName 'PT' stands on 1 fields. It joins exactly two.",
    ),
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
    # directives
    ("type A @model(querys: null) { id: ID! }", "@model takes no argument 'querys'. It takes: queries, mutations"),
    ('type A @model(queries: { sync: "x" }) { id: ID! }', "'sync' is none of get, list."),
    ("type A @model(subscriptions: { level: loud }) { id: ID! }", "level: Known are: off, public, on."),
    ("type A\n@model(mutations: true) { id: ID! }", "Line 2: @model(mutations: true) is not understood."),
    ('type A @model(queries: { get: "a b" }) { id: ID! }', "'a b' is no name that GraphQL takes"),
    ("type A @model { id: ID! n: Int @model }", "@model cannot be used here; it stands on a type."),
    ("type A @model @index { id: ID! }", "@index cannot be used here; it stands on a field."),
    ("type A @model { id: ID! n: Int @sql }", "@sql cannot be used here; remove it: resolvers of your own"),
    ("type A @model @aws_iam { id: ID! }", "@aws_iam cannot be used here; say who may do what with @auth rules."),
    ("type A @model { id: ID! n: Int @indx }", "@indx cannot be used here; known here: @auth, @belongsTo, @default"),
    ("type A @model @auth { id: ID! }", "@auth needs the argument 'rules'."),
    ("type A @model { b: [A] @manyToMany }", "@manyToMany needs the argument 'relationName'."),
    ("type A @model @auth(rules: [{ allow: all }]) { id: ID! }", "allow: Known are: owner, groups, private, public"),
    ("type A @model { id: ID! n: Int @index(projection: { type: KEYS_ONLY }) }", "type: Known are: ALL."),
    ("type A @model { id: ID! p: P }\ntype P @auth(rules: []) { x: Int }", "Line 2: @auth cannot stand in type P"),
    # fields
    ("type A @model { id: ID!\n id: ID! }", "Line 2: A has a field 'id' already."),
    ("type A @model { id: ID! find(text: String): String }", "A.find takes arguments, which no stored field can."),
    ("type A @model { id: ID! _version: Int }", "A._version is the server's own name."),
    ("type A @model { id: ID! p: P }\ntype P", "Line 2: type P has no fields."),
    ("enum E { X X } type A @model { id: ID! }", "enum E has the value 'X' twice."),
    # keys and indexes
    ("type A @model { a: ID! @primaryKey b: ID! @primaryKey }", "A has a @primaryKey already."),
    ("type A @model { a: ID @primaryKey }", "A.a is part of the key. Write `a: … !`."),
    ("type A @model { a: [ID!]! @primaryKey }", "A.a is [ID!]!: the key takes single scalars and enums only."),
    ('type A @model { a: ID! @primaryKey(sortKeyFields: ["a"]) }', "the key (a, a) of A names a field twice."),
    ('type A @model { id: ID! n: Int @index(sortKeyFields: ["m"]) }', "names 'm', which is no field of A."),
    ("type A @model { id: ID! n: [Int] @index }", "A.n is [Int]: an @index takes single scalars and enums only."),
    ('type A @model { n: Int @index(name: "byN") m: Int @index(name: "byN") }', "A has an @index 'byN' already."),
    ('type A @model { n: Int @index(name: "n") }', "'n' is no name for an @index"),
    # relations
    (
        'type A @model { b: [B] @hasMany(references: ["a"], fields: ["id"]) }\ntype B @model { a: ID }',
        "`references` says by itself how records are joined.",
    ),
    ('type A @model { b: [B] @hasMany(references: ["aI"]) } type B @model { aId: ID }', "B has no field 'aI'."),
    (
        'type A @model { b: B @hasOne(fields: ["bID"]) bID: Int } type B @model { id: ID! }',
        "A.bID is Int, and B.id ID!: no value can be both.",
    ),
    (
        'type A @model { b: [B] @hasMany(references: ["aID"]) } type B @model { aID: [ID] }',
        "B.aID is [ID], and A.id ID!: no value can be both.",
    ),
    ("type A @model { b: [B] @hasMany @belongsTo } type B @model { id: ID! }", "A.b is a relation already."),
    ("type A @model { b: [B] @hasMany(limit: 0) } type B @model { id: ID! }", "A.b: the limit is 1 to 1,000."),
    (
        'type A @model { bs: [B] @manyToMany(relationName: "AB") }\n'
        'type B @model { as: [C] @manyToMany(relationName: "AB") }\ntype C @model { id: ID! }',
        "Line 2: B.as lists C, but 'AB' joins it with A.",
    ),
    (
        'type A @model { x: [A] @manyToMany(relationName: "AA") y: [A] @manyToMany(relationName: "AA") }',
        "A cannot be joined with itself.",
    ),
    # defaults
    ('type A @model { n: Int @default(value: "many") }', "A.n has the default 'many', which is no Int"),
    ('type A @model { n: Boolean @default(value: "si") }', "A.n has the default 'si', which is no Boolean"),
    ("type A @model { n: Int @default }", "A.n has the default None, which is no Int: it has no value."),
    ('type A @model { n: [Int] @default(value: "1") }', "A.n is [Int]: @default stands on single scalars and enums"),
    ('enum E { X } type A @model { e: E @default(value: "Y") }', "A.e has the default 'Y', which is no E. It has: X."),
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


SCHEMAS = sorted((EXAMPLE.parents[1] / "schemas").glob("*.graphql"))
ROUND_TRIPS = [
    EXAMPLE.read_text(),
    *(file.read_text() for file in SCHEMAS),  # every directive with every option
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


switches = st.one_of(st.none(), names)
properties = st.fixed_dictionaries(
    {},
    optional={
        "queries": st.none() | st.fixed_dictionaries({}, optional={"get": switches, "list": switches}),
        "mutations": st.none() | st.fixed_dictionaries({}, optional={"create": switches, "delete": switches}),
        "subscriptions": st.none()
        | st.fixed_dictionaries(
            {}, optional={"level": st.sampled_from(["off", "public", "on"]), "onCreate": st.lists(names, max_size=2)}
        ),
        "timestamps": st.none() | st.fixed_dictionaries({}, optional={"createdAt": switches, "updatedAt": switches}),
    },
)
rules = st.fixed_dictionaries(
    {"allow": st.sampled_from(["owner", "groups", "private", "public", "custom"])},
    optional={
        "provider": st.sampled_from(["apiKey", "iam", "oidc", "userPools", "function"]),
        "ownerField": names,
        "groups": st.lists(st.text(max_size=5), max_size=2),
        "operations": st.lists(st.sampled_from(["create", "read", "update", "delete"]), max_size=3),
    },
)


@given(st.lists(names, unique=True, min_size=2, max_size=5), properties, st.lists(rules, max_size=2), st.data())
def test_any_model_with_keys_and_rules_round_trips(
    found: list[str], written: dict[str, object], auth: list[dict[str, object]], data: st.DataObject
):
    fields = tuple(FieldSchema(name, "String", is_required=True) for name in found)
    keys = st.lists(st.sampled_from(found), unique=True, min_size=1, max_size=3).map(tuple)
    indexes = data.draw(st.dictionaries(st.from_regex(r"[a-z]{3,6}", fullmatch=True), keys, max_size=3))
    queries = data.draw(st.lists(switches, min_size=len(indexes), max_size=len(indexes)))
    drafted = ModelSchema(
        "Post",
        "Posts",
        fields,
        primary_key=data.draw(keys),
        indexes=tuple(
            IndexSchema(name, key, query) for (name, key), query in zip(indexes.items(), queries, strict=True)
        ),
        auth_rules=tuple(auth),
        properties=written,
    )
    schema = parse_sdl(print_sdl(Schema(models={"Post": drafted})))
    read = schema.models["Post"]
    assert (read.primary_key, read.auth_rules, read.properties) == (
        drafted.primary_key,
        drafted.auth_rules,
        drafted.properties,
    )
    assert set(read.indexes) == set(drafted.indexes)
    assert parse_sdl(print_sdl(schema)) == schema
