"""The HTTP door: credentials, malformed requests, validation, variables, the language, introspection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import build_client_schema, get_introspection_query

from django_datastore.testing.contract.api import Api, unique

GET = "query($id: ID!) { getThing(id: $id) { id name rank } }"

# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "messages"),
    [
        ({}, ("Valid authorization header not provided.", "Missing authorization header")),
        ({"x-api-key": "da2-wrongwrongwrongwrongwrong"}, ("You are not authorized to make this call.",)),
    ],
    ids=["none", "wrong"],
)
def test_request_without_a_good_key_is_a_401(api: Api, headers: dict[str, str], messages: tuple[str, ...]) -> None:
    """amplify-js #4373, #4270 and #2645 quote status, header and body. Doubt: without a key, both texts were seen."""
    found = api.post(json.dumps({"query": "{ __typename }"}), headers)
    assert found.status_code == 401
    assert found.headers["x-amzn-ErrorType"].split(":")[0] == "UnauthorizedException"
    assert found.headers["content-type"].startswith("application/json")
    (error,) = found.json()["errors"]
    assert error["errorType"] == "UnauthorizedException"
    assert error["message"] in messages


def test_answer_is_json_with_a_request_id(api: Api) -> None:
    """AWS services say in `x-amzn-RequestId` what their support wants to know."""
    found = api.post('{"query": "{ __typename }"}')
    assert found.headers["content-type"].lower().startswith("application/json")
    assert found.headers["x-amzn-RequestId"]
    assert found.json() == {"data": {"__typename": "Query"}}


# -- malformed requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["meow", "{}", "{}}", "[]", '{"query": ""}', '{"query": "{"}', '{"query": null}'])
def test_body_that_is_no_request_is_a_400(api: Api, body: str) -> None:
    """graphql-over-http #81, by the AppSync team: status 400, and "Unable to parse GraphQL query."."""
    found = api.post(body)
    assert found.status_code == 400
    (error,) = found.json()["errors"]
    assert error["errorType"] == "MalformedHttpRequestException"
    assert error["message"].startswith("Unable to parse GraphQL query.")


def test_empty_body_is_a_400(api: Api) -> None:
    """graphql-over-http #81, by the AppSync team."""
    found = api.post("")
    assert found.status_code == 400
    assert found.json()["errors"] == [
        {"message": "Request body is empty.", "errorType": "MalformedHttpRequestException"}
    ]


def test_array_of_requests_is_refused(api: Api) -> None:
    """amplify-js #3107: AppSync does not support query batching."""
    found = api.post('[{"query": "{ __typename }"}, {"query": "{ __typename }"}]')
    assert found.status_code == 400
    assert found.json()["errors"][0]["errorType"] == "MalformedHttpRequestException"


# -- validation --------------------------------------------------------------------------------------------------------

INVALID: list[tuple[str, str]] = [
    # graphql-over-http #81 quotes this one, place and all
    ("{badfield}", "FieldUndefined: Field 'badfield' in type 'Query' is undefined @ 'badfield'"),
    ('{ getThing(id: "1") { nope } }', "FieldUndefined: Field 'nope' in type 'Thing' is undefined @ 'getThing/nope'"),
    (
        "mutation { makeThing { id } }",
        "FieldUndefined: Field 'makeThing' in type 'Mutation' is undefined @ 'makeThing'",
    ),
    ('{ getThing(id: "1", x: 1) { id } }', "UnknownArgument: Unknown field argument x @ 'getThing'"),
    ("{ getThing { id } }", "MissingFieldArgument: Missing field argument id @ 'getThing'"),
    ('{ getCard(id: "1") { board } }', "SubSelectionRequired: Sub selection required for type Board of field board"),
    ('{ getThing(id: "1") { id { x } } }', "SubSelectionNotAllowed: Sub selection not allowed on leaf type"),
    ("query($id: Int) { getThing(id: $id) { id } }", "VariableTypeMismatch: "),
    ("query($x: Nope) { getThing(id: $x) { id } }", "UnknownType: Unknown type Nope"),
    ("{ getThing(id: $id) { id } }", "UndefinedVariable: Undefined variable id"),
    ('{ getThing(id: "1") { ...nope } }', "UndefinedFragment: Undefined fragment nope"),
]


@pytest.mark.parametrize(("query", "message"), INVALID)
def test_invalid_document_is_told_in_graphql_javas_words(api: Api, query: str, message: str) -> None:
    """graphql-over-http #81 and countless issues: status 200, data null, path null, "Validation error of type …"."""
    answer = api.answer(query)
    assert answer["data"] is None
    error = answer["errors"][0]
    assert error["path"] is None
    assert error["message"].startswith(f"Validation error of type {message}")
    assert set(error["locations"][0]) == {"line", "column", "sourceName"}


def test_validation_error_says_where(api: Api) -> None:
    """graphql-over-http #81: line 1, column 2."""
    (error,) = api.answer("{badfield}")["errors"]
    assert error["locations"] == [{"line": 1, "column": 2, "sourceName": None}]


# -- variables ---------------------------------------------------------------------------------------------------------


def test_missing_variable_is_null(api: Api) -> None:
    """graphql-over-http #81, "Missing query variables"."""
    answer = api.answer(GET)
    assert answer["data"] is None
    assert answer["errors"][0]["message"] == "Variable 'id' has coerced Null value for NonNull type 'ID!'"
    assert answer["errors"][0]["path"] is None


@pytest.mark.parametrize("values", [{}, {"name": None}])
def test_missing_required_input_names_the_variable(api: Api, values: dict[str, Any]) -> None:
    """amplify-swift's GraphQLWithUserPoolIntegrationTests: it is the variable that is named, not the field in it."""
    answer = api.write("create", "Thing", {"run": api.run, **values})
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["message"] == "Variable 'input' has coerced Null value for NonNull type 'String!'"
    assert error["path"] is None


@pytest.mark.parametrize("field", ["nope", "createdAt", "_deleted", "_lastChangedAt"])
def test_unknown_input_field_is_refused(api: Api, field: str) -> None:
    """amplify-js' fake service and its fall-back for filters quote it; inputs have no timestamps or metadata."""
    answer = api.write("create", "Thing", api.thing_input(**{field: None}))
    assert answer["data"] is None
    wanted = f"The variables input contains a field name '{field}' that is not defined for input object type"
    assert answer["errors"][0]["message"].startswith(f"{wanted} 'CreateThingInput'")
    assert answer["errors"][0]["path"] is None


def test_invalid_value_names_the_field(api: Api) -> None:
    """Reports such as "Variable 'goals' has an invalid value. Unable to parse [] as valid JSON." name the field."""
    answer = api.write("create", "Thing", api.thing_input(json=[]))
    assert answer["errors"][0]["message"].startswith("Variable 'json' has an invalid value. ")


def test_unknown_enum_value_is_named(api: Api) -> None:
    """graphql-java's words."""
    answer = api.write("create", "Thing", api.thing_input(mood="SAD"))
    message = answer["errors"][0]["message"]
    assert message.startswith("Variable 'mood' has an invalid value. Invalid input for Enum 'Mood'.")
    assert "SAD" in message


def test_variable_nobody_uses_does_no_harm(api: Api) -> None:
    """amplify-js sends all variables of a document whether it uses them or not."""
    assert api.answer("query($x: Int) { __typename }", {"x": 1, "y": 2})["data"] == {"__typename": "Query"}


def test_variable_has_a_default(api: Api) -> None:
    """GraphQL: a default stands in for a variable that is not given."""
    head = 'mutation($run: ID!, $name: String! = "by default")'
    found = api.data(f"{head} {{ createThing(input: {{run: $run, name: $name}}) {{ id name }} }}", {"run": api.run})
    api.remember("Thing", found)
    assert found["name"] == "by default"


# -- the language ------------------------------------------------------------------------------------------------------


def test_operation_name_chooses(api: Api) -> None:
    """GraphQL: one of several operations."""
    query = "query a { a: __typename } query b { b: __typename } mutation c { c: __typename }"
    assert api.answer(query, operationName="b")["data"] == {"b": "Query"}
    assert api.answer(query, operationName="c")["data"] == {"c": "Mutation"}


@pytest.mark.parametrize("name", [None, "nope"])
def test_no_operation_to_choose_is_refused(api: Api, name: str | None) -> None:
    """GraphQL: without a name, or with an unknown one, nothing runs. Doubt: status 200 or 400."""
    body: dict[str, Any] = {
        "query": "query a { a: __typename } query b { b: __typename }",
        "variables": {},
        "operationName": name,
    }
    found = api.post(json.dumps(body))
    assert found.status_code in (200, 400)
    assert found.json().get("data") is None
    assert found.json()["errors"]


def test_subscription_needs_a_socket(api: Api) -> None:
    """Guide: subscriptions go over WebSocket. Doubt: what a POST of one answers; not a record, and soon."""
    found = api.post(json.dumps({"query": "subscription { onCreateThing { id } }", "variables": {}}))
    assert found.status_code in (200, 400)
    assert not (found.json().get("data") or {}).get("onCreateThing")


def test_aliases_and_fragments_merge_in_document_order(api: Api) -> None:
    """GraphQL: fields of one response name are one; the order is that of the document."""
    made = api.thing(rank=1)
    query = """query($id: ID!) {
      one: getThing(id: $id) { rank ...a other: name ... on Thing { rank kind: __typename } }
      two: getThing(id: $id) { name }
    }
    fragment a on Thing { name rank }"""
    api.eventually(lambda: api.get("Thing", id=made["id"]), bool)
    answer = api.answer(query, {"id": made["id"]})
    assert list(answer["data"]["one"].items()) == [("rank", 1), ("name", "one"), ("other", "one"), ("kind", "Thing")]
    assert answer["data"]["two"] == {"name": "one"}


@pytest.mark.parametrize(("flag", "expected"), [(True, {"rank": 1, "id": ""}), (False, {"name": "one", "id": ""})])
def test_skip_and_include_decide(api: Api, flag: bool, expected: dict[str, Any]) -> None:
    """GraphQL: `@skip` and `@include`, on fields and on fragments."""
    made = api.thing(rank=1)
    api.eventually(lambda: api.get("Thing", id=made["id"]), bool)
    query = """query($id: ID!, $flag: Boolean!) { getThing(id: $id) {
        id name @skip(if: $flag) ... on Thing @include(if: $flag) { rank } } }"""
    assert api.data(query, {"id": made["id"], "flag": flag}) == {**expected, "id": made["id"]}


def test_several_queries_run_in_one_document(api: Api) -> None:
    """GraphQL: root fields stand beside each other, errors of one leave the others alone."""
    answer = api.answer(
        'query($id: ID!) { a: getThing(id: $id) { id } b: listThings(nextToken: "x") { nextToken } c: __typename }',
        {"id": unique()},
    )
    assert answer["data"] == {"a": None, "b": None, "c": "Query"}
    assert [error["path"] for error in answer["errors"]] == [["b"]]


# -- introspection -----------------------------------------------------------------------------------------------------


def test_introspection_describes_the_api(api: Api) -> None:
    """AppSync answers introspection unless it is switched off. What Amplify's transformer makes of the data model."""
    schema = build_client_schema(api.answer(get_introspection_query())["data"])
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    assert schema.subscription_type is not None
    assert {"getThing", "listThings", "syncThings", "syncShelves", "cardsByBoard"} <= set(schema.query_type.fields)
    assert {"createThing", "updateThing", "deleteThing"} <= set(schema.mutation_type.fields)
    assert {"onCreateThing", "onUpdateThing", "onDeleteThing"} <= set(schema.subscription_type.fields)
    sync = schema.query_type.fields["syncThings"]
    assert {name: str(item.type) for name, item in sync.args.items()} == {
        "filter": "ModelThingFilterInput",
        "limit": "Int",
        "nextToken": "String",
        "lastSync": "AWSTimestamp",
    }


@pytest.mark.parametrize(
    ("type_name", "fields"),
    [
        (
            "Thing",
            {"_version": "Int!", "_lastChangedAt": "AWSTimestamp!", "_deleted": "Boolean", "createdAt": "AWSDateTime!"},
        ),
        (
            "CreateThingInput",
            {"id": "ID", "name": "String!", "_version": "Int", "points": "[Int!]", "place": "PlaceInput"},
        ),
        ("UpdateThingInput", {"id": "ID!", "name": "String", "_version": "Int"}),
        ("DeleteThingInput", {"id": "ID!", "_version": "Int"}),
        ("DeleteShelfInput", {"hall": "ID!", "row": "String!", "level": "Int!", "_version": "Int"}),
        ("ModelThingConnection", {"items": "[Thing]!", "nextToken": "String", "startedAt": "AWSTimestamp"}),
    ],
)
def test_types_are_the_transformers(api: Api, type_name: str, fields: dict[str, str]) -> None:
    """Amplify's transformer with conflict resolution (npm @aws-amplify/graphql-transformer)."""
    types = _fields(api, type_name)
    assert {name: types.get(name) for name in fields} == fields


_ORDER = ("eq", "ne", "le", "lt", "ge", "gt")
_TEXT = ("contains", "notContains", "beginsWith")
_EXISTS = {"attributeExists": "Boolean", "attributeType": "ModelAttributeTypes"}
_COMPOSITE = "ModelShelfPrimaryCompositeKeyInput"
INPUTS: dict[str, dict[str, str]] = {
    "ModelStringInput": {
        **dict.fromkeys((*_ORDER, *_TEXT), "String"),
        "between": "[String]",
        "size": "ModelSizeInput",
        **_EXISTS,
    },
    "ModelIDInput": {
        **dict.fromkeys((*_ORDER, *_TEXT), "ID"),
        "between": "[ID]",
        "size": "ModelSizeInput",
        **_EXISTS,
    },
    "ModelIntInput": {**dict.fromkeys(_ORDER, "Int"), "between": "[Int]", **_EXISTS},
    "ModelBooleanInput": {**dict.fromkeys(("eq", "ne"), "Boolean"), **_EXISTS},
    "ModelMoodInput": dict.fromkeys(("eq", "ne"), "Mood"),
    "ModelSizeInput": {**dict.fromkeys(_ORDER, "Int"), "between": "[Int]"},
    "ModelSubscriptionStringInput": {
        **dict.fromkeys((*_ORDER, *_TEXT), "String"),
        **dict.fromkeys(("between", "in", "notIn"), "[String]"),
    },
    "ModelSubscriptionIntInput": {
        **dict.fromkeys(_ORDER, "Int"),
        **dict.fromkeys(("between", "in", "notIn"), "[Int]"),
    },
    "ModelSubscriptionBooleanInput": dict.fromkeys(("eq", "ne"), "Boolean"),
    "ModelStringKeyConditionInput": {
        **dict.fromkeys(("eq", "le", "lt", "ge", "gt", "beginsWith"), "String"),
        "between": "[String]",
    },
    "ModelIntKeyConditionInput": {**dict.fromkeys(("eq", "le", "lt", "ge", "gt"), "Int"), "between": "[Int]"},
    "ModelShelfPrimaryCompositeKeyConditionInput": {
        **dict.fromkeys(("eq", "le", "lt", "ge", "gt", "beginsWith"), _COMPOSITE),
        "between": f"[{_COMPOSITE}]",
    },
}
"""Filters, conditions and key conditions, operator by operator."""


@pytest.mark.parametrize("type_name", INPUTS)
def test_operators_are_the_transformers(api: Api, type_name: str) -> None:
    """Amplify's transformer: these and no others, or clients would send what AppSync refuses."""
    assert _fields(api, type_name) == INPUTS[type_name]


def test_only_subscription_filters_know_no_negation(api: Api) -> None:
    """Amplify's transformer: `not` is in filters and conditions, and not in subscription filters."""
    found = {
        name: _fields(api, f"Model{name}Input") for name in ("ThingFilter", "ThingCondition", "SubscriptionThingFilter")
    }
    assert {name: "not" in fields for name, fields in found.items()} == {
        "ThingFilter": True,
        "ThingCondition": True,
        "SubscriptionThingFilter": False,
    }
    assert "id" not in found["ThingCondition"]


def _fields(api: Api, type_name: str) -> dict[str, str]:
    query = "query($name: String!) { __type(name: $name) { fields { ...f } inputFields { ...i } } } "
    kind = "type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }"
    fragments = f"fragment f on __Field {{ name {kind} }} fragment i on __InputValue {{ name {kind} }}"
    found = api.data(query + fragments, {"name": type_name})
    return {item["name"]: _type_text(item["type"]) for item in found["fields"] or found["inputFields"]}


def _type_text(found: dict[str, Any]) -> str:
    match found["kind"]:
        case "NON_NULL":
            return f"{_type_text(found['ofType'])}!"
        case "LIST":
            return f"[{_type_text(found['ofType'])}]"
    return str(found["name"])
