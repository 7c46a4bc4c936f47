"""Queries whose SQL is built once."""

from __future__ import annotations

import pytest
from django.db.models import QuerySet

from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage.compiled import CompiledQuery


def lane(using: str, label: str, key: str) -> QuerySet[MutationEvent]:
    return MutationEvent.objects.using(using).of_record(label, key).order_by("-id").select_for_update()


@pytest.mark.django_db
def test_first_is_the_whole_row_of_the_texts_asked_for() -> None:
    query = CompiledQuery(MutationEvent, lane, texts=2)
    assert query.first("default", "a", "1") is None
    for key, operation in [("1", "create"), ("1", "update"), ("2", "delete")]:
        MutationEvent.objects.create(model="a", record_key=key, operation=operation, data={"tags": ["%s", "'"]})
    found = query.first("default", "a", "1")
    assert found is not None
    assert (found.operation, found.data, found.state) == ("update", {"tags": ["%s", "'"]}, MutationEvent.State.PENDING)
    assert query.first("default", "a", "%s' OR 1=1 --") is None


@pytest.mark.django_db
def test_query_is_built_once() -> None:
    built: list[str] = []

    def build(using: str, label: str) -> QuerySet[RecordMetadata]:
        built.append(using)
        return RecordMetadata.objects.using(using).filter(model=label)

    query = CompiledQuery(RecordMetadata, build, texts=1)
    assert [query.first("default", label) for label in ("a", "b")] == [None, None]
    assert built == ["default"]


@pytest.mark.django_db
def test_query_with_parameters_of_its_own_is_refused() -> None:
    def build(using: str, label: str) -> QuerySet[RecordMetadata]:
        return RecordMetadata.objects.using(using).filter(model=label, version=3)

    with pytest.raises(ValueError, match="only parameters"):
        CompiledQuery(RecordMetadata, build, texts=1).first("default", "a")
