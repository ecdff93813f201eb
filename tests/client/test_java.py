"""The client against what the real Spring Cloud Config Server was recorded to answer."""

import json
from pathlib import Path

import pytest
from scripted import ScriptedServer

from pyconfserve.client import ConfigClient
from pyconfserve.errors import FetchError

SCENARIOS = Path(__file__).parents[1] / "cases" / "spring"
V2 = "application/vnd.spring-cloud.config-server.v2+json"


def recorded():
    """The answers to requests for environments, by scenario and case."""
    for path in sorted(SCENARIOS.glob("*.json")):
        scenario = json.loads(path.read_text(encoding="utf-8"))
        for case in scenario["cases"] if isinstance(scenario, dict) and "cases" in scenario else ():  # fmt: skip
            body = case.get("body") or ""
            is_environment = '"propertySources"' in body and case["method"] == "GET"
            if is_environment or case["status"] == 404:
                yield pytest.param(case, id=f"{path.stem}/{case['id']}")


def as_bytes(case):
    """A recorded answer as it was on the wire."""
    body = (case.get("body") or "").encode()
    lines = [f"HTTP/1.1 {case['status']} Recorded", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in case["response_headers"].items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


@pytest.fixture(scope="module")
def java():
    """A server that plays recorded answers."""
    server = ScriptedServer(b"")
    yield server
    server.stop()


@pytest.mark.parametrize("case", list(recorded()))
def test_a_recorded_answer_is_understood(java, case):
    """Each key has the value of the first source that has it; 404 is an error."""
    java.play(as_bytes(case))
    client = ConfigClient(url=java.url, application="orders", label=None, retries=0)
    if case["status"] == 404:
        with pytest.raises(FetchError) as caught:
            client.load()
        assert caught.value.status == 404
        return
    tree = json.loads(case["body"])
    configuration = client.load()
    for key, value in configuration.items():
        first = next(each for each in tree["propertySources"] if key in each["source"])
        expected = first["source"][key]
        origin = first["name"]
        if isinstance(expected, dict):
            origin, expected = f"{origin}:{expected['origin']}", expected["value"]
        assert (type(expected), expected) == (type(value), value)
        assert configuration.origins[key] == origin
    assert (tree["name"], tuple(tree["profiles"])) == (configuration.name, configuration.profiles)  # fmt: skip
    assert (tree["label"], tree["version"]) == (configuration.label, configuration.version)  # fmt: skip


def test_both_kinds_of_documents_are_among_the_cases():
    """A test of the test."""
    bodies = [case.values[0].get("body") or "" for case in recorded()]
    assert len(bodies) > 50
    assert any('"origin"' in body for body in bodies)
    assert any('"propertySources":[]' in body for body in bodies)
