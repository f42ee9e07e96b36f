"""Applying an operation's steps to the tree, in an order in which every moment between two steps is a tree.

Everything new is staged first: a full disk or a missing permission shows while the tree is untouched. From then on each path
is brought over by itself (`replace`), what goes wrong with one is that path's outcome, and no outcome says more than is so.
Nothing here is durable on return: `sync` is.
"""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from rewindd.errors import OutsideWorkspace, StoreError
from rewindd.model.log import IndexEntry, Signature
from rewindd.model.operation import Step
from rewindd.model.versions import ABSENT, UNKNOWN, Directory, File, Unknown, Version
from rewindd.paths import RelPath, is_reserved
from rewindd.tree.durable import sync as sync
from rewindd.tree.leftovers import rescue as rescue
from rewindd.tree.leftovers import sweep as sweep
from rewindd.tree.look import Hasher, Unseen, look, reason_of, signature_of
from rewindd.tree.need import highest_in, is_early_mode, is_mode_only, leaving, opening
from rewindd.tree.replace import (
    CHANGED,
    Changed,
    LeftInStage,
    TakenOut,
    change_mode,
    give_back,
    is_empty,
    is_expected,
    put,
    remove_directory,
    take_out,
)
from rewindd.tree.root import Root
from rewindd.tree.stage import Content as Content
from rewindd.tree.stage import Staged, make_stage, remove_stage, stage_directory, stage_name, stamp_of
from rewindd.tree.stage import StageFailed as StageFailed

STOPPED = "stopped"
#: The plan does not know what is there, or not what should be: such a path is never touched.
NOT_KNOWN = "unknown"
#: What no operation writes; a plan has no step for it, but the steps of an earlier life may have been read from anywhere.
PROTECTED = "protected"

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a step.

    `version` and `signature` say what is on disk now when it is `done` (no signature: somebody wrote there since; look again).
    Otherwise the path is as somebody else made it, `version` is UNKNOWN, and `reason` says why: `changed`, `not-empty`,
    `stopped`, `unknown`, `protected`, or the system's words.
    """

    path: RelPath
    done: bool
    reason: str | None
    version: Version
    signature: Signature | None


def apply(
    root: Root, operation: str, steps: Sequence[Step], content: Content, stop: Callable[[], bool], *, whole: bool = False
) -> list[Outcome]:
    """Brings each step's path from `expect` to `target`, and returns an outcome each, in the order of the steps.

    Blocks. A path that is not as expected is left as it is; one that is as wanted already is done, untouched.

    Args:
        root: the open workspace.
        operation: its id, part of the stages' names; safe as a file name.
        steps: at most one a path; together they make a tree a tree.
        content: gives the bytes of new files.
        stop: asked before each step; once it says yes, the remaining steps come back `stopped`.
        whole: stops at the first step that fails, and leaves the stages: recovery tells by them what was done, and is to take it back.

    Raises:
        StageFailed: no room or no permission; the tree is untouched.
        StoreError: the content's; the tree is untouched.
    """
    return _Application(root, operation, steps, content, stop, whole=whole).run()


@dataclass(slots=True)
class _Work:
    """One step under way. Its `expect` follows what we do to a directory's mode to be able to work in it.

    `staged` is ours and still to be put in place or removed; `taken` is what came out, to be removed at the end.
    """

    step: Step
    staged: Staged | None = None
    taken: TakenOut | None = None
    outcome: Outcome | None = None
    is_mode_only: bool = False

    @property
    def is_put(self) -> bool:
        """True when something new comes in place."""
        return not self.is_mode_only and self.step.target != ABSENT


class _Application:
    """One operation being applied; used once."""

    def __init__(
        self, root: Root, operation: str, steps: Sequence[Step], content: Content, stop: Callable[[], bool], *, whole: bool
    ) -> None:
        self._root, self._operation, self._content, self._asked = root, operation, content, stop
        self._whole, self._is_off = whole, False
        self._works = [_Work(step) for step in steps]
        self._leaving, self._opening = leaving(steps), opening(steps)
        self._opened: list[tuple[_Work, int]] = []

    def run(self) -> list[Outcome]:
        """Returns what became of each step, in their order."""
        for work in self._works:
            self._compare(work)
        self._stage_all()
        self._in_order()
        self._restrict()
        if self._whole:
            for work in self._works:
                self._give_back_if_late(work)
        for work in self._works if not self._is_off else ():
            self._clean(work)
        return [work.outcome or _failed(work.step, STOPPED) for work in self._works]

    def _stop(self) -> bool:
        return self._is_off or self._asked()

    def _fail(self, work: _Work, reason: str) -> None:
        work.outcome = _failed(work.step, reason)
        self._is_off = self._whole

    def _todo(self) -> list[_Work]:
        return [work for work in self._works if work.outcome is None]

    def _compare(self, work: _Work) -> None:
        """Settles the steps that need nothing, or can do nothing."""
        step = work.step
        if isinstance(step.expect, Unknown) or isinstance(step.target, Unknown):
            self._fail(work, NOT_KNOWN)
            return
        if any(map(is_reserved, step.path.split("/"))):
            self._fail(work, PROTECTED)
            return
        known = IndexEntry(path=step.path, version=step.expect, signature=step.signature, since=0)
        seen = look(self._root, step.path, known, Hasher())
        if isinstance(seen, Unseen):  # perhaps a step will let us in: what comes out is looked at in any case
            if not highest_in(step.path, self._opening):
                self._fail(work, seen.reason)
            work.is_mode_only = is_mode_only(step, 1)
            return
        work.is_mode_only = is_mode_only(step, seen.signature.links if seen.signature is not None else 1)
        if seen.version == step.target:
            work.outcome = Outcome(path=step.path, done=True, reason=None, version=seen.version, signature=seen.signature)
        elif seen.version != step.expect:
            self._fail(work, CHANGED)

    def _stage_all(self) -> None:
        """Stages what is to be put in place; on any failure removes all of it again."""
        failures: list[Unseen] = []
        try:
            for work in self._todo():
                if self._stop():
                    return
                failure = self._try_stage(work)
                if failure is not None:
                    failures.append(Unseen(path=work.step.path, reason=reason_of(failure)))
                    if failure.errno in _NO_ROOM:
                        break
            if failures:
                raise StageFailed(failures)
        except BaseException:
            for work in self._works:
                self._clean(work)
            raise

    def _try_stage(self, work: _Work) -> OSError | None:
        try:
            self._stage(work)
        except StoreError:  # some are OSErrors, but none is the tree's
            raise
        except OSError as exc:
            return exc
        return None

    def _stage(self, work: _Work) -> None:
        step = work.step
        if work.is_mode_only:
            return
        self._check_writable(step.path)
        if not work.is_put:
            return
        directory = stage_directory(self._root, step.path, self._opening)
        try:
            work.staged = self._make_stage(step, directory)
        except BaseException:
            self._try_remove(directory, stage_name(self._operation, step.path))
            raise

    def _make_stage(self, step: Step, directory: RelPath) -> Staged:
        try:
            return make_stage(self._root, self._operation, step, directory, self._content)
        except FileExistsError:  # of an earlier life that recovery has not looked at
            rescue(self._root, self._operation, [step])
            return make_stage(self._root, self._operation, step, directory, self._content)

    def _check_writable(self, path: RelPath) -> None:
        """Finds out before anything is touched that we may not change the entry of a path.

        Raises:
            PermissionError: we may not, and no step will let us.
        """
        if highest_in(path, self._opening) is not None:
            return
        try:
            fd = self._root.directory(path.parent)
        except (FileNotFoundError, NotADirectoryError, OutsideWorkspace):
            return
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def _in_order(self) -> None:
        """Modes that open directories; removals, deepest first; directories, shallow first; files and links; other modes."""
        by_depth = sorted(self._todo(), key=lambda work: work.step.path.depth)
        for work in by_depth:
            if work.step.path in self._leaving:
                self._try(work, self._open)
            elif is_early_mode(work.step):
                self._try(work, self._set_mode)
        for work in reversed(by_depth):
            if work.step.target == ABSENT:
                self._try(work, self._remove)
        for work in by_depth:
            if work.is_put and isinstance(work.step.target, Directory):
                self._try(work, self._put)
        for work in by_depth:
            if work.is_put:
                self._try(work, self._put)
        for work in reversed(by_depth):
            if work.is_mode_only:
                self._try(work, self._set_mode)

    def _try(self, work: _Work, act: Callable[[_Work], None]) -> None:
        """Does one thing for one path, unless it is settled; what goes wrong is that path's outcome."""
        if work.outcome is not None:
            return
        if self._stop():
            work.outcome = _failed(work.step, STOPPED)
            return
        try:
            act(work)
        except LeftInStage as exc:
            work.staged = None
            self._fail(work, str(exc))
            _log.warning("a path changed while it was being replaced, and could not be put back: %s", exc)
        except Changed as exc:
            self._fail(work, str(exc))
        except OutsideWorkspace:
            self._fail(work, CHANGED)
        except OSError as exc:
            self._fail(work, reason_of(exc))

    def _open(self, work: _Work) -> None:
        """Makes a directory that will go writable for us, so that what is in it can go."""
        expect = work.step.expect
        if work.step.path not in self._opening or not isinstance(expect, Directory):
            return
        opened = Directory(change_mode(self._root, work.step, expect.mode | stat.S_IRWXU))
        self._opened.append((work, expect.mode))
        work.step = replace(work.step, expect=opened)

    def _set_mode(self, work: _Work) -> None:
        target = work.step.target
        if isinstance(target, File | Directory):
            got = change_mode(self._root, work.step, target.mode)
            version = Directory(got) if isinstance(target, Directory) else File(target.digest, target.size, got)
            work.outcome = self._done(work.step.path, version, None)

    def _remove(self, work: _Work) -> None:
        step = work.step
        with suppress(FileNotFoundError):  # somebody removed it first: as wanted
            if isinstance(step.expect, Directory):
                remove_directory(self._root, step)
            else:
                directory = stage_directory(self._root, step.path, self._leaving)
                work.taken = take_out(self._root, step, directory, stage_name(self._operation, step.path))
        work.outcome = Outcome(path=step.path, done=True, reason=None, version=ABSENT, signature=None)

    def _put(self, work: _Work) -> None:
        staged = work.staged
        if staged is not None:
            work.taken = put(self._root, work.step, staged)
            work.outcome = self._done(work.step.path, staged.version, staged)

    def _done(self, path: RelPath, version: Version, staged: Staged | None) -> Outcome:
        """Returns the outcome for what we made; without a signature when something else is there already."""
        signature = None
        now_ns = time.time_ns()
        with suppress(OSError, OutsideWorkspace):
            found = os.stat(path.name, dir_fd=self._root.directory(path.parent), follow_symlinks=False)
            if staged is None or stamp_of(found) == staged.stamp:
                signature = signature_of(found, now_ns)
        return Outcome(path=path, done=True, reason=None, version=version, signature=signature)

    def _restrict(self) -> None:
        """Gives directories the modes that would have been in our way: new ones their own, opened ones that stay their old."""
        for work in sorted(self._works, key=lambda work: -work.step.path.depth):
            outcome, target = work.outcome, work.step.target
            if work.is_put and outcome is not None and outcome.done and isinstance(target, Directory) and outcome.version != target:
                self._finish_directory(work, outcome, target)
        for work, mode in reversed(self._opened):
            if work.outcome is None or not work.outcome.done:
                self._close(work.step, mode)

    def _finish_directory(self, work: _Work, outcome: Outcome, target: Directory) -> None:
        step = replace(work.step, expect=outcome.version)
        try:
            got = change_mode(self._root, step, target.mode)
        except OSError as exc:
            work.outcome = replace(outcome, reason=reason_of(exc))
        except (Changed, OutsideWorkspace):
            work.outcome = replace(outcome, reason=CHANGED)
        else:
            work.outcome = self._done(step.path, Directory(got), None)

    def _close(self, step: Step, mode: int) -> None:
        try:
            change_mode(self._root, step, mode)
        except (OSError, Changed, OutsideWorkspace):
            _log.warning("a directory keeps the mode that was needed to work in it")

    def _clean(self, work: _Work) -> None:
        """Removes what is left under the stage's name, unless somebody wrote to it since it was taken out."""
        taken, staged = work.taken, work.staged
        if taken is not None:
            if not self._give_back_if_late(work):
                return
            with suppress(OSError):
                self._root.linger(self._root.directory(taken.directory), taken.name)
            self._try_remove(taken.directory, taken.name)
        elif staged is not None and (work.outcome is None or not work.outcome.done):
            self._try_remove(staged.directory, staged.name)

    def _give_back_if_late(self, work: _Work) -> bool:
        """False where somebody's late work could not be put back, and stays in the stage."""
        try:
            if work.taken is not None:
                self._give_back_late(work, work.taken)
        except (Changed, OSError, OutsideWorkspace) as exc:
            self._fail(work, CHANGED)
            _log.warning("what was written late stays in a stage: %s", exc)
            return False
        return True

    def _give_back_late(self, work: _Work, taken: TakenOut) -> None:
        """Puts back what was written to, through a handle from before, after we had looked at it."""
        stage_fd = self._root.directory(taken.directory)
        if taken.is_directory:
            late = not is_empty(stage_fd, taken.name)
        else:
            found = os.stat(taken.name, dir_fd=stage_fd, follow_symlinks=False)
            late = stamp_of(found) != taken.stamp and not is_expected(stage_fd, taken.name, work.step)
        if late:
            give_back(self._root, work.step, taken, work.staged)
            self._fail(work, CHANGED)

    def _try_remove(self, directory: RelPath, name: str) -> None:
        """Removes a stage; one that stays is swept later."""
        try:
            remove_stage(self._root, directory, name)
        except (OSError, OutsideWorkspace) as exc:
            _log.warning("a stage stays until it is swept: %s", exc)


def _failed(step: Step, reason: str) -> Outcome:
    return Outcome(path=step.path, done=False, reason=reason, version=UNKNOWN, signature=None)
