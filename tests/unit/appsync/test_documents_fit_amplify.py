"""The documents against the API that Amplify's own transformer makes of a data model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from django_datastore.appsync.documents import Document, Documents, GetRequest, MutationRequest
from django_datastore.schema.sdl import parse_sdl
from django_datastore.types import Operation

EXAMPLE = Path(__file__).parents[2] / "data" / "amplify_example"
AWS_SCALARS = ("Date", "Time", "DateTime", "Timestamp", "Email", "JSON", "URL", "Phone", "IPAddress")


@pytest.fixture(scope="module")
def api() -> GraphQLSchema:
    text = (EXAMPLE / "appsync-schema.graphql").read_text()
    scalars = (f"scalar AWS{name}" for name in AWS_SCALARS if f"scalar AWS{name}" not in text)
    return build_schema("\n".join([*scalars, text]), assume_valid_sdl=True)


def every_document() -> Iterator[Document]:
    schema = parse_sdl((EXAMPLE / "models.graphql").read_text())
    documents = Documents.from_schema(schema)
    for model in schema.models.values():
        key = ["1"] * len(model.primary_key)
        yield documents.sync(model, limit=100)
        yield documents.get(model, key)
        yield documents.batch_get([GetRequest(model, key)] * 2)
        for operation in Operation:
            for condition in (None, {"name": {"eq": "x"}}):
                request = MutationRequest(operation, model, {}, condition)
                yield documents.mutation(request)
                yield documents.batch_mutation([request] * 2)
                yield documents.subscription(operation, model, filter=condition)


def test_every_document_is_valid(api: GraphQLSchema) -> None:
    refused = {item.text: found for item in every_document() if (found := validate(api, parse(item.text)))}

    assert not refused
