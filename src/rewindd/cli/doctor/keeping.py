"""The checks of what is kept: the store, and what capture does not have. Each of the facts alone, and only of what the daemon told."""

from collections.abc import Iterator

from rewindd.cli.doctor.facts import Facts, Finding, State
from rewindd.cli.render.words import ago, count, duration, when
from rewindd.protocol.replies import GapInfo

#: A window that is open so long, and that no process's end closes, was probably forgotten; it ends by itself after an hour.
_LONG_S = 1800.0


def check_store(facts: Facts) -> Iterator[Finding]:
    """Is the store sound, as far as a quick look tells?"""
    if facts.health is None or facts.status is None:
        return
    if facts.health.damage:
        told = "; ".join(facts.health.damage[:3])
        kept = f"rewindctl daemon stop; cp -a {facts.status.data_dir} somewhere safe; put a backup in its place"
        back = (
            f"rewindctl daemon restart, which comes back to the backup of {when(facts.status.backup_at)}"
            if facts.status.backup_at
            else kept
        )
        yield Finding(check="store", state=State.PROBLEM, message=f"damaged: {told}", remedy=back)
    else:
        part = f"; too large for it: {', '.join(facts.health.unchecked)}" if facts.health.unchecked else ""
        yield Finding(check="store", state=State.OK, message=f"a quick check found nothing wrong{part}")
    for one in facts.status.recovered:
        if one.outcome != "done":
            yield Finding(
                check="store",
                state=State.NOTE,
                message=f"operation {one.operation_id} was interrupted and taken back ({one.outcome})",
                remedy="do it again if it is still wanted",
            )


def check_integrity(facts: Facts) -> Iterator[Finding]:
    """Is it what was written, and can it come back?"""
    if facts.status is None:
        return
    loss, scrub = facts.status.loss, facts.status.scrub
    if loss is not None:
        lost = "what came since then" if loss.checkpoints is None else f"{count(loss.checkpoints, 'checkpoint')} since then"
        yield Finding(
            check="integrity",
            state=State.PROBLEM,
            message=f"the store came back from its backup of {when(loss.backup_at)}: {loss.reason}; lost: {lost}",
            remedy=f"rewindctl verify; look at the disk; keep {loss.kept_as}" if loss.kept_as else "rewindctl verify; look at the disk",
        )
    if scrub is not None and scrub.damage_count:
        state = State.PROBLEM if scrub.damage_count > scrub.healed else State.NOTE
        told = f"the scrub found {scrub.damage_count} damaged, {scrub.healed} of them healed: {scrub.damage[0]}"
        yield Finding(check="integrity", state=state, message=told, remedy="rewindctl verify; look at the disk")
    elif scrub is not None and scrub.ended_at is not None:
        yield Finding(check="integrity", state=State.OK, message=f"the scrub found nothing damaged ({ago(scrub.ended_at)})")


def check_watching(facts: Facts) -> Iterator[Finding]:
    """Are changes heard of as they happen?"""
    if facts.status is None:
        return
    for one in facts.status.workspaces:
        if one.watch in ("partly", "off") and one.capture == "workspace" and one.watch_reason is not None:
            yield Finding(
                check="watching",
                state=State.NOTE,
                message=f"{one.root} is watched {'in part' if one.watch == 'partly' else 'not at all'}: {one.watch_reason}",
                remedy="rewindctl status",
            )
    if facts.health is not None and facts.health.watches is None:
        yield Finding(
            check="watching",
            state=State.NOTE,
            message="the daemon has no inotify: whole trees are looked at",
            remedy="rewindctl config show; rewindctl logs",
        )


def check_rules(facts: Facts) -> Iterator[Finding]:
    """Do all rules count that say what is left out?"""
    if facts.status is None:
        return
    for one in facts.status.workspaces:
        if one.rules_reason is not None:
            yield Finding(
                check="rules",
                state=State.NOTE,
                message=f"{one.root}: not all rules count: {one.rules_reason}",
                remedy=f"git -C {one.root} status; rewindctl -C {one.root} capture",
            )


def check_gaps(facts: Facts) -> Iterator[Finding]:
    """Is everything captured that should be?"""
    if facts.health is None:
        return
    for gap in facts.health.gaps:
        yield from _gap(gap)


def check_windows(facts: Facts) -> Iterator[Finding]:
    """Is a window open that nobody will close?"""
    if facts.health is None:
        return
    for gap in facts.health.gaps:
        for one in gap.windows:
            if one.open_s > _LONG_S and one.pid is None:
                yield Finding(
                    check="windows",
                    state=State.NOTE,
                    message=f"{gap.root}: a {one.kind} of session {one.session_id} is announced since {duration(one.open_s)}; "
                    "what others change there meanwhile is contested",
                    remedy=f"rewindctl --session {one.session_id} session close",
                )


def check_git(facts: Facts) -> Iterator[Finding]:
    """Can the daemon merge?"""
    if facts.health is None:
        return
    if facts.health.git is None:
        yield Finding(
            check="git",
            state=State.PROBLEM,
            message="the daemon finds no git: every merge is a conflict",
            remedy="sudo apt-get install git",
        )
    else:
        yield Finding(check="git", state=State.OK, message=f"merges are made by {facts.health.git}")


def _gap(gap: GapInfo) -> Iterator[Finding]:
    named = ", ".join(f"{one.path} ({one.reason})" for one in gap.first[:3])
    look = f"rewindctl -C {gap.root} capture"
    if gap.interrupted:
        yield Finding(
            check="gaps", state=State.PROBLEM, message=f"{gap.root}: an operation could not be closed", remedy="rewindctl daemon restart"
        )
    if gap.trouble is not None:
        yield Finding(check="gaps", state=State.PROBLEM, message=f"{gap.root}: the first capture stands still: {gap.trouble}", remedy=look)
    elif gap.missing:
        yield Finding(
            check="gaps", state=State.NOTE, message=f"{gap.root}: the first capture lacks {count(gap.missing, 'path')}", remedy=look
        )
    if gap.unseen:
        yield Finding(
            check="gaps",
            state=State.PROBLEM,
            message=f"{gap.root}: {count(gap.unseen, 'path')} could not be looked at: {named}",
            remedy=look,
        )
    if gap.limited:
        yield Finding(
            check="gaps",
            state=State.NOTE,
            message=f"{gap.root}: limits leave out {count(gap.limited, 'path')}: {named}",
            remedy=f"{look}; raise the limit in [capture]",
        )
    if not (gap.interrupted or gap.trouble or gap.missing or gap.unseen or gap.limited):
        yield Finding(check="gaps", state=State.OK, message=f"{gap.root}: nothing is missing")
