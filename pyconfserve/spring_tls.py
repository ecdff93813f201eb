"""The Java server's own settings of TLS: `server.ssl.*` of Spring Boot, in PEM.

Key stores are refused with the command that makes PEM of them. Nothing that would
protect something in Java is left aside in silence. No value is in an error, as it may
be a password.
"""

from __future__ import annotations

from collections.abc import Mapping

from .errors import SettingsError
from .settings_sources import nearest, relaxed

__all__ = ["TLS", "TLS_NAMES", "tls_fields"]

TLS = "server.ssl."  # in front of all names
_FIELDS = {  # what a field of Settings takes from it
    "certificate": "tls_cert",
    "certificate-private-key": "tls_key",
    "key-password": "tls_key_password",
    "trust-certificate": "tls_client_ca",
}
_FILES = ("certificate", "certificate-private-key", "trust-certificate")
_READ = (*_FIELDS, "enabled", "client-auth", "protocol", "enabled-protocols")
_KEY_STORE = (
    "key stores are not read, PEM is: run openssl pkcs12 -in FILE -nodes -out tls.pem, "
    "and set server.ssl.certificate to tls.pem instead"
)
_TRUST_STORE = (
    "trust stores are not read, PEM is: run openssl pkcs12 -in FILE -nokeys -out "
    "ca.pem, and set server.ssl.trust-certificate to ca.pem instead"
)
_BUNDLE = (
    "bundles are not read: set server.ssl.certificate and certificate-private-key to "
    "the files that the bundle has"
)
_OF_STORE = ("", "-password", "-type", "-provider")
_REFUSED = {
    **{f"key-store{name}": _KEY_STORE for name in _OF_STORE},
    "key-alias": _KEY_STORE,
    **{f"trust-store{name}": _TRUST_STORE for name in _OF_STORE},
    "bundle": _BUNDLE,
    "server-name-bundles": _BUNDLE,
    "ciphers": "the ciphers are those that OpenSSL takes for safe: leave this out",
    "trust-certificate-private-key": "no key of another is needed: leave this out",
}
_NAMES = {relaxed(name): name for name in (*_READ, *_REFUSED)}
_SPOKEN = {"TLSv1.2", "TLSv1.3"}
_CLIENT_AUTH = ("none", "want", "need")

TLS_NAMES = tuple(TLS + name for name in (*_READ, *_REFUSED))


def tls_fields(values: Mapping[str, str]) -> dict[str, str]:
    """What `server.ssl.*` in *values*, flat and as texts, is as fields of Settings.

    Nothing where TLS is not set or not enabled; other keys are left alone. Raises
    SettingsError for what cannot be served, and says what to do.
    """
    given = {_name(key): text.strip() for key, text in values.items() if _is_ours(key)}
    if not given or not _is_enabled(given.get("enabled", "true")):
        return {}
    for name in given:
        if name in _REFUSED:
            raise SettingsError(_REFUSED[name], TLS + name)
    _check_protocols(given)
    fields = {
        field: _path(text, name) if name in _FILES else text
        for name, field in _FIELDS.items()
        if (text := given.get(name))
    }
    if "tls_cert" not in fields:
        problem = "TLS is set, and this is not: give it a PEM file"
        raise SettingsError(problem, f"{TLS}certificate")
    fields.setdefault("tls_key", fields["tls_cert"])  # one file may hold both
    if not _asks_clients(given):
        fields.pop("tls_client_ca", None)  # Java does not ask for certificates either
    elif "tls_client_ca" not in fields:
        problem = "clients need a certificate, and this is not set: give it a PEM file"
        raise SettingsError(problem, f"{TLS}trust-certificate")
    return fields


def _is_ours(key: str) -> bool:
    return relaxed(key).startswith(relaxed(TLS))


def _name(key: str) -> str:
    """The name we know *key* by, however it is spelled; raises SettingsError."""
    # A map and a list of Java's have more behind their name.
    rest = relaxed(key).removeprefix(relaxed(TLS)).partition("[")[0]
    name = _NAMES.get(rest) or _NAMES.get(rest.partition(".")[0])
    if name is None:
        raise SettingsError(nearest(key, TLS_NAMES), key)
    return name


def _is_enabled(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise SettingsError("expected true or false", f"{TLS}enabled")
    return text.lower() == "true"


def _check_protocols(given: Mapping[str, str]) -> None:
    """Refuse any other choice of versions than the one there is."""
    problem = "TLS 1.2 and TLS 1.3 are spoken, always both: leave this out"
    if given.get("protocol", "TLS") not in ("TLS", *_SPOKEN):
        raise SettingsError(problem, f"{TLS}protocol")
    versions = given.get("enabled-protocols")
    if versions is not None and set(versions.replace(" ", "").split(",")) != _SPOKEN:
        raise SettingsError(problem, f"{TLS}enabled-protocols")


def _asks_clients(given: Mapping[str, str]) -> bool:
    """Whether clients must show a certificate; raises SettingsError for `want`."""
    word = given.get("client-auth", "none").lower()
    key = f"{TLS}client-auth"
    if word not in _CLIENT_AUTH:
        raise SettingsError(f"expected {' or '.join(_CLIENT_AUTH)}", key)
    if word == "want":
        problem = "a certificate that is only wanted keeps nobody out: set need or none"
        raise SettingsError(problem, key)
    return word == "need"


def _path(text: str, name: str) -> str:
    """A file's path, without the `file:` that Spring's settings may have in front."""
    if "-----BEGIN" in text:
        raise SettingsError("PEM is read from a file: give its path", TLS + name)
    if text.startswith("classpath:"):
        problem = "there is no classpath here: give the path of a file"
        raise SettingsError(problem, TLS + name)
    return text.removeprefix("file://").removeprefix("file:")
