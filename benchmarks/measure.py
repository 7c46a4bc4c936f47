"""One part on one database: sets it up, measures there, and prints each row as a line of JSON for `__main__`.

BENCH_DIR is where files go; BENCH_DATABASE_URL names the database.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module

import django
from django.conf import settings
from django.db import connection


def main(part: str, options: list[str]) -> None:
    """Measures one part."""
    django.setup()
    rows = import_module(f"benchmarks.{part}").rows
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        for row in rows(**dict.fromkeys(options, True)):
            print(json.dumps(asdict(row)), flush=True)
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
