"""The clock of a local server, in the hands of a test: `appsync.clock.advance(minutes=31)`."""

from __future__ import annotations

import datetime

from django_datastore.testing.faults import Ask


class ServerClock:
    """What the server takes for the time: versions, tombstones, the delta log, keys and tokens go by it.

    It runs like the real one until it is moved or stopped.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def now(self) -> datetime.datetime:
        """The time there, in UTC."""
        return datetime.datetime.fromtimestamp(self.now_ms() / 1000, datetime.UTC)

    def now_ms(self) -> int:
        """The time there, as `_lastChangedAt` and `startedAt` write it."""
        return int(self._ask("clock.now"))

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, milliseconds: float = 0
    ) -> None:
        """Moves it on by so much; negative values move it back."""
        duration = datetime.timedelta(
            days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=milliseconds
        )
        self._ask("move_clock", "advance", duration)

    def set(self, moment: datetime.datetime | int) -> None:
        """Moves it to this moment, or to these epoch milliseconds. A time without a zone is UTC."""
        if isinstance(moment, datetime.datetime):
            aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
            moment = round(aware.timestamp() * 1000)
        self._ask("move_clock", "set", moment)

    def stop(self) -> None:
        """Lets it show the same moment until `run`."""
        self._ask("move_clock", "stop")

    def run(self) -> None:
        """Lets it go on from the moment it shows."""
        self._ask("move_clock", "run")

    def reset(self) -> None:
        """Lets it show the real time again."""
        self._ask("move_clock", "reset")
