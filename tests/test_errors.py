"""errors: one tree, whose members carry a status, their fields and one line of text."""

import pickle
import re

import pytest

from pyconfserve import errors
from pyconfserve.errors import (
    ConfigError,
    DocumentError,
    ExchangeError,
    FetchError,
    InvalidRequest,
    MethodNotAllowed,
    MissingDependency,
    PathEscapes,
    ProtocolError,
    ReadOnlyBackend,
    SettingsError,
)
from pyconfserve.http import refusals

TREE, REFUSALS = (
    {
        name: kind
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    for module in (errors, refusals)
)
STATUSES = {
    "BackendError": 502,
    "BackendMisconfigured": 500,
    "BackendTimeout": 504,
    "BackendUnavailable": 503,
    "BodyTooLarge": 413,
    "ConfigError": 500,
    "ConfigNotFound": 404,
    "Conflict": 409,
    "DocumentError": 500,
    "ExpectationFailed": 417,
    "Forbidden": 403,
    "HeadersTooLarge": 431,
    "InvalidRequest": 400,
    "LengthRequired": 411,
    "MethodNotAllowed": 405,
    "PathEscapes": 400,
    "ProtocolError": 400,
    "ReadOnlyBackend": 405,
    "RequestTimeout": 408,
    "SchemaViolation": 422,
    "StorageFull": 507,
    "TargetTooLong": 414,
    "TooManyAttempts": 429,
    "TooManyConnections": 503,
    "UnknownMethod": 501,
    "UnknownTransferCoding": 501,
    "UnknownVersion": 505,
    "UnsupportedMedia": 415,
    "ValueTooLarge": 413,
    "VersionConflict": 412,
    "WrongHost": 421,
}


def test_all_errors_have_one_root():
    """One `except` covers the package, and every error is exported."""
    assert [
        name for name, kind in TREE.items() if not issubclass(kind, ConfigError)
    ] == []
    assert sorted(TREE) == sorted(errors.__all__)
    assert {ProtocolError} == {kind.__bases__[0] for kind in REFUSALS.values()}
    assert sorted(REFUSALS) == sorted(refusals.__all__)


@pytest.mark.parametrize(("name", "status"), STATUSES.items())
def test_an_error_has_a_status(name, status):
    """That of HTTP which says the same."""
    assert status == {**TREE, **REFUSALS}[name].status


def test_the_page_of_the_tree_is_true():
    """The module's text names parents by indentation, and the status of each."""
    rows = re.findall(r"^( {4,})(\w+) +(\d{3}|-) ", errors.__doc__, re.MULTILINE)
    path = []
    for indent, name, status in rows:
        depth = (len(indent) - 4) // 2
        path[depth:] = [name]
        parent = path[depth - 1] if depth else "Exception"
        assert parent == TREE[name].__bases__[0].__name__
        assert status in ("-", str(TREE[name].status))
    assert len(rows) > 20


def test_an_invalid_request_names_its_field():
    """Field and problem are kept, and make the text."""
    error = PathEscapes("label", "'..' is not allowed")
    assert isinstance(error, InvalidRequest)
    expected = ("label", "'..' is not allowed", "label: '..' is not allowed")
    assert expected == (error.field, error.problem, str(error))


def test_a_method_that_is_not_allowed_names_those_that_are():
    """For the header Allow."""
    error = MethodNotAllowed("no", ("GET",))
    assert (str(error), error.allowed) == ("no", ("GET",))
    assert MethodNotAllowed("no").allowed == ()
    error = ReadOnlyBackend()
    assert (str(error), error.allowed) == ("this server is read-only", ("GET", "HEAD", "OPTIONS"))  # fmt: skip


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DocumentError("bad"), "bad"),
        (DocumentError("bad", 3, 7), "3:7: bad"),
        (DocumentError("bad", location="a/b.yml"), "a/b.yml: bad"),
        (DocumentError("bad", 3, 7, "a/b.yml"), "a/b.yml:3:7: bad"),
        (DocumentError("bad", 3, 7).at("b.yml"), "b.yml:3:7: bad"),
        (DocumentError("bad", 3, 7, "a.yml").at("b.yml"), "b.yml:3:7: bad"),
        (SettingsError("bad"), "bad"),
        (SettingsError("bad", "key"), "key: bad"),
        (SettingsError("bad", "key", "file"), "file: key: bad"),
        (SettingsError("bad", source="file"), "file: bad"),
    ],
)
def test_a_text_names_the_place_as_far_as_it_is_known(error, text):
    """File, line and column of a document; source and key of a setting."""
    assert text == str(error)


def test_a_missing_library_says_how_to_install_it():
    """It is an ImportError as well."""
    missing = ModuleNotFoundError("no", name="redis.client")
    error = MissingDependency.instead_of(
        missing, "redis", "the store", "pyconfserve[x]"
    )
    assert isinstance(error, MissingDependency)
    assert isinstance(error, ImportError)
    assert str(error) == "the store needs redis: pip install 'pyconfserve[x]'"


@pytest.mark.parametrize("name", ["os", "redis_extra", None])
def test_an_error_inside_a_library_is_not_taken_for_its_absence(name):
    """The error of another module is raised as it is."""
    other = ModuleNotFoundError("no", name=name)
    assert other is MissingDependency.instead_of(other, "redis", "x", "y")


def test_a_failed_exchange_says_why():
    """In its own words."""
    error = ExchangeError("the connection was refused")
    assert error.reason == str(error) == "the connection was refused"


@pytest.mark.parametrize("status", [None, 200, 404])
def test_a_failed_fetch_says_of_whom(status):
    """Also on the other side of a process boundary."""
    error = FetchError("http://config", "answered 404", status)
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert (each.url, each.problem, each.status) == ("http://config", "answered 404", status)
        assert str(each) == "http://config: answered 404"
