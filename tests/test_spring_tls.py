"""spring_tls: `server.ssl.*` as settings of this server."""

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.spring_tls import tls_fields

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
PAIR = {"certificate": "c.pem", "certificate-private-key": "k.pem"}
KEY_STORE = (
    "key stores are not read, PEM is: run openssl pkcs12 -in FILE -nodes -out tls.pem, "
    "and set server.ssl.certificate to tls.pem instead"
)
TRUST_STORE = (
    "trust stores are not read, PEM is: run openssl pkcs12 -in FILE -nokeys -out ca.pem, "
    "and set server.ssl.trust-certificate to ca.pem instead"
)
BUNDLE = (
    "bundles are not read: set server.ssl.certificate and certificate-private-key to "
    "the files that the bundle has"
)
SPOKEN = "TLS 1.2 and TLS 1.3 are spoken, always both: leave this out"


def below(values):
    """The same names below `server.ssl.`."""
    return {f"server.ssl.{name}": text for name, text in values.items()}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"server.port": "8888", "server.sslish": "x"}, {}),
        (below({"enabled": "false"}), {}),
        (below({"enabled": " FALSE ", "key-store": "k.p12", "client-auth": "want"}), {}),
        (below({"certificate": "both.pem"}), {"tls_cert": "both.pem", "tls_key": "both.pem"}),
        (below(PAIR), {"tls_cert": "c.pem", "tls_key": "k.pem"}),
        (below({**PAIR, "enabled": "true", "key-password": "p"}), {"tls_cert": "c.pem", "tls_key": "k.pem", "tls_key_password": "p"}),
        (below({"certificate": "file:/etc/c.pem", "certificate-private-key": "file:///etc/k.pem"}), {"tls_cert": "/etc/c.pem", "tls_key": "/etc/k.pem"}),
        (below({**PAIR, "client-auth": "need", "trust-certificate": "ca.pem"}), {"tls_cert": "c.pem", "tls_key": "k.pem", "tls_client_ca": "ca.pem"}),
        (below({**PAIR, "client-auth": "NEED", "trust-certificate": "file:ca.pem"}), {"tls_cert": "c.pem", "tls_key": "k.pem", "tls_client_ca": "ca.pem"}),
        (below({**PAIR, "client-auth": "none", "trust-certificate": "ca.pem"}), {"tls_cert": "c.pem", "tls_key": "k.pem"}),
        (below({**PAIR, "trust-certificate": "ca.pem"}), {"tls_cert": "c.pem", "tls_key": "k.pem"}),
        (below({**PAIR, "protocol": "TLS", "enabled-protocols": "TLSv1.3, TLSv1.2"}), {"tls_cert": "c.pem", "tls_key": "k.pem"}),
        ({"server.ssl.certificatePrivateKey": "k.pem", "SERVER.SSL.CERTIFICATE": "c.pem"}, {"tls_cert": "c.pem", "tls_key": "k.pem"}),
    ],
    ids=[
        "nothing", "others", "off", "off, whatever else", "one file", "a pair", "a password", "file:",
        "client-auth", "any case", "no client-auth", "client-auth left out", "protocols", "relaxed",
    ],
)  # fmt: skip
def test_tls_in_pem_is_taken_over(values, expected):
    """Files, password and authority become fields; nothing where TLS is off."""
    assert expected == tls_fields(values)


@pytest.mark.parametrize(
    ("values", "key", "problem"),
    [
        ({"enabled": "true"}, "certificate", "TLS is set, and this is not: give it a PEM file"),
        ({"certificate-private-key": "k.pem"}, "certificate", "TLS is set, and this is not: give it a PEM file"),
        ({"certificate": " "}, "certificate", "TLS is set, and this is not: give it a PEM file"),
        ({"enabled": "perhaps"}, "enabled", "expected true or false"),
        ({**PAIR, "client-auth": "need"}, "trust-certificate", "clients need a certificate, and this is not set: give it a PEM file"),
        ({**PAIR, "client-auth": "want"}, "client-auth", "a certificate that is only wanted keeps nobody out: set need or none"),
        ({**PAIR, "client-auth": "must"}, "client-auth", "expected none or want or need"),
        ({"certificate": PEM}, "certificate", "PEM is read from a file: give its path"),
        ({**PAIR, "certificate-private-key": PEM}, "certificate-private-key", "PEM is read from a file: give its path"),
        ({"certificate": "classpath:c.pem"}, "certificate", "there is no classpath here: give the path of a file"),
        ({**PAIR, "protocol": "SSL"}, "protocol", SPOKEN),
        ({**PAIR, "enabled-protocols": "TLSv1.3"}, "enabled-protocols", SPOKEN),
        ({**PAIR, "enabled-protocols": "TLSv1,TLSv1.2,TLSv1.3"}, "enabled-protocols", SPOKEN),
        ({**PAIR, "ciphers": "A"}, "ciphers", "the ciphers are those that OpenSSL takes for safe: leave this out"),
        ({**PAIR, "trust-certificate-private-key": "k"}, "trust-certificate-private-key", "no key of another is needed: leave this out"),
        ({"key-store": "k.p12"}, "key-store", KEY_STORE),
        ({"key-store-password": "p"}, "key-store-password", KEY_STORE),
        ({"key-store-type": "JKS"}, "key-store-type", KEY_STORE),
        ({"key-store-provider": "x"}, "key-store-provider", KEY_STORE),
        ({**PAIR, "key-alias": "x"}, "key-alias", KEY_STORE),
        ({**PAIR, "trust-store": "t.p12"}, "trust-store", TRUST_STORE),
        ({**PAIR, "trust-store-password": "p"}, "trust-store-password", TRUST_STORE),
        ({**PAIR, "trust-store-type": "JKS"}, "trust-store-type", TRUST_STORE),
        ({**PAIR, "trust-store-provider": "x"}, "trust-store-provider", TRUST_STORE),
        ({"bundle": "b"}, "bundle", BUNDLE),
        ({**PAIR, "server-name-bundles[0].bundle": "b"}, "server-name-bundles", BUNDLE),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(values, key, problem):
    """The error names the key, and says what to do."""
    with pytest.raises(SettingsError) as caught:
        tls_fields(below(values))
    assert f"server.ssl.{key}: {problem}" == str(caught.value)


def test_an_unknown_key_is_an_error_with_the_nearest():
    """A word that is misspelled is not left aside."""
    with pytest.raises(SettingsError) as caught:
        tls_fields(below({**PAIR, "certificat": "x"}))
    expected = "server.ssl.certificat: unknown setting, the nearest known one is server.ssl.certificate"
    assert expected == str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["enabled", "client-auth", "protocol", "enabled-protocols", "key-store-password"],
)
def test_no_value_is_in_an_error(name):
    """Any of them may be a password that stands in the wrong line."""
    with pytest.raises(SettingsError) as caught:
        tls_fields(below({**PAIR, name: "hunter2"}))
    assert "hunter2" not in repr(caught.value)
