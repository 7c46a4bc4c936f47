"""The example documents: every root field has one, and it is valid."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from django_datastore.appsync_local.about.examples import examples
from django_datastore.appsync_local.graphql.coercion import install_scalars
from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl

EVERYTHING = """
type Visit @model {
  customer: ID! @primaryKey(sortKeyFields: ["day", "number"])
  day: AWSDate!
  number: Int!
  kind: Kind!
  kinds: [Kind!]!
  place: Place!
  moment: AWSDateTime! time: AWSTime! stamp: AWSTimestamp! mail: AWSEmail! json: AWSJSON!
  url: AWSURL! phone: AWSPhone! ip: AWSIPAddress! price: Float! open: Boolean!
}
type Note @model { text: String }
type Place { name: String! deep: Place }
enum Kind { FIRST LATER }
"""
EXAMPLE = (Path(__file__).parents[3] / "data" / "amplify_example" / "models.graphql").read_text()


@pytest.mark.parametrize("sdl", [EVERYTHING, EXAMPLE], ids=["everything", "example"])
def test_every_root_field_has_an_example_that_is_valid(sdl: str):
    api = api_of(parse_sdl(sdl))
    schema = build_schema(api.sdl)
    install_scalars(schema)
    found = {name: text for model in api.schema.models for name, text in examples(schema, api, model)}
    assert found.keys() == api.queries.keys() | api.mutations.keys() | api.subscriptions.keys()
    for text in found.values():
        assert not validate(schema, parse(text)), text


def test_examples_are_short_and_say_what_matters():
    api = api_of(parse_sdl(EVERYTHING))
    found = dict(examples(build_schema(api.sdl), api, "Note"))
    shown = "{ id text createdAt updatedAt _version _deleted _lastChangedAt }"
    assert found["getNote"] == f'query {{ getNote(id: "1") {shown} }}'
    assert found["syncNotes"] == f"query {{ syncNotes {{ items {shown} nextToken startedAt }} }}"
    assert found["createNote"] == f'mutation {{ createNote(input: {{id: "1"}}) {shown} }}'
    assert found["updateNote"] == f'mutation {{ updateNote(input: {{id: "1", text: "text", _version: 1}}) {shown} }}'
    assert found["deleteNote"] == f'mutation {{ deleteNote(input: {{id: "1", _version: 1}}) {shown} }}'
    assert found["onCreateNote"] == f"subscription {{ onCreateNote {shown} }}"
