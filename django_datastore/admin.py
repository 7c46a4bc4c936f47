"""The admin: the outbox with retry and discard, how far each model is synced, conflicts, and what is held back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.sync import merger, outbox

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin  # subscriptable for the type checker only


class ReadOnlyAdmin(_ModelAdmin):
    """What the engine writes is looked at, not edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits rows by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes rows by hand."""
        return False


def _readable(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    sendable = text.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair, which JSON can hold
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', sendable)


@admin.register(MutationEvent)
class MutationEventAdmin(ReadOnlyAdmin):
    """The outbox."""

    list_display = ("id", "model", "record_key", "operation", "state", "age", "attempts", "error")
    list_filter = ("state", "operation", "model")
    search_fields = ("record_key", "last_error")
    ordering = ("id",)
    actions = ("retry", "discard")
    fields = (
        *("model", "record_key", "operation", "state", "age", "attempts", "next_attempt_at", "outcome_unknown"),
        *("error_type", "last_error", "readable_data", "readable_base", "readable_condition", "readable_waits_for"),
        *("lease_owner", "lease_expires_at", "created_at"),
    )

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, obj: MutationEvent) -> str:
        """How long it has waited."""
        return timesince(obj.created_at, timezone.now())

    @admin.display(description=_("error"), ordering="error_type")
    def error(self, obj: MutationEvent) -> str:
        """The last error, short."""
        return obj.last_error if len(obj.last_error) <= 120 else f"{obj.last_error[:117]}…"

    @admin.display(description=_("data"))
    def readable_data(self, obj: MutationEvent) -> str:
        """The changed fields."""
        return _readable(obj.data)

    @admin.display(description=_("base"))
    def readable_base(self, obj: MutationEvent) -> str:
        """What they were before."""
        return _readable(obj.base)

    @admin.display(description=_("condition"))
    def readable_condition(self, obj: MutationEvent) -> str:
        """What AppSync checks."""
        return _readable(obj.condition)

    @admin.display(description=_("waits for"))
    def readable_waits_for(self, obj: MutationEvent) -> str:
        """The records whose creates go first."""
        return _readable(obj.waits_for)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Retrying and discarding takes the `change` permission, though no form is offered."""
        return request.user.has_perm("django_datastore.change_mutationevent")

    @admin.action(description=_("Retry parked mutations"), permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[MutationEvent]) -> None:
        """Let the parked ones among the selected try again."""
        count = outbox.retry(queryset)
        text = ngettext("%d mutation will be tried again.", "%d mutations will be tried again.", count) % count
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    @admin.action(description=_("Discard: give the local edits up"), permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[MutationEvent]) -> None:
        """Give the selected edits up; those in flight are left alone. Each leaves a conflict row."""
        chosen = list(queryset.order_by("-id"))
        count = sum(merger.discard(event) for event in chosen)
        text = ngettext("%d edit was given up.", "%d edits were given up.", count) % count
        self.message_user(request, text, messages.SUCCESS if count == len(chosen) else messages.WARNING)


@admin.register(ModelMetadata)
class ModelMetadataAdmin(ReadOnlyAdmin):
    """How far each model is synced."""

    list_display = ("model", "is_synced", "checked_at", "last_full_sync_at", "in_progress", "last_error")

    @admin.display(description=_("synced"), boolean=True)
    def is_synced(self, obj: ModelMetadata) -> bool:
        """At least once."""
        return obj.is_synced

    @admin.display(description=_("last full sync"))
    def last_full_sync_at(self, obj: ModelMetadata) -> str:
        """By the server's clock."""
        if obj.last_full_sync is None:
            return "–"
        return datetime.fromtimestamp(obj.last_full_sync / 1000, tz=timezone.get_current_timezone()).isoformat(
            sep=" ", timespec="seconds"
        )

    @admin.display(description=_("in progress"), boolean=True)
    def in_progress(self, obj: ModelMetadata) -> bool:
        """A sync stands between two pages."""
        return bool(obj.next_token)


@admin.register(RecordMetadata)
class RecordMetadataAdmin(ReadOnlyAdmin):
    """What is known of each record's remote state, and what is held back with its reason."""

    list_display = ("model", "record_key", "version", "presence", "hold", "reason")
    list_filter = ("hold", "presence", "incomplete", "model")
    search_fields = ("record_key", "reason")
    actions = ("retry",)
    fields = (
        *("model", "record_key", "wire_key", "version", "last_changed_at", "presence", "incomplete"),
        *("hold", "reason", "waits_for", "readable_remote"),
    )

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Retrying takes the `change` permission, though no form is offered."""
        return request.user.has_perm("django_datastore.change_recordmetadata")

    @admin.action(description=_("Try again what is held back"), permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[RecordMetadata]) -> None:
        """Merge the selected records that are held back once more."""
        chosen = list(queryset.exclude(hold="").values_list("model", "record_key"))
        count = merger.retry_records(chosen)
        text = ngettext("%d record was stored.", "%d records were stored.", count) % count
        self.message_user(request, text, messages.SUCCESS if count == len(chosen) else messages.WARNING)

    @admin.display(description=_("remote"))
    def readable_remote(self, obj: RecordMetadata) -> str:
        """The remote state that is held back."""
        return _readable(obj.remote)


@admin.register(Conflict)
class ConflictAdmin(ReadOnlyAdmin):
    """What needs a person's eye."""

    list_display = ("created_at", "kind", "model", "record_key", "reason")
    list_filter = ("kind", "model")
    search_fields = ("record_key", "reason")
    ordering = ("-id",)
    fields = (
        *("created_at", "kind", "model", "record_key", "reason", "readable_traceback"),
        *("readable_local", "readable_remote"),
    )

    @admin.display(description=_("traceback"))
    def readable_traceback(self, obj: Conflict) -> str:
        """Where code of this site failed."""
        return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', obj.traceback or "–")

    @admin.display(description=_("local"))
    def readable_local(self, obj: Conflict) -> str:
        """What was here."""
        return _readable(obj.local)

    @admin.display(description=_("remote"))
    def readable_remote(self, obj: Conflict) -> str:
        """What AppSync has."""
        return _readable(obj.remote)
