"""`input AMPLIFY`: the one thing it may say is that models without rules are public."""

from __future__ import annotations

import pytest

from django_datastore.exceptions import SchemaError
from django_datastore.schema.sdl import parse_sdl, print_sdl

MODEL = "type Post @model { id: ID! }"


@pytest.mark.parametrize(
    ("text", "is_sandbox"),
    [
        ("", False),
        ("input AMPLIFY { globalAuthRule: AuthRule = { allow: public } }", True),
        ('input AMPLIFY { engine: String = "dynamodb" }', False),
    ],
)
def test_a_global_auth_rule_is_read_and_printed(text: str, is_sandbox: bool):
    schema = parse_sdl(text + MODEL)
    assert schema.is_sandbox is is_sandbox
    assert parse_sdl(print_sdl(schema)) == schema


@pytest.mark.parametrize("rule", ["", " = { allow: private }", " = { allow: public, provider: iam }"])
def test_any_other_global_auth_rule_is_refused(rule: str):
    with pytest.raises(SchemaError, match="Line 1: globalAuthRule"):
        parse_sdl(f"input AMPLIFY {{ globalAuthRule: AuthRule{rule} }} {MODEL}")
