"""The check's browser: it holds a session and a live query, and speaks to the site as the page does."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from testproject.demo.processes import DemoError
from testproject.demo.programs import HOST, Places


class Browser:
    """One browser on the page: `posts` is what it shows now, by key."""

    def __init__(self, places: Places) -> None:
        self.port = places.web
        self.posts: dict[str, dict[str, Any]] = {}
        self.is_synced = False
        self.problem = ""
        self._token = self._fetch_token()
        self._socket = connect(f"ws://{HOST}:{self.port}/ws/datastore/", origin=f"http://{HOST}:{self.port}")  # type: ignore[arg-type]  # Origin is a str
        self._socket.send(json.dumps({"type": "observeQuery", "id": "1", "model": "Post", "sort": ["-publishedAt"]}))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def save(self, title: str, **values: Any) -> str:
        """Adds a post with the page's form; its key."""
        return str(self.request("POST", "/posts/", {"title": title, **values})["id"])

    def edit(self, key: str, **values: Any) -> None:
        """Changes a post on the page."""
        self.request("PATCH", f"/posts/{key}/", values)

    def outbox(self) -> list[dict[str, Any]]:
        """What the page shows of the outbox."""
        return list(self.request("GET", "/outbox/")["outbox"])

    def is_offline(self) -> bool:
        """Whether the page says that AppSync cannot be reached."""
        return bool(self.request("GET", "/outbox/")["isOffline"])

    def cut_line(self, cut: bool) -> str:
        """Throws the page's switch; how the line is then."""
        return str(self.request("POST", "/line/", {"cut": cut})["line"])

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One of the page's JSON views; raises `DemoError` unless it answers 200."""
        status, text = self._http(method, path, json.dumps(body) if body is not None else None)
        if status != 200:
            raise DemoError(f"{method} {path} answered {status}: {text[:300]}")
        return dict(json.loads(text))

    def close(self) -> None:
        """Leaves the page."""
        self._socket.close()
        self._thread.join(5)

    def _fetch_token(self) -> str:
        connection = HTTPConnection(HOST, self.port, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        cookie = next(value for name, value in response.getheaders() if name.lower() == "set-cookie")
        return cookie.partition("=")[2].partition(";")[0]

    def _http(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        connection = HTTPConnection(HOST, self.port, timeout=10)
        try:
            headers = {"cookie": f"csrftoken={self._token}", "x-csrftoken": self._token}
            connection.request(method, path, body, headers | {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _read(self) -> None:
        try:
            for frame in self._socket:
                self._apply(json.loads(frame))
        except ConnectionClosed as exc:
            self.problem = str(exc)

    def _apply(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "snapshot":
                self.posts = {item["id"]: item for item in message["items"]}
                self.is_synced = message["isSynced"]
            case "changes":
                shown = dict(self.posts)
                shown.update({item["id"]: item for item in message["upserts"]})
                for key in message["deletes"]:
                    shown.pop(key, None)
                self.posts = shown
                self.is_synced = message["isSynced"]
            case "error":
                self.problem = f"{message.get('code')}: {message.get('message')}"
