"""Git's HEAD as a value, and in words for people."""

from dataclasses import dataclass

from rewindd.errors import GitHeadMoved

#: What HEAD is on a branch without a commit; the branch's name follows. No commit id begins so.
UNBORN = "unborn:"
#: Digits of a commit's id that tell it from others in a repository of any size in use (git's own abbreviation for Linux).
SHORT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class GitHead:
    """What HEAD was: a commit's id, `unborn:` and a branch, None where there was no repository."""

    head: str | None


def words(head: str | None) -> str:
    """Returns a HEAD as people read it: the first digits of its commit."""
    if head is None:
        return "no repository"
    if head.startswith(UNBORN):
        return f"{head[len(UNBORN) :].removeprefix('refs/heads/')} without a commit"
    return head[:SHORT_DIGITS]


def moved(then: str | None, now: str | None) -> GitHeadMoved:
    """Returns the error that says: HEAD is not what it was at the position, and what to do."""
    is_commit = then is not None and not then.startswith(UNBORN)
    checkout = f", `git checkout {words(then)}` goes there first" if is_commit else ""
    return GitHeadMoved(
        f"git's HEAD is {words(now)} and was {words(then)} at that position; nothing was touched. "
        f"`--across-head` takes the files back all the same{checkout}",
        then=then,
        now=now,
    )
