"""The certificate that lets browsers in: `certificate_for` makes one and keeps it, `own_certificate` takes one's own.

Browser clients of Amplify open their sockets with `wss://` whatever the endpoint's scheme is, so the server needs TLS.
The certificate is signed with its own key and good for nothing but the names in it: trusting it opens no other door.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import os
import secrets
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from django_datastore.exceptions import ConfigurationError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

Names: TypeAlias = frozenset[str]

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""What every certificate of ours is good for, besides the host that is served."""
_WILDCARDS = ("", "0.0.0.0", "::")
_VALID_DAYS = 397
"""What browsers put up with is 398."""
_RENEW_DAYS = 7
_CERTIFICATE, _KEY = "appsync-local.crt", "appsync-local.key"
_MISSING = (
    "Making a certificate needs the package cryptography. Install it with `pip install 'django-datastore[tls]'`, "
    "or bring a certificate of your own with --cert and --key."
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    path: Path
    key_path: Path
    is_self_made: bool = True
    """Whether clients have to be told to trust it."""

    @property
    def spki_hash(self) -> str:
        """The key's hash, as Chromium's `--ignore-certificate-errors-spki-list` takes it; needs cryptography."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public_key = _read(self.path).public_key()
        der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    @property
    def expires(self) -> datetime.datetime:
        """When it ends to be valid; needs cryptography."""
        return _read(self.path).not_valid_after_utc

    def check(self) -> None:
        """Raises `ConfigurationError` if a server cannot use the two files."""
        for path in (self.path, self.key_path):
            try:
                path.read_bytes()
            except OSError as exc:
                raise ConfigurationError(f"Cannot read {str(path)!r}: {exc.strerror}.") from exc
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.path, self.key_path, password=_no_password)
        except (ssl.SSLError, ValueError) as exc:
            raise ConfigurationError(
                f"Cannot serve with the certificate {str(self.path)!r} and the key {str(self.key_path)!r}: {exc}. "
                "Both must be PEM files, the key without a password, and belong together."
            ) from exc


def own_certificate(path: str | Path, key_path: str | Path | None = None) -> Certificate:
    """The certificate a user brings; the key may be in the same file. Raises `ConfigurationError`."""
    found = Certificate(Path(path), Path(key_path or path), is_self_made=False)
    found.check()
    return found


def certificate_for(host: str, directory: str | Path | None = None) -> Certificate:
    """A certificate for this machine and `host`, made when there is none and renewed when it ends.

    It stays the same as long as it can, so that what a browser was told about it holds. Raises `ConfigurationError`.
    """
    home = Path(directory) if directory else default_directory()
    found = Certificate(home / _CERTIFICATE, home / _KEY)
    try:
        _provide(found, names_of(host))
    except ImportError as exc:
        raise ConfigurationError(_MISSING) from exc
    except OSError as exc:
        raise ConfigurationError(f"Cannot keep a certificate in {str(home)!r}: {exc.strerror}.") from exc
    found.check()
    return found


def default_directory() -> Path:
    """Where this user's certificate is kept."""
    home = Path.home()
    match sys.platform:
        case "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        case "darwin":
            base = home / "Library" / "Application Support"
        case _:
            base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "django_datastore"


def names_of(host: str) -> Names:
    """The names and addresses under which a server on `host` is called."""
    given = (socket.gethostname(),) if host in _WILDCARDS else (host,)
    return frozenset(name.lower() for name in (*LOCAL_NAMES, *given) if name)


# -- making and keeping ------------------------------------------------------------------------------------------------


def _provide(wanted: Certificate, names: Names) -> None:
    from cryptography import x509  # noqa: F401 - says at once that it is missing

    home = wanted.path.parent
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = _key(wanted.key_path)
    known = _usable(wanted.path, key)
    if known is None or not names <= known:
        # names that were asked for before stay in: two servers do not take turns in replacing it
        _write(wanted.path, _make(key, names | (known or frozenset())), mode=0o644)


def _key(path: Path) -> EllipticCurvePrivateKey:
    """The key in the file, which only its owner can read; made if there is none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            path.chmod(0o600)
            return found
    made = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.NoEncryption()
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    _write(path, pem, mode=0o600)
    return made


def _usable(path: Path, key: EllipticCurvePrivateKey) -> Names | None:
    """What the certificate in the file is good for; None if it is not ours, broken or about to end."""
    from cryptography import x509

    try:
        found = _read(path)
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return None
    ends = found.not_valid_after_utc - datetime.timedelta(days=_RENEW_DAYS)
    if found.public_key() != key.public_key() or not found.not_valid_before_utc <= _now() < ends:
        return None
    return frozenset(str(name.value) for name in extension.value)


def _make(key: EllipticCurvePrivateKey, names: Names) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "django_datastore local AppSync")])
    now = _now()
    public_key = key.public_key()
    builder = (
        x509.CertificateBuilder(subject, subject, public_key, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks of phones and containers differ
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS - 1))
    )
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
        False,
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName(list(map(_general_name, sorted(names)))), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(digital_signature=True, encipher_only=False, decipher_only=False, **usage), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key), False),
    ]
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read(path: Path) -> x509.Certificate:
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes())


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Replaces a file in one step; nobody ever sees half of it, or a key with open doors."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _no_password() -> str:
    raise ValueError("the key is protected by a password")
