"""What was compared, what is damaged, what was copied and what was lost, as a person reads it."""

from collections.abc import Iterator

from rewindd.cli.render.words import ago, count, duration, size, visible, when
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import BackedUp, CheckpointRef, Damage, LossInfo, ScrubInfo, Verified

#: Paths and checkpoints that are named of one finding.
_NAMED = 5


def verified(found: Verified, paint: Paint) -> str:
    """Returns what was compared, and each finding with what it touches."""
    lines = [line for one in found.damage for line in _damage(one, paint)]
    if found.damage_count > len(found.damage):
        lines.append(f"and {found.damage_count - len(found.damage)} more")
    compared = f"{count(found.rows, 'row')}, {count(found.blobs, 'content')} ({size(found.bytes)})"
    drilled = f", {count(found.drills, 'checkpoint')} written out" if found.drills else ""
    healed = f", {found.healed} of them healed" if found.healed else ""
    verdict = paint("nothing is damaged", "green") if not found.damage_count else paint(f"{found.damage_count} damaged{healed}", "red")
    return "\n".join([*lines, f"compared {compared}{drilled} in {duration(found.took_s)}: {verdict}"])


def backed_up(made: BackedUp, paint: Paint) -> str:
    """Returns where the copy is, and what is in it."""
    holds = f"{count(made.blobs, 'blob')}, {count(made.rows, 'row')}, {count(made.checkpoints, 'checkpoint')}"
    lines = [f"{visible(made.directory)}  ({size(made.bytes)}: {holds})"]
    if made.linked:
        lines.append(f"{count(made.linked, 'content file')} shared with the store by hard links")
    lines += [paint(f"damaged, as the store's own: {visible(one)}", "red") for one in made.damage]
    return "\n".join(lines)


def scrubbed(found: ScrubInfo, paint: Paint) -> Iterator[str]:
    """Yields what `status` says of the scrub; nothing before the first one."""
    if found.state == "running":
        yield f"scrub      {found.done} of {found.total} rows and contents compared"
    elif found.ended_at is not None and not found.damage_count:
        yield f"scrub      {ago(found.ended_at)}: {count(found.rows, 'row')}, {count(found.blobs, 'content')}, nothing damaged"
    if found.damage_count:
        healed = f", {found.healed} healed" if found.healed else ""
        yield paint(f"scrub      {found.damage_count} damaged{healed}; `rewindctl verify` tells more", "red")
        for one in found.damage[:_NAMED]:
            yield paint(f"           {visible(one)}", "red")


def lost(found: LossInfo, paint: Paint) -> Iterator[str]:
    """Yields what `status` says after the store came back from its backup."""
    yield paint(f"damaged    {visible(found.reason)}", "red")
    yield paint(f"           the store came back from its backup of {when(found.backup_at)}; {_cost(found)}", "red")
    if found.first:
        yield paint(f"           lost: {_refs(found.first, found.checkpoints or 0)}", "red")
    if found.kept_as:
        yield f"           the damaged database is kept: {visible(found.kept_as)}"


def _cost(found: LossInfo) -> str:
    if found.rows is None or found.checkpoints is None:
        return "what was recorded since then is lost"
    if not (found.rows or found.checkpoints):
        return "nothing was recorded since then"
    return f"lost since then: {count(found.checkpoints, 'checkpoint')}, {count(found.rows, 'row')}"


def _damage(one: Damage, paint: Paint) -> Iterator[str]:
    yield paint(visible(one.message), "yellow" if one.healed_from is not None else "red")
    if one.healed_from is not None:
        yield f"  healed from {visible(one.healed_from)}"
    if one.paths:
        more = ", …" if len(one.paths) > _NAMED else ""
        yield f"  of {', '.join(visible(path) for path in one.paths[:_NAMED])}{more}"
    if one.checkpoints_count:
        yield f"  needed by {count(one.checkpoints_count, 'checkpoint')}: {_refs(one.checkpoints, one.checkpoints_count)}"


def _refs(refs: list[CheckpointRef], total: int) -> str:
    named = [visible(one.id) + (f" ({visible(one.label)})" if one.label else "") for one in refs[:_NAMED]]
    return ", ".join(named) + (", …" if total > len(named) else "")
