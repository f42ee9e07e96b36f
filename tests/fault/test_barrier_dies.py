"""A process that dies, or a call that fails, at any effect of a barrier and of a rewind to one: files and every head, all or none."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import rewindd.blocking
from rewindd import errors
from rewindd.client.blocking_session import Session
from rewindd.protocol.replies import Recorded
from rewindd.protocol.requests import EventBody, Record
from support.daemon import real_daemon
from support.dying import MEDDLED
from support.stage import Stage, a_stage

DONE, ROLLED_BACK = "done", "rolled-back"
#: Whose heads these are: `dying.SESSION` and `dying.OTHERS`.
MEMBERS = 3


@pytest.fixture(scope="module")
def making() -> Iterator[Stage]:
    with a_stage("barrier") as found:
        yield found


@pytest.fixture(scope="module")
def rewinding() -> Iterator[Stage]:
    with a_stage("to-barrier") as found:
        yield found


def barriers_at(heads: dict[str, list[Any]]) -> set[str | None]:
    """The barriers that the sessions stand at; None is in it for one that stands elsewhere."""
    assert len(heads) == MEMBERS
    return {barrier for _, _, _, barrier in heads.values()}


def test_a_barrier_in_all_sessions_or_in_none(making: Stage) -> None:
    """For every n: killed at the nth effect, all three sessions stand at one barrier or none does; the same key makes one of all."""
    assert {name.split(".")[0] for name in making.names} == {"store"}
    kept: list[bool] = []
    for number, name in enumerate(making.names, 1):
        told = f"{number} {name}"
        assert making.do(f"die:{number}").was_killed, told
        found = making.look_back()
        at = barriers_at(found["heads"])
        assert len(at) == 1, told
        kept.append(at != {None})
        made, again = found["answers"]
        assert made == again, told
        assert barriers_at(found["heads_answered"]) == {made["barrier"]["id"]}, told
        assert len(made["barrier"]["members"]) == MEMBERS, told
        assert at <= {None, made["barrier"]["id"]}, told
        assert (found["log"], found["recovered"], making.leftovers) == ([], [], []), told
        assert found["tree"] == found["answered"] == making.before, told
    assert kept == [False] * (len(kept) - 1) + [True]


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_barrier_that_fails(making: Stage, error: str) -> None:
    """For every n: the nth effect fails, so it says so and no session moved, or it is made; the same key makes one of all."""
    for number, name in enumerate(making.names, 1):
        found = making.do(f"{error}:{number}", times=3).result
        first, second, third = found["answers"]
        assert second == third, name
        assert first == second or first["error"] == ("store-full" if error == "ENOSPC" else "io-error"), name
        assert barriers_at(found["heads"]) == {second["barrier"]["id"]}, name
        assert found["log"] == [], name


def expect_all_or_none(stage: Stage, found: dict[str, Any], before: dict[str, list[Any]], told: str) -> str:
    """The next life has files and every head as before, or as after. Returns which."""
    stands = (found["tree"], found["heads"])
    assert stands in ((stage.before, before), (stage.after, stage.heads)), told
    return "after" if stands == (stage.after, stage.heads) else "before"


def test_a_rewind_to_a_barrier_of_all_or_of_none(rewinding: Stage) -> None:
    """For every n: killed at the nth effect, the next start has files and all heads back, or nothing; undo gives all of it back."""
    assert {"tree.exchange", "tree.create", "tree.remove", "tree.sync"} <= set(rewinding.names)
    assert len(barriers_at(rewinding.heads)) == 1
    rewinding.put_back()
    before: dict[str, list[Any]] = rewinding.recover().result["heads"]
    assert all(before[one] != rewinding.heads[one] for one in before)
    outcomes: list[str] = []
    for number, name in enumerate(rewinding.names, 1):
        told = f"{number} {name}"
        assert rewinding.do(f"die:{number}").was_killed, told
        found = rewinding.look_back()
        outcomes.append(expect_all_or_none(rewinding, found, before, told))
        assert found["recovered"] in ([], [DONE]), told
        assert found["answers"][0] == found["answers"][1], told
        assert "error" not in found["answers"][0], told
        assert {one["session_id"] for one in found["answers"][0]["moved"]} == set(before) - {"the-session"}, told
        assert (found["answered"], found["heads_answered"]) == (rewinding.after, rewinding.heads), told
        assert (found["after_undo"], found["heads_after_undo"]) == (rewinding.before, before), told
        assert (found["log"], rewinding.leftovers) == ([], []), told
    assert sorted(outcomes, reverse=True) == outcomes
    assert set(outcomes) == {"before", "after"}


def test_a_rewind_to_a_barrier_that_somebody_is_in_the_way_of(rewinding: Stage) -> None:
    """Killed in the middle, and somebody changed a path that was still to do: files and every head are as before."""
    rewinding.put_back()
    before: dict[str, list[Any]] = rewinding.recover().result["heads"]
    first = rewinding.names.index("tree.create") + 1
    assert rewinding.do(f"die:{first}").was_killed
    (rewinding.root / "gone").write_text("theirs\n")
    found = rewinding.recover().result
    assert found["recovered"] == [ROLLED_BACK]
    assert found["heads"] == before
    assert {path: what for path, what in found["tree"].items() if path != "gone"} == rewinding.before


def changing(stage: Stage) -> list[int]:
    """The effects that change the tree: those between the record of the operation and its end, without what is staged and synced."""
    return [n for n, name in enumerate(stage.names, 1) if name in ("tree.exchange", "tree.create", "tree.remove")]


def test_a_step_that_cannot_be_done(rewinding: Stage) -> None:
    """For every change of the tree: refused by the system it is said so, with the path, and files and every head are as before."""
    rewinding.put_back()
    before: dict[str, list[Any]] = rewinding.recover().result["heads"]
    refused = 0
    for number in changing(rewinding):
        told = f"{number} {rewinding.names[number - 1]}"
        found = rewinding.do(f"EPERM:{number}").result
        if "error" in found["answers"][0]:
            refused += 1
            assert found["answers"][0]["error"] == "conflict", told
            assert (found["photographs"][0], found["heads"]) == (rewinding.before, before), told
        else:  # what is only removed with the stages
            assert (found["photographs"][0], found["heads"]) == (rewinding.after, rewinding.heads), told
        assert (found["log"], rewinding.leftovers) == ([], []), told
    assert refused > 3


def test_somebody_changes_what_is_still_to_do(rewinding: Stage) -> None:
    """Their change stays and all else is as before; asked again, all of it is done."""
    rewinding.put_back()
    before: dict[str, list[Any]] = rewinding.recover().result["heads"]
    first = changing(rewinding)[0]
    for number in (first, first + 1):
        found = rewinding.do(meddling=number).result
        assert found["answers"][0]["error"] == "conflict"
        assert found["heads"] == before
        tree = found["photographs"][0]
        assert {path: what for path, what in tree.items() if path != MEDDLED} == {
            path: what for path, what in rewinding.before.items() if path != MEDDLED
        }
        assert (rewinding.root / MEDDLED).read_text() == "theirs\n"
        assert (found["log"], rewinding.leftovers) == ([], [])
        again = rewinding.go_on().result
        assert (again["photographs"][0], again["heads"]) == (rewinding.after, rewinding.heads)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.long), 4])
def test_death_while_it_is_taken_back(rewinding: Stage, step: int) -> None:
    """Killed at any effect after a step failed: the next life has files and all heads back, or nothing, and undo gives all of it back."""
    rewinding.put_back()
    before: dict[str, list[Any]] = rewinding.recover().result["heads"]
    failing = changing(rewinding)[-2]
    failed = rewinding.do(f"EPERM:{failing}").result
    assert failed["answers"][0]["error"] == "conflict"
    outcomes: list[str] = []
    for dying in range(failing + 1, len(failed["names"]) + 1, step):
        if not rewinding.do(f"EPERM:{failing},die:{dying}").was_killed:  # the end of a life has now one effect more, now one less
            break
        after = rewinding.look_back()
        outcomes.append(expect_all_or_none(rewinding, after, before, f"{dying} {failed['names'][dying - 1]}"))
        assert (after["answered"], after["heads_answered"]) == (rewinding.after, rewinding.heads)
        assert (after["after_undo"], after["heads_after_undo"]) == (rewinding.before, before)
        assert (after["log"], rewinding.leftovers) == ([], [])
    assert "before" in outcomes
    assert len(outcomes) > 20 / step


def test_an_undo_and_a_redo_are_of_all_or_of_none(tmp_path: Path) -> None:
    """A step that the system refuses takes all of an undo back, and all of a redo; the error names the path and what to do."""
    root = tmp_path.resolve() / "tree"
    root.mkdir()
    with real_daemon(tmp_path.resolve()) as daemon:
        for number, act in ((4, "undo"), (6, "redo")):  # a rewind and each of these replaces two files
            daemon.stop()
            daemon.start(env={"REWINDD_FAULTS": f"EPERM:{number}:tree.exchange"})
            with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
                with client.session(root, agent="ann", session_id="ann") as ann, client.session(root, agent="ben", session_id="ben") as ben:
                    for word in ("before", "after"):
                        for session in (ann, ben):
                            with session.editing(session.id):
                                (root / session.id).write_text(f"{word}, for the {act}\n")
                            session.history.add_user_message(word)
                            session.save(word)
                        if word == "before":
                            made = client.barrier(root)
                    ann.rewind(f"barrier:{made.id}")
                    if act == "redo":
                        ann.undo()
                    stood = [(one.head, one.stats.total_messages) for one in client.sessions(root)]
                    files = [(root / name).read_text() for name in ("ann", "ben")]
                    doing = ann.undo if act == "undo" else ann.redo
                    with pytest.raises(errors.Conflict, match=r"'ben' cannot be restored: operation not permitted.* Mend that"):
                        doing()
                    assert [(one.head, one.stats.total_messages) for one in client.sessions(root)] == stood
                    assert [(root / name).read_text() for name in ("ann", "ben")] == files
                    assert sorted(doing().restored) == ["ann", "ben"]
                    assert client.status().recovered == []


def test_death_of_the_recovery(rewinding: Stage) -> None:
    """The recovery of a rewind to a barrier that dies itself, at every third effect, ends with all of it done in the life after it."""
    number, again, died = rewinding.names.index("tree.create") + 1, 1, True
    while died:
        assert rewinding.do(f"die:{number}").was_killed
        died = rewinding.recover(f"die:{again}").was_killed
        found = rewinding.look_back()
        assert (found["tree"], found["heads"]) == (rewinding.after, rewinding.heads), again
        assert {one["session_id"] for one in found["answers"][0]["moved"]} == set(rewinding.heads) - {"the-session"}, again
        again += 3
    assert again > 10


def test_a_member_that_went_on_meanwhile(tmp_path: Path) -> None:
    """Cut off, and while the workspace is not there a member records: its words are not thrown away, all of the rewind is taken back."""
    root, away = tmp_path.resolve() / "tree", tmp_path.resolve() / "away"
    root.mkdir()
    with real_daemon(tmp_path.resolve()) as daemon:

        def at(agent: str) -> AbstractContextManager[Session]:
            return client.session(root, agent=agent, session_id=agent, capture="snapshots")

        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client, at("ann") as ann, at("ben") as ben:
            for session, word in ((ann, "before"), (ben, "before"), (None, "barrier"), (ann, "after"), (ben, "after")):
                if session is None:
                    made = client.barrier(root)
                    continue
                with session.editing(session.id):
                    (root / session.id).write_text(f"{word}\n")
                session.history.add_user_message(word)
                session.save(word)
        daemon.stop()
        daemon.start(env={"REWINDD_FAULTS": "die:2:tree.exchange"})
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False, timeout_s=1.0) as client, at("ann") as ann:
            with pytest.raises(errors.TransportError):
                ann.rewind(f"barrier:{made.id}")
        assert daemon.wait() == -9
        assert sorted((root / name).read_text() for name in ("ann", "ben")) == ["after\n", "before\n"]
        root.rename(away)
        daemon.start()
        with rewindd.blocking.connect(socket=daemon.socket, autostart=False) as client:
            client.ask(Record(session="ben", events=[EventBody(kind="user_prompt", text="going on")]), Recorded)
            away.rename(root)
            with at("ann") as ann, at("ben") as ben:
                assert ann.pending() == []
                assert [one.outcome for one in client.status().recovered] == [ROLLED_BACK]
                assert [(root / name).read_text() for name in ("ann", "ben")] == ["after\n", "after\n"]
                assert ben.save().parent_id == ben.list()[-2].id
                assert ben.load("@").user_prompts == ["before", "after", "going on"]
                assert ann.load("@").label == "after"
                ann.rewind(f"barrier:{made.id}")
                assert [(root / name).read_text() for name in ("ann", "ben")] == ["before\n", "before\n"]


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_rewind_to_a_barrier_that_fails(rewinding: Stage, error: str) -> None:
    """For every third n: the nth effect fails: all as before and the same key does it, or all is done."""
    for number in range(1 + len(error) % 3, len(rewinding.names) + 1, 3):
        told = f"{error} at {number} {rewinding.names[number - 1]}"
        found = rewinding.do(f"{error}:{number}", times=3).result
        first, second, third = found["answers"]
        assert second == third, told
        assert found["heads"] == rewinding.heads, told
        tree = {path: what for path, what in found["photographs"][0].items() if not path.startswith(".rewindd-")}  # swept later
        assert tree == (rewinding.before if "error" in first else rewinding.after), told
        assert found["log"] == [], told
