"""A lease in the database: the right of one process to do something alone, with a fence against those who overslept."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from django_datastore.exceptions import LeaseLost
from django_datastore.models import Lease
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction


def new_owner() -> str:
    """A name for this worker that no other has."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Held:
    """A lease this process holds."""

    name: str
    owner: str
    fence: int
    duration: timedelta

    def renew(self) -> None:
        """Hold it for another `duration`; raises `LeaseLost` if another process took it over."""
        mine = Lease.objects.using(outbox_alias()).filter(pk=self.name, owner=self.owner, fence=self.fence)
        if not mine.update(expires_at=timezone.now() + self.duration):
            raise LeaseLost(f"The lease {self.name!r} was taken over by another process.")

    def release(self) -> None:
        """Let go, so that another process need not wait for the end of the lease."""
        mine = Lease.objects.using(outbox_alias()).filter(pk=self.name, owner=self.owner, fence=self.fence)
        mine.update(owner="", expires_at=timezone.now())


@begun_again
def acquire(name: str, *, owner: str, duration: timedelta) -> Held | None:
    """Take the lease, or None while another holds it: another process, or another thread of this one."""
    using = outbox_alias()
    now = timezone.now()
    with write_transaction(using):
        leases = Lease.objects.using(using)
        leases.bulk_create([Lease(name=name, expires_at=now)], ignore_conflicts=True)
        row = leases.select_for_update().get(pk=name)
        if row.expires_at > now and row.owner:
            return None
        row.owner, row.expires_at, row.fence = owner, now + duration, row.fence + 1
        row.save(using=using)
    return Held(name, owner, row.fence, duration)


def is_held(name: str) -> bool:
    """Whether some process holds the lease now."""
    rows = Lease.objects.using(outbox_alias()).filter(pk=name, expires_at__gt=timezone.now())
    return rows.exclude(owner="").exists()
