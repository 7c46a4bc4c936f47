"""The howto of the local server, step by step: what it tells to write works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from django_datastore.appsync_local import transfer
from tests.integration.local_server_tools import local_server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "run-the-local-server.md").read_text()


def snippets(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_lines_of_the_page_load_into_the_schema_of_the_page(tmp_path: Path):
    (sdl,), (lines,) = snippets("graphql"), snippets("json")
    path = tmp_path / "seed.jsonl"
    path.write_text(lines)
    with local_server(sdl) as server:
        assert transfer.load(server.service, path).stored == 2
        assert server.execute("{ syncPosts { items { title createdAt } } }").get("errors") is None


def test_project_of_the_page_starts(tmp_path: Path):
    added, database, urls, asgi, _ = snippets("python")
    site = tmp_path / "mysite"
    site.mkdir()
    base = (
        "from pathlib import Path\nBASE_DIR = Path(__file__).parent.parent\nSECRET_KEY = 'x'\nINSTALLED_APPS = []\n"
        "ROOT_URLCONF = 'mysite.urls'\nUSE_TZ = True\nALLOWED_HOSTS = ['testserver']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'db.sqlite3'}}\n"
    )
    (site / "__init__.py").touch()
    (site / "settings.py").write_text(base + added + database)
    (site / "urls.py").write_text(urls)
    (site / "asgi.py").write_text(asgi)
    (tmp_path / "models.graphql").write_text(snippets("graphql")[0])
    (tmp_path / "seed.jsonl").write_text(snippets("json")[0])

    def run(*arguments: str) -> str:
        path = os.pathsep.join([str(tmp_path), str(ROOT), *sys.path])
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("-m", "django", "migrate", "appsync_local", "--database", "appsync_local", "--verbosity", "0")
    run("-m", "django", "appsync_local", "--load", "seed.jsonl", "--exit")
    assert run("-m", "django", "appsync_local", "--dump").count('{"model": "Post"') == 2
    page = run(
        "-c", "import mysite.asgi\nfrom django.test import Client\nprint(Client().get('/graphql').content.decode())"
    )
    assert "POST http://testserver/graphql" in page
    assert "Post: getPost" in page


def test_snippet_for_tests_runs(capsys):
    exec(snippets("python")[-1], {})
    assert capsys.readouterr().out.startswith("https://127.0.0.1:")
