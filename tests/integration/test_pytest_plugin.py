"""The pytest plugin in a project that is not ours: its fixtures, its marker, and its silence where nobody needs it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "django_datastore.testing.pytest_plugin"

SETTINGS = """
SECRET_KEY = "test"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_datastore", "blog"]
INSTALLED_APPS.append("django_datastore.appsync_local")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3", "TEST": {"NAME": "t.sqlite3"}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
import uuid
from django.db import models

class Post(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.TextField()
"""
DATASTORE = """
import django_datastore as datastore
from blog.models import Post

datastore.register(Post)
"""


@pytest.fixture
def outside(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A directory with nothing but pytest and the package."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(pytester.path), str(ROOT), *filter(None, sys.path)]))
    return pytester


@pytest.fixture
def project(outside: pytest.Pytester) -> pytest.Pytester:
    """A project with one model."""
    outside.makeini("[pytest]\nDJANGO_SETTINGS_MODULE = outside_settings\naddopts = --strict-markers")
    outside.mkpydir("blog")
    (outside.path / "outside_settings.py").write_text(SETTINGS)
    (outside.path / "blog" / "models.py").write_text(MODELS)
    (outside.path / "blog" / "datastore.py").write_text(DATASTORE)
    return outside


def snippets(page: str) -> str:
    """The Python of a page of our documentation, as one module."""
    text = (ROOT / "docs" / page).read_text()
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:cacheprovider", *options, timeout=60)


def test_site_and_server_are_fresh_for_each_test(project: pytest.Pytester):
    project.makeconftest(f"pytest_plugins = [{PLUGIN!r}]")  # does no harm, though it is installed
    project.makepyfile(
        """
        import pytest
        from django.conf import settings
        from blog.models import Post

        @pytest.fixture
        def datastore_settings():
            return {"REQUEST_TIMEOUT_SECONDS": 1.5}

        def test_settings(connected_site, appsync_local):
            assert settings.DATASTORE["REQUEST_TIMEOUT_SECONDS"] == 1.5
            assert settings.DATASTORE["ENDPOINT"] == appsync_local.url

        @pytest.mark.parametrize("text", ["one", "two"])
        def test_post_arrives(connected_site, appsync_local, text):
            post = Post.objects.create(title=text)
            connected_site.drain()
            assert [(it["id"], it["title"]) for it in appsync_local.records("Post")] == [(str(post.pk), text)]

        def test_post_waits_while_appsync_is_away(connected_site, appsync_local):
            Post.objects.create(title="T")
            with appsync_local.faults.throttled("createPost") as fault:
                connected_site.drain()
            assert (fault.hits, appsync_local.records("Post")) == (1, [])
        """
    )
    run(project).assert_outcomes(passed=4)


def test_marker_says_how_the_server_starts(project: pytest.Pytester):
    project.makepyfile(
        """
        import pytest
        from django_datastore.testing import LocalAppSyncProcess

        @pytest.mark.appsync_local(schema="type Boat @model { id: ID! name: String }", conflict="optimistic")
        class TestBoats:
            def test_schema(self, appsync_local):
                appsync_local.load("Boat", [{"id": "b", "name": "N"}])
                update = 'mutation { updateBoat(input: {id: "b", name: "M", _version: 7}) { id } }'
                assert appsync_local.execute(update)["errors"][0]["errorType"] == "ConflictUnhandled"

            @pytest.mark.appsync_local(api_key="da2-mine", process=True)
            def test_nearest_marker_adds_to_the_outer_one(self, appsync_local):
                assert isinstance(appsync_local, LocalAppSyncProcess)
                assert (appsync_local.api_key, appsync_local.records("Boat")) == ("da2-mine", [])

        @pytest.mark.appsync_local("positional")
        def test_refused(appsync_local):
            pass
        """
    )
    result = run(project)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*takes keywords only*"])


def test_server_alone_needs_no_pytest_django(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "outside_settings")
    project.makeini("[pytest]")
    project.makepyfile('def test_server(appsync_local):\n    assert appsync_local.records("Post") == []')
    run(project, "-p", "no:django").assert_outcomes(passed=1)


def test_nothing_is_imported_for_those_who_use_no_django(outside: pytest.Pytester):
    outside.makepyfile(
        """
        import sys

        def test_untouched():
            assert not [name for name in ("django", "uvicorn", "graphql") if name in sys.modules]
        """
    )
    run(outside, "-p", "no:django", "-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_missing_settings_are_said(outside: pytest.Pytester):
    outside.makepyfile("def test_server(appsync_local): pass")
    result = run(outside)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs Django's settings*"])


def test_missing_app_is_said(project: pytest.Pytester):
    settings = project.path / "outside_settings.py"
    settings.write_text(settings.read_text().replace("INSTALLED_APPS.append", "str"))
    project.makepyfile("def test_server(appsync_local): pass")
    result = run(project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*needs 'django_datastore.appsync_local' in INSTALLED_APPS*"])


def test_documented_tests_pass(project: pytest.Pytester):
    project.makepyfile(snippets("howto/test-bad-days.md"))
    run(project).assert_outcomes(passed=7)
