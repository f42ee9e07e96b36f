"""What is kept, what went, and what it took, as a person reads it."""

from collections.abc import Iterator

from rewindd.cli.render.words import count, duration, size, visible
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import Collected, Forgotten, OverQuota, Pruned, PrunedWorkspace


def pruned(found: Pruned, paint: Paint) -> str:
    """Returns what went of each workspace, or would go, and what that frees."""
    lines = [line for one in found.workspaces if one.dropped or one.gone for line in _workspace(one, paint)]
    went = f"{count(found.dropped, 'checkpoint')}, {count(found.rows, 'row')} and {count(found.contents, 'content')}"
    verb = "would go, which frees" if found.dry_run else "went, which freed"
    return "\n".join([*lines, f"{went} {verb} {size(found.freed_bytes)} ({duration(found.took_s)})"])


def collected(found: Collected) -> str:
    """Returns what nothing named."""
    went = f"{count(found.contents, 'content')} went, which freed {size(found.freed_bytes)}"
    return f"{went}; the store takes {size(found.store_bytes)} ({duration(found.took_s)})"


def forgotten(found: Forgotten, paint: Paint) -> str:
    """Returns what was erased, or would be."""
    verb = "would be erased" if found.dry_run else "erased"
    parts = [(found.paths, "path"), (found.rows, "row"), (found.events, "event"), (found.contents, "content")]
    went = ", ".join(count(number, thing) for number, thing in parts if number)
    told = "lack it, and say so" if found.kind == "path" else "with it"
    lines = [f"{found.kind} {visible(found.name)} {verb}" + (f": {went}" if went else "")]
    if found.checkpoints:
        lines.append(f"{count(found.checkpoints, 'checkpoint')} {told}")
    if found.also_at:
        lines.append(paint("the same content stays, because it is elsewhere too; forget that as well:", "yellow"))
        lines += [f"  {visible(one)}" for one in found.also_at]
    if found.still_there:
        lines.append(paint("still in the workspace, and captured again unless a rule leaves it out:", "yellow"))
        lines += [f"  {visible(one)}" for one in found.still_there]
    return "\n".join(lines)


def over_quota(found: OverQuota, paint: Paint) -> Iterator[str]:
    """Yields that too much is stored, and what takes most."""
    yield paint(
        f"over quota: the {found.scope} takes {size(found.used_bytes)} of {size(found.max_bytes)}; `rewindctl prune --dry-run`", "yellow"
    )
    for one in found.biggest:
        yield f"  {size(one.bytes):>10}  {visible(one.path)}"


def _workspace(one: PrunedWorkspace, paint: Paint) -> Iterator[str]:
    yield visible(one.root) + (f"  {paint(one.gone, 'red')}" if one.gone else "")
    for dropped in one.first:
        yield f"  {dropped.id}  {dropped.created_at.astimezone():%Y-%m-%d %H:%M}  {visible(dropped.reason)}"
    if one.dropped > len(one.first):
        yield f"  and {count(one.dropped - len(one.first), 'more checkpoint')}"
    for kept in one.kept:
        yield f"  {count(kept.checkpoints, 'checkpoint')} kept: {visible(kept.reason)}"
