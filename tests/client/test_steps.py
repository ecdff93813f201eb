"""steps: what is asked next, when to wait, and what an answer means; without a socket."""

import pytest

from pyconfserve.client.steps import RETRIED, Emit, ask, backoff, is_final
from pyconfserve.client.target import Server
from pyconfserve.errors import ExchangeError, FetchError
from pyconfserve.http.dates import http_date
from pyconfserve.http.messages import Request, Response

A, B = Server("http://a", ""), Server("http://b", "")
REFUSED = ExchangeError("the connection was refused")
OK = Response(200, (("ETag", '"1"'),), b"ok")


def read(body):
    if body == b"html":
        raise ValueError("expected JSON")
    return body.decode()


def asking(patience, servers=(A,), **options):
    """Steps that emit the answer of `ask`."""

    def request(server):
        headers = {"if-none-match": '"1"'} if options.get("etag") else {}
        return Request("GET", "/orders/prod", headers=headers)

    answer = yield from ask(servers, request, read, patience, held=options.get("held", 0.0))  # fmt: skip
    yield Emit(answer)


def status(number, body=b"", **headers):
    fields = ((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(number, tuple(fields), body)


def problem(taken):
    assert isinstance(taken.error, FetchError)
    return (taken.error.url, taken.error.problem, taken.error.status)


def test_an_answer_ends_it(stepper):
    """It is sent once, with the timeout of one exchange."""
    taken = stepper.take(asking(stepper.patience()), [OK])
    assert taken.emitted == [("http://a", '"1"', b"ok", "ok")]
    assert [(send.url, send.request.path, send.timeout) for send in taken.sent] == [
        ("http://a", "/orders/prod", 10.0)
    ]


@pytest.mark.parametrize("failure", [REFUSED, status(503), status(501), status(200, b"html")])  # fmt: skip
def test_servers_are_asked_in_order(stepper, failure):
    """The next when one does not answer, fails, or answers with a page of its own."""
    taken = stepper.take(asking(stepper.patience(), (A, B)), [failure, OK])
    assert [send.url for send in taken.sent] == ["http://a", "http://b"]
    assert (taken.emitted[0].url, taken.waits) == ("http://b", [])


@pytest.mark.parametrize("number", [301, 302, 400, 401, 403, 404, 405, 410, 204, 206])
def test_a_server_that_has_spoken_ends_it(stepper, number):
    """No other is asked, and none again."""
    taken = stepper.take(asking(stepper.patience(), (A, B)), [status(number)])
    assert len(taken.sent) == 1
    assert (taken.error.url, taken.error.status) == ("http://a", number)
    assert is_final(taken.error)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (401, "answered 401: the credentials are missing or wrong"),
        (403, "answered 403: these credentials may not read it"),
        (404, "answered 404: nothing is stored under these names"),
        (302, "answered 302: it redirects elsewhere, which is not followed"),
        (418, "answered 418"),
        (304, "answered 304"),
    ],
)
def test_a_status_is_explained(stepper, number, text):
    """In words that hold no credentials."""
    taken = stepper.take(asking(stepper.patience()), [status(number)])
    assert problem(taken) == ("http://a", text, number)
    assert str(taken.error) == f"http://a: {text}"


@pytest.mark.parametrize("number", sorted(RETRIED))
def test_what_may_pass_is_tried_again(stepper, number):
    """With pauses that double."""
    taken = stepper.take(asking(stepper.patience()), [status(number)] * 3 + [OK])
    assert (taken.waits, len(taken.sent)) == ([0.25, 0.5, 1.0], 4)
    assert len(taken.emitted) == 1


def test_a_failed_connection_is_tried_again(stepper):
    """As often as retries say; the last failure is what is raised."""
    taken = stepper.take(asking(stepper.patience(retries=2)), [REFUSED] * 9)
    assert (len(taken.sent), taken.waits) == (3, [0.25, 0.5])
    assert problem(taken) == ("http://a", "the connection was refused", None)
    assert not is_final(taken.error)


@pytest.mark.parametrize("failure", [status(501), status(505), status(200, b"html")])
def test_what_will_not_pass_is_not_tried_again(stepper, failure):
    """But it is no word on the configuration either."""
    taken = stepper.take(asking(stepper.patience()), [failure])
    assert (len(taken.sent), taken.waits) == (1, [])
    assert not is_final(taken.error)


def test_one_of_several_that_may_pass_is_enough(stepper):
    """All are asked again, in order."""
    failures = [REFUSED, status(200, b"html"), REFUSED, OK]
    taken = stepper.take(asking(stepper.patience(), (A, B)), failures)
    assert [send.url for send in taken.sent] == ["http://a", "http://b"] * 2
    assert len(taken.waits) == 1


def test_pauses_have_full_jitter(stepper):
    """From nothing to the whole."""
    taken = stepper.take(asking(stepper.patience(chance=0.1)), [REFUSED] * 4)
    assert taken.waits == [0.025, 0.05, 0.1]
    assert [backoff(n, 1.0) for n in (0, 4, 5, 1000)] == [0.25, 4.0, 5.0, 5.0]
    assert backoff(1000, 0.5, longest=30.0) == 15.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0), ("0", 0.0), ("12", 12.0), ("29", 29.0),
        ("-1", 0.0), ("+1", 0.0), ("1.5", 0.0), ("soon", 0.0), ("", 0.0), ("²", 0.0),
        (http_date(1_800_000_003), 2.99), (http_date(0), 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_kept(stepper, value, seconds):
    """In seconds or as a date, on top of the jitter."""
    answers = [status(503, Retry_After=value), OK]
    taken = stepper.take(asking(stepper.patience()), answers)
    assert taken.waits == [pytest.approx(seconds + 0.25)]


def test_all_of_it_is_bounded(stepper):
    """Servers that hang take three timeouts in all."""
    slow = (ExchangeError("no answer within 10 s"), 1000.0)
    taken = stepper.take(asking(stepper.patience(), (A, B)), [slow] * 99)
    assert problem(taken)[1] == "no answer within 10 s"
    assert taken.time <= 30.0
    assert [send.url for send in taken.sent[:2]] == ["http://a", "http://b"]


def test_many_servers_share_the_time(stepper):
    """The last is asked as well."""
    servers = [Server(f"http://{number}", "") for number in range(6)]
    slow = (ExchangeError("no answer"), 1000.0)
    taken = stepper.take(asking(stepper.patience(retries=0), servers), [slow] * 5 + [OK])  # fmt: skip
    assert len(taken.emitted) == 1
    assert {send.timeout for send in taken.sent} == {5.0}


def test_a_long_poll_may_take_longer(stepper):
    """By what the server was asked to wait."""
    patience = stepper.patience(retries=0)
    taken = stepper.take(asking(patience, (A, B), held=30.0), [(REFUSED, 99.0), OK])
    assert [send.timeout for send in taken.sent] == [40.0, 40.0]


def test_304_is_an_answer_to_who_asked_for_it(stepper):
    """To nobody else."""
    not_modified = status(304, etag='"1"')
    taken = stepper.take(asking(stepper.patience(), etag=True), [not_modified])
    assert taken.emitted == [("http://a", '"1"', b"", None)]
    taken = stepper.take(asking(stepper.patience()), [not_modified], emissions=9)
    assert taken.error.status == 304


def test_a_body_that_is_no_configuration(stepper):
    """It says so, and its status is what it was."""
    taken = stepper.take(asking(stepper.patience()), [status(200, b"html")])
    expected = "the answer is no configuration: expected JSON"
    assert problem(taken) == ("http://a", expected, 200)


@pytest.mark.parametrize("etag", ['"\xe9"', '"a\x0b"', '"a b"', "", '"a\r\nX: 1"', "\u20ac"])
def test_an_etag_that_no_request_can_carry_is_none(stepper, etag):
    """It would break the next request, or what stands on the way."""
    taken = stepper.take(asking(stepper.patience()), [status(200, b"ok", etag=etag)])
    assert taken.emitted == [("http://a", None, b"ok", "ok")]


@pytest.mark.parametrize("value", ["3600", "9" * 400, "30", http_date(1_900_000_000)])
def test_a_pause_beyond_the_time_that_is_left_ends_it(stepper, value):
    """Asking earlier would be rude, and in vain; the error tells the pause."""
    taken = stepper.take(asking(stepper.patience()), [status(503, Retry_After=value)])
    assert (taken.waits, len(taken.sent), taken.error.status) == ([], 1, 503)
    assert taken.error.retry_after >= 30


def test_the_shortest_pause_of_several_servers_counts(stepper):
    """One that could not be asked at all may be there again."""
    answers = [status(503, Retry_After="3600"), REFUSED, status(503), OK]
    taken = stepper.take(asking(stepper.patience(), (A, B)), answers)
    assert (taken.waits, len(taken.emitted)) == ([0.25], 1)
