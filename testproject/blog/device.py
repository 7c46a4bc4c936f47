"""The other device: a GraphQL client that talks to AppSync directly and knows nothing of this site or of its line.

It is written with the standard library alone, as a second reading of the protocol: what it sees is what any client
sees.
"""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

FIELDS = """
  id title rating status tags metadata publishedAt blogPostsId createdAt updatedAt
  blog { id _deleted } _version _lastChangedAt _deleted
"""
"""Everything: a subscriber receives only what the mutation selected."""


class DeviceError(Exception):
    """AppSync could not be reached, or refused what the device asked for."""


class Device:
    """Reads and writes posts in AppSync."""

    def __init__(self, url: str, api_key: str, *, timeout_seconds: float = 5) -> None:
        self.url = url
        self.api_key = api_key
        self.timeout_seconds = timeout_seconds

    def records(self) -> list[dict[str, Any]]:
        """Every post AppSync holds, tombstones included."""
        found: list[dict[str, Any]] = []
        token = None
        while True:
            page = self.execute(
                f"query Sync($token: String) {{ syncPosts(limit: 1000, nextToken: $token) "
                f"{{ items {{ {FIELDS} }} nextToken startedAt }} }}",
                {"token": token},
            )["syncPosts"]
            found += page["items"]
            token = page["nextToken"]
            if not token:
                return found

    def record(self, key: str) -> dict[str, Any] | None:
        """One post as AppSync holds it, or None if it never heard of it."""
        found = self.execute(f"query Get($id: ID!) {{ getPost(id: $id) {{ {FIELDS} }} }}", {"id": key})["getPost"]
        return found if found is None else dict(found)

    def create(self, **values: Any) -> dict[str, Any]:
        """Creates a post under a key of the device's own making, as every client does."""
        return self._mutate("createPost", "CreatePostInput", {"id": str(uuid.uuid4()), **values})

    def update(self, key: str, version: int, **values: Any) -> dict[str, Any]:
        """Changes fields of the post the device knows at that version."""
        return self._mutate("updatePost", "UpdatePostInput", {"id": key, "_version": version, **values})

    def delete(self, key: str, version: int) -> dict[str, Any]:
        """Deletes the post; AppSync keeps a tombstone."""
        return self._mutate("deletePost", "DeletePostInput", {"id": key, "_version": version})

    def _mutate(self, name: str, input_type: str, values: dict[str, Any]) -> dict[str, Any]:
        document = f"mutation Write($input: {input_type}!) {{ {name}(input: $input) {{ {FIELDS} }} }}"
        return dict(self.execute(document, {"input": values})[name])

    def execute(self, document: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of a GraphQL request; raises `DeviceError` for anything else."""
        request = Request(
            self.url,
            data=json.dumps({"query": document, "variables": variables or {}}).encode(),
            headers={"content-type": "application/json", "x-api-key": self.api_key},
        )
        try:
            with urlopen(request, timeout=self.timeout_seconds) as response:
                answer = json.load(response)
        except HTTPError as exc:
            raise DeviceError(f"AppSync answered HTTP {exc.code}.") from exc
        except (URLError, OSError, ValueError) as exc:
            raise DeviceError(f"AppSync cannot be reached: {exc}") from exc
        if answer.get("errors"):
            first = answer["errors"][0]
            raise DeviceError(f"{first.get('errorType') or 'Error'}: {first.get('message')}")
        return dict(answer["data"])
