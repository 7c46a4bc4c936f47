"""Ten data models that use every directive: the API made here is the one that Amplify's own transformer makes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from django_datastore import registry
from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl, print_sdl
from tests.e2e.transformer.api_facts import Fact, api_facts

Transform: TypeAlias = Callable[..., dict[str, dict[str, str]]]
"""What the transformer says to data models, by file name: a `schema` or an `error`."""

TIMEOUT_SECONDS = 300
"""The transformer brings the whole CDK; on a busy machine that takes its time."""
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(TIMEOUT_SECONDS)]

TRANSFORMER = Path(__file__).parent / "transformer"
SCHEMAS = Path(__file__).resolve().parents[1] / "data" / "schemas"
FILES = sorted(SCHEMAS.glob("*.graphql"))
DIRECTIVES = {
    "@model",
    "@primaryKey",
    "@index",
    "@hasOne",
    "@hasMany",
    "@belongsTo",
    "@manyToMany",
    "@default",
    "@auth",
}
OTHER_PRODUCT = "AmplifyAIConversationTurnErrorInput"
"""An input of another Amplify product, which the transformer adds to every API and nothing in it refers to."""
EXTRA: dict[str, set[Fact]] = {
    # A model with `queries: null` can still be listed by a relation or an index. There the transformer forgets what it
    # gives all other lists: when a sync started, and filters by `_deleted`, timestamps and the keys it added itself.
    "keys": {
        ("ModelUnlistedConnection", "startedAt", "AWSTimestamp"),
        ("ModelUnlistedFilterInput", "_deleted", "ModelBooleanInput"),
        ("ModelUnlistedFilterInput", "createdAt", "ModelStringInput"),
        ("ModelUnlistedFilterInput", "updatedAt", "ModelStringInput"),
    },
    "operations": {
        ("ModelNoQueriesConnection", "startedAt", "AWSTimestamp"),
        ("ModelNoQueriesFilterInput", "createdAt", "ModelStringInput"),
        ("ModelNoQueriesFilterInput", "silentFriendsId", "ModelIDInput"),
        ("ModelNoQueriesFilterInput", "updatedAt", "ModelStringInput"),
    },
}
"""What our API has and the transformer's has not. There is nothing the other way round."""


@pytest.fixture(scope="module")
def transform(transformer_node: str) -> Transform:
    """Runs the transformer on files."""

    def run(*files: Path) -> dict[str, dict[str, str]]:
        command = [transformer_node, str(TRANSFORMER / "transform.js"), *map(str, files)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True).stdout
        found: dict[str, dict[str, str]] = json.loads(answer)
        return found

    return run


@pytest.fixture(scope="module")
def transformed(transform: Transform) -> dict[str, str]:
    """What the transformer makes of the ten."""
    return {name: found["schema"] for name, found in transform(*FILES).items()}


def test_there_are_ten_models_and_they_use_every_directive():
    assert len(FILES) == 10
    text = "".join(file.read_text() for file in FILES)
    assert set(re.findall(r"@\w+", text)) >= DIRECTIVES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_api_equals_what_the_transformer_makes(file: Path, transformed: dict[str, str]):
    ours = api_facts(api_of(parse_sdl(file.read_text())).sdl)
    theirs = {fact for fact in api_facts(transformed[file.name]) if OTHER_PRODUCT not in fact}
    assert theirs - ours == set()
    assert ours - theirs == EXTRA.get(file.stem, set())


def test_transformer_makes_the_same_of_the_printed_models(
    transform: Transform, transformed: dict[str, str], tmp_path: Path
):
    printed = [tmp_path / file.name for file in FILES]
    for file in FILES:
        (tmp_path / file.name).write_text(print_sdl(parse_sdl(file.read_text())))
    for name, found in transform(*printed).items():
        assert api_facts(found["schema"]) == api_facts(transformed[name])


def test_registered_django_models_have_the_api_that_the_transformer_makes(transform: Transform, tmp_path: Path):
    schema = registry.as_schema()
    printed = tmp_path / "models.graphql"
    # Amplify takes @belongsTo only where the other model relates back, as no foreign key of Django does. @hasOne by the
    # same field makes the same API.
    printed.write_text(print_sdl(schema).replace("@belongsTo", "@hasOne"))
    theirs = {fact for fact in api_facts(transform(printed)[printed.name]["schema"]) if OTHER_PRODUCT not in fact}
    assert api_facts(api_of(schema).sdl) == theirs


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_model_read_from_the_transformers_api_makes_the_same_api(file: Path, transformed: dict[str, str]):
    theirs = {fact for fact in api_facts(transformed[file.name]) if OTHER_PRODUCT not in fact}
    ours = api_facts(api_of(parse_sdl(transformed[file.name])).sdl)
    assert theirs - ours == set()
    assert ours - theirs == EXTRA.get(file.stem, set())
