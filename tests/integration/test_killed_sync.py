"""A base sync that is killed (kill -9) at random points goes on at its page and ends equal to AppSync.

KILLS=100 SYNC_RECORDS=50000 pytest tests/integration/test_killed_sync.py kills it that often; twice by default.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from django_datastore.models import Lease, ModelMetadata, RecordMetadata
from django_datastore.testing import LocalAppSyncProcess
from testproject.blog.models import Blog, Post
from tests.integration.killed_worker_tools import ROOT
from tests.integration.test_killed_worker import database_url

KILLS = int(os.environ.get("KILLS", "2"))
RECORDS = int(os.environ.get("SYNC_RECORDS", "2000"))
PAGES = 40
PATIENCE_SECONDS = 120


@pytest.mark.timeout(120 + 30 * KILLS)
def test_killed_base_sync_goes_on_at_its_page_and_ends_equal_to_appsync(transactional_db: None, tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed} repeats this choice of moments.")
    rng = random.Random(seed)
    with LocalAppSyncProcess() as appsync:
        appsync.load("Blog", [{"id": key(0), "name": "B"}])
        posts = [{"id": key(number), "title": f"t{number}", "blogPostsId": key(0)} for number in range(1, RECORDS + 1)]
        appsync.load("Post", posts)
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "DEMO_DIR": str(tmp_path),
            "APPSYNC_ENDPOINT": appsync.url,
            "APPSYNC_API_KEY": appsync.api_key,
            "SYNC_PAGE_SIZE": str(min(RECORDS // PAGES, 1000)),
            "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        }
        for moment in sorted(rng.randrange(RECORDS * 3 // 4) for _ in range(KILLS)):
            kill_when_here(moment, rng.random() * 0.02, environment)
            assert Post.objects.count() < RECORDS
            Lease.objects.all().delete()  # nobody needs to wait for a process that is known to be dead
        before = Post.objects.count()
        last = sync(environment)
        output, _ = last.communicate(timeout=PATIENCE_SECONDS)
    assert last.returncode == 0, output
    found = re.search(r"blog\.post: (\d+) new, (\d+) updated", output)
    assert found is not None, output
    assert int(found[1]) <= RECORDS - before, "what was stored is not stored again"
    assert found[2] == "0"
    assert Blog.objects.count() == 1
    assert {str(pk): title for pk, title in Post.objects.values_list("pk", "title")} == {
        str(post["id"]): post["title"] for post in posts
    }
    assert RecordMetadata.objects.filter(model="blog.post", hold="", version=1).count() == RECORDS
    assert ModelMetadata.objects.get(model="blog.post").next_token == ""


def key(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def sync(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "datastore", "sync", "Blog", "Post"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_when_here(count: int, seconds_later: float, environment: dict[str, str]) -> None:
    """Start a sync, and kill it a moment after more than so many records are stored."""
    running = sync(environment)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Post.objects.count() <= count and time.monotonic() < deadline:
        assert running.poll() is None, f"it ended by itself: {running.communicate()[0]}"
        time.sleep(0.002)
    time.sleep(seconds_later)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=PATIENCE_SECONDS)
