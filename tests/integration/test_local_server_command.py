"""The command: what it says to people, its mistakes and their ways out, records in and out."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_datastore.appsync_local.about.announcement import details, first_line
from django_datastore.appsync_local.server import LocalServer, endpoint_of, listen
from django_datastore.appsync_local.tls import Certificate, certificate_for, own_certificate
from tests.integration.local_server_tools import fresh_database, local_server
from tests.integration.test_local_server_processes import post, run

SDL = "type Note @model { text: String! }\n"
SEED = '{"model": "Note", "id": "n1", "text": "one"}\n{"model": "Note", "id": "n2", "text": "zwö"}\n'


@pytest.fixture
def arguments(tmp_path: Path) -> Iterator[list[str]]:
    """A schema and an empty database."""
    models = tmp_path / "models.graphql"
    models.write_text(SDL)
    with fresh_database() as database:
        yield ["--schema", str(models), "--database", database or str(tmp_path / "appsync.sqlite3")]


@pytest.fixture
def seed(tmp_path: Path) -> str:
    path = tmp_path / "seed.jsonl"
    path.write_text(SEED)
    return str(path)


def call(*arguments: str) -> str:
    output = io.StringIO()
    call_command("appsync_local", *arguments, stdout=output)
    return output.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as caught:
        call(*arguments)
    return str(caught.value)


# -- what it says ------------------------------------------------------------------------------------------------------


def said(server: LocalServer, certificate: Certificate | None = None) -> str:
    return "\n".join([first_line(server.service, server.url), *details(server.service, server.url, certificate)])


def test_people_are_told_how_to_go_on():
    with local_server(SDL) as server:
        text = said(server)
    assert text.startswith(f"AppSync at {server.url} with API key da2-local\nRealtime ")
    assert server.realtime_url in text
    assert "Models        Note" in text
    assert "add --tls" in text
    assert "Stop with Ctrl+C" in text


def test_configuration_is_javascript_that_amplify_v6_takes():
    with local_server(SDL) as server:
        code = said(server).split("(aws-amplify v6):\n\n")[1].split("\nOpen")[0]
    stub = "const Amplify = { configure: (found) => console.log(JSON.stringify(found)) };"
    code = code.replace("import { Amplify } from 'aws-amplify';", stub)
    try:
        done = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("node is not installed")
    graphql = {"endpoint": server.url, "region": "us-east-1", "defaultAuthMode": "apiKey", "apiKey": "da2-local"}
    assert json.loads(done.stdout) == {"API": {"GraphQL": graphql}}


def test_password_of_the_database_is_not_said(arguments: list[str]):
    with run(*arguments, "--verbosity", "2") as process:
        lines = [process.process.stdout.readline() for _ in range(4)] if process.process.stdout else []
    found = next(line for line in lines if line.startswith("Database"))
    assert re.search(r"SQLite file /|(PostgreSQL|MariaDB) database appsync_local_", found)
    assert "@" not in found


def test_certificate_is_explained_once_it_is_self_made(tmp_path: Path):
    made = certificate_for("localhost", tmp_path)
    with LocalServer(SDL, tls=made) as server:
        text = said(server, certificate=made)
        assert f"--ignore-certificate-errors-spki-list={made.spki_hash}" in text
        assert f"NODE_EXTRA_CA_CERTS={made.path}" in text
        text = said(server, certificate=own_certificate(made.path, made.key_path))
        assert "spki" not in text


@pytest.mark.parametrize(("more", "is_told"), [([], False), (["--verbosity", "2"], True)])
def test_programs_read_one_line_unless_they_ask_for_more(arguments: list[str], more: list[str], is_told: bool):
    with run(*arguments, *more) as process:
        process.process.terminate()
        rest = process.process.stdout.read() if process.process.stdout else ""
    assert ("Amplify.configure" in rest) is is_told
    assert bool(rest) is is_told


@pytest.mark.parametrize(("host", "said_host"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1")])
def test_endpoint_is_one_that_can_be_called(host: str, said_host: str):
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        assert endpoint_of(listening) == f"http://{said_host}:{port}/graphql"
        assert endpoint_of(listening, tls=True).startswith("https://")


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        call_command("appsync_local", "--help")
    found = capsys.readouterr().out
    assert "\n  appsync_local --load seed.jsonl  " in found
    assert found.index("--dump") < found.index("--settings")


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_taken_port_is_said(arguments: list[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused(str(port), *arguments)
    assert message.startswith(f"Cannot listen on 127.0.0.1:{port}: Address already in use. Is it running already?")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no.such.host.invalid:1", "Cannot listen on no.such.host.invalid:1"),
        ("192.0.2.1:8001", "This machine does not have that address"),
        ("x", "is no address"),
        ("127.0.0.1:²", "is no address"),
        ("127.0.0.1:65536", "is no address"),
    ],
)
def test_address_that_cannot_be_used_is_said(arguments: list[str], address: str, message: str):
    assert message in refused(address, *arguments)


def test_mistake_in_the_schema_is_said_with_file_and_line(tmp_path: Path):
    path = tmp_path / "models.graphql"
    path.write_text("type Note @model {\n  text: Strin\n}")
    assert refused("--schema", str(path)).startswith(f"{path}: Line 2: ")


@pytest.mark.parametrize("target", ["nowhere/appsync.sqlite3", "."])
def test_database_that_cannot_be_opened_is_said(arguments: list[str], tmp_path: Path, target: str):
    found = refused(*arguments[:2], "--database", str(tmp_path / target))
    assert found.startswith("Cannot use the database (SQLite file /")
    assert "unable to open database file" in found


def test_file_that_is_no_database_is_said(arguments: list[str]):
    assert "file is not a database" in refused(*arguments[:2], "--database", arguments[1])


def test_postgresql_that_does_not_answer_is_said(arguments: list[str]):
    found = refused(*arguments[:2], "--database", "postgres://ada:secret@127.0.0.1:1/appsync")
    assert "PostgreSQL database appsync on 127.0.0.1:1" in found
    assert "secret" not in found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--key", "a.pem"], "--key goes with --cert"),
        (["--cert", "nowhere.pem"], "Cannot read 'nowhere.pem'"),
        (["--exit"], "--exit goes with --load"),
        (["--load", "nowhere.jsonl"], "Cannot read 'nowhere.jsonl': No such file"),
        (["--dump", "nowhere/dump.jsonl"], "Cannot write 'nowhere/dump.jsonl': No such file"),
    ],
)
def test_options_that_cannot_work_are_refused(arguments: list[str], more: list[str], message: str):
    assert message in refused(*arguments, *more)


# -- records -----------------------------------------------------------------------------------------------------------


def test_records_are_loaded_and_dumped(arguments: list[str], seed: str, tmp_path: Path):
    assert call(*arguments, "--load", seed, "--exit") == f"Loaded 2 records from {seed}.\n"
    assert "2 were there already and stay as they are" in call(*arguments, "--load", seed, "--exit")
    path = tmp_path / "dump.jsonl.gz"
    assert call(*arguments, "--dump", str(path)) == f"Wrote 2 records to {path}.\n"
    text = gzip.decompress(path.read_bytes()).decode()
    assert call(*arguments, "--dump") == text
    assert [json.loads(line)["text"] for line in text.splitlines()] == ["one", "zwö"]


def test_server_begins_with_the_records_of_the_file(arguments: list[str], seed: str):
    with run(*arguments, "--load", seed) as process:
        assert post(process, '{ getNote(id: "n2") { text _version } }') == {"getNote": {"text": "zwö", "_version": 1}}


def test_bad_file_stops_the_server_and_stores_nothing(arguments: list[str], seed: str):
    Path(seed).write_text(SEED + '{"model": "Note", "id": "n3"}\n')
    message = refused(*arguments, "--load", seed)
    assert message == f"Cannot load {seed!r}: Line 3: Note needs a value for 'text'."
    assert call(*arguments, "--dump") == ""


def test_records_without_a_model_are_left_out_and_said(arguments: list[str], seed: str, tmp_path: Path):
    call(*arguments, "--load", seed, "--exit")
    other = tmp_path / "other.graphql"
    other.write_text("type Other @model { id: ID! }")
    output, errors = io.StringIO(), io.StringIO()
    call_command(
        "appsync_local", "--schema", str(other), "--database", arguments[3], "--dump", stdout=output, stderr=errors
    )
    assert output.getvalue() == ""
    assert "the schema does not have their models: Note (2)" in errors.getvalue()


def test_dump_into_a_pipe_that_closes_is_no_failure(arguments: list[str], tmp_path: Path):
    many = tmp_path / "many.jsonl"
    many.write_text("".join(f'{{"model": "Note", "id": "{number}", "text": "x"}}\n' for number in range(5_000)))
    call(*arguments, "--load", str(many), "--exit")
    command = [sys.executable, "-m", "django", "appsync_local", *arguments, "--dump"]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"model": "Note", "id": "0"')
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
