"""The API made of a data model, against the one Amplify's own transformer makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema

from django_datastore import registry
from django_datastore.appsync_local.transform import Action, api_of
from django_datastore.exceptions import SchemaError
from django_datastore.schema.sdl import parse_sdl, print_sdl

DATA = Path(__file__).parents[2] / "data" / "amplify_example"
TRANSFORMER_OMITS = """
    directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION
    scalar AWSDateTime
    scalar AWSTimestamp
    scalar AWSJSON
"""


def facts(schema: GraphQLSchema) -> set[tuple[str, ...]]:
    """Every type with its fields, arguments and values, nullability included, in no order."""
    found: set[tuple[str, ...]] = set()
    for name, kind in schema.type_map.items():
        if name.startswith("__"):
            continue
        for field_name, field in getattr(kind, "fields", {}).items():
            found.add((name, field_name, str(field.type)))
            for argument_name, argument in getattr(field, "args", {}).items():
                found.add((name, field_name, argument_name, str(argument.type)))
        found.update((name, value) for value in getattr(kind, "values", {}))
    return found


def api_facts(sdl: str) -> set[tuple[str, ...]]:
    return facts(build_schema(api_of(parse_sdl(sdl)).sdl))


def test_example_api_equals_what_the_transformer_makes():
    ours = api_facts((DATA / "models.graphql").read_text())
    theirs = facts(build_schema(TRANSFORMER_OMITS + (DATA / "appsync-schema.graphql").read_text()))
    # An input of another Amplify product that the transformer adds to every schema, used by nothing.
    theirs = {fact for fact in theirs if fact[0] != "AmplifyAIConversationTurnErrorInput"}
    assert ours == theirs


def test_registered_models_have_the_api_of_their_printed_sdl():
    schema = registry.as_schema()
    assert "Post" in schema.models
    assert facts(build_schema(api_of(schema).sdl)) == api_facts(print_sdl(schema))


def test_subscriptions_name_their_mutation():
    sdl = api_of(parse_sdl("type Post @model { id: ID! }")).sdl
    assert (
        'onDeletePost(filter: ModelSubscriptionPostFilterInput): Post @aws_subscribe(mutations: ["deletePost"])' in sdl
    )


def test_declared_timestamps_are_optional_inputs_and_keep_their_type():
    found = api_facts("type Post @model { id: ID! createdAt: AWSDateTime! updatedAt: AWSDateTime }")
    assert ("Post", "createdAt", "AWSDateTime!") in found
    assert ("Post", "updatedAt", "AWSDateTime") in found
    assert ("CreatePostInput", "createdAt", "AWSDateTime") in found


def test_timestamps_can_be_renamed_and_dropped():
    found = api_facts('type Post @model(timestamps: { createdAt: "madeAt", updatedAt: null }) { id: ID! }')
    assert ("Post", "madeAt", "AWSDateTime!") in found
    assert not any("createdAt" in fact or "updatedAt" in fact for fact in found)


@pytest.mark.parametrize("written", ["null", "{ updatedAt: null }", '{ createdAt: "made", updatedAt: "changed" }'])
def test_declared_timestamps_are_optional_inputs_even_where_the_timestamps_are_others(written: str):
    found = api_facts(f"type Post @model(timestamps: {written}) {{ id: ID! updatedAt: AWSDateTime! }}")
    assert ("CreatePostInput", "updatedAt", "AWSDateTime") in found


def test_required_fields_with_default_are_required_as_the_transformer_has_it():
    found = api_facts('type Post @model { id: ID! state: String! @default(value: "new") }')
    assert ("CreatePostInput", "state", "String!") in found


def test_nested_types_have_input_twins_and_no_filters():
    found = api_facts("type Post @model { id: ID! place: Place! marks: [Place!] } type Place { lat: Float! }")
    assert ("CreatePostInput", "place", "PlaceInput!") in found
    assert ("UpdatePostInput", "marks", "[PlaceInput!]") in found
    assert ("PlaceInput", "lat", "Float!") in found
    assert not any(fact[:2] == ("ModelPostFilterInput", "place") for fact in found)


def test_input_twins_of_nested_types_begin_with_a_capital():
    found = api_facts("type Post @model { id: ID! at: geoPoint } type geoPoint { near: [geoPoint!] }")
    assert ("CreatePostInput", "at", "GeoPointInput") in found
    assert ("GeoPointInput", "near", "[GeoPointInput!]") in found


def test_foreign_keys_of_an_undeclared_key_are_ids_whatever_the_key_is():
    found = api_facts("type Post @model { id: String! cover: Image @hasOne } type Image @model { id: String! }")
    assert ("Post", "postCoverId", "ID") in found
    keyed = "type Post @model { id: ID! cover: Image @hasOne } type Image @model { id: String! @primaryKey }"
    assert ("Post", "postCoverId", "String") in api_facts(keyed)


def test_a_declared_owner_is_compared_as_its_type():
    found = api_facts("type Post @model @auth(rules: [{ allow: owner }]) { id: ID! owner: ID }")
    assert ("ModelPostFilterInput", "owner", "ModelIDInput") in found
    assert ("ModelPostConditionInput", "owner", "ModelIDInput") in found


def test_lists_joined_by_references_are_not_asked_by_a_key():
    found = api_facts("""
        type Blog @model { id: ID! posts: [Post] @hasMany(references: ["blogId"]) }
        type Post @model {
          code: ID! @primaryKey(sortKeyFields: ["day"])
          day: AWSDate!
          blogId: ID
          blog: Blog @belongsTo(references: ["blogId"])
        }
    """)
    assert {fact[2] for fact in found if fact[:2] == ("Blog", "posts") and len(fact) == 4} == {
        "filter",
        "limit",
        "nextToken",
        "sortDirection",
    }


def test_an_empty_list_of_subscriptions_says_nothing():
    found = api_of(parse_sdl("type Post @model(subscriptions: { onCreate: [] }) { id: ID! }")).subscriptions
    assert "onCreatePost" in found


def test_composite_keys_have_a_condition_even_where_no_list_takes_it():
    found = api_facts("""
        type Post @model(queries: { list: null }) {
          code: ID! @primaryKey(sortKeyFields: ["day", "part"])
          day: Int!
          part: Int!
        }
    """)
    assert ("ModelPostPrimaryCompositeKeyConditionInput", "eq", "ModelPostPrimaryCompositeKeyInput") in found


def test_sort_keys_make_key_conditions():
    found = api_facts("""
        type Log @model { site: ID! @primaryKey(sortKeyFields: ["day", "number"]) day: AWSDate! number: Int! }
        type Tag @model { name: String! @primaryKey }
    """)
    assert ("Query", "listLogs", "dayNumber", "ModelLogPrimaryCompositeKeyConditionInput") in found
    assert ("ModelLogPrimaryCompositeKeyInput", "number", "Int") in found
    assert ("Query", "listTags", "name", "String") in found
    assert ("Query", "listTags", "sortDirection", "ModelSortDirection") in found
    assert ("Query", "getLog", "number", "Int!") in found


LIBRARY = """
    type Shelf @model {
      code: ID! @primaryKey(sortKeyFields: ["room"])
      room: Int!
      books: [Book] @hasMany
    }
    type Author @model {
      id: ID!
      books: [Book] @hasMany(indexName: "byAuthor", fields: ["id"], limit: 7)
    }
    type Book @model {
      id: ID!
      authorID: ID! @index(name: "byAuthor", sortKeyFields: ["year", "title"], queryField: "booksOfAuthor")
      year: Int! @index
      title: String! @index(name: "byTitle", sortKeyFields: ["year"], queryField: null)
    }
"""


def test_index_queries_say_which_key_they_read():
    api = api_of(parse_sdl(LIBRARY))
    found = api.queries["booksOfAuthor"]
    assert (found.action, found.model.name, found.index) == (Action.INDEX, "Book", "byAuthor")
    assert (found.key, found.sort_argument, found.sort_fields) == (
        ("authorID", "year", "title"),
        "yearTitle",
        ("year", "title"),
    )
    assert api.queries["booksByYear"].key == ("year",)
    assert not any(operation.index == "byTitle" for operation in api.queries.values())


def test_lists_say_which_key_they_can_be_asked_by():
    api = api_of(parse_sdl(LIBRARY))
    assert (api.queries["listShelves"].key, api.queries["listShelves"].sort_argument) == (("code", "room"), "room")
    assert (api.queries["listBooks"].key, api.queries["listBooks"].sort_argument) == ((), None)


def test_has_many_fields_say_which_key_they_read_and_what_the_parent_knows_of_it():
    api = api_of(parse_sdl(LIBRARY))
    found = api.children["Author", "books"]
    assert (found.key, found.joined, found.sort_argument) == (("authorID", "year", "title"), 1, "yearTitle")
    assert (found.sort_fields, found.limit) == (("year", "title"), 7)
    found = api.children["Shelf", "books"]
    assert (found.key, found.joined, found.sort_argument) == (("shelfBooksCode", "shelfBooksRoom"), 2, None)


def test_events_reach_every_subscription_that_names_the_mutation():
    api = api_of(
        parse_sdl("""
            type Post @model(mutations: { create: "write", delete: null }, subscriptions: { onCreate: ["a", "b"] }) {
              id: ID!
            }
            type Note @model(subscriptions: null) { id: ID! }
            type Memo @model(subscriptions: { level: off }) { id: ID! }
        """)
    )
    assert api.events == {"write": ("a", "b"), "updatePost": ("onUpdatePost",)} | dict.fromkeys(
        ("createNote", "updateNote", "deleteNote", "createMemo", "updateMemo", "deleteMemo"), ()
    )
    assert set(api.subscriptions) == {"a", "b", "onUpdatePost"}


def test_queries_are_renamed_and_switched_off():
    api = api_of(parse_sdl('type Post @model(queries: { get: "post", list: null }) { id: ID! }'))
    assert list(api.queries) == ["post", "syncPosts"]
    sdl = "type Post @model(queries: null) { id: ID! } type Tag @model { id: ID! }"
    assert list(api_of(parse_sdl(sdl)).queries) == ["getTag", "listTags", "syncTags"]


def test_api_without_queries_is_refused():
    with pytest.raises(SchemaError, match="No model has a query"):
        api_of(parse_sdl("type Post @model(queries: null) { id: ID! }"))


COLLISIONS = [
    (
        'type A @model(queries: { get: "find" }) { id: ID! }\ntype B @model(queries: { list: "find" }) { id: ID! }',
        "Line 2: A and B both have the root field 'find'",
    ),
    ('\n\ntype A @model { id: ID! n: Int! @index(queryField: "getA") }', "Line 3: A has two queries 'getA'"),
    (
        'type A @model(subscriptions: { onCreate: "heard", onUpdate: "heard" }) { id: ID! }',
        "Line 1: A has two subscriptions 'heard'",
    ),
]


@pytest.mark.parametrize(("sdl", "message"), COLLISIONS)
def test_two_root_fields_of_one_name_are_refused(sdl: str, message: str):
    with pytest.raises(SchemaError, match=message):
        api_of(parse_sdl(sdl))


@pytest.mark.parametrize(
    "field",
    ["filter: Int! @index", "limit: ID! @primaryKey", 'code: ID! @primaryKey(sortKeyFields: ["limit"]) limit: Int!'],
)
def test_keys_named_as_arguments_of_lists_are_refused(field: str):
    with pytest.raises(
        SchemaError, match=r"Line 2: Post\.(filter|limit) cannot be a key, because .* Rename the field\."
    ):
        api_of(parse_sdl(f"enum A {{ B }}\ntype Post @model {{ {field} }}"))


def test_names_that_amplify_needs_itself_are_refused():
    with pytest.raises(SchemaError, match=r"GraphQL takes no API of these names: .*ModelPostConnection"):
        api_of(parse_sdl("type Post @model { id: ID! c: ModelPostConnection } type ModelPostConnection { x: Int }"))


def test_long_subscription_names_are_cut_as_amplify_cuts_them():
    name = "A" + "b" * 50
    found = api_of(parse_sdl(f"type {name} @model {{ id: ID! }}")).subscriptions
    assert {len(item) for item in found} == {50}
