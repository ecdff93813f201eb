"""overlay: what is asked for, in which order it is layered, and the answer."""

import pytest

from pyconfserve.environment import overlay
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.errors import InvalidRequest


def planned(*arguments):
    """The slots of plan as (application, profile, location)."""
    return [(slot.application, slot.profile, slot.location) for slot in overlay.plan(*arguments)]


def test_a_lookup_holds_canonical_names():
    """Lists are split and `(_)` is resolved; name and label repeat the request."""
    expected = overlay.Lookup(
        applications=("a", "b/c"),
        profiles=("prod", "eu"),
        labels=("v1", "feature/x"),
        dialect=SPRING,
        name="a,,b/c",
        label="v1,feature/x",
    )
    assert expected == overlay.make_lookup("a,,b(_)c", "prod,eu", "v1,feature(_)x", SPRING)


def test_a_lookup_has_defaults():
    """Profile `default`, no label and our own dialect."""
    expected = overlay.Lookup(("a",), ("default",), (), OWN, "a", None)
    assert expected == overlay.make_lookup("a")


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (("",), "application: expected 1 to 32 names"),
        (("a", ""), "profile: expected 1 to 255 bytes"),
        (("a", "b", ""), "label: expected 1 to 32 names"),
    ],
)
def test_a_lookup_without_names_is_refused(texts, problem):
    """An empty text names nothing."""
    with pytest.raises(InvalidRequest) as caught:
        overlay.make_lookup(*texts)
    assert problem == str(caught.value)


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        (overlay.Slot("orders", "prod", "/"), "orders-prod"),
        (overlay.Slot("orders", None, "/"), "orders-default"),
    ],
)
def test_a_slot_has_a_name(slot, name):
    """Application and profile, `default` where there is none."""
    assert name == slot.source_name


@pytest.mark.parametrize(
    ("applications", "profiles", "locations", "slots"),
    [
        pytest.param(
            ["orders"],
            ["prod"],
            ["1"],
            [
                ("orders", "prod", "1"),
                ("orders", "default", "1"),
                ("application", "prod", "1"),
                ("application", "default", "1"),
            ],
            id="application first",
        ),
        pytest.param(
            ["orders"],
            ["default"],
            ["1"],
            [("orders", "default", "1"), ("application", "default", "1")],
            id="default",
        ),
        pytest.param(
            ["application"],
            ["prod"],
            ["1"],
            [("application", "prod", "1"), ("application", "default", "1")],
            id="application itself",
        ),
        pytest.param(
            ["orders"],
            ["prod", "eu"],
            ["1"],
            [
                ("orders", "eu", "1"),
                ("orders", "prod", "1"),
                ("orders", "default", "1"),
                ("application", "eu", "1"),
                ("application", "prod", "1"),
                ("application", "default", "1"),
            ],
            id="the last profile wins",
        ),
        pytest.param(
            ["orders"],
            ["prod", "default", "prod"],
            ["1"],
            [
                ("orders", "prod", "1"),
                ("orders", "default", "1"),
                ("application", "prod", "1"),
                ("application", "default", "1"),
            ],
            id="default stays lowest and nothing comes twice",
        ),
        pytest.param(
            ["a", "b"],
            ["default"],
            ["1"],
            [("b", "default", "1"), ("a", "default", "1"), ("application", "default", "1")],
            id="the last application wins",
        ),
        pytest.param(
            ["orders", "application"],
            ["default"],
            ["1"],
            [("orders", "default", "1"), ("application", "default", "1")],
            id="application stays lowest",
        ),
        pytest.param(
            ["orders"],
            ["prod"],
            ["1", "2"],
            [
                ("orders", "prod", "1"),
                ("orders", "prod", "2"),
                ("orders", "default", "1"),
                ("orders", "default", "2"),
                ("application", "prod", "1"),
                ("application", "prod", "2"),
                ("application", "default", "1"),
                ("application", "default", "2"),
            ],
            id="the first location wins",
        ),
        pytest.param(["orders"], ["prod"], [], [], id="no location"),
    ],
)
def test_our_own_plan(applications, profiles, locations, slots):
    """OWN goes by application, then profile, then location."""
    assert slots == planned(applications, profiles, locations, OWN)


@pytest.mark.parametrize(
    ("applications", "profiles", "locations", "slots"),
    [
        pytest.param(
            ["orders"],
            ["prod"],
            ["1"],
            [
                ("orders", "prod", "1"),
                ("application", "prod", "1"),
                ("orders", None, "1"),
                ("application", None, "1"),
            ],
            id="profile first",
        ),
        pytest.param(
            ["orders"],
            ["default"],
            ["1"],
            [
                ("orders", "default", "1"),
                ("application", "default", "1"),
                ("orders", None, "1"),
                ("application", None, "1"),
            ],
            id="default is a profile like others",
        ),
        pytest.param(
            ["orders"],
            ["prod", "default"],
            ["1"],
            [
                ("orders", "default", "1"),
                ("application", "default", "1"),
                ("orders", "prod", "1"),
                ("application", "prod", "1"),
                ("orders", None, "1"),
                ("application", None, "1"),
            ],
            id="the last profile wins",
        ),
        pytest.param(
            ["application"],
            ["prod", "prod"],
            ["1"],
            [("application", "prod", "1"), ("application", None, "1")],
            id="application itself, the same profile twice",
        ),
        pytest.param(
            ["orders", "payments", "application"],
            ["prod"],
            ["1"],
            [
                ("payments", "prod", "1"),
                ("orders", "prod", "1"),
                ("application", "prod", "1"),
                ("payments", None, "1"),
                ("orders", None, "1"),
                ("application", None, "1"),
            ],
            id="the last application wins, application stays lowest",
        ),
        pytest.param(
            ["orders"],
            ["prod"],
            ["1", "2"],
            [
                ("orders", "prod", "2"),
                ("application", "prod", "2"),
                ("orders", "prod", "1"),
                ("application", "prod", "1"),
                ("orders", None, "2"),
                ("application", None, "2"),
                ("orders", None, "1"),
                ("application", None, "1"),
            ],
            id="the last location wins",
        ),
    ],
)
def test_springs_plan(applications, profiles, locations, slots):
    """SPRING goes by profile, then location, then application."""
    assert slots == planned(applications, profiles, locations, SPRING)


def test_a_source_gives_its_properties():
    """The flat values without their origins, in order."""
    source = overlay.PropertySource("x", {"b": Entry(1, 2, 3), "a": Entry("")})
    assert list(source.properties.items()) == [("b", 1), ("a", "")]


def test_an_environment_as_a_dict():
    """The document that Spring Cloud Config's clients know, keys in their order."""
    environment = overlay.Environment(
        name="orders",
        profiles=("prod", "eu"),
        label=None,
        version="1",
        state="",
        sources=(overlay.PropertySource("x", {"a": Entry(1, 1, 4)}), overlay.PropertySource("y", {})),
    )
    assert list(environment.as_dict().items()) == [
        ("name", "orders"),
        ("profiles", ["prod", "eu"]),
        ("label", None),
        ("version", "1"),
        ("state", ""),
        ("propertySources", [{"name": "x", "source": {"a": 1}}, {"name": "y", "source": {}}]),
    ]
