"""A Django process of the site under test: plain ORM, driven by JSON lines as `client.js` is.

stdin    {id, command, ...}          one of `COMMANDS`
stdout   {id, value} | {id, error}   its answer
         {event: "snapshot", model}  what `DataStore.observe_query` yields, whoever made the change
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import django
from asgiref.sync import sync_to_async

django.setup()

from django.apps import apps  # noqa: E402 - needs the app registry
from django.core.serializers.json import DjangoJSONEncoder  # noqa: E402
from django.db.models import Model  # noqa: E402

from django_datastore import DataStore  # noqa: E402

blog = apps.get_app_config("blog")


def create(model: str, values: dict[str, Any]) -> dict[str, Any]:
    """A new row; a parent is given as `blog_id`."""
    return _columns(blog.get_model(model)._default_manager.create(**values))


def update(model: str, key: str, values: dict[str, Any]) -> dict[str, Any]:
    """Reads a row, sets attributes, saves."""
    row = blog.get_model(model)._default_manager.get(pk=key)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    return _columns(row)


def delete(model: str, key: str) -> None:
    """Deletes a row."""
    blog.get_model(model)._default_manager.get(pk=key).delete()


def get(model: str, key: str) -> dict[str, Any] | None:
    """A row's columns, or None."""
    row = blog.get_model(model)._default_manager.filter(pk=key).first()
    return _columns(row) if row else None


def _columns(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


COMMANDS: dict[str, Callable[..., Any]] = {"create": create, "update": update, "delete": delete, "get": get}


def tell(**message: Any) -> None:
    """One line for whoever drives this process."""
    print(json.dumps(message, cls=DjangoJSONEncoder), flush=True)


async def watch(model: type[Model]) -> None:
    """Tells of every change of a model."""
    async for _ in DataStore.observe_query(model):
        tell(event="snapshot", model=model.__name__)


async def obey(line: str) -> None:
    """Does one command and answers it."""
    message = json.loads(line)
    number, command = message.pop("id"), COMMANDS[message.pop("command")]
    try:
        tell(id=number, value=await sync_to_async(command)(**message))
    except Exception:
        tell(id=number, error=traceback.format_exc())


async def main() -> None:
    """Ends with stdin."""
    watching = [asyncio.create_task(watch(model)) for model in blog.get_models()]
    while line := await asyncio.to_thread(sys.stdin.readline):
        await obey(line)
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
