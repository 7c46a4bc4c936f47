"""A spoilt SDL is served or refused with its line; nothing else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.executable import build_schema
from django_datastore.appsync_local.transform import api_of
from django_datastore.exceptions import SchemaError
from django_datastore.schema.sdl import parse_sdl
from tests.fuzz.conftest import fuzzing
from tests.fuzz.documents import spoilt
from tests.integration.local_server_tools import SDL

SCHEMAS = Path(__file__).resolve().parents[1] / "data" / "schemas"
MODELS = [file.read_text() for file in sorted(SCHEMAS.glob("*.graphql"))]
APIS = [api_of(parse_sdl(text)).sdl for text in MODELS]


@fuzzing
@given(spoilt(st.just(SDL)))
def test_any_sdl(text: str):
    with suppress(SchemaError):
        build_schema(api_of(parse_sdl(text)).sdl)


@fuzzing
@given(spoilt(st.sampled_from(MODELS)))
def test_any_data_model(text: str):
    with suppress(SchemaError):
        build_schema(api_of(parse_sdl(text)).sdl)


@fuzzing
@given(spoilt(st.sampled_from(APIS)))
def test_any_api(text: str):
    with suppress(SchemaError):
        build_schema(api_of(parse_sdl(text)).sdl)


def test_the_unspoilt_one_is_served():
    build_schema(api_of(parse_sdl(SDL)).sdl)
    with pytest.raises(SchemaError):
        parse_sdl("")
