"""addresses: which are of the web, and what people see of them."""

import pytest

from pyconfserve.addresses import is_web, no_folder, shown, store_type


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://user:secret@example.com/r", "https://example.com/r"),
        ("https://token@example.com/r", "https://example.com/r"),
        ("http://token@example.com/r", "http://example.com/r"),
        ("HTTP://token@example.com/x@y", "HTTP://example.com/x@y"),
        ("git+https://token@example.com/r", "git+https://example.com/r"),
        ("http://user:p@ss@example.com/r", "http://example.com/r"),
        ("https://a@b:c@example.com", "https://example.com"),
        ("https://us\ner@example.com", "https://example.com"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("https://example.com/a:b@c", "https://example.com/a:b@c"),
        ("ssh://git@example.com/r", "ssh://git@example.com/r"),
        ("ssh://git:secret@example.com:22/r", "ssh://example.com:22/r"),
        ("redis://:secret@example.com/0", "redis://example.com/0"),
        ("postgresql://user:secret@h:5432/db", "postgresql://h:5432/db"),
        ("postgres://user:se/cr@et@h/db?sslmode=require", "postgres://h/db"),
        ("postgresql://h/db?password=secret&x=y", "postgresql://h/db"),
        ("postgresql://h/db?password=secret&x=y@z", "postgresql://z"),  # too little, never too much
        ("postgresql://user@h/db", "postgresql://h/db"),
        ("postgresql://u:se?cret@h/db", "postgresql://h/db"),
        ("ETCDS://user:secret@h:2379/cfg", "ETCDS://h:2379/cfg"),
        ("etcd://h:2379,i:2379/cfg", "etcd://h:2379,i:2379/cfg"),
        ("sqlite:///var/lib/cfg.db", "sqlite:///var/lib/cfg.db"),
        ("redis:/:secret@h/0", "redis:h/0"),
        ("POSTGRESQL:u:se@cret@h/db?password=secret", "POSTGRESQL:h/db"),
        ("https:/u:secret@h/r", "https:h/r"),
        ("redis:x", "redis:x"),
        ("git@example.com:r", "git@example.com:r"),
        ("/etc/cfg", "/etc/cfg"),
    ],
)
def test_credentials_are_not_shown(uri, expected):
    """Neither a password nor a token; the user of ssh is neither."""
    assert expected == shown(uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://h/x", True),
        ("HTTP://h/x", True),
        ("ssh://h/x", False),
        ("https:x", False),
        ("git@http://h", False),
        ("/http://x", False),
    ],
)
def test_the_web_is_http_with_or_without_tls(uri, expected):
    """In any case of letters."""
    assert expected is is_web(uri)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("postgresql://h/db", "postgresql"),
        ("POSTGRES://h/db", "postgresql"),
        ("etcd://h/x", "etcd"),
        ("etcds://h/x", "etcd"),
        ("sqlite:x.db", None),
        ("redis://h/0", "redis"),
        ("rediss://h", "redis"),
        ("mongodb://h", None),
        ("/etcd://h", None),
        ("", None),
    ],
)
def test_the_scheme_says_which_store(uri, expected):
    """In any case of letters."""
    assert expected == store_type(uri)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("absent", "absent is not a folder"),
        ("a:b", "a:b is not a folder"),
        ("https://me:secret@h/r", "https://h/r is not a folder"),
        ("redis:/:secret@h/0", "redis:h/0 is not a folder: after redis: two slashes are missing"),
        ("HTTP:u:secret@h", "HTTP:h is not a folder: after HTTP: two slashes are missing"),
    ],
)
def test_what_is_no_folder_is_told_why(location, expected):
    """Who mistypes an address gets no password back."""
    assert expected == no_folder(location)
