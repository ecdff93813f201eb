"""log: one line a record, for people or for machines."""

import io
import json
import logging
import signal
import sys

import pytest

from pyconfserve.commands import log

NASTY = "a\nERROR pyconfserve.serve: forged\r\nb\x85c\u2028d\x0be"


@pytest.fixture
def logged():
    """A function that logs with a format and gives what was written; all is as before
    afterwards.
    """
    logger = logging.getLogger("pyconfserve")
    before = logger.handlers[:], logger.level, logger.propagate

    def write(log_format, *record, **options):
        log.set_up(log_format)
        stream = io.StringIO()
        [handler] = logger.handlers
        handler.setStream(stream)
        logging.getLogger("pyconfserve.test").error(*record, **options)
        return stream.getvalue()

    yield write
    logger.handlers[:], logger.level, logger.propagate = before


def raised():
    """An error with a traceback and several lines."""
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        return sys.exc_info()


def test_text_for_people(logged):
    """Level, logger, message."""
    assert logged("text", "%d files", 2) == "ERROR pyconfserve.test: 2 files\n"


def test_json_for_machines(logged):
    """Four fields, the time in UTC with milliseconds."""
    content = json.loads(logged("json", "%d files", 2))
    moment = content.pop("time")
    assert content == {
        "level": "error",
        "logger": "pyconfserve.test",
        "message": "2 files",
    }
    assert (
        "".join("0" if letter.isdigit() else letter for letter in moment)
        == "0000-00-00T00:00:00.000Z"
    )


def test_no_message_begins_a_line_of_text(logged):
    """What follows any line end is indented."""
    lines = logged("text", "%s", NASTY).splitlines()
    assert lines[0] == "ERROR pyconfserve.test: a"
    assert all(line.startswith("  ") for line in lines[1:])
    assert [NASTY.splitlines()[0], *NASTY.splitlines()[1:]] == [
        "a",
        *(line[2:] for line in lines[1:]),
    ]


def test_no_message_begins_a_line_of_json(logged):
    """It is one line, and the message comes back as it was."""
    text = logged("json", "%s", NASTY)
    assert text.count("\n") == 1
    assert json.loads(text)["message"] == NASTY


def test_a_traceback_in_text_is_indented(logged):
    """One record, one line that is not indented."""
    lines = logged("text", "failed", exc_info=raised()).splitlines()
    assert (lines[0], lines[1]) == (
        "ERROR pyconfserve.test: failed",
        "  Traceback (most recent call last):",
    )
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_traceback_in_json_is_a_field(logged):
    """Under `error`."""
    content = json.loads(logged("json", "failed", exc_info=raised()))
    assert content["message"] == "failed"
    assert content["error"].startswith("Traceback (most recent call last):\n")
    assert content["error"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize("message", ["", "\n"], ids=["empty", "a line end"])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_empty_message_is_a_line(logged, log_format, message):
    """Nothing fails over it."""
    assert logged(log_format, message).strip()


def test_setting_up_again_replaces(logged):
    """Nothing is logged twice, nor handed to the root's handlers."""
    log.set_up("text")
    assert logged("text", "once").count("once") == 1
    assert not logging.getLogger("pyconfserve").propagate


class TestServing:
    """The same from a running server."""

    BROKEN = "a\nERROR pyconfserve.serve: forged"

    @pytest.fixture
    def broken(self, folder):
        """A broken file that is asked for, and one that its own name might log."""
        (folder / "orders-dev.json").write_text('{"a": ')
        return folder

    def test_text_on_standard_error(self, serve, broken):
        """A broken file is named once, however often it is asked for."""
        serving = serve("cfg", "--port", "0")
        assert [serving.ask("/orders/dev")[0] for _ in range(2)] == [500, 500]
        first, last = serving.end(signal.SIGTERM)[2].splitlines()
        assert first.startswith(
            "ERROR pyconfserve.server: a file does not parse: orders-dev.json:1:"
        )
        assert last == "INFO pyconfserve.serve: stopped"

    def test_json_lines_on_standard_error(self, serve, broken):
        """Every line is a document."""
        serving = serve("cfg", "--port", "0", "--log-format", "json")
        serving.ask("/orders/dev")
        lines = [
            json.loads(line) for line in serving.end(signal.SIGTERM)[2].splitlines()
        ]
        assert [(line["level"], line["logger"]) for line in lines] == [
            ("error", "pyconfserve.server"),
            ("info", "pyconfserve.serve"),
        ]

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_a_name_cannot_forge_a_line(self, serve, folder, log_format):
        """Neither in a target nor in a header, nor as the name of a file."""
        (folder / "application-x\nERROR forged.json").write_text("{")
        serving = serve("cfg", "--port", "0", "--log-format", log_format)
        serving.ask("/a%0AERROR%20forged/prod")
        serving.ask("/orders/x%0AERROR%20forged")
        serving.ask("/_list")
        errors = serving.end(signal.SIGTERM)[2]
        assert not [
            line for line in errors.splitlines() if line.startswith("ERROR forged")
        ]
