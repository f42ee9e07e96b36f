"""Which checkpoints are kept: a function of what there is, of the settings, and of the time.

Pure. What must never go is told by who asks, as a floor with its reason; the rules are about everything else.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rewindd.model.ids import BarrierId, CheckpointId, SessionId
from rewindd.model.retention import KEEP_LAST, Retention

#: A day is one of UTC: what is kept must not change with the zone that somebody travels to.
DAY_NS = 24 * 3600 * 1_000_000_000
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What decides over a checkpoint. `number`: in order of creation. `floor`: why it must not go; None: the rules decide."""

    number: int
    session: SessionId
    id: CheckpointId
    created_at_ns: int
    is_labelled: bool = False
    is_automatic: bool = False
    barrier: BarrierId | None = None
    floor: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a checkpoint, and why."""

    of: Summary
    is_kept: bool
    reason: str


def judge(summaries: Iterable[Summary], rules: Retention, now_ns: int, *, pressed: int = 0) -> list[Verdict]:
    """Returns a verdict for each checkpoint, in order of creation.

    A barrier's checkpoints stay or go together. What an operation made to name a tail takes no place of a save's: it stays while a save
    that is as old would.

    Args:
        summaries: all checkpoints of some workspaces.
        rules: the settings.
        now_ns: the present wall-clock time; what is of a later one is not old.
        pressed: how often the store was over its quota after all that the rules drop had gone: each time the rules keep half as much.
    """
    listed = sorted(summaries, key=lambda one: one.number)
    by_session: defaultdict[SessionId, list[Summary]] = defaultdict(list)
    for one in listed:
        by_session[one.session].append(one)
    kept: dict[int, str] = {}
    for of_session in by_session.values():
        kept |= _kept(of_session, rules, now_ns, pressed)
    for barrier in {one.barrier for one in listed if one.barrier is not None and one.number in kept}:
        for one in listed:
            if one.barrier == barrier:
                kept.setdefault(one.number, "of a barrier that is kept")
    return [Verdict(one, one.number in kept, kept.get(one.number) or _why_not(one, rules, now_ns)) for one in listed]


def _kept(of_session: Sequence[Summary], rules: Retention, now_ns: int, pressed: int) -> dict[int, str]:
    """Which checkpoints of one session stay, by number, with the reason."""
    is_all = rules.keep_last == 0 and rules.keep_daily == 0
    last, daily = (KEEP_LAST * 2 if is_all else rules.keep_last) >> pressed, rules.keep_daily >> pressed
    is_all = is_all and not pressed
    found: dict[int, str] = {}
    saves = [one for one in of_session if not one.is_automatic]
    newest = saves[len(saves) - last :] if last else []
    since = newest[0].number if newest else None
    of_day: dict[int, int] = {}
    for one in saves:
        of_day[one.created_at_ns // DAY_NS] = one.number
    days = {number for _, number in sorted(of_day.items())[-daily:]} if daily else set()
    for one in of_session:
        if one.floor is not None:
            found[one.number] = one.floor
        elif one.is_labelled and not one.is_automatic and rules.keep_labelled:
            found[one.number] = "labelled"
        elif _is_old(one, rules, now_ns):
            continue
        elif is_all:
            found[one.number] = "everything is kept"
        elif since is not None and (one.number >= since or len(saves) <= last):
            found[one.number] = f"of the last {last} of its session"
        elif one.number in days:
            found[one.number] = "the last of its day"
    return found


def _is_old(one: Summary, rules: Retention, now_ns: int) -> bool:
    return rules.max_age_s > 0 and now_ns - one.created_at_ns > rules.max_age_s * _SECOND_NS


def _why_not(one: Summary, rules: Retention, now_ns: int) -> str:
    return "older than max_age_s" if _is_old(one, rules, now_ns) else "beyond keep_last and keep_daily"
