"""From records to the answer: takes what a compiled selection asks for, level by level, whole lists at a time.

Values were checked when they came in, but the schema may have changed since, and conflict handlers answer what they
like: a leaf has its Python type looked at, and the format of its text. Relations of a list are loaded with one look-up
for all of its records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from django_datastore.appsync_local.auth.access import FULL_ACCESS, Access, Readable
from django_datastore.appsync_local.auth.policy import RELATED, Caller, Guard
from django_datastore.appsync_local.errors import FieldError, NotAuthorized
from django_datastore.appsync_local.graphql.coercion import coerce_arguments, locations_of
from django_datastore.appsync_local.graphql.limits import Budget, Limits
from django_datastore.appsync_local.graphql.selection import Field, Kind, Selection
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.store import Values, key_of
from django_datastore.schema.types import ModelSchema

Path: TypeAlias = tuple[str | int, ...]
PathOf: TypeAlias = Callable[[int], Path]
"""The path of the n-th value of a batch; only asked for when there is an error to report."""
_NO_GUARDS: Mapping[str, Guard] = {}
_EMPTY: Mapping[str, Any] = {"items": [], "nextToken": None, "startedAt": None}
"""What a mutation answers instead of records that not all subscribers may see."""


def _place(path: Path) -> str:
    """A path as AppSync writes it into messages: `/syncPosts/items[32]/title`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f"/{part}" for part in path)


class Completion:
    """Completes the fields of one execution and collects their errors."""

    def __init__(
        self,
        resolvers: Resolvers | None = None,
        variables: Mapping[str, Any] | None = None,
        caller: Caller | None = None,
        budget: Budget | None = None,
        *,
        is_mutation: bool = False,
    ) -> None:
        self._resolvers = resolvers
        """None for events, which carry their relations inside."""
        self.caller = caller
        """None for events, which were completed for the caller who made them."""
        self._guards = caller.guards if caller else None
        self._is_mutation = is_mutation
        self._budget = budget or Limits().budget()
        self.variables = variables or {}
        self.errors: list[dict[str, Any]] = []

    def again(self) -> Completion:
        """Another completion for the same request, with errors of its own."""
        return Completion(self._resolvers, self.variables, self.caller, self._budget, is_mutation=self._is_mutation)

    def spend(self) -> None:
        """Counts a root field; raises the `FieldError` of a request that has had its share."""
        if not self._budget.call():
            raise self._budget.refusal()

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
        guards = self._guards.get(selection.type_name, _NO_GUARDS) if self._guards else _NO_GUARDS
        if guards:
            self._guard_leaves(selection, guards, records, found, path_of)
        for field in selection.nested:
            self._nested(field, records, found, path_of, guards.get(field.name))
        return found

    def _leaves(self, selection: Selection, record: Mapping[str, Any], index: int, path_of: PathOf) -> Values | None:
        """The plain fields; None if a required one is null, after each of those was reported."""
        answer = selection.template.copy()
        is_whole = True
        for field in selection.leaves:
            value = record.get(field.name)
            if value is None:
                if field.is_required:
                    self._report_null(field, (*path_of(index), field.response))
                    is_whole = False
            elif type(value) is not field.fast_type or (field.fits and not field.fits(value)):
                value = self._leaf(field, value, (*path_of(index), field.response))
                if value is None and field.is_required:
                    is_whole = False
            answer[field.response] = value
        return answer if is_whole else None

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
        guard: Guard | None,
    ) -> None:
        def path_below(index: int) -> Path:
            return (*path_of(index), field.response)

        wanted = [record if answer is not None else None for record, answer in zip(records, found, strict=True)]
        if guard is not None:
            wanted = [self._guarded(field, guard, item, path_below(index)) for index, item in enumerate(wanted)]
        values = self._resolve(field, wanted, path_below)
        if guard is not None and guard.is_redacted and self._is_mutation and field.kind is Kind.CONNECTION:
            values = [_EMPTY if record and guard.sees(record) else None for record in records]
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
        association = field.relation.association if field.relation else None
        if field.kind is Kind.RECORD and association and association.target_names:
            return self._related(field, records, path_of, self._resolvers)
        lists = [
            None if record is None else self._children(field, record, path_of(index), self._resolvers)
            for index, record in enumerate(records)
        ]
        if field.kind is Kind.CONNECTION:
            return lists
        return [next(iter(found["items"]), None) if found else None for found in lists]  # `@hasOne` of the other's keys

    def _related(
        self, field: Field, records: Sequence[Mapping[str, Any] | None], path_of: PathOf, resolvers: Resolvers
    ) -> list[Values | None]:
        association = field.relation.association if field.relation else None
        if association is None or field.target is None:
            raise AssertionError(f"{field.parent}.{field.name} is no relation")
        names = association.target_names
        keys = [
            key_of(names, record) if record and all(record.get(name) is not None for name in names) else None
            for record in records
        ]
        self._spend(field, keys, path_of)
        wanted = dict.fromkeys(key for key in keys if key is not None)
        readable = self._access(field.target).readable
        with_data = field.needs_data or readable is not None or field.target.name in (self._guards or ())
        loaded = resolvers.load(field.target, wanted, with_data=with_data) if wanted else {}
        found = [loaded.get(key) if key is not None else None for key in keys]
        if readable is None:
            return found
        return [
            record if record is None or self._may(field, readable, record, path_of(index)) else None
            for index, record in enumerate(found)
        ]

    def _children(self, field: Field, record: Mapping[str, Any], path: Path, resolvers: Resolvers) -> Values | None:
        if field.target is None:
            raise AssertionError(f"{field.parent}.{field.name} is no relation")
        try:
            self.spend()
            arguments = coerce_arguments(field.definition, field.node, self.variables)
            access = self._access(field.target)
            access.check()
            found = resolvers.children(field.parent, field.name, record, arguments, access)
            self._budget.read(len(found["items"]))
            return found
        except FieldError as exc:
            self.errors.append(exc.named(field.parent, field.name).as_wire(path, locations_of(field.node)))
            return None

    # -- what the caller may see ---------------------------------------------------------------------------------------

    def _access(self, model: ModelSchema) -> Access:
        return self.caller.access(model, RELATED) if self.caller else FULL_ACCESS

    def _guard_leaves(
        self,
        selection: Selection,
        guards: Mapping[str, Guard],
        records: Sequence[Mapping[str, Any] | None],
        found: list[Values | None],
        path_of: PathOf,
    ) -> None:
        for field in selection.leaves:
            guard = guards.get(field.name)
            if guard is None:
                continue
            for index, (record, answer) in enumerate(zip(records, found, strict=True)):
                if record is None or answer is None:
                    continue
                if self._guarded(field, guard, record, (*path_of(index), field.response)) is not None:
                    value = answer[field.response]
                    answer[field.response] = guard.shows(value) if guard.shows else value
                elif field.is_required:
                    found[index] = None
                else:
                    answer[field.response] = None

    def _guarded(
        self, field: Field, guard: Guard, record: Mapping[str, Any] | None, path: Path
    ) -> Mapping[str, Any] | None:
        """The record if the caller may see this field of it."""
        if record is None:
            return None
        if not self._may(field, guard.sees, record, path):
            return None
        if guard.is_redacted and self._is_mutation:
            if field.is_required:
                self._report_null(field, path)
            return None
        return record

    def _may(self, field: Field, readable: Readable, record: Mapping[str, Any], path: Path) -> bool:
        """Whether the caller may see it; reports it if not."""
        if readable(record):
            return True
        error = NotAuthorized().named(field.parent, field.name)
        self.errors.append(error.as_wire(path, locations_of(field.node)))
        if field.is_required:
            self._report_null(field, path)
        return False

    def _spend(self, field: Field, keys: list[str | None], path_of: PathOf) -> None:
        """Counts one resolver per key, and takes out the keys there is no resolver left for."""
        wanted = [index for index, key in enumerate(keys) if key is not None]
        refused = wanted[self._budget.call(len(wanted)) :]
        if refused:
            error = self._budget.refusal()
            for index in refused:
                keys[index] = None
                self.errors.append(error.as_wire(path_of(index), locations_of(field.node)))

    # -- errors --------------------------------------------------------------------------------------------------------

    def _report_null(self, field: Field, path: Path) -> None:
        self._report(
            f"Cannot return null for non-nullable type: '{field.type_name}' within parent '{field.parent}' "
            f"({_place(path)})",
            path,
        )

    def _report_invalid(self, field: Field, value: object, path: Path) -> None:
        kind = "enum" if field.enum_values is not None else field.type_name
        self._report(f"Can't serialize value ({_place(path)}) : Unable to serialize `{value}` as a valid {kind}.", path)
        if field.is_required:
            self._report_null(field, path)

    def _report(self, message: str, path: Path) -> None:
        self.errors.append({"path": list(path), "locations": None, "message": message})


def _is_valid(field: Field, value: Any) -> bool:
    if field.enum_values is not None:
        return isinstance(value, str) and value in field.enum_values
    return type(value) in field.types and (field.fits is None or bool(field.fits(value)))
