"""The API made of a data model, against the one Amplify's own transformer makes of it."""

from __future__ import annotations

from pathlib import Path

from graphql import GraphQLSchema, build_schema

from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl

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
    assert theirs - ours == set()
    # The transformer puts the child's foreign key into the parent's subscription filter only, where it can match
    # nothing. Ours has it there and where it belongs. And enum lists can be filtered, whether or not a model has one.
    extra = {fact for fact in ours - theirs if fact[0] != "ModelPostStatusListInput"}
    assert extra == {
        ("ModelSubscriptionPostFilterInput", "blogPostsId", "ModelSubscriptionIDInput"),
        ("ModelSubscriptionCommentFilterInput", "postCommentsId", "ModelSubscriptionIDInput"),
    }


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


def test_fields_with_default_may_be_left_out_of_creates():
    found = api_facts('type Post @model { id: ID! state: String! @default(value: "new") }')
    assert ("CreatePostInput", "state", "String") in found
    assert ("Post", "state", "String!") in found


def test_nested_types_have_input_twins_and_no_filters():
    found = api_facts("type Post @model { id: ID! place: Place! marks: [Place!] } type Place { lat: Float! }")
    assert ("CreatePostInput", "place", "PlaceInput!") in found
    assert ("UpdatePostInput", "marks", "[PlaceInput!]") in found
    assert ("PlaceInput", "lat", "Float!") in found
    assert not any(fact[:2] == ("ModelPostFilterInput", "place") for fact in found)


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
