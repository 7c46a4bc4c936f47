"""From records to the answer: takes what a compiled selection asks for, level by level, whole lists at a time.

Values were checked when they came in, so a leaf only has its Python type looked at. Relations of a list are loaded
with one look-up for all of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from django_datastore.appsync_local.coercion import coerce_arguments, locations_of
from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.selection import Field, Kind, Selection
from django_datastore.appsync_local.store import Values, key_of

Path: TypeAlias = tuple[str | int, ...]
PathOf: TypeAlias = Callable[[int], Path]
"""The path of the n-th value of a batch; only asked for when there is an error to report."""


class Completion:
    """Completes the fields of one execution and collects their errors."""

    def __init__(self, resolvers: Resolvers | None = None, variables: Mapping[str, Any] | None = None) -> None:
        self._resolvers = resolvers
        """None for events, which carry their relations inside."""
        self.variables = variables or {}
        self.errors: list[dict[str, Any]] = []

    def field(self, field: Field, value: Any, path: Path) -> Any:
        """A root field's answer, or None where an error below reaches up to here."""
        return self._values(field, [value], lambda _: path)[0]

    def _objects(
        self, selection: Selection, records: Sequence[Mapping[str, Any] | None], path_of: PathOf
    ) -> list[Values | None]:
        found = [
            None if record is None else self._leaves(selection, record, index, path_of)
            for index, record in enumerate(records)
        ]
        for field in selection.nested:
            self._nested(field, records, found, path_of)
        return found

    def _leaves(self, selection: Selection, record: Mapping[str, Any], index: int, path_of: PathOf) -> Values | None:
        answer = selection.template.copy()
        for field in selection.leaves:
            value = record.get(field.name)
            if value is not None and type(value) is not field.fast_type:
                value = self._leaf(field, value, (*path_of(index), field.response))
                if value is None and field.is_required:
                    return None
            elif value is None and field.is_required:
                self._report_null(field, (*path_of(index), field.response))
                return None
            answer[field.response] = value
        return answer

    def _leaf(self, field: Field, value: Any, path: Path) -> Any:
        if not field.is_list:
            return value if _is_valid(field, value) else self._report_invalid(field, value, path)
        if not isinstance(value, list):
            return self._report_invalid(field, value, path)
        for position, item in enumerate(value):
            if item is None and field.is_item_required:
                return self._report_null(field, (*path, position))
            if item is not None and not _is_valid(field, item):
                return self._report_invalid(field, item, (*path, position))
        return value

    def _nested(
        self,
        field: Field,
        records: Sequence[Mapping[str, Any] | None],
        found: list[Values | None],
        path_of: PathOf,
    ) -> None:
        def path_below(index: int) -> Path:
            return (*path_of(index), field.response)

        wanted = [record if answer is not None else None for record, answer in zip(records, found, strict=True)]
        values = self._resolve(field, wanted, path_below)
        for index, value in enumerate(self._values(field, values, path_below, wanted)):
            answer = found[index]
            if answer is not None:
                if value is None and field.is_required:
                    found[index] = None
                else:
                    answer[field.response] = value

    def _values(
        self, field: Field, values: Sequence[Any], path_of: PathOf, wanted: Sequence[Any] | None = None
    ) -> list[Any]:
        """Completes one value per record; what an error reaches becomes None."""
        if field.is_required:
            for index, value in enumerate(values):
                if value is None and (wanted is None or wanted[index] is not None):
                    self._report_null(field, path_of(index))
        if field.selection is None:
            return [None if value is None else self._leaf(field, value, path_of(i)) for i, value in enumerate(values)]
        if not field.is_list:
            return list(self._objects(field.selection, values, path_of))
        return self._lists(field, field.selection, values, path_of)

    def _lists(self, field: Field, selection: Selection, values: Sequence[Any], path_of: PathOf) -> list[Any]:
        """All lists of all records as one batch, then cut apart again."""
        flat = [(index, position) for index, value in enumerate(values) for position in range(len(value or ()))]
        items = [item for value in values for item in value or ()]

        def path_below(place: int) -> Path:
            index, position = flat[place]
            return (*path_of(index), position)

        answers = self._objects(selection, items, path_below)
        found: list[Any] = [None if value is None else [] for value in values]
        failed: set[int] = set()
        for (index, _), answer in zip(flat, answers, strict=True):
            found[index].append(answer)
            if answer is None and field.is_item_required:
                failed.add(index)
        return [None if index in failed else value for index, value in enumerate(found)]

    # -- where nested values come from ---------------------------------------------------------------------------------

    def _resolve(self, field: Field, records: Sequence[Mapping[str, Any] | None], path_of: PathOf) -> list[Any]:
        if self._resolvers is None or field.kind is Kind.OBJECT:
            return [None if record is None else record.get(field.name) for record in records]
        if field.kind is Kind.RECORD:
            return self._related(field, records, self._resolvers)
        return [
            None if record is None else self._children(field, record, path_of(index), self._resolvers)
            for index, record in enumerate(records)
        ]

    @staticmethod
    def _related(
        field: Field, records: Sequence[Mapping[str, Any] | None], resolvers: Resolvers
    ) -> list[Values | None]:
        association = field.relation.association if field.relation else None
        if association is None or field.target is None:
            raise AssertionError(f"{field.parent}.{field.name} is no relation")
        names = association.target_names
        keys = [
            key_of(names, record) if record and all(record.get(name) is not None for name in names) else None
            for record in records
        ]
        wanted = dict.fromkeys(key for key in keys if key is not None)
        loaded = resolvers.load(field.target, wanted, with_data=field.needs_data) if wanted else {}
        return [loaded.get(key) if key is not None else None for key in keys]

    def _children(self, field: Field, record: Mapping[str, Any], path: Path, resolvers: Resolvers) -> Values | None:
        association = field.relation.association if field.relation else None
        if association is None or field.target is None:
            raise AssertionError(f"{field.parent}.{field.name} is no relation")
        parent = resolvers.models[field.parent]
        joined = zip(association.associated_with, parent.primary_key, strict=False)
        join = {name: record.get(key) for name, key in joined}
        try:
            arguments = coerce_arguments(field.definition, field.node, self.variables)
            return resolvers.children(field.target, join, arguments)
        except FieldError as exc:
            self.errors.append(exc.as_wire(path, locations_of(field.node)))
            return None

    # -- errors --------------------------------------------------------------------------------------------------------

    def _report_null(self, field: Field, path: Path) -> None:
        place = "/" + "/".join(f"[{part}]" if isinstance(part, int) else part for part in path)
        self._report(
            f"Cannot return null for non-nullable type: '{field.type_name}' within parent '{field.parent}' ({place})",
            path,
        )

    def _report_invalid(self, field: Field, value: object, path: Path) -> None:
        place = "/" + "/".join(f"[{part}]" if isinstance(part, int) else part for part in path)
        kind = "enum" if field.enum_values is not None else field.type_name
        self._report(f"Can't serialize value ({place}) : Unable to serialize `{value}` as a valid {kind}.", path)
        if field.is_required:
            self._report_null(field, path)

    def _report(self, message: str, path: Path) -> None:
        self.errors.append({"path": list(path), "locations": None, "message": message})


def _is_valid(field: Field, value: object) -> bool:
    if field.enum_values is not None:
        return isinstance(value, str) and value in field.enum_values
    return type(value) in field.types
