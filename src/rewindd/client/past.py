"""The calls that look into the past, and get single things back."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

import msgspec

from rewindd.client import gaps
from rewindd.client.calls import AnyPath, fs_text, turn_back
from rewindd.client.materialize import Materialized, Step, steps
from rewindd.client.seat import Call, Seat, Work, ask_in, named
from rewindd.paths import ROOT, RelPath
from rewindd.protocol import replies, requests
from rewindd.protocol.replies import PathReason, Reply
from rewindd.protocol.requests import Request

#: A whole tree being written, call by call and function by function.
Materializing = Generator[Work[Reply] | Callable[[], None], object, Materialized]


class Unheard(Exception):
    """No daemon answered, and none is required; ends a call of several requests."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def show(seat: Seat, position: str, path: AnyPath) -> Work[replies.PathVersion]:
    """Asks for a path as it was at a position."""
    given = fs_text(path)

    def make() -> Request:
        return requests.ShowPath(session=seat.id, position=position, path=named(seat, [given])[0])

    return Work(steps=ask_in(seat, make, replies.PathVersion), placeholder=lambda reason: gaps.no_path(RelPath(given), reason))


def blame(seat: Seat, path: AnyPath, position: str | None) -> Work[replies.Blamed]:
    """Asks which row each line of a file came from."""
    given = fs_text(path)

    def make() -> Request:
        return requests.Blame(session=seat.id, path=named(seat, [given])[0], position=position)

    return Work(steps=ask_in(seat, make, replies.Blamed), placeholder=lambda reason: gaps.no_blame(RelPath(given), reason))


def restore(
    seat: Seat,
    paths: Sequence[AnyPath],
    *,
    position: str | None,
    overwrite: bool | None,
    plan: str | None,
    lose_unsaved: bool,
    dry_run: bool,
) -> Work[replies.RewindResult]:
    """Brings paths back as they were at a position, or before they were last deleted."""
    given = [fs_text(path) for path in paths]

    def make() -> Request:
        return requests.Restore(
            session=seat.id,
            paths=named(seat, given),
            position=position,
            overwrite=overwrite,
            plan=plan,
            dry_run=dry_run,
            base=seat.base(),
            lose_unsaved=lose_unsaved,
        )

    return turn_back(seat, make, dry_run=dry_run)


def materialize(seat: Seat, position: str, directory: AnyPath) -> Materializing:
    """Writes a whole tree; yields each call to be driven, and each function to be run where it may block.

    Driving a call raises Unheard when no daemon answered and none is required.
    """
    inner = steps("", position, fs_text(directory), lambda files: None)
    with closing(inner):
        try:
            step: Step = next(inner)
            while True:
                step = inner.send((yield _in_session(seat, step) if isinstance(step, Call) else step))
        except StopIteration as end:
            written: Materialized = end.value
            return written


def not_written(reason: str) -> Materialized:
    """Returns the result of writing nothing."""
    return Materialized(files=0, bytes=0, skipped=[PathReason(path=ROOT, reason=reason)])


def _in_session(seat: Seat, call: Call) -> Work[Reply]:
    def make() -> Request:
        return msgspec.structs.replace(call.request, session=seat.id)

    def fail(reason: str) -> Reply:
        raise Unheard(reason)

    return Work(steps=ask_in(seat, make, call.expected), placeholder=fail)
