"""The certificate: what it is good for, where it is kept, how long."""

from __future__ import annotations

import builtins
import datetime
import ipaddress
import stat
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from django_datastore.appsync_local import tls
from django_datastore.appsync_local.tls import certificate_for, own_certificate
from django_datastore.exceptions import ConfigurationError


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(path: Path) -> set[Any]:
    found = read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {name.value for name in found}


LOCAL = {"localhost", ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}


@pytest.mark.parametrize(
    ("host", "extra"),
    [
        ("127.0.0.1", set()),
        ("localhost", set()),
        ("Laptop.local", {"laptop.local"}),
        ("192.168.1.7", {ipaddress.ip_address("192.168.1.7")}),
        ("fe80::1", {ipaddress.ip_address("fe80::1")}),
    ],
)
def test_certificate_names_this_machine_and_the_host(tmp_path: Path, host: str, extra: set[Any]):
    assert names(certificate_for(host, tmp_path).path) == LOCAL | extra


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_certificate_of_every_interface_names_the_machine(tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    assert names(certificate_for(host, tmp_path).path) == LOCAL | {"laptop"}


def test_certificate_can_sign_no_other(tmp_path: Path):
    found = read(certificate_for("localhost", tmp_path).path)
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_certificate_stays_the_same(tmp_path: Path):
    first = certificate_for("localhost", tmp_path)
    before = first.path.read_bytes(), first.key_path.read_bytes()
    second = certificate_for("127.0.0.1", tmp_path)
    assert (second.path.read_bytes(), second.key_path.read_bytes()) == before


def test_hosts_add_up_so_that_two_servers_do_not_take_turns(tmp_path: Path):
    certificate_for("one.local", tmp_path)
    found = certificate_for("two.local", tmp_path)
    assert names(found.path) == LOCAL | {"one.local", "two.local"}
    before = found.path.read_bytes()
    assert certificate_for("one.local", tmp_path).path.read_bytes() == before


@pytest.mark.parametrize(("days", "is_renewed"), [(380, False), (390, True), (1000, True)])
def test_certificate_is_renewed_before_it_ends_and_keeps_its_key(tmp_path: Path, days: int, is_renewed: bool):
    first = certificate_for("localhost", tmp_path)
    before, spki = first.path.read_bytes(), first.spki_hash
    with time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)):
        second = certificate_for("localhost", tmp_path)
        assert second.expires > datetime.datetime.now(datetime.UTC)
    assert (second.path.read_bytes() != before) is is_renewed
    assert second.spki_hash == spki


def test_only_the_owner_reads_the_key(tmp_path: Path):
    home = tmp_path / "a" / "b"
    found = certificate_for("localhost", home)
    assert stat.S_IMODE(found.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    found.key_path.chmod(0o644)
    certificate_for("localhost", home)
    assert stat.S_IMODE(found.key_path.stat().st_mode) == 0o600
    assert sorted(it.name for it in home.iterdir()) == ["appsync-local.crt", "appsync-local.key"]


@pytest.mark.parametrize("name", ["appsync-local.crt", "appsync-local.key"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n!\n"])
def test_broken_files_are_made_anew(tmp_path: Path, name: str, content: bytes | None):
    certificate_for("localhost", tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    certificate_for("localhost", tmp_path).check()


def test_directory_that_cannot_be_written_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="Cannot keep a certificate in"):
        certificate_for("localhost", tmp_path / "file" / "below")


def test_without_cryptography_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    imported = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r"pip install 'django-datastore\[tls\]'"):
        certificate_for("localhost", tmp_path)


@pytest.mark.parametrize(
    ("platform", "home"),
    [
        ("linux", ".local/share/django_datastore"),
        ("darwin", "Library/Application Support/django_datastore"),
        ("win32", "AppData/Local/django_datastore"),
    ],
)
def test_default_directory_is_the_users(platform: str, home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert tls.default_directory() == tmp_path / home


# -- one's own ---------------------------------------------------------------------------------------------------------


def test_own_certificate_may_bring_its_key_in_the_same_file(tmp_path: Path):
    made = certificate_for("localhost", tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(made.path.read_bytes() + made.key_path.read_bytes())
    assert own_certificate(both).key_path == both
    assert own_certificate(made.path, made.key_path).path == made.path


def test_own_certificate_that_cannot_work_is_refused(tmp_path: Path):
    made, other = certificate_for("localhost", tmp_path / "a"), certificate_for("localhost", tmp_path / "b")
    with pytest.raises(ConfigurationError, match=r"Cannot read .*nowhere.pem"):
        own_certificate(tmp_path / "nowhere.pem")
    with pytest.raises(ConfigurationError, match="belong together"):
        own_certificate(made.path, other.key_path)
    with pytest.raises(ConfigurationError, match="belong together"):
        own_certificate(made.path)


def test_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path):
    made = certificate_for("localhost", tmp_path)
    key = serialization.load_pem_private_key(made.key_path.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigurationError, match="without a password"):
        own_certificate(made.path, locked)
