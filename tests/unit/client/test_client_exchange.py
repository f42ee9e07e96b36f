"""The retry policy, without a socket."""

import time

import pytest

from rewindd import errors
from rewindd.client.caller import Caller
from rewindd.client.exchange import MAX_SENDINGS, Exchange, default_timeout_s
from rewindd.protocol import replies, requests, wire
from rewindd.protocol.wire import Progress


def exchange(request: requests.Request, **more: float) -> Exchange[replies.Pong]:
    return Exchange(request, replies.Pong, 1, timeout_s=more.get("timeout_s", 10.0), now_s=100.0)


@pytest.mark.parametrize(
    ("request_", "sent", "lost", "expected"),
    [
        (requests.Save(session="s"), False, False, errors.Unavailable),
        (requests.Save(session="s"), True, False, errors.OutcomeUnknown),
        (requests.Save(session="s"), True, True, errors.OutcomeUnknown),
        (requests.Rewind(session="s", position="c", dry_run=True), True, True, errors.Unavailable),
        (requests.Ping(), False, False, errors.Unavailable),
        (requests.Ping(), True, False, errors.Timeout),
        (requests.Ping(), True, True, errors.Unavailable),
    ],
)
def test_failure(request_: requests.Request, sent: bool, lost: bool, expected: type[errors.RewinddError]) -> None:
    """Outcome-unknown is said of what changes something and may have arrived, and of nothing else."""
    one = exchange(request_)
    if sent:
        one.sent()
    if lost:
        one.lost()

    assert type(one.failure("why")) is expected


def test_each_change_has_a_key_and_a_deadline() -> None:
    """A change carries a fresh key, the same in every sending, and the end of its caller's patience as its deadline."""
    first, second = exchange(requests.Save(session="s")), exchange(requests.Save(session="s"))
    sent = [wire.decode_request(one.body, "save") for one in (first, second)]

    assert sent[0].key
    assert sent[1].key
    assert sent[0].key != sent[1].key
    assert sent[0].deadline_ms == 110_000
    assert sent[0].progress


def test_a_given_key_stays() -> None:
    """A caller's own key and deadline are not replaced."""
    sent = wire.decode_request(exchange(requests.Save(session="s", key="k", deadline_ms=5.0)).body, "save")

    assert (sent.key, sent.deadline_ms) == ("k", 5.0)


def test_progress_starts_silence_anew() -> None:
    """The timeout bounds silence: a progress frame moves its end."""
    one = exchange(requests.Ping())
    assert one.remaining_s(108.0) == 2.0

    one.heard(Progress(done=1, total=2, what="x"), 109.0)

    assert one.remaining_s(110.0) == 9.0
    assert one.remaining_s(120.0) == 0.0


def test_timeouts() -> None:
    """A snapshot waits 2 s, others 10; the client's own setting goes before, the call's before that."""
    assert default_timeout_s(requests.TakeSnapshot(paths=[])) == 2.0
    assert default_timeout_s(requests.Ping()) == 10.0
    caller = Caller(timeout_s=5.0, required=True)
    assert 4.9 < _patience_s(caller.exchange(requests.Ping(), replies.Pong)) <= 5.0
    assert 0.9 < _patience_s(caller.exchange(requests.Ping(), replies.Pong, timeout_s=1.0)) <= 1.0


def _patience_s(one: Exchange[replies.Pong]) -> float:
    return one.remaining_s(time.monotonic())


def test_an_optional_caller_swallows_what_a_missing_daemon_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Transport errors become placeholders, are counted and said once; the caller's own faults are raised."""
    caller = Caller(timeout_s=None, required=False)

    assert caller.missed(errors.Unavailable("gone"), lambda reason: reason) == "unavailable"
    assert caller.missed(errors.Timeout("gone"), lambda reason: reason) == "unavailable"
    assert caller.missed(errors.Busy("full"), lambda reason: reason) == "busy"
    with pytest.raises(errors.BadRequest):
        caller.missed(errors.BadRequest("wrong"), lambda reason: reason)

    assert caller.gaps == 3
    assert len(caplog.records) == 1


def test_an_optional_caller_loses_patience_until_it_hears_again() -> None:
    """After one silence the next calls wait briefly, until the daemon says something."""
    caller = Caller(timeout_s=None, required=False)
    caller.missed(errors.Timeout("silent"), lambda reason: None)
    assert _patience_s(caller.exchange(requests.Ping(), replies.Pong)) <= 0.25

    caller.heard()

    assert _patience_s(caller.exchange(requests.Ping(), replies.Pong)) > 9


def test_a_request_is_not_sent_for_ever() -> None:
    """What makes the daemon go away each time is given up; `stop`, which is meant to, is sent once."""
    one = exchange(requests.Save(session="s"))
    for _ in range(MAX_SENDINGS - 1):
        one.sent()
        one.lost()
    one.sent()
    with pytest.raises(errors.OutcomeUnknown):
        one.lost()

    stop = exchange(requests.Stop())
    stop.sent()
    with pytest.raises(errors.Unavailable):
        stop.lost()
