"""What a rewind will do, or did, path by path."""

from rewindd.cli.render.patch import counts
from rewindd.cli.render.words import count, visible
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import PathReason, RewindResult, StepInfo

_ACTIONS = {"restore": "green", "remove": "red", "merge": "yellow"}
#: Paths of others that are named before the rest is only counted.
_SHOWN = 10


def plan(result: RewindResult, paint: Paint) -> str:
    """Returns what would be done."""
    to = f" to {visible(result.checkpoint_id)}" if result.checkpoint_id else ""
    head = paint(f"would rewind{to}:" if does_something(result) else f"would rewind{to}: no file would change", "bold")
    return "\n".join([head, *_details(result, paint, would=True)])


def outcome(result: RewindResult, paint: Paint, *, what: str = "rewound") -> str:
    """Returns what was done."""
    parts = [
        f"{number} {word}"
        for number, word in ((len(result.restored), "restored"), (len(result.removed), "removed"), (len(result.merged), "merged"))
        if number
    ]
    to = f" to {visible(result.checkpoint_id)}" if result.checkpoint_id else ""
    head = paint(f"{what}{to}: {', '.join(parts) or 'no file changed'}", "bold")
    return "\n".join([head, *_details(result, paint, would=False)])


def does_something(result: RewindResult) -> bool:
    """True when a path changes, or would."""
    return bool(result.restored or result.removed or result.merged)


def _details(result: RewindResult, paint: Paint, *, would: bool) -> list[str]:
    lines = [_step(step, paint) for step in result.steps]
    lines += _reasons("keep" if would else "kept", result.kept, paint, "cyan")
    lines += _reasons("conflict", result.conflicts, paint, "red")
    if result.not_quiet:
        lines.append(paint(f"changed just now: {_some(list(result.not_quiet))}", "yellow"))
    if result.left is not None:
        lines.append(f"left alone: {count(result.left.rows, 'change')} by nobody to {_some(list(result.left.paths))}")
        lines.append(f"  to take them too: {visible(result.left.command)}")
    return lines


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
