from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphql import parse, print_ast

from django_datastore.appsync.documents import (
    Documents,
    GetRequest,
    MutationRequest,
    alias,
    get_field,
    input_fields,
    mutation_field,
    subscription_field,
    sync_field,
)
from django_datastore.exceptions import SchemaError
from django_datastore.schema.types import FieldKind, FieldSchema, ModelSchema, NonModelSchema
from django_datastore.types import Operation
from tests.unit.appsync.schemas import BLOG, POST, POST_SELECTION, PRODUCT, SCHEMA


@pytest.fixture
def documents() -> Documents:
    return Documents.from_schema(SCHEMA)


def same(text: str, expected: str) -> bool:
    return print_ast(parse(text)) == print_ast(parse(expected))


def test_sync_query(documents: Documents) -> None:
    text, variables = documents.sync(POST, limit=1000)

    assert same(
        text,
        "query operation($limit: Int, $nextToken: String, $lastSync: AWSTimestamp, $filter: ModelPostFilterInput) {"
        " syncPosts(limit: $limit, nextToken: $nextToken, lastSync: $lastSync, filter: $filter) {"
        f" items {{ {POST_SELECTION} }} nextToken startedAt }} }}",
    )
    assert variables == {"limit": 1000, "nextToken": None, "lastSync": 0, "filter": None}


def test_sync_query_uses_the_schemas_plural(documents: Documents) -> None:
    odd = replace(BLOG, plural_name="CompositePKChildren")

    assert "{ syncCompositePKChildren(" in documents.sync(odd, limit=1).text


@pytest.mark.parametrize(
    ("operation", "head", "call", "variables"),
    [
        # a create has no condition
        (Operation.CREATE, "$input: CreatePostInput!", "createPost(input: $input)", {"input": {"id": "1"}}),
        (
            Operation.UPDATE,
            "$input: UpdatePostInput!, $condition: ModelPostConditionInput",
            "updatePost(input: $input, condition: $condition)",
            {"input": {"id": "1"}, "condition": None},
        ),
        (
            Operation.DELETE,
            "$input: DeletePostInput!, $condition: ModelPostConditionInput",
            "deletePost(input: $input, condition: $condition)",
            {"input": {"id": "1"}, "condition": None},
        ),
    ],
)
def test_mutation(documents: Documents, operation: Operation, head: str, call: str, variables: dict[str, Any]) -> None:
    document = documents.mutation(MutationRequest(operation, POST, {"id": "1"}, condition={}))

    assert same(document.text, f"mutation operation({head}) {{ {call} {{ {POST_SELECTION} updatedAt }} }}")
    assert document.variables == variables


def test_create_with_a_condition_keeps_it(documents: Documents) -> None:
    request = MutationRequest(Operation.CREATE, BLOG, {"id": "1"}, condition={"name": {"eq": "x"}})

    text, variables = documents.mutation(request)

    assert "createBlog(input: $input, condition: $condition)" in text
    assert variables["condition"] == {"name": {"eq": "x"}}


def test_get(documents: Documents) -> None:
    text, variables = documents.get(POST, ("p1",))

    assert same(text, f"query operation($id: ID!) {{ getPost(id: $id) {{ {POST_SELECTION} }} }}")
    assert variables == {"id": "p1"}


def test_get_names_every_part_of_a_custom_key_with_its_type(documents: Documents) -> None:
    text, variables = documents.get(PRODUCT, ("s1", "7"))

    assert same(
        text,
        "query operation($sku: ID!, $lot: Int!) { getProduct(sku: $sku, lot: $lot)"
        " { sku lot name _version _lastChangedAt _deleted } }",
    )
    assert variables == {"sku": "s1", "lot": 7}


@pytest.mark.parametrize("operation", Operation)
def test_subscription(documents: Documents, operation: Operation) -> None:
    text, variables = documents.subscription(operation, POST)

    field = f"on{operation.value.capitalize()}Post"
    assert same(text, f"subscription operation {{ {field} {{ {POST_SELECTION} }} }}")
    assert variables == {}


def test_subscription_with_filter_and_owner(documents: Documents) -> None:
    text, variables = documents.subscription(
        Operation.CREATE, BLOG, filter={"name": {"eq": "x"}}, owner=("editor", "eve")
    )

    assert same(
        text,
        "subscription operation($filter: ModelSubscriptionBlogFilterInput, $editor: String!) {"
        " onCreateBlog(filter: $filter, editor: $editor) { id name _version _lastChangedAt _deleted } }",
    )
    assert variables == {"filter": {"name": {"eq": "x"}}, "editor": "eve"}


def test_batch_mutation_gives_each_an_alias_and_each_model_one_fragment(documents: Documents) -> None:
    text, variables = documents.batch_mutation(
        [
            MutationRequest(Operation.UPDATE, BLOG, {"id": "1"}, condition={"name": {"eq": "x"}}),
            MutationRequest(Operation.CREATE, BLOG, {"id": "2"}),
            MutationRequest(Operation.DELETE, PRODUCT, {"sku": "3"}),
        ]
    )

    assert same(
        text,
        "mutation operation($input0: UpdateBlogInput!, $condition0: ModelBlogConditionInput, $input1: CreateBlogInput!,"
        " $input2: DeleteProductInput!, $condition2: ModelProductConditionInput) {"
        " m0: updateBlog(input: $input0, condition: $condition0) { ...BlogFields }"
        " m1: createBlog(input: $input1) { ...BlogFields }"
        " m2: deleteProduct(input: $input2, condition: $condition2) { ...ProductFields } }"
        " fragment BlogFields on Blog { id name _version _lastChangedAt _deleted createdAt updatedAt }"
        " fragment ProductFields on Product { sku lot name _version _lastChangedAt _deleted createdAt updatedAt }",
    )
    assert variables == {
        "input0": {"id": "1"},
        "condition0": {"name": {"eq": "x"}},
        "input1": {"id": "2"},
        "input2": {"sku": "3"},
        "condition2": None,
    }


def test_batch_get(documents: Documents) -> None:
    text, variables = documents.batch_get([GetRequest(BLOG, ("1",)), GetRequest(PRODUCT, ("2", "3"))])

    assert same(
        text,
        "query operation($key0_id: ID!, $key1_sku: ID!, $key1_lot: Int!) {"
        " m0: getBlog(id: $key0_id) { ...BlogFields }"
        " m1: getProduct(sku: $key1_sku, lot: $key1_lot) { ...ProductFields } }"
        " fragment BlogFields on Blog { id name _version _lastChangedAt _deleted createdAt updatedAt }"
        " fragment ProductFields on Product { sku lot name _version _lastChangedAt _deleted createdAt updatedAt }",
    )
    assert variables == {"key0_id": "1", "key1_sku": "2", "key1_lot": 3}


def test_batches_of_one_shape_are_one_text(documents: Documents) -> None:
    one = documents.batch_mutation([MutationRequest(Operation.UPDATE, BLOG, {"id": "1"})])
    other = documents.batch_mutation([MutationRequest(Operation.UPDATE, BLOG, {"id": "2"}, {"name": {"eq": "x"}})])

    assert one.text == other.text


@pytest.mark.parametrize(
    ("rules", "selected"),
    [
        (({"allow": "owner"},), "id name owner _version"),
        (({"allow": "owner", "ownerField": "owner"},), "id name owner _version"),
        # a field of another name is selected only if the model declares it
        (({"allow": "owner", "ownerField": "editor"},), "id name _version"),
        (({"allow": "groups", "groups": ["Admin"]},), "id name _version"),
    ],
)
def test_implicit_owner_is_selected(documents: Documents, rules: tuple[dict[str, Any], ...], selected: str) -> None:
    assert documents.selection(replace(BLOG, auth_rules=rules)).startswith(selected)


def test_declared_owner_is_selected_once(documents: Documents) -> None:
    fields = (*BLOG.fields, FieldSchema("owner", "String"))
    owned = ModelSchema("Blog", "Blogs", fields, auth_rules=({"allow": "owner"},))

    assert documents.selection(owned).split().count("owner") == 1


@pytest.mark.parametrize(
    ("timestamps", "selected"),
    [
        # they are not null in the API, and a subscriber gets only what the writer selected
        ({}, "createdAt updatedAt"),
        # the API has them under other names, or one of them, or none
        ({"createdAt": "madeAt"}, "madeAt updatedAt"),
        ({"updatedAt": None}, "createdAt"),
        (None, ""),
    ],
)
def test_a_mutation_selects_the_timestamps_too(
    documents: Documents, timestamps: dict[str, str | None] | None, selected: str
) -> None:
    model = replace(BLOG, properties={"timestamps": timestamps})
    text = documents.mutation(MutationRequest(Operation.UPDATE, model, {"id": "1"})).text

    assert f"{{ {documents.selection(BLOG)} {selected}".rstrip() + " }" in text


def test_type_that_contains_itself_is_refused() -> None:
    tree = NonModelSchema("Tree", (FieldSchema("child", "Tree", FieldKind.NON_MODEL),))
    model = ModelSchema("Wood", "Woods", (FieldSchema("root", "Tree", FieldKind.NON_MODEL),))

    with pytest.raises(SchemaError, match="contains itself"):
        Documents({}, {"Tree": tree}).selection(model)


def test_input_fields_leave_out_read_only_ones_and_resolve_relations() -> None:
    assert input_fields(POST) == ("id", "title", "place", "status", "blogId", "productSku", "productLot")


def test_names_of_answers() -> None:
    assert (
        sync_field(POST),
        get_field(POST),
        mutation_field(Operation.UPDATE, POST),
        subscription_field(Operation.DELETE, POST),
        alias(3),
    ) == ("syncPosts", "getPost", "updatePost", "onDeletePost", "m3")
