"""What a rewind will do, or did, path by path."""

from rewindd.cli.render.patch import counts
from rewindd.cli.render.words import count, visible
from rewindd.cli.screen import Paint
from rewindd.model import githead
from rewindd.paths import ROOT
from rewindd.protocol.replies import Dependent, Moved, PathReason, RewindResult, StepInfo

_ACTIONS = {"restore": "green", "remove": "red", "merge": "yellow"}
#: Paths of others that are named before the rest is only counted.
_SHOWN = 10


def plan(result: RewindResult, paint: Paint, *, what: str = "rewind") -> str:
    """Returns what would be done; `what` is the word for it."""
    to = _target(result, what)
    head = paint(f"would {what}{to}:" if does_something(result) else f"would {what}{to}: no file would change", "bold")
    return "\n".join([head, *_details(result, paint, would=True)])


def outcome(result: RewindResult, paint: Paint, *, what: str = "rewound") -> str:
    """Returns what was done."""
    parts = [
        f"{number} {word}"
        for number, word in ((len(result.restored), "restored"), (len(result.removed), "removed"), (len(result.merged), "merged"))
        if number
    ]
    if what == "restored" and result.restored:
        parts = [count(len(result.restored), "path")]
    head = paint(f"{what}{_target(result, what)}: {', '.join(parts) or 'no file changed'}", "bold")
    return "\n".join([head, *_details(result, paint, would=False)])


def does_something(result: RewindResult) -> bool:
    """True when a path changes, or would."""
    return bool(result.restored or result.removed or result.merged)


def has_window(result: RewindResult) -> bool:
    """True when a session has a window open in the workspace: it may change any file at any moment."""
    return ROOT in result.not_quiet


def _target(result: RewindResult, what: str) -> str:
    if result.barrier_id:
        return f" all sessions to barrier {visible(result.barrier_id)}" if result.moved else f" to barrier {visible(result.barrier_id)}"
    if not result.checkpoint_id:
        return ""
    return f" {'from' if what.startswith('restore') else 'to'} {visible(result.checkpoint_id)}"


def _details(result: RewindResult, paint: Paint, *, would: bool) -> list[str]:
    lines = [_step(step, paint) for step in result.steps]
    lines += _reasons("keep" if would else "kept", result.kept, paint, "cyan")
    lines += _reasons("conflict", result.conflicts, paint, "red")
    lines += [f"  session   {visible(one.session_id)}  {_goes(one)}" for one in result.moved]
    if result.not_members:
        lines.append(paint(f"opened since, its files go back and its conversation stays: {_some(result.not_members)}", "yellow"))
    if result.git_heads is not None:
        then, now = githead.words(result.git_heads.then), githead.words(result.git_heads.now)
        lines.append(paint(f"git's HEAD: {visible(then)} then, {visible(now)} now", "yellow"))
    if has_window(result):
        lines.append(paint("a command or a turn is under way in the workspace", "yellow"))
    changed: list[str] = [path for path in result.not_quiet if path != ROOT]
    if changed:
        lines.append(paint(f"changed just now: {_some(changed)}", "yellow"))
    if result.not_restored:
        entries = f"{len(result.not_restored)} ignored {'entry does' if len(result.not_restored) == 1 else 'entries do'}"
        lines.append(paint(f"{entries} not come back: {_some([entry.path for entry in result.not_restored])}", "yellow"))
    if result.lost:
        lines.append(paint(f"not in the store, and lost: {_some(list(result.lost))}", "red"))
    if result.dependents:
        lines.append(paint("later checkpoints of others on what is taken back:", "yellow"))
        lines += [_dependent(one) for one in result.dependents]
    if result.children is not None:
        whose = _some(list(result.children.sessions))
        lines.append(f"left alone: {count(result.children.rows, 'change')} by sub-agents ({whose}) to {_some(list(result.children.paths))}")
        lines.append(f"  to take them too: {visible(result.children.command)}")
    if result.left is not None:
        lines.append(f"left alone: {count(result.left.rows, 'change')} by nobody to {_some(list(result.left.paths))}")
        lines.append(f"  to take them too: {visible(result.left.command)}")
    return lines


def _goes(one: Moved) -> str:
    stands = f"{visible(one.head_before or 'its start')} -> {visible(one.head or 'its start')}" if one.head != one.head_before else "stays"
    return f"{stands}  ({visible(one.agent)})"


def _dependent(one: Dependent) -> str:
    named = f"{visible(one.checkpoint_id)}{f' {visible(one.label)}' if one.label else ''}"
    shown = ", ".join(visible(path) for path in one.paths[:_SHOWN])
    more = one.count - min(len(one.paths), _SHOWN)
    agent = f" ({visible(one.agent)})" if one.agent != one.session_id else ""
    return f"  {named}  of session {visible(one.session_id)}{agent}: {shown}{f' and {more} more' if more else ''}"


def _step(step: StepInfo, paint: Paint) -> str:
    parts = [
        f"  {paint(step.action.ljust(8), _ACTIONS.get(step.action, 'bold'))}",
        visible(step.path),
        counts(step.insertions, step.deletions, paint),
        paint(f"({visible(step.why)})", "dim") if step.why else "",
    ]
    return "  ".join(part for part in parts if part)


def _reasons(word: str, found: list[PathReason], paint: Paint, style: str) -> list[str]:
    return [f"  {paint(word.ljust(8), style)}  {visible(entry.path)}  {paint(f'({visible(entry.reason)})', 'dim')}" for entry in found]


def _some(paths: list[str]) -> str:
    shown = ", ".join(visible(path) for path in paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown
