"""Replies as a person reads them."""

from collections.abc import Sequence

from rewindd.cli.render import integrity, retention
from rewindd.cli.render.families import ASCII, UNICODE, grown
from rewindd.cli.render.patch import change_lines, counts
from rewindd.cli.render.words import ago, cells, count, duration, fit, pad, size, visible, visible_lines, when
from rewindd.cli.screen import Paint
from rewindd.protocol.replies import Barrier, Checkpoint, Kept, PathReason, SessionInfo, Stats, Status, Summary

#: How changes are noticed.
_WATCH = {"on": "watched", "partly": "watched in part", "off": "not watched", "idle": "nobody at work"}
#: Cells of a tool's arguments or result on its line; the whole of it is in `--json`.
_EXCERPT = 100


def status(found: Status, paint: Paint) -> str:
    """Returns the daemon in a few lines."""
    store = found.store
    holds = f"{count(store.blobs, 'blob')}, {count(store.rows, 'row')}, {count(store.checkpoints, 'checkpoint')}"
    lines = [
        f"{paint('rewindd', 'bold')} {found.version} runs as process {found.pid} since {duration(found.uptime_s)}",
        f"socket     {visible(found.socket)}",
        f"data       {visible(found.data_dir)}  ({size(store.bytes)}: {holds})",
        *([paint(f"           on reserve: the disk is full, and rewinds have {size(store.reserve_bytes)} left", "red")] * store.on_reserve),
        f"sessions   {found.sessions} open",
    ]
    for workspace in found.workspaces:
        baseline = workspace.baseline
        progress = "" if baseline.state == "complete" else f", first capture {baseline.done} of {baseline.total}"
        watch = _WATCH.get(workspace.watch, workspace.watch) + (f": {visible(workspace.watch_reason)}" if workspace.watch_reason else "")
        lines.append(f"workspace  {visible(workspace.root)}  ({workspace.capture}{progress}; {watch})")
        if workspace.rules_reason is not None:
            lines.append(paint(f"           not all rules count: {visible(workspace.rules_reason)}", "yellow"))
    if found.config is not None and found.config.trouble is not None:
        lines.append(paint(f"config     not taken over: {visible(found.config.trouble)}", "red"))
    elif found.config is not None and found.config.waiting:
        lines.append(paint(f"config     needs a restart: {', '.join(found.config.waiting)}", "yellow"))
    if found.scrub is not None:
        lines += integrity.scrubbed(found.scrub, paint)
    if found.loss is not None:
        lines += integrity.lost(found.loss, paint)
    for over in found.over_quota:
        lines += retention.over_quota(over, paint)
    lines += [paint(f"gone       {visible(one.root)}, {ago(one.at)}: {visible(one.reason)}", "yellow") for one in found.gone]
    lines += [paint(f"recovered  operation {entry.operation_id}: {entry.outcome}", "yellow") for entry in found.recovered]
    return "\n".join(lines)


def session(found: SessionInfo, paint: Paint) -> str:
    """Returns one session in a few lines."""
    closed = f"closed {when(found.closed_at)}" if found.closed_at else "open"
    lines = [
        f"{paint(visible(found.id), 'bold')}  {visible(found.agent)}  {closed}",
        f"workspace  {visible(found.root)}  (capture {found.capture}, attribution {found.attribution})",
        f"opened     {when(found.opened_at)}, last seen {ago(found.last_seen_at)}",
        f"head       {visible(found.head) if found.head else 'at its start'}",
        f"so far     {statistics(found.stats)}",
    ]
    if found.parent_id:
        kind = f"forked at {visible(found.from_id)}" if found.from_id else "a sub-agent of it"
        lines.insert(2, f"parent     {visible(found.parent_id)}  ({kind})")
    return "\n".join(lines)


def sessions(found: Sequence[SessionInfo], paint: Paint, *, unicode: bool = True) -> str:
    """Returns a line for each session, sub-agents and forks below the one that they are of."""
    family = grown(found, UNICODE if unicode else ASCII)
    ids = max((cells(before) + len(entry.id) for before, entry in family), default=0)
    agents = max((len(visible(entry.agent)) for entry in found), default=0)
    lines = []
    for before, entry in family:
        state = "closed" if entry.closed_at else "open  "
        name, agent = pad(before + visible(entry.id), ids), pad(visible(entry.agent), agents)
        line = f"{name}  {agent}  {state}  {ago(entry.last_seen_at)}  {visible(entry.root)}"
        line += f"  (from {visible(entry.from_id)})" if entry.from_id is not None else ""
        lines.append(paint(line, "dim") if entry.closed_at else line)
    return "\n".join(lines)


def statistics(stats: Stats) -> str:
    """Returns a session's statistics on one line."""
    said = f"{count(stats.total_messages, 'message')}, {count(stats.total_tool_calls, 'tool call')}"
    return f"{said}, {count(stats.estimated_tokens, 'token')}, {duration(stats.total_duration_s)}"


def snapshots(found: Sequence[Kept]) -> str:
    """Returns a line for each path that was kept."""
    return "\n".join(f"{visible(kept.path)}  ({kept.kind}{'' if kept.size is None else f', {size(kept.size)}'})" for kept in found)


def skipped(found: Sequence[PathReason]) -> str:
    """Returns a line for each path that was not, and why."""
    return "\n".join(f"not captured: {visible(entry.path)}: {visible(entry.reason)}" for entry in found)


def saved(found: Summary, paint: Paint) -> str:
    """Returns a new checkpoint on one line, its id first."""
    label = f"  {visible(found.label)}" if found.label else ""
    changed = counts(found.insertions, found.deletions, paint)
    return f"{paint(visible(found.id), 'bold')}{label}  ({' '.join(part for part in (count(found.files, 'file'), changed) if part)})"


def barrier(found: Barrier, paint: Paint) -> str:
    """Returns a barrier on one line, its id first."""
    label = f"  {visible(found.label)}" if found.label else ""
    agents = ", ".join(visible(member.agent) for member in found.members)
    of = f"{count(len(found.members), 'session')}{f': {agents}' if agents else ''}"
    missing = f"; {found.incomplete.count} not captured" if found.incomplete.count else ""
    return f"{paint(visible(found.id), 'bold')}  {ago(found.created_at)}{label}  ({of}{missing})"


def checkpoint(found: Checkpoint, paint: Paint, *, content: bool) -> str:
    """Returns a checkpoint whole: what it is, what was said until then, and the files since its parent."""
    marks = [mark for mark, is_so in (("head", found.is_head), ("automatic", found.automatic)) if is_so]
    lines = [
        paint(f"checkpoint {visible(found.id)}", "yellow") + (f"  ({', '.join(marks)})" if marks else ""),
        f"session  {visible(found.session_id)}",
        f"parent   {visible(found.parent_id) if found.parent_id else 'none'}",
        f"saved    {when(found.created_at)}",
        f"so far   {statistics(found.stats)}",
    ]
    lines += [f"label    {visible(found.label)}"] if found.label else []
    lines += _conversation(found, paint)
    if found.file_diffs:
        lines += ["", *change_lines(found.file_diffs, paint)]
    lines += [paint(f"not captured: {visible(entry.path)}: {visible(entry.reason)}", "yellow") for entry in found.incomplete]
    if content:
        lines += _contents(found, paint)
    return "\n".join(lines)


def _conversation(found: Checkpoint, paint: Paint) -> list[str]:
    lines: list[str] = []
    for title, texts in (("prompts", found.user_prompts), ("responses", found.assistant_responses)):
        if texts:
            lines += ["", paint(f"{title}:", "bold"), *(_indented(text) for text in texts)]
    if found.tool_calls:
        lines += ["", paint("tool calls:", "bold")]
    for call in found.tool_calls:
        failed = "" if call.success else paint("  failed", "red")
        lines.append(
            f"  {visible(call.tool_name)}  {fit(visible(call.arguments), _EXCERPT)}  ->  {fit(visible(call.result), _EXCERPT)}{failed}"
        )
    return lines


def _contents(found: Checkpoint, paint: Paint) -> list[str]:
    lines: list[str] = []
    for diff in found.file_diffs:
        after = diff.after
        if after is None or (after.text is None and after.base64 is None):
            continue
        lines += ["", paint(f"== {visible(diff.path)} ==", "bold")]
        lines.append(visible_lines(after.text.removesuffix("\n")) if after.text is not None else f"(binary, {size(after.size or 0)})")
    return lines


def _indented(text: str) -> str:
    return "  " + visible_lines(text).replace("\n", "\n  ")
