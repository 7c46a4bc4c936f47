"""storage ─▶ observe between processes: a save in one wakes the hub of another."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.db import connection, connections

from django_datastore import consumers, registry
from django_datastore.observe.hub import get_hub
from testproject.blog.models import Post

pytestmark = pytest.mark.django_db(transaction=True)

POST = registry.get(Post)
SAVE = """
import json, sys
import django
from django.conf import settings
found = json.loads(sys.argv[1])
settings.DATABASES["default"]["NAME"] = found["database"]
settings.CHANNEL_LAYERS = found["layers"]
django.setup()
from testproject.blog.models import Post
Post.objects.create(title="from elsewhere")
from django_datastore.consumers import announce_changes
announce_changes()  # what the announcer's thread does, if the process lives long enough
"""


def save_elsewhere(layers: dict[str, Any]) -> None:
    """Saves a post in a process of its own, which ends at once."""
    facts = json.dumps({"database": str(connection.settings_dict["NAME"]), "layers": layers})
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-c", SAVE, facts], env=environment, check=True, timeout=60)


@pytest.fixture(autouse=True)
async def _close_connections() -> AsyncIterator[None]:
    """PostgreSQL keeps a test database as long as the thread behind `sync_to_async` is connected to it."""
    yield
    await sync_to_async(connections.close_all)()


async def test_without_a_channel_layer_the_hub_finds_the_change_by_polling() -> None:
    async with get_hub().observe(POST) as changes:
        await sync_to_async(save_elsewhere)({})
        change = await asyncio.wait_for(anext(changes), 60)
    assert change.element.title == "from elsewhere"


@pytest.mark.redis
@pytest.mark.skipif("REDIS_URL" not in os.environ, reason="needs REDIS_URL")
@pytest.mark.parametrize(
    "backend", ["channels_redis.pubsub.RedisPubSubChannelLayer", "channels_redis.core.RedisChannelLayer"]
)
async def test_with_a_channel_layer_the_hub_is_woken(backend: str, settings: Any) -> None:
    host = {"address": os.environ["REDIS_URL"], "socket_timeout": None}
    layers = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [host], "prefix": f"datastore-test-{os.getpid()}"}}}
    settings.CHANNEL_LAYERS = layers
    settings.DATASTORE = {**settings.DATASTORE, "POLL_SECONDS": 3600.0}
    ear = consumers._ear()
    ear.join()
    try:
        async with asyncio.timeout(60), get_hub().observe(POST) as changes:
            waiting = asyncio.ensure_future(anext(changes))
            while not waiting.done():  # whether Redis has taken the ear in yet cannot be asked; it is told until it has
                await sync_to_async(save_elsewhere)(layers)
                await asyncio.wait([waiting], timeout=1)
            assert (await waiting).element.title == "from elsewhere"
    finally:
        await ear.leave()
        await channel_layers["default"].flush()
