"""Columns of moments, days, times of day and spans of time."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from django_datastore.introspection.columns.base import Column


class DateTimeColumn(Column):
    """Moments. Without time zones (`USE_TZ = False`) the column holds local times of the default time zone."""

    def coerce(self, value: Any) -> datetime.datetime:
        """An aware moment; naive ones and dates are local, as Django takes them."""
        if isinstance(value, datetime.datetime):
            found = value
        elif isinstance(value, datetime.date):
            found = datetime.datetime(value.year, value.month, value.day)
        else:
            found = self.field.to_python(value)
        return _aware(found) if timezone.is_naive(found) else found

    def given_back(self, value: datetime.datetime) -> datetime.datetime:
        """The moment in UTC."""
        return value.astimezone(datetime.UTC)

    def take(self, value: datetime.datetime) -> datetime.datetime:
        """As the column has it: aware, or a local time that says which moment is meant."""
        found = value.astimezone(datetime.UTC)
        if settings.USE_TZ:
            return found
        local = found.astimezone(timezone.get_default_timezone()).replace(tzinfo=None, fold=0)
        if _aware(local).astimezone(datetime.UTC) != found:  # never across zones: such an hour equals nothing there
            raise ValueError(
                f"{found.isoformat()} is in the hour that clocks show twice; a local time cannot say which"
            )
        return local


def _aware(naive: datetime.datetime) -> datetime.datetime:
    zone = timezone.get_default_timezone()
    aware = timezone.make_aware(naive.replace(fold=0) if not settings.USE_TZ else naive, zone)
    if not settings.USE_TZ and aware.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) != aware.replace(
        tzinfo=None
    ):
        raise ValueError(f"no clock of {zone} shows {naive.isoformat()}: the hour is skipped that night")
    return aware


class DateColumn(Column):
    """Days."""


class TimeColumn(Column):
    """Times of day, which have no offset in Django."""

    def given_back(self, value: datetime.time) -> datetime.time:
        """The time, or what the database says to one with an offset."""
        self.connection.ops.adapt_timefield_value(value)
        return value.replace(tzinfo=None, fold=0)

    def take(self, value: datetime.time) -> datetime.time:
        """The time; one in UTC is taken as it is, for some clients write no other."""
        if value.utcoffset():
            raise ValueError(f"the time {value.isoformat()} has an offset, which no column for times gives back")
        return value.replace(tzinfo=None)


class DurationColumn(Column):
    """Spans of time."""

    def given_back(self, value: datetime.timedelta) -> datetime.timedelta:
        """The span, if the database has room for its microseconds."""
        if not self.connection.features.has_native_duration_field and not -(2**63) <= _microseconds(value) < 2**63:
            raise ValueError(f"{value} is out of the range of the column, 292,000 years")
        return value


def _microseconds(value: datetime.timedelta) -> int:
    return value // datetime.timedelta(microseconds=1)
