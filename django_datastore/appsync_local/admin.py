"""A look at what the local server holds. Read-only: what is changed here would reach no subscriber."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.models import Delta, Record, StoredRecord

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin  # takes no parameters at run time


class StoredRecordAdmin(ModelAdmin):
    """Records and changes look the same."""

    list_display = ("model", "key", "version", "changed_at", "deleted", "excerpt")
    list_filter = ("model", "deleted")
    search_fields = ("key", "data")
    fields = ("model", "key", "version", "changed_at", "deleted", "expires", "pretty_data")
    readonly_fields = fields
    ordering = ("-last_changed_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """From the server's own database."""
        return super().get_queryset(request).using(Settings.from_django().alias)

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
        return record.data if len(record.data) <= 100 else record.data[:99] + "…"

    @admin.display(description="data")
    def pretty_data(self, record: StoredRecord) -> SafeString:
        """The whole record, readable."""
        text = json.dumps(json.loads(record.data), indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)


def _moment(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, tz=timezone.get_current_timezone())
    return moment.isoformat(sep=" ", timespec="milliseconds")


admin.site.register(Record, StoredRecordAdmin)
admin.site.register(Delta, StoredRecordAdmin)
