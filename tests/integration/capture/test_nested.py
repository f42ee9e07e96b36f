"""A workspace inside another one that is captured as a whole: left out while it is there, and no hole where it was."""

import pytest

from rewindd.client.blocking_session import Session
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.yard import Yard, differing, whole


def left_out(yard: Yard) -> dict[str, str]:
    """What `capture` says is left out, and why."""
    with yard.client() as client:
        told = client.ask(requests.ListCapture(directory=FsText(str(yard.root))), replies.CaptureInfo)
    return {str(one.path): one.reason for one in told.left_out}


def begin_inside(yard: Yard, outer: Session) -> None:
    """A linked worktree, captured by the outer workspace, becomes one of its own."""
    yard.write("it", "1\n")
    yard.git("add", "it")
    yard.git("commit", "-q", "-m", "x")
    yard.git("worktree", "add", "-q", "-b", "side", "side")
    outer.save()
    with yard.client() as client, client.session(yard.root / "side", agent="inner") as inner:
        inner.save()
    outer.save()
    assert left_out(yard) == {"side": "a workspace of its own"}


@pytest.mark.parametrize("how", ["seen to go", "replaced at once", "moved away", "while no daemon ran"])
def test_the_inner_one_goes(repository: Yard, how: str) -> None:
    """What comes to be under its path is nobody else's: the next save of the outer one has it, and it comes back when it is deleted."""
    yard = repository
    with yard.session(session_id=f"outer-{yard.root.name}") as outer:
        begin_inside(yard, outer)
        if how == "while no daemon ran":
            yard.daemon.kill()
        if how == "moved away":
            (yard.root / "side").rename(yard.root.with_name(f"{yard.root.name}-side"))
        else:
            yard.git("worktree", "remove", "side")
        if how == "seen to go":
            outer.save()
        yard.shell("mkdir -p side/deep; echo 1 > side/deep/precious; echo 2 > side/it")
        if how == "while no daemon ran":
            yard.daemon.start(env=yard.env)
        saved = outer.save()
        assert not differing(whole(yard), yard.listed(outer, saved.id))
        assert left_out(yard) == {}
        yard.shell("rm -r side")
        outer.restore("side")
        assert (yard.root / "side/deep/precious").read_text() == "1\n"


def test_another_takes_its_place(repository: Yard) -> None:
    """A clone under its path is the outer one's until it is adopted, and from then on no rewind of the outer one touches it."""
    yard = repository
    with yard.session() as outer:
        begin_inside(yard, outer)
        yard.git("worktree", "remove", "side")
        yard.git("clone", "-q", ".", "side")
        saved = outer.save()
        assert "side/it" in yard.listed(outer, saved.id)
        with yard.client() as client, client.session(yard.root / "side", agent="inner", replaced="adopt") as inner:
            yard.write("side/it", "inner work\n")
            inner.save()
            outer.rewind(saved.id, scope="workspace", restore="files", also="external")
            assert (yard.root / "side/it").read_text() == "inner work\n"
        assert left_out(yard) == {"side": "a workspace of its own"}
