"""JSON over HTTP: who is asked, what is not asked twice, and how waits end."""

import threading

import pytest
from scripted import ScriptedServer, hang, reply

from pyconfserve.adapters.json_answers import Problem, header_of, parsed
from pyconfserve.adapters.json_http import JsonHttp, Place, json_request, parse_members
from pyconfserve.adapters.tokens import GivenToken
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
    ValueTooLarge,
)
from pyconfserve.http.messages import Request, Response

ASKED = Request("GET", "/a%2Fb", "c=d")
CHANGE = Request("PUT", "/a", body=b"1")
ADDRESS = "store://there"


def cut(client, asked):
    """An act: close the connection instead of an answer."""


@pytest.fixture
def servers():
    """Two that play what they are told."""
    made = [ScriptedServer(cut), ScriptedServer(cut)]
    yield made
    for one in made:
        one.stop()


@pytest.fixture
def connect():
    """Makes what asks some URLs, and closes it in the end."""
    made = []

    def connect(*urls, **options):
        made.append(JsonHttp(ADDRESS, urls, **options))
        return made[-1]

    yield connect
    for one in made:
        one.close()
        one.close()


PLACES = {
    "whole": ("kv://u:p%40@h:1/a/b", Place("kv://h:1/a/b", ("http://h:1",), "a/b", "u", "p@")),
    "short": ("kv://h", Place("kv://h:7/p", ("http://h:7",), "p", "", "")),
    "secure": ("KVS://h//a/", Place("kvs://h:7/a", ("https://h:7",), "a", "", "")),
    "several": ("kv://h,i:2", Place("kv://h:7,i:2/p", ("http://h:7", "http://i:2"), "p", "", "")),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "place"), PLACES.values(), ids=PLACES.keys())
def test_a_uri_names_a_place(uri, place):
    """Servers, a path, and who asks; the address has no credentials."""
    assert parse_members(uri, "kv", 7, "p") == place


def test_a_place_may_have_no_path():
    """Where none is named, and none is the usual one."""
    assert parse_members("kv://h", "kv", 7, "") == Place("kv://h:7", ("http://h:7",), "", "", "")


@pytest.mark.parametrize("uri", ["", "kv:", "kv://", "kv:///a", "vk://h", "kv://h?a", "kv://h#a", "kv://h:x", "kv://u:s3cret@"])
def test_a_uri_that_is_none_is_refused(uri):
    """Without what may be a password."""
    with pytest.raises(SettingsError) as caught:
        parse_members(uri, "kv", 7, "p")
    assert "s3cret" not in str(caught.value)


class TestAsking:
    """One request, one answer."""

    def test_the_answer_is_what_came(self, servers, connect):
        """Whatever its status; a redirect is not followed."""
        first = servers[0]
        http = connect(first.url)
        for status in (200, 307, 404, 500):
            first.play(reply(b"x", status, Location="/other"))
            answer = http.ask(ASKED, is_change=False)
            assert (answer.status, answer.body, header_of(answer, "location")) == (status, b"x", "/other")
        assert [one.target for one in first.asked] == ["/a%2Fb?c=d"] * 4
        assert http.epoch == ""

    def test_a_question_goes_to_another_server(self, servers, connect):
        """The one that answered is asked from then on; a new epoch begins."""
        first, second = servers
        second.play(reply(b"2"))
        http = connect(first.url, second.url)
        epochs = [http.epoch]
        for _ in range(2):
            assert http.ask(ASKED, is_change=False).body == b"2"
            epochs.append(http.epoch)
        assert [len(one.asked) for one in servers] == [1, 2]
        assert epochs[0] != epochs[1] == epochs[2]

    def test_a_change_that_may_be_made_does_not(self, servers, connect):
        """Only one that was not sent for sure is sent to another."""
        first, second = servers
        second.play(reply(b"2"))
        http = connect(first.url, second.url)
        with pytest.raises(BackendUnavailable, match=f"^{ADDRESS}: the connection (was closed|failed)"):
            http.ask(CHANGE, is_change=True)
        assert [len(one.asked) for one in servers] == [1, 0]
        assert http.ask(CHANGE, is_change=True).body == b"2"
        first.stop()
        assert connect(first.url, second.url).ask(CHANGE, is_change=True).body == b"2"

    def test_who_leaves_asks_another(self, servers, connect):
        """One that has no leader answers, too; a new epoch begins."""
        for number, one in enumerate(servers):
            one.play(reply(str(number).encode()))
        http = connect(*(one.url for one in servers))
        found, epochs = [], set()
        for _ in range(3):
            epochs.add(http.epoch)
            found.append(http.ask(ASKED, is_change=False).body)
            http.leave()
        assert (found, len(epochs)) == ([b"0", b"1", b"0"], 3)

    def test_several_that_leave_one_server_ask_the_same_other(self, servers, connect):
        """Who asked it side by side do not come back to it."""
        for number, one in enumerate(servers):
            one.play(reply(str(number).encode()))
        http = connect(*(one.url for one in servers))
        both = threading.Barrier(2, timeout=10)

        def leave():
            http.ask(ASKED, is_change=False)
            both.wait()
            http.leave()

        threads = [threading.Thread(target=leave) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert http.ask(ASKED, is_change=False).body == b"1"

    def test_none_answers(self, servers, connect):
        """Each was asked once."""
        http = connect(*(one.url for one in servers))
        with pytest.raises(BackendUnavailable, match=f"^{ADDRESS}: the connection was closed"):
            http.ask(ASKED, is_change=False)
        assert [len(one.asked) for one in servers] == [1, 1]

    def test_an_answer_too_large(self, servers, connect):
        """It is no reason to ask another."""
        servers[0].play(reply(b"x" * 101))
        http = connect(*(one.url for one in servers))
        http._exchange.limit = 100
        with pytest.raises(ValueTooLarge, match=f"^{ADDRESS}: the answer is larger than 100 bytes$"):
            http.ask(ASKED, is_change=False)
        assert [len(one.asked) for one in servers] == [1, 0]

    def test_one_that_hangs(self, servers, connect):
        """It is given up in time; who closes gives up at once."""
        servers[0].play(hang(servers[0]))
        with pytest.raises(BackendUnavailable, match=r"no answer within 0\.1 s$"):
            connect(servers[0].url, timeout=0.1).ask(ASKED, is_change=False)
        http = connect(servers[0].url, timeout=30)
        threading.Thread(target=lambda: (servers[0].wait_for(2), http.close())).start()
        with pytest.raises(BackendUnavailable, match=r"hung up$"):
            http.ask(ASKED, is_change=False)
        with pytest.raises(BackendUnavailable, match=r"hung up$"):
            http.ask(ASKED, is_change=False)

    def test_an_error_names_the_store_and_the_key(self, connect):
        """In words of ours."""
        problem = Problem(BackendDenied, "it is not for you")
        http = connect("http://127.0.0.1:1")
        assert repr(http.error(problem)) == repr(BackendDenied("store://there: it is not for you"))
        assert str(http.error(problem, "a/b")) == "store://there: a/b: it is not for you"


class TestWaiting:
    """Requests whose answer may take its time."""

    def test_an_answer_ends_it(self, servers, connect):
        """It is given."""
        servers[0].play(reply(b"news"))
        assert connect(servers[0].url).wait(ASKED, 30).body == b"news"

    @pytest.mark.parametrize("how", ["late", "closed", "hung-up", "a-call-failed"])
    def test_it_ends_without_one(self, servers, connect, how):
        """When its time is over, and when there is no use in it any more."""
        servers[0].play(hang(servers[0]), cut)
        http = connect(servers[0].url)

        def end():
            servers[0].wait_for(1)
            if how == "a-call-failed":
                with pytest.raises(BackendUnavailable):
                    http.ask(ASKED, is_change=False)
            elif how != "late":
                (http.close if how == "closed" else http.hang_up)()

        thread = threading.Thread(target=end)
        thread.start()
        assert http.wait(ASKED, 0.2 if how == "late" else 30) is None
        thread.join()

    def test_a_connection_that_is_lost(self, servers, connect):
        """It is told, and a new epoch begins."""
        http = connect(servers[0].url)
        with pytest.raises(BackendUnavailable):
            http.wait(ASKED, 30)
        assert http.epoch != ""


class TestTrees:
    """Bodies."""

    def test_a_request_has_a_tree_or_nothing(self):
        """As JSON, with its type; other headers stay."""
        assert json_request("GET", "/a", headers={"x": "1"}, query="b") == Request("GET", "/a", "b", {"x": "1"})
        sent = json_request("PUT", "/a", {"ä": [None]}, {"x": "1"})
        assert sent == Request("PUT", "/a", "", {"content-type": "application/json", "x": "1"}, b'{"\\u00e4": [null]}')
        assert json_request("PUT", "/a", {}).body == b"{}"

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "open", "bytes", "deep"])
    def test_what_is_no_json(self, body):
        """It is a ValueError, however it is none."""
        with pytest.raises(ValueError):  # of json, in its own words  # noqa: PT011
            parsed(body)
        assert parsed(b'{"a": 1}') == {"a": 1}

    def test_a_header_by_its_name(self):
        """However it is written; the first one counts."""
        answer = Response(200, (("X-Index", "1"), ("x-index", "2")))
        assert (header_of(answer, "x-index"), header_of(answer, "y")) == ("1", "")


class TestTokens:
    """From the settings or a file."""

    def test_one_of_the_settings(self):
        """It stays as it is."""
        token = GivenToken("s3cret")
        assert (token.read(), token.read_again("s3cret"), token.read_again("")) == ("s3cret", False, False)
        assert GivenToken("").read() == ""

    def test_one_of_a_file(self, tmp_path):
        """It is read when it is first asked for, and when it was refused."""
        path = tmp_path / "token"
        token = GivenToken("", str(path))
        path.write_text(" first \nmore")
        assert (token.read(), token.read_again("first")) == ("first", False)
        path.write_text("second")
        assert (token.read(), token.read_again("first"), token.read()) == ("first", True, "second")

    def test_one_that_another_thread_has_read(self, tmp_path):
        """Who was refused with the old one has another, too."""
        path = tmp_path / "token"
        path.write_text("first")
        token = GivenToken("", str(path))
        refused = token.read()
        path.write_text("second")
        assert [token.read_again(refused), token.read_again(refused), token.read_again("second")] == [True, True, False]

    def test_both_are_refused(self):
        """Nobody could tell which one counts."""
        with pytest.raises(SettingsError, match=r"^token: expected a token or a file that holds it$"):
            GivenToken("a", "b")

    def test_a_file_that_is_none(self, tmp_path):
        """The error does not show what it holds."""
        path = tmp_path / "token"
        with pytest.raises(BackendMisconfigured, match=r"^the token file: No such file or directory$"):
            GivenToken("", str(path)).read()
        for content in (b"", b"\n", b"s3cret and more", b"\x00"):
            path.write_bytes(content)
            with pytest.raises(BackendMisconfigured, match=r"^the token file holds no token$"):
                GivenToken("", str(path)).read()
        path.write_bytes(b"\xff")
        with pytest.raises(BackendMisconfigured, match=r"^the token file: it is not UTF-8$"):
            GivenToken("", str(path)).read()
