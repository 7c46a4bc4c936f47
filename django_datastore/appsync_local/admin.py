"""A look at what the local server holds. Read-only: what is changed here would reach no subscriber."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.models import Delta, Record, StoredRecord

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin  # takes no parameters at run time

_MAX_VERSIONS = 10
_MAX_CELL = 300
_MAX_EXCERPT = 100
_ABSENT = object()


class StoredRecordAdmin(ModelAdmin):
    """Records and changes look the same."""

    list_filter = ("model", "deleted")
    list_per_page = 50
    search_fields = ("key", "data")
    search_help_text = "A key, or anything else in the data."
    ordering = ("-last_changed_at", "-id")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """From the server's own database."""
        return super().get_queryset(request).using(_alias())

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Looks for the words as they are written in JSON; quotes still hold a phrase together."""
        written = json.dumps(search_term)[1:-1].replace('\\"', '"')
        return super().get_search_results(request, queryset, written)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: StoredRecord | None = None) -> bool:
        """Nobody changes here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StoredRecord | None = None) -> bool:
        """Nobody deletes here."""
        return False

    @admin.display(description="changed at", ordering="last_changed_at")
    def changed_at(self, record: StoredRecord) -> str:
        """`_lastChangedAt` for people."""
        return _moment(record.last_changed_at)

    @admin.display(description="expires")
    def expires(self, record: StoredRecord) -> str:
        """When the row is removed."""
        return _moment(record.expires_at) if record.expires_at else "never"

    @admin.display(description="data")
    def excerpt(self, record: StoredRecord) -> str:
        """The beginning of the data."""
        return _cut(_readable(json.loads(record.data)), _MAX_EXCERPT)

    @admin.display(description="data")
    def pretty_data(self, record: StoredRecord) -> SafeString:
        """The whole record, readable."""
        text = json.dumps(json.loads(record.data), indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", _shown(text))


@admin.register(Record)
class RecordAdmin(StoredRecordAdmin):
    """The base table: what a base sync reads."""

    list_display = ("model", "key", "version", "changed_at", "deleted", "excerpt", "changes")
    fields = ("model", "key", "version", "changed_at", "deleted", "expires", "changes", "pretty_data")
    readonly_fields = (*fields, "versions")

    def get_fields(self, request: HttpRequest, obj: StoredRecord | None = None) -> tuple[str, ...]:
        """The versions come from the delta log: whoever may not see that does not see them here."""
        is_allowed = request.user.has_perm("appsync_local.view_delta")
        return (*self.fields, "versions") if is_allowed else self.fields

    @admin.display(description="delta log")
    def changes(self, record: Record) -> SafeString:
        """The way to the record's changes."""
        return _link("changes", _list_of("delta", record))

    @admin.display(description="versions")
    def versions(self, record: Record) -> SafeString:
        """The versions the delta log still has, side by side, newest first; what is new in each is marked."""
        rows = Delta.objects.using(_alias()).filter(model=record.model, key=record.key)
        found: list[StoredRecord] = list(rows.order_by("-version")[:_MAX_VERSIONS])
        if not found or found[0].version < record.version:
            found = [record, *found][:_MAX_VERSIONS]
        return _side_by_side(found)


@admin.register(Delta)
class DeltaAdmin(StoredRecordAdmin):
    """The delta log: what a delta sync reads."""

    list_display = ("model", "key", "version", "changed_at", "deleted", "excerpt", "record")
    fields = ("model", "key", "version", "changed_at", "deleted", "expires", "record", "pretty_data")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the id of each change's record, in the same query."""
        records = Record.objects.using(_alias()).filter(model=OuterRef("model"), key=OuterRef("key"))
        rows: QuerySet[Any] = super().get_queryset(request)
        rows = rows.annotate(record_id=Subquery(records.values("pk")[:1]))
        return rows

    @admin.display(description="record")
    def record(self, delta: Any) -> SafeString | str:
        """The way to the record as it is now."""
        if delta.record_id is None:
            return "is gone"
        return _link("record", reverse("admin:appsync_local_record_change", args=[delta.record_id]))


def _alias() -> str:
    return Settings.from_django().alias


def _list_of(table: str, record: StoredRecord) -> str:
    query = urlencode({"model__exact": record.model, "key__exact": record.key})
    return f"{reverse(f'admin:appsync_local_{table}_changelist')}?{query}"


def _link(text: str, url: str) -> SafeString:
    return format_html('<a href="{}">{}</a>', url, text)


def _side_by_side(versions: Sequence[StoredRecord]) -> SafeString:
    values = [json.loads(row.data) for row in versions]
    names = dict.fromkeys(name for found in values for name in found)
    rows = [("_lastChangedAt", [_moment(row.last_changed_at) for row in versions])]
    rows += [("_deleted", [_readable(row.deleted or None) for row in versions])]
    rows += [(name, [found.get(name, _ABSENT) for found in values]) for name in names]
    lines = ((name, format_html_join("", "<td>{}</td>", ((cell,) for cell in _cells(found)))) for name, found in rows)
    return format_html(
        "<table><thead><tr><th></th>{}</tr></thead><tbody>{}</tbody></table>",
        format_html_join("", "<th>v{}</th>", ((row.version,) for row in versions)),
        format_html_join("", "<tr><th>{}</th>{}</tr>", lines),
    )


def _cells(found: Sequence[Any]) -> Iterator[SafeString | str]:
    """The values of a field; each that differs from the one before it in time, which stands to its right, is marked."""
    for value, before in zip(found, [*found[1:], found[-1]], strict=True):
        text = (
            "—" if value is _ABSENT else _cut(_shown(value) if isinstance(value, str) else _readable(value), _MAX_CELL)
        )
        yield text if value == before else format_html("<mark>{}</mark>", text)


def _readable(value: Any) -> str:
    return _shown(json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    """Text that can be sent: half of a surrogate pair, which JavaScript can store, cannot."""
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _moment(milliseconds: int) -> str:
    """A point in time for people; those beyond the calendar stay numbers."""
    try:
        moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=timezone.get_current_timezone())
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return moment.isoformat(sep=" ", timespec="milliseconds")
