"""views: the start, the snapshot and following changes, by a clock that is not real."""

import json
from pathlib import Path

import pytest
from scripted import environment

from pyconfserve.client.layers import Layers
from pyconfserve.client.snapshot import Snapshot
from pyconfserve.client.steps import Emit, Send, Wait, Warn, Work
from pyconfserve.client.target import Credentials, Target, make_servers
from pyconfserve.client.views import (
    Plan,
    configuration_steps,
    file_steps,
    watch_steps,
)
from pyconfserve.errors import ExchangeError, FetchError, InvalidRequest, SettingsError
from pyconfserve.http.messages import Response

REFUSED = ExchangeError("the connection was refused")


def ok(etag=None, /, **values):
    fields = () if etag is None else (("ETag", f'"{etag}"'),)
    return Response(200, fields, json.dumps(environment(values)).encode())


def same(etag):
    return Response(304, (("ETag", f'"{etag}"'),))


@pytest.fixture
def plan(stepper, tmp_path):
    """`plan(…)` is a plan for one server, with a snapshot where `snapshot=True`."""

    def make(*, snapshot=False, override_file=None, resolve=False, max_stale=None, label="main", **patience):  # fmt: skip
        servers = make_servers("http://config", Credentials("user", "canary"))
        target = Target(servers, "orders", "prod", label, {})
        given = stepper.patience(**{"retries": 0, **patience})
        kept = Snapshot(tmp_path / "snapshot.json", target, max_stale, given.now) if snapshot else None  # fmt: skip
        return Plan(target, given, Layers(override_file, None, resolve, "prod"), kept)

    return make


def test_the_start(stepper, plan):
    """One request, one view, no file."""
    taken = stepper.take(configuration_steps(plan()), [ok("1", a=1)])
    (view,) = taken.emitted
    assert (view.configuration, view.configuration.stale_since) == ({"a": 1}, None)
    assert (view.answer.etag, view.stale) == ('"1"', None)
    (sent,) = taken.sent
    assert (sent.request.path, sent.request.query) == ("/orders/prod/main", "")
    assert "if-none-match" not in sent.request.headers


def test_a_start_without_answer_is_an_error(stepper, plan):
    """Also with a snapshot that is not there yet."""
    for snapshot in (False, True):
        taken = stepper.take(configuration_steps(plan(snapshot=snapshot)), [REFUSED])
        assert isinstance(taken.error, FetchError)
    assert taken.warnings == []


@pytest.mark.parametrize(
    "failure",
    [REFUSED, Response(500), Response(501), Response(503), Response(429), Response(408), Response(200, (), b"<html>")],
)  # fmt: skip
def test_a_snapshot_serves_while_no_server_can_answer(stepper, plan, failure, tmp_path):
    """With one warning and the time; the file stays as it is."""
    plan = plan(snapshot=True)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    before = (tmp_path / "snapshot.json").read_bytes()
    stepper.taken.emitted.clear()
    stepper.taken.time += 7
    taken = stepper.take(configuration_steps(plan), [failure])
    (view,) = taken.emitted
    assert view.configuration == {"a": 1}
    assert view.configuration.stale_since.timestamp() == pytest.approx(1_800_000_000.01)
    assert (view.answer.etag, len(taken.warnings)) == ('"1"', 1)
    assert taken.warnings[0].startswith("http://config: ")
    assert taken.warnings[0].endswith("; serving the snapshot, which is stale")
    assert before == (tmp_path / "snapshot.json").read_bytes()


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 410])
def test_no_snapshot_serves_when_a_server_has_spoken(stepper, plan, status, tmp_path):
    """Who may not read it any more does not, and what is gone is gone."""
    plan = plan(snapshot=True)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    before = (tmp_path / "snapshot.json").read_bytes()
    stepper.taken.emitted.clear()
    taken = stepper.take(configuration_steps(plan), [Response(status)])
    assert (status, []) == (taken.error.status, taken.emitted)
    assert before == (tmp_path / "snapshot.json").read_bytes()


def test_a_snapshot_that_is_too_old_or_corrupt_is_reported(stepper, plan, tmp_path):
    """And ignored; the failure is what is raised."""
    plan = plan(snapshot=True, max_stale=5)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    stepper.taken.time += 10
    stepper.taken.emitted.clear()
    taken = stepper.take(configuration_steps(plan), [REFUSED])
    (tmp_path / "snapshot.json").write_text("canary")
    taken = stepper.take(configuration_steps(plan), [REFUSED])
    path = tmp_path / "snapshot.json"
    assert taken.warnings == [
        f"the snapshot {path} is ignored: it is 10 s old, 5 are allowed",
        f"the snapshot {path} is ignored: it is corrupt",
    ]
    assert taken.error.problem == "the connection was refused"


def test_a_snapshot_that_cannot_be_written_is_a_warning(stepper, plan, tmp_path):
    """The answer is there all the same."""
    plan = plan(snapshot=True)
    (tmp_path / "snapshot.json").mkdir()
    taken = stepper.take(configuration_steps(plan), [ok(a=1)])
    assert (len(taken.emitted), len(taken.warnings)) == (1, 1)
    assert "is not written" in taken.warnings[0]


def test_what_stands_above_an_answer_may_be_wrong(stepper, plan, tmp_path):
    """Placeholders are the answer's fault, an override file is ours."""
    circle = ok(a="${b}", b="${a}")
    taken = stepper.take(configuration_steps(plan(resolve=True)), [circle])
    assert str(taken.error) == "http://config: a placeholder leads back to itself"  # fmt: skip
    (tmp_path / "x.txt").write_text("x")
    taken = stepper.take(configuration_steps(plan(override_file=str(tmp_path / "x.txt"))), [ok()])  # fmt: skip
    assert isinstance(taken.error, SettingsError)


def test_a_plain_file(stepper, plan):
    """Its bytes as they are, whatever they are."""
    taken = stepper.take(file_steps(plan(), "a/x.png", resolve=False), [Response(200, (), b"\xff\x00")])  # fmt: skip
    assert taken.emitted == [b"\xff\x00"]
    assert taken.sent[0].request.path == "/orders/prod/main/a/x.png"
    taken = stepper.take(file_steps(plan(), "x", resolve=False), [Response(404)], emissions=9)  # fmt: skip
    assert taken.error.status == 404


def watched(stepper, plan, answers, emissions=99, first=None):
    """Take a watch that begins with *first* and ends with the answers."""
    view = None
    if first is not None:
        stepper.take(configuration_steps(plan), [first])
        (view,) = stepper.taken.emitted
        stepper.taken.emitted.clear()
        stepper.taken.sent.clear()
    return stepper.take(watch_steps(plan, view), answers, emissions)


def values(taken):
    return [dict(view.configuration) for view in taken.emitted]


def asked(taken):
    """ETag and query of each request."""
    return [(send.request.headers.get("if-none-match"), send.request.query) for send in taken.sent]  # fmt: skip


def test_a_server_that_waits_is_asked_again_at_once(stepper, plan):
    """With the ETag of the last answer; a change is a view, 304 is not."""
    answers = [(same("1"), 30), (ok("2", a=2), 5), (same("2"), 30), (ok("3", b=3), 1)]
    taken = watched(stepper, plan(), answers, first=ok("1", a=1))
    assert values(taken) == [{"a": 2}, {"b": 3}]
    assert asked(taken) == [('"1"', "wait=30"), ('"1"', "wait=30"), ('"2"', "wait=30"), ('"2"', "wait=30"), ('"3"', "wait=30")]  # fmt: skip
    assert (taken.waits, {send.timeout for send in taken.sent}) == ([], {40.0})


def test_without_a_view_the_first_is_emitted(stepper, plan):
    """By an answer at once."""
    taken = watched(stepper, plan(), [ok("1", a=1), (same("1"), 30), (ok("2", a=2), 1)])
    assert values(taken) == [{"a": 1}, {"a": 2}]
    assert asked(taken)[0] == (None, "")


def test_a_server_that_does_not_wait_is_asked_at_intervals(stepper, plan):
    """One answer at once may be of a server that ends; the second is not."""
    taken = watched(stepper, plan(chance=0.5), [same("1")] * 4, first=ok("1", a=1))
    assert taken.waits == [0.5, 30.0, 30.0, 30.0]


def test_after_a_wait_it_is_trusted_again(stepper, plan):
    """A server that was restarted waits."""
    answers = [same("1"), (same("1"), 30), same("1"), (same("1"), 30)]
    taken = watched(stepper, plan(), answers, first=ok("1", a=1))
    assert taken.waits == [1.0, 1.0]


def test_a_server_without_etags_is_asked_at_intervals(stepper, plan):
    """And its answers are compared: the Java server."""
    answers = [ok(a=1), ok(a=1), ok(a=2), ok(a=2)]
    taken = watched(stepper, plan(chance=0.5), answers, first=ok(a=1))
    assert (values(taken), taken.waits) == ([{"a": 2}], [30.0] * 4)
    assert set(asked(taken)) == {(None, "")}


def test_intervals_have_jitter(stepper, plan):
    """A fifth to either side."""
    taken = watched(stepper, plan(chance=0.0), [ok(a=1)], first=ok(a=1))
    taken = watched(stepper, plan(chance=1.0, poll_interval=10.0), [ok(a=1)] * 2)
    assert taken.waits == [24.0, pytest.approx(12.0)]


def test_a_new_etag_alone_is_a_view_for_the_next_request(stepper, plan):
    """But the values are the same."""
    taken = watched(stepper, plan(), [(ok("2", a=1), 5), (same("2"), 30)], first=ok("1", a=1))  # fmt: skip
    assert values(taken) == [{"a": 1}]
    assert asked(taken)[1] == ('"2"', "wait=30")


def test_failures_do_not_end_a_watch(stepper, plan):
    """They are logged once, and pauses grow up to the interval; what was known stays."""
    failures = [REFUSED, REFUSED, Response(503), Response(404), REFUSED, REFUSED, REFUSED, REFUSED]  # fmt: skip
    taken = watched(stepper, plan(), [*failures, ok("2", a=2)], first=ok("1", a=1))
    assert values(taken) == [{"a": 2}]
    assert taken.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert taken.warnings == [
        "http://config: the connection was refused; what was last known stays",
        "http://config: answered 503; what was last known stays",
        "http://config: answered 404: nothing is stored under these names; what was last known stays",
        "http://config: the connection was refused; what was last known stays",
    ]  # fmt: skip


def test_an_outage_is_logged_again_after_an_answer(stepper, plan):
    """Each once."""
    taken = watched(stepper, plan(), [REFUSED, (same("1"), 30), REFUSED], first=ok("1", a=1))  # fmt: skip
    assert len(taken.warnings) == 2


def test_a_watch_may_begin_while_no_server_answers(stepper, plan):
    """The first view comes when one does."""
    taken = watched(stepper, plan(), [REFUSED, REFUSED, ok("1", a=1)])
    assert values(taken) == [{"a": 1}]
    assert taken.warnings[0] == "http://config: the connection was refused; there is no configuration yet"  # fmt: skip


def test_names_that_no_url_can_hold_end_a_watch(stepper, plan):
    """They will not get better."""
    taken = watched(stepper, plan(label=".."), [])
    assert isinstance(taken.error, InvalidRequest)


def test_an_answer_that_cannot_be_used_is_not_asked_for_again_and_again(stepper, plan):
    """It is logged, what was known stays, and the next request has its ETag."""
    circle = ok("2", a="${a}")
    answers = [(circle, 1), (same("2"), 30), (ok("3", a=3), 1)]
    taken = watched(stepper, plan(resolve=True), answers, first=ok("1", a=1))
    assert values(taken) == [{"a": 3}]
    assert [etag for etag, _ in asked(taken)] == ['"1"', '"2"', '"2"', '"3"']
    assert taken.warnings == ["http://config: a placeholder leads back to itself; what was last known stays"]  # fmt: skip


def test_an_override_file_is_followed_too(stepper, plan, tmp_path):
    """Also while no server answers; a broken one changes nothing."""
    path = tmp_path / "emergency.json"

    def write(text):
        return lambda send: path.write_text(text) and same("1")

    def fail(text):
        return lambda send: path.write_text(text) and REFUSED

    answers = [(write('{"a": 2}'), 30), (write("{"), 30), (write("{"), 30), (fail('{"a": 3}'), 1), (write("{}"), 30)]  # fmt: skip
    taken = watched(stepper, plan(override_file=str(path)), answers, first=ok("1", a=1))
    assert values(taken) == [{"a": 2}, {"a": 3}, {"a": 1}]
    assert len(taken.warnings) == 2


def test_a_stale_start_ends_with_the_first_answer(stepper, plan):
    """The same values, confirmed."""
    plan = plan(snapshot=True)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    stepper.taken.emitted.clear()
    stepper.take(configuration_steps(plan), [REFUSED])
    (stale,) = stepper.taken.emitted
    stepper.taken.emitted.clear()
    taken = stepper.take(watch_steps(plan, stale), [REFUSED, (same("1"), 30)], 9)
    (view,) = taken.emitted
    assert (view.configuration, view.configuration.stale_since) == ({"a": 1}, None)


def test_a_watch_keeps_what_it_hears(stepper, plan, tmp_path):
    """In the snapshot, with the time of the confirmation."""
    plan = plan(snapshot=True)
    answers = [(ok("2", a=2), 5), (same("2"), 30), (same("2"), 31)]
    watched(stepper, plan, answers, first=ok("1", a=1))
    kept = plan.snapshot.read()
    assert (kept.document.values, kept.etag) == ({"a": 2}, '"2"')
    assert kept.saved == pytest.approx(1_800_000_000 + 66, abs=1)


class Led(Snapshot):
    """A snapshot that another process leads, until it is told otherwise."""

    leads = False

    def lead(self):
        return self.leads


def test_the_others_read_what_the_leader_writes(stepper, plan, tmp_path):
    """They send nothing; when the leader ends, one of them takes over with its ETag."""
    plan = plan(snapshot=True, chance=0.5)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    (view,) = stepper.taken.emitted
    stepper.taken.emitted.clear()
    stepper.taken.sent.clear()
    led = Led(plan.snapshot.path, plan.target, None, plan.patience.now)
    waits = 0

    def turn(step):
        nonlocal waits
        waits += 1
        if waits == 3:
            plan.snapshot.keep("http://config", '"2"', ok(a=2).body)
        if waits == 6:
            led.leads = True

    steps = watch_steps(plan._replace(snapshot=led), view)
    original = stepper._perform

    def perform(steps, step, answers):
        if type(step).__name__ == "Wait":
            turn(step)
        return original(steps, step, answers)

    stepper._perform = perform
    taken = stepper.take(steps, [(ok("3", a=3), 1)], 2)
    assert values(taken) == [{"a": 2}, {"a": 3}]
    assert asked(taken) == [('"2"', "wait=30")]
    assert taken.waits == [1.0] * 6


def test_an_override_file_that_stays_is_no_view(stepper, plan, tmp_path):
    """It is read again each time, and compared."""
    path = tmp_path / "emergency.json"
    path.write_text('{"b": 2}')
    taken = watched(stepper, plan(override_file=str(path)), [(same("1"), 30)] * 3, first=ok("1", a=1))  # fmt: skip
    assert (taken.emitted, len(taken.sent)) == ([], 4)


@pytest.mark.parametrize(("later", "emissions"), [(0, 0), (5, 1)])
def test_a_stale_view_is_confirmed_by_the_leader(stepper, plan, later, emissions):
    """Not by the snapshot that it came from."""
    plan = plan(snapshot=True)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    stepper.taken.emitted.clear()
    stepper.take(configuration_steps(plan), [REFUSED])
    (stale,) = stepper.taken.emitted
    stepper.taken.emitted.clear()
    if later:
        stepper.taken.time += 61
        plan.snapshot.keep("http://config", '"1"', ok(a=1).body)
    led = Led(plan.snapshot.path, plan.target, None, plan.patience.now)
    steps = watch_steps(plan._replace(snapshot=led), stale)
    for _ in range(4):
        step = next(steps)
        while not isinstance(step, Wait | Emit):
            step = steps.send(step.call())
        if isinstance(step, Emit):
            stepper.taken.emitted.append(step.value)
    steps.close()
    views = stepper.taken.emitted
    assert [view.configuration.stale_since for view in views] == [None] * emissions


def test_changes_that_come_at_once_are_not_asked_for_in_a_loop(stepper, plan):
    """The first is followed at once; from the second on pauses grow to the interval."""
    answers = [ok(str(n), a=n) for n in range(2, 10)]
    taken = watched(stepper, plan(chance=0.5), answers, first=ok("1", a=1))
    assert [each["a"] for each in values(taken)] == [*range(2, 10)]
    assert taken.waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_wait_ends_a_row_of_changes_that_come_at_once(stepper, plan):
    """Two in a row are asked for with jitter; after a wait, at once again."""
    answers = [ok("2", a=2), ok("3", a=3), (ok("4", a=4), 5), ok("5", a=5)]
    taken = watched(stepper, plan(chance=1.0), answers, first=ok("1", a=1))
    assert taken.waits == [pytest.approx(1.2)]


def test_the_interval_bounds_the_pause_between_changes(stepper, plan):
    """Whoever asks every tenth of a second gets that."""
    answers = [ok(str(n), a=n) for n in range(2, 6)]
    taken = watched(stepper, plan(chance=0.5, poll_interval=0.1), answers, first=ok("1", a=1))  # fmt: skip
    assert taken.waits == [0.1] * 3


def test_a_pause_that_the_server_asks_for_is_kept(stepper, plan):
    """Up to the interval."""
    answers = [Response(503, (("Retry-After", n),)) for n in ("12", "0", "3600")]
    taken = watched(stepper, plan(), answers, first=ok("1", a=1))
    assert taken.waits == [12.0, 2.0, 30.0]


class Releasing(Led):
    """A snapshot that notes how often it was released."""

    leads, released = True, 0

    def release(self):
        self.released += 1
        super().release()


@pytest.mark.parametrize(
    ("answer", "released"),
    [(Response(401), 1), (Response(404), 1), (REFUSED, 0), (Response(503), 0), (same("1"), 0)],
)  # fmt: skip
def test_a_leader_that_cannot_help_releases_the_lock(stepper, plan, answer, released):
    """Others may have better credentials; a server that is down is down for all."""
    plan = plan(snapshot=True)
    led = Releasing(plan.snapshot.path, plan.target, None, plan.patience.now)
    watched(stepper, plan._replace(snapshot=led), [answer], first=ok("1", a=1))
    assert led.released == released + 1  # at the end of the steps


def test_a_leader_that_cannot_write_releases_the_lock(stepper, plan, tmp_path):
    """What it hears reaches nobody else."""
    plan = plan(snapshot=True)
    led = Releasing(tmp_path / "absent" / "x", plan.target, None, plan.patience.now)
    answers = [(same("1"), 30)] * 2
    watched(stepper, plan._replace(snapshot=led), answers, first=ok("1", a=1))
    assert led.released == 3


def test_a_reader_asks_by_itself_when_the_snapshot_does_not_help(stepper, plan):
    """It is absent, unreadable, another's, or was not confirmed for two minutes."""
    plan = plan(snapshot=True, chance=0.5)
    path = Path(plan.snapshot.path)
    stepper.take(configuration_steps(plan), [ok("1", a=1)])
    (view,) = stepper.taken.emitted
    stepper.taken.emitted.clear()
    stepper.taken.sent.clear()
    led = Led(path, plan.target, None, plan.patience.now)
    steps = watch_steps(plan._replace(snapshot=led), view)

    def until_asked():
        """The waits until the next request."""
        nonlocal step
        waits = 0
        while not isinstance(step, Send):
            if isinstance(step, Wait):
                waits += 1
                stepper.taken.time += step.seconds
            if isinstance(step, Warn):
                stepper.taken.warnings.append(step.text)
            try:
                result = step.call() if isinstance(step, Work) else None
            except ValueError as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
        return waits

    def answered(response):
        nonlocal step
        stepper.taken.time += 30
        step = steps.send(response)

    step = next(steps)
    assert until_asked() == 121
    answered(same("1"))  # and written, so that others need not ask
    assert until_asked() == 121
    path.write_text("canary")
    answered(Response(503))
    assert until_asked() == 1
    path.unlink()
    answered(Response(503))
    assert until_asked() == 1
    other = Snapshot(path, plan.target._replace(application="payments"), None, led._now)
    answered(Response(503))
    other.keep("http://config", '"9"', ok("9", a=9).body)
    assert until_asked() == 1
    steps.close()
    assert [text.partition(": ")[2] for text in stepper.taken.warnings if "ignored" in text] == [
        "it is corrupt",
        "it is of another application, profile, label or server",
    ]  # fmt: skip
