"""One database: sets it up, measures there, and prints each row as a line of JSON for `__main__`.

BENCH_DIR is where files go; BENCH_DATABASE_URL names the database.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

import django
from django.conf import settings
from django.db import connection

from benchmarks.timing import Row


def main(wanted: list[str]) -> None:
    """Measure the named parts, all by default."""
    django.setup()
    parts = _parts()
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        for name in wanted or parts:
            for row in parts[name]():
                print(json.dumps(asdict(row)), flush=True)
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


def _parts() -> dict[str, Callable[[], Iterator[Row]]]:
    from benchmarks import base_sync, delta_sync, draining, fan_out, queries, saves, serving

    return {
        "queries": queries.rows,
        "saves": saves.rows,
        "draining": draining.rows,
        "base_sync": base_sync.rows,
        "delta_sync": delta_sync.rows,
        "serving": serving.rows,
        "fan_out": fan_out.rows,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
