"""What each command asks of the daemon, and what it prints of the answer."""

import io
import os
from pathlib import Path

import msgspec
import pytest

from rewindd.cli.commands import record
from rewindd.errors import HeadMoved
from rewindd.model.conversation import ToolCallRecord
from rewindd.paths import FsText, RelPath
from rewindd.protocol import replies, requests
from support.cli import NOON, STATS, FakeDaemon, Rewindctl, one_session, rewindctl, session, summary


@pytest.fixture
def daemon() -> FakeDaemon:
    fake = FakeDaemon()
    one_session(fake)
    return fake


@pytest.fixture
def run(daemon: FakeDaemon, capsys: pytest.CaptureFixture[str]) -> Rewindctl:
    return rewindctl(daemon, capsys)


STATUS = replies.Status(
    version="1.2",
    protocol=1,
    features=[],
    pid=7,
    uptime_s=61.0,
    socket=FsText("/s"),
    data_dir=FsText("/d"),
    store=replies.StoreInfo(bytes=4096, blobs=1, rows=2, checkpoints=3),
    recovered=[replies.Recovered(operation_id="o", outcome="rolled-back")],
    workspaces=[
        replies.WorkspaceInfo(
            id="w", root=FsText("/w"), capture="snapshots", baseline=replies.Baseline(state="complete", done=0, total=0), watch="scan"
        )
    ],
    sessions=2,
)
CHANGE = replies.FileDiff(
    path=RelPath("a.txt"),
    before=None,
    after=replies.FileVersion(kind="file", mode=0o644, size=3, blob="ab"),
    timestamp=NOON,
    change="added",
    insertions=1,
    patch="--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1 @@\n+x\n",
)


def test_status_has_the_interfaces_fields(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`status --json` is the object of the table, in its order."""
    daemon.tell(requests.GetStatus, STATUS)
    fields = "version protocol features pid uptime_s socket data_dir store recovered workspaces sessions config"
    since = "scrub backup_at loss over_quota gone"
    assert list(run("status", "--json").json) == [*fields.split(), *since.split()]
    said = run("status")
    assert "process 7 since 1m 1s" in said.out
    assert "rolled-back" in said.out


def test_global_options_stand_before_or_after(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """`--json`, `--socket`, `-C` and `--session` mean the same in both places."""
    daemon.tell(requests.GetStatus, STATUS)
    assert run("--json", "--socket", "/x/s", "status").out == run("status", "--json", "--socket", "/x/s").out
    assert daemon.connected == [("/x/s", None)] * 2
    daemon.tell(requests.ListPending, replies.Changes(changes=[]))
    for args in (
        ("-C", str(tmp_path), "--session", "s9", "pending", "--", "f"),
        ("pending", "-C", str(tmp_path), "--session", "s9", "--", "f"),
    ):
        assert run(*args).status == 0
        assert daemon.last == requests.ListPending(session="s9", paths=[FsText(tmp_path / "f")])


def test_session_open_says_what_it_sees_there(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """The physical directory travels with its device and inode; the id is printed, and nothing else on stdout."""
    daemon.tell(requests.OpenSession, replies.SessionReply(session=session("s7"), created=True))
    (tmp_path / "link").symlink_to(tmp_path)
    said = run("session", "open", str(tmp_path / "link"), "--agent", "me", "--exact")
    found = tmp_path.stat()
    assert said.out == "s7\n"
    assert daemon.last == requests.OpenSession(directory=FsText(tmp_path), device=found.st_dev, inode=found.st_ino, agent="me", exact=True)


def test_an_empty_id_is_sent_not_dropped(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`--id ''` reaches the daemon, which refuses it: it is no way to leave the id out."""
    daemon.tell(requests.OpenSession, replies.SessionReply(session=session("s7")))
    run("session", "open", "--id", "", "--agent", "")
    request = daemon.last
    assert isinstance(request, requests.OpenSession)
    assert (request.id, request.agent) == ("", "")


def test_sessions_of_the_workspace_else_all(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Outside every workspace `session list` shows the sessions of all."""
    daemon.tell(requests.ListSessions, replies.Sessions(sessions=[]), replies.Sessions(sessions=[session("s1"), session("s2")]))
    said = run("session", "list", "--json")
    assert [entry["id"] for entry in said.objects("sessions")] == ["s1", "s2"]
    assert daemon.last == requests.ListSessions()


def test_session_show_and_close(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Both print the session with `--json`."""
    daemon.tell(requests.ShowSession, replies.SessionReply(session=session()))
    daemon.tell(requests.CloseSession, replies.SessionReply(session=session()))
    assert run("session", "show", "--json").json["opened_at"] == "2026-11-22T12:00:00.000000Z"
    assert "at its start" in run("session", "show").out
    assert run("session", "close", "--json").json["id"] == "s1"
    assert daemon.last == requests.CloseSession(session="s1")


def test_snapshot_sends_absolute_paths(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """A link in the directory part is resolved, the last part is not; what was skipped is told on stderr, with status 0."""
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    reply = replies.Snapshots(
        snapshots=[replies.Kept(path=RelPath("d/f"), kind="absent")], skipped=[replies.PathReason(path=RelPath("x"), reason="special-file")]
    )
    daemon.tell(requests.TakeSnapshot, reply)
    said = run("-C", str(tmp_path), "snapshot", "link/f", "link", "--no-ignore", "--json")
    assert daemon.last == requests.TakeSnapshot(session="s1", paths=[FsText(tmp_path / "d/f"), FsText(tmp_path / "link")], no_ignore=True)
    assert said.json == {
        "snapshots": [{"path": "d/f", "kind": "absent", "size": None, "blob": None}],
        "skipped": [{"path": "x", "reason": "special-file"}],
        "overlaps": [],
        "more_overlaps": 0,
    }
    assert (said.status, said.err) == (0, "not captured: x: special-file\n")


def test_save_is_strict_where_it_is_told_to(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Something not captured: a warning and 0, or 1 with `--strict`; the checkpoint is printed either way."""
    missing = replies.Incomplete(count=2, first=[replies.PathReason(path=RelPath("x"), reason="permission denied")])
    daemon.tell(requests.Save, replies.Saved(checkpoint=summary("c9", incomplete=missing), event=None))
    said = run("save", "-m", "done", "--id", "c9", "--no-wait")
    assert daemon.last == requests.Save(session="s1", label="done", id="c9", wait=False)
    assert said.status == 0
    assert said.out.startswith("c9  a label")
    assert "permission denied" in said.err
    assert "and 1 more" in said.err
    strict = run("save", "--strict", "--json")
    assert strict.status == 1
    fields = "id session_id parent_id label created_at is_head automatic files insertions deletions stats incomplete barrier_id"
    assert list(strict.json) == fields.split()


def test_pending_and_diff(daemon: FakeDaemon, run: Rewindctl) -> None:
    """`pending` leaves the patch out, `diff` without positions is pending with it."""
    unasked = msgspec.structs.replace(CHANGE, patch=None)
    daemon.tell(requests.ListPending, replies.Changes(changes=[unasked], unowned=2), replies.Changes(changes=[CHANGE]))
    plain = run("pending", "--json")
    assert plain.json["unowned"] == 2
    (change,) = plain.objects("changes")
    assert {"path", "change", "mixed", "insertions", "deletions", "binary"} <= set(change)
    assert "patch" not in change
    said = run("diff")
    assert said.out == CHANGE.patch
    assert daemon.last == requests.ListPending(session="s1", patch=True)


def test_diff_between_positions(daemon: FakeDaemon, run: Rewindctl, tmp_path: Path) -> None:
    """What stands before `--` are positions, what stands behind it are paths."""
    daemon.tell(requests.Diff, replies.Changes(changes=[CHANGE]))
    said = run("diff", "@~1", "@", "--json", "--", "-x", "--", cwd_of(tmp_path))
    assert said.objects("changes")[0]["patch"] == CHANGE.patch
    here = Path.cwd()
    assert daemon.last == requests.Diff(session="s1", a="@~1", b="@", paths=[FsText(here / "-x"), FsText(here / "--"), FsText(tmp_path)])
    assert run("diff", "a", "b", "c").status == 2


def cwd_of(directory: Path) -> str:
    """The directory's name, as it would be typed."""
    return f"{directory}/"


def test_release_takes_paths_or_all(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Without paths all claims are dropped."""
    daemon.tell(requests.Release, replies.Released(released=3))
    assert run("release", "--json").json == {"released": 3}
    assert daemon.last == requests.Release(session="s1", paths=[FsText(".")])
    assert "released 3 claims" in run("release", "--", "f").err
    assert daemon.last == requests.Release(session="s1", paths=[FsText(Path.cwd() / "f")])


def test_list_marks_the_head(daemon: FakeDaemon, run: Rewindctl) -> None:
    """A line a checkpoint, oldest first, the head named."""
    found = [summary("c1"), summary("c2", parent_id="c1", is_head=True, label=None)]
    daemon.tell(requests.ListCheckpoints, replies.Checkpoints(checkpoints=found))
    lines = run("list", "-n", "5").out.splitlines()
    assert ["c1" in lines[0], "c2" in lines[1], "(head)" in lines[1]] == [True] * 3
    assert daemon.last == requests.ListCheckpoints(session="s1", limit=5)
    assert [entry["id"] for entry in run("list", "--all", "--json").objects("checkpoints")] == ["c1", "c2"]


def test_show_with_content(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Versions have `text` only when contents were asked for."""
    after = replies.FileVersion(kind="file", mode=0o644, size=2, blob="ab", text="x\n")
    found = replies.Checkpoint(
        id="c1",
        created_at=NOON,
        stats=STATS,
        user_prompts=["do\nit"],
        assistant_responses=[],
        tool_calls=[ToolCallRecord("edit", "{}", "ok", False)],
        file_diffs=[replies.FileDiff(RelPath("a"), None, after, NOON, "added")],
        session_id="s1",
        parent_id=None,
        label="l",
        is_head=True,
        automatic=False,
        files=1,
        insertions=1,
        deletions=0,
        incomplete=[],
    )
    daemon.tell(requests.ShowCheckpoint, replies.CheckpointReply(checkpoint=found))
    shown = run("show", "c1", "--content", "--json")
    assert daemon.last == requests.ShowCheckpoint(session="s1", position="c1", content=True)
    (diff,) = shown.objects("file_diffs")
    assert diff["before"] is None
    assert diff["after"] == {"kind": "file", "mode": 0o644, "size": 2, "blob": "ab", "target": None, "text": "x\n"}
    assert shown.json["tool_calls"] == [{"tool_name": "edit", "arguments": "{}", "result": "ok", "success": False}]
    said = run("show", "c1", "--content").out
    assert "== a ==\nx\n" in said
    assert "  do\n  it" in said


def test_log_names_who_changed_what(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Owners are an agent, nobody, or several."""

    def row(seq: int, **changes: object) -> replies.EditInfo:
        plain = {
            "seq": seq, "path": RelPath("a"), "change": "modified", "session_id": None, "agent": None,
            "source": "tool", "operation_id": None, "at": NOON,
        }  # fmt: skip
        return replies.EditInfo(**{**plain, **changes})  # type: ignore[arg-type]  # fields by name

    rows = [row(1, session_id="s1", agent="bot"), row(2, source="external"), row(13, contested=["s1", "s2"])]
    daemon.tell(requests.ReadLog, replies.Edits(edits=rows))
    lines = run("log", ".", "-n", "3").out.splitlines()
    assert ["bot (s1)" in lines[0], "nobody" in lines[1], "contested: s1, s2" in lines[2]] == [True] * 3
    assert daemon.last == requests.ReadLog(session="s1", path=FsText(Path.cwd()), limit=3)
    assert [entry["seq"] for entry in run("log", "--json").objects("edits")] == [1, 2, 13]


def test_blame(daemon: FakeDaemon, run: Rewindctl) -> None:
    """Now, through any session of the workspace; at a position, in the session's words; one object in JSON, its lines with it."""
    span = replies.LineSpan(first_line=1, count=2, seq=4, session_id="s1", agent="bot", source="tool", at=NOON, turn=1, prompt="do it")
    daemon.tell(requests.Blame, replies.Blamed(path=RelPath("a"), position="#9", content=b"x\ny\n", spans=[span]))
    assert [line.split()[:3] for line in run("blame", "a").out.splitlines()] == [["4", "bot", "(s1)"]] * 2
    assert daemon.last == requests.Blame(session="s1", path=FsText(Path.cwd() / "a"))
    run("blame", "a", "@~1")
    assert daemon.last == requests.Blame(session="s1", path=FsText(Path.cwd() / "a"), position="@~1")
    shown = run("blame", "a", "--at", "@~1", "--json").json
    assert list(shown) == ["path", "position", "lines", "spans"]
    assert (shown["position"], shown["lines"]) == ("#9", ["x", "y"])
    assert (run("blame", "a", "@", "--at", "@").status, run("blame", "").status) == (2, 2)
    daemon.tell(requests.Blame, replies.Blamed(path=RelPath("a"), position="#9", content=b"", spans=[]))
    said = run("blame", "a")
    assert (said.out, said.err) == ("", "a is empty\n")
    assert run("blame", "a", "--json").json["lines"] == []


def test_record_in_several_requests_is_of_one_piece(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one request goes on where the first one ended, or not at all: nobody else's words come in between."""
    monkeypatch.setattr(record, "BATCH_BYTES", 400)
    daemon.tell(requests.Record, replies.Recorded(recorded=1, stats=STATS, head="c1", event=5), HeadMoved("moved", head="c1", event=6))
    stdin(monkeypatch, b'{"kind":"user_prompt","text":"one"}\n{"kind":"user_prompt","text":"two"}\n')
    said = run("record")
    assert (said.status, "1 events were recorded before this" in said.err) == (4, True)
    bases = [request.base for request in daemon.asked if isinstance(request, requests.Record)]
    assert bases == [None, requests.Base(head="c1", event=5)]


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_record_reads_ndjson(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line is an event; arguments that are no text are kept as their JSON."""
    daemon.tell(requests.Record, replies.Recorded(recorded=2, stats=STATS, head=None, event=5))
    stdin(
        monkeypatch,
        b'{"kind":"user_prompt","text":"hi","tokens":3,"duration_s":1.5}\n\n'
        b'{"kind":"tool_call","tool_name":"t","arguments":{"a": 1},"result":"ok","success":false}\n',
    )
    assert run("record", "--json").json["recorded"] == 2
    assert daemon.last == requests.Record(
        session="s1",
        events=[
            requests.EventBody(kind="user_prompt", text="hi", tokens=3, duration_s=1.5, success=True),
            requests.EventBody(kind="tool_call", tool_name="t", arguments='{"a": 1}', result="ok", success=False),
        ],
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"{", b"[]", b'{"kind":"nonsense"}', b'{"kind":"user_prompt"}', b'{"kind":"tool_call"}', b'{"kind":"user_prompt","text":"\xff"}',
        b'{"kind":"user_prompt","text":"x","tokens":-1}', b'{"kind":"user_prompt","text":"x","duration_s":1e999}',
    ],
)  # fmt: skip
def test_one_bad_line_records_nothing(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch, bad: bytes) -> None:
    """The line is named, and no request was made."""
    stdin(monkeypatch, b'{"kind":"user_prompt","text":"fine"}\n' + bad + b"\n")
    said = run("record")
    assert said.status == 2
    assert "line 2" in said.err
    assert not any(isinstance(request, requests.Record) for request in daemon.asked)


def test_a_wrong_kind_names_those_there_are(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who misspells the kind of an event is told all there are."""
    stdin(monkeypatch, b'{"kind":"prompt","text":"x"}\n')
    assert "kind='prompt'; it is one of user_prompt, assistant_response, tool_call, clear" in run("record").err


def test_many_events_go_in_several_requests(daemon: FakeDaemon, run: Rewindctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into one request is sent in parts, in order."""
    monkeypatch.setattr("rewindd.cli.commands.record.BATCH_BYTES", 1000)
    daemon.tell(requests.Record, replies.Recorded(recorded=3, stats=STATS, head=None, event=5))
    stdin(monkeypatch, b"".join(b'{"kind":"user_prompt","text":"%d"}\n' % number for number in range(9)))
    assert run("record", "--json").json["recorded"] == 9
    sent = [event.text for request in daemon.asked if isinstance(request, requests.Record) for event in request.events]
    assert sent == [str(number) for number in range(9)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_name_the_program(run: Rewindctl, shell: str) -> None:
    """The script asks `rewindctl` itself."""
    said = run("completions", shell)
    assert said.status == 0
    assert "_REWINDCTL_COMPLETE" in said.out


def test_a_path_that_is_not_utf8_travels_exactly(daemon: FakeDaemon, run: Rewindctl) -> None:
    """An argument's bytes arrive as they were; in JSON the path is lossy, and exact beside it."""
    name = os.fsdecode(b"caf\xe9")
    daemon.tell(requests.TakeSnapshot, replies.Snapshots(snapshots=[replies.Kept(path=RelPath(name), kind="absent")], skipped=[]))
    (kept,) = run("snapshot", name, "--json").objects("snapshots")
    assert daemon.last == requests.TakeSnapshot(session="s1", paths=[FsText(Path.cwd() / name)])
    assert (kept["path"], kept["path_b64"]) == ("caf\ufffd", "Y2Fm6Q==")
    assert run("save", "-m", name).status == 2
