"""Who listens: the lease of the process that holds the subscriptions, and what it hears.

The socket's state stands beside `reachability`, which is about HTTP: a socket that cannot be opened stops nobody from
sending, and what no socket brings is asked for by polling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django_datastore.models import Setting
from django_datastore.storage.transactions import outbox_alias
from django_datastore.sync import lease
from django_datastore.sync.lease import Held

_LEASE = "listener"
_KEY = "listener"


@dataclass(frozen=True, slots=True)
class Listening:
    """What the listener last said of itself."""

    is_running: bool = False
    """Whether some process is the listener."""
    is_live: bool = False
    """Whether its socket is open, its subscriptions are acknowledged and it has caught up."""
    unheard: frozenset[str] = frozenset()
    """The labels of models that AppSync refused a subscription for."""
    reason: str = ""
    """Why it is not live."""

    def hears(self, label: str) -> bool:
        """Whether changes of a model arrive by themselves."""
        return self.is_live and label not in self.unheard


class Listener:
    """This process as the listener, while it holds the lease."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._say(is_live=False)

    def renew(self) -> None:
        """Stay the listener; raises `LeaseLost` if another process took over."""
        self._held.renew()

    def went_live(self, unheard: Sequence[str]) -> None:
        """The subscriptions are live, but for these models. Raises `LeaseLost` as `renew`."""
        self._held.renew()
        self._say(is_live=True, unheard=sorted(set(unheard)))

    def was_lost(self, reason: str) -> None:
        """The socket was lost, or could not be opened. Raises `LeaseLost` as `renew`."""
        self._held.renew()
        self._say(is_live=False, reason=reason)

    def release(self) -> None:
        """Let the next one take over."""
        self._held.release()

    @staticmethod
    def _say(**facts: object) -> None:
        Setting.objects.using(outbox_alias()).update_or_create(key=_KEY, defaults={"value": facts})


def become_listener(*, owner: str, duration: timedelta) -> Listener | None:
    """Take the listener's lease, or None while another process holds it."""
    held = lease.acquire(_LEASE, owner=owner, duration=duration)
    return None if held is None else Listener(held)


def current() -> Listening:
    """What is heard now, whichever process listens."""
    row = Setting.objects.using(outbox_alias()).filter(pk=_KEY).first()
    if row is None or not row.value or not lease.is_held(_LEASE):
        return Listening()
    facts = row.value
    return Listening(True, facts["is_live"], frozenset(facts.get("unheard", ())), facts.get("reason", ""))
