"""A session's handle in the asynchronous client."""

import logging
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar, overload

import anyio

from rewindd.client import calls, contents, past
from rewindd.client.events import Events
from rewindd.client.exchange import OnProgress
from rewindd.client.handle import LEAVE_S, Handle
from rewindd.client.materialize import Materialized
from rewindd.client.notices import Post
from rewindd.client.seat import Work
from rewindd.client.windows import FAILED_TURN_S, Command, Opened, Turn
from rewindd.client.writing import written
from rewindd.errors import HeadMoved, OutcomeUnknown, RewinddError
from rewindd.protocol import replies, requests

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: Named here because `Session.list` hides the builtin in its class.
Summaries = list[replies.Summary]
Diffs = list[replies.FileDiff]


class Drive(Protocol):
    """Drives a call to its result: `Client.run`."""

    async def __call__(self, work: Work[T], *, timeout_s: float | None = None) -> T:
        """Returns the call's result."""


class Listen(Protocol):
    """Yields a session's notices: `Client.events`."""

    def __call__(self, session: "Session", *, diff: bool, ack: bool) -> Events:
        """Returns the iterator."""


class Session(Handle):
    """One agent's conversation in one workspace. Made by `Client.session`; its tasks may share it.

    Calls that tell where the session stands (save, rewind, record…) wait for each other; the others do not.
    """

    def __init__(self, drive: Drive, opening: requests.OpenSession, *, required: bool, post: Post, listen: Listen) -> None:
        super().__init__(opening, post)
        self._listen = listen
        self._drive = drive
        self._required = required
        self._alone = anyio.Lock(fast_acquire=True)

    async def snapshot(self, *paths: calls.AnyPath) -> replies.Snapshots:
        """Keeps each path's present state and claims it, before an edit; durable on return. What cannot be kept is in `skipped`.

        Raises:
            OutsideWorkspace, NotPermitted, BadRequest: a path is none of the workspace's; nothing was kept.
        """
        return await self._run(calls.snapshot(self._seat, paths))

    @asynccontextmanager
    async def editing(self, *paths: calls.AnyPath) -> AsyncIterator[replies.Snapshots]:
        """Snapshots the paths; what becomes of them in the block is the session's."""
        kept = await self._run(calls.begin_edit(self._seat, paths))
        try:
            yield kept
        except BaseException:
            await self._end_edit(kept.edit, quietly=True)
            raise
        await self._end_edit(kept.edit, quietly=not self._required)

    @asynccontextmanager
    async def command(self, text: str) -> AsyncIterator[Command]:
        """Opens a window around a shell command: what changes in the block, and nobody else announced, is the session's.

        `text` goes nowhere. The window tells in `changes`, after the block, what the session changed in it.
        """
        command = Command(text)
        async with self._window(command, "command"):
            yield command

    @asynccontextmanager
    async def turn(self, prompt: str | None = None) -> AsyncIterator[Turn]:
        """Opens a window around a turn, and saves at its end: the checkpoint is in `checkpoint` then.

        The prompt, where there is one, goes into `history`; its first line is the checkpoint's label. The work of a block that
        raises is saved too, in `FAILED_TURN_S`; what it raised is what comes out.

        Raises:
            HeadMoved: at its end: another process said something in the session meanwhile; a `save` adds the turn's work after that.
        """
        turn, has_begun, was_moved = Turn(prompt), False, self._seat.moved
        try:
            async with self._window(turn, "turn"):
                has_begun = True
                if prompt is not None:
                    self.history.add_user_message(prompt)
                yield turn
        except BaseException:
            if not has_begun:
                raise
            with anyio.move_on_after(FAILED_TURN_S, shield=True):
                try:
                    if not was_moved:
                        self._seat.check_unmoved()
                    turn.checkpoint = await self._save_turn(turn)
                except RewinddError as exc:
                    logger.warning("session %s: the work of a turn that failed was not saved: %s", self.id, exc.message)
            raise
        turn.checkpoint = await self._save_turn(turn)

    async def save(
        self,
        label: str | None = None,
        *,
        checkpoint_id: str | None = None,
        wait: bool = True,
        progress: OnProgress | None = None,
    ) -> replies.Summary:
        """Makes a checkpoint; durable on return. `incomplete` says what could not be captured.

        Args:
            wait: for the workspace's first capture to be complete; without, what it did not reach yet is `incomplete`.
            progress: is called about once a second while it waits, with `done` of `total`; it must not block.

        Raises:
            HeadMoved: another handle moved the session; this one has looked again, and can.
            AlreadyExists: the session has a checkpoint of that id.
        """
        return await self._run(calls.save(self._seat, label, checkpoint_id, wait=wait, on_progress=progress))

    async def list(self, *, limit: int | None = None) -> Summaries:
        """Returns the session's newest checkpoints, oldest first."""
        return await self._run(calls.checkpoints(self._seat, limit))

    async def load(self, position: str, *, content: bool = False) -> replies.Checkpoint:
        """Returns a checkpoint whole: the conversation from the session's start, the files since its parent."""
        return await self._run(calls.load(self._seat, position, content=content))

    async def rewind(
        self,
        position: str,
        *,
        plan: str | None = None,
        before: bool = False,
        scope: str = "session",
        restore: calls.Words | None = None,
        also: calls.Words | None = None,
        on_conflict: str = "merge",
        across_head: bool = False,
        with_shared: bool = False,
        with_children: bool = False,
        lose_unsaved: bool = False,
        paths: calls.AnyPath | Iterable[calls.AnyPath] = (),
        dry_run: bool = False,
    ) -> replies.RewindResult:
        """Takes work back to a position; `undo` takes that back. With `dry_run` nothing changes, and the plan has a `plan_id`.

        Args:
            position: a checkpoint's id, label, or prefix; `@`, `@~1`, `@{10m}`; `barrier:ID`, for all its sessions.
            plan: the id of the plan that was looked at; with another one nothing is touched.
            before: to just before the checkpoint's own edits.
            scope: `session` (its own work) or `workspace` (everything as it was).
            restore: `all`, or of `files`, `conversation`, `stats`; where paths are named, `files`.
            also: `external`: changes of nobody too.
            on_conflict: `merge`, `fail`, `keep` or `overwrite`.
            across_head: also where git's HEAD is another than at the position.
            with_shared: what is contested between the session and others is taken back too.
            with_children: what its sub-agents changed is taken back too.
            lose_unsaved: also over what the store had no room for; else `StoreFull`, and nothing was touched.

        Raises:
            UnknownCheckpoint, AmbiguousCheckpoint: no such position, or several.
            Conflict: somebody's work is in the way; nothing was touched.
            Busy: another session is in the middle of editing what is in the way; nothing was touched.
            GitHeadMoved: git's HEAD is another than at the position; nothing was touched.
            HeadMoved: the tree or the session is not as the plan saw it; nothing was touched.
        """
        request = calls.rewind_request(
            position,
            plan=plan,
            before=before,
            scope=scope,
            restore=restore,
            also=also,
            on_conflict=on_conflict,
            across_head=across_head,
            with_shared=with_shared,
            with_children=with_children,
            lose_unsaved=lose_unsaved,
            paths=paths,
            dry_run=dry_run,
        )
        return await self._run(calls.rewind(self._seat, request))

    async def undo(
        self, operation: str | None = None, *, on_conflict: str = "merge", lose_unsaved: bool = False, dry_run: bool = False
    ) -> replies.RewindResult:
        """Takes the session's newest rewind back, or the named operation. Raises NothingToUndo when there is none."""
        work = calls.undo(self._seat, operation=operation, on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run)
        return await self._run(work)

    async def redo(self, *, on_conflict: str = "merge", lose_unsaved: bool = False, dry_run: bool = False) -> replies.RewindResult:
        """Takes the newest undo back. Raises NothingToUndo when there is none, or a save or rewind came after it."""
        return await self._run(calls.redo(self._seat, on_conflict=on_conflict, lose_unsaved=lose_unsaved, dry_run=dry_run))

    async def restore(
        self,
        *paths: calls.AnyPath,
        position: str | None = None,
        overwrite: bool | None = None,
        plan: str | None = None,
        lose_unsaved: bool = False,
        dry_run: bool = False,
    ) -> replies.RewindResult:
        """Brings files back, or directories with all below; moves no head, and removes nothing. `undo` takes it back.

        Args:
            position: as they were there; None: as they were before they were last deleted.
            overwrite: False: a conflict where something else is there now. True: also what another session is editing.
            plan: the id of the plan that was looked at; with another one nothing is touched.
            lose_unsaved: as in `rewind`.

        Raises:
            UnknownPath: nothing is known of a path, or it was not there then.
            BadRequest: no position, and nothing was deleted there last.
            Conflict, HeadMoved: as `rewind`.
        """
        losing = lose_unsaved
        work = past.restore(self._seat, paths, position=position, overwrite=overwrite, plan=plan, lose_unsaved=losing, dry_run=dry_run)
        return await self._run(work)

    async def show(self, position: str, path: calls.AnyPath) -> replies.PathVersion:
        """Returns a path as it was: `version` (None: absent), `content` of a file up to 1 MiB, `entries` of a directory.

        Raises:
            UnknownPath: it was not known then.
            UnknownCheckpoint, AmbiguousCheckpoint: no such position, or several.
        """
        return await self._run(past.show(self._seat, position, path))

    async def blame(self, path: calls.AnyPath, position: str | None = None) -> replies.Blamed:
        """Returns a file's `content`, and in `spans` which session, agent and turn its lines came from; now, or as it was at a position.

        Raises:
            BadRequest: it is no file, no text, or too large.
            UnknownPath: it is not there, or was not known then.
            UnknownCheckpoint, AmbiguousCheckpoint: no such position, or several.
        """
        return await self._run(past.blame(self._seat, path, position))

    async def materialize(self, position: str, to: calls.AnyPath) -> Materialized:
        """Writes the whole tree as it was into a directory that is empty or not there. What was not known then is in `skipped`.

        Raises:
            UnknownCheckpoint, AmbiguousCheckpoint: no such position, or several; nothing was made.
            AlreadyExists: the directory is not empty.
            BadRequest: it is no directory.
        """
        return await written(past.materialize(self._seat, position, to), self._run)

    async def pending(self, *paths: calls.AnyPath, patch: bool = False) -> Diffs:
        """Returns the session's own changes since its head; `patch` adds unified diffs."""
        return await self._run(calls.pending(self._seat, paths, patch=patch))

    async def diff(self, path: calls.AnyPath) -> replies.FileDiff | None:
        """Returns the session's own change of a path since its head, with its patch; None: unchanged or not tracked."""
        return next(iter(await self.pending(path, patch=True)), None)

    async def release(self, *paths: calls.AnyPath) -> int:
        """Drops the session's claims, on the paths or all, and returns how many. Touches no file."""
        return await self._run(calls.release(self._seat, paths))

    async def record(self, events: Iterable[calls.GivenEvent]) -> replies.Recorded:
        """Tells events now, after what `history` has not told; durable on return. The daemon counts them itself."""
        return await self._run(calls.record(self._seat, events))

    @overload
    async def read(self, version: replies.FileVersion) -> bytes: ...

    @overload
    async def read(self, version: replies.FileVersion, *, to: str | os.PathLike[str]) -> int: ...

    async def read(self, version: replies.FileVersion, *, to: str | os.PathLike[str] | None = None) -> bytes | int:
        """Returns a version's content; with `to`, writes it to that file, in pieces, and returns its size in bytes.

        Raises:
            BadRequest: it is no file and no symlink.
        """
        pieces = self._pieces(version)
        if to is None:
            return b"".join([piece async for piece in pieces])
        import aiofiles  # rarely used, and not free

        size = 0
        async with aiofiles.open(to, "wb") as file:
            async for piece in pieces:
                size += await file.write(piece)
        return size

    def events(self, *, diff: bool = False, ack: bool = True) -> Events:
        """Yields what others do to what this session works on, as it comes; see `Client.events`."""
        return self._listen(self, diff=diff, ack=ack)

    async def close(self) -> None:
        """Tells what is unsent and ends the session: its claims are dropped. The handle is of no use after that."""
        await self._run(calls.close(self._seat))

    async def open(self) -> None:
        """Opens the session; `Client.session` does it."""
        await self._run(calls.open_session(self._seat))

    async def leave(self, *, quietly: bool) -> None:
        """Tells what is unsent, for at most `LEAVE_S`; `quietly`: a failure is logged, not raised."""
        if not self._seat.has_unsent:
            return
        with anyio.move_on_after(LEAVE_S, shield=True) as scope:
            try:
                await self._run(calls.flush(self._seat), timeout_s=LEAVE_S)
            except RewinddError as exc:
                if not quietly:
                    raise
                logger.warning("session %s: what was recorded last was not told: %s", self.id, exc.message)
        if scope.cancelled_caught and not quietly:
            raise OutcomeUnknown(f"session {self.id}: {self.history.unsent} events were not told in {LEAVE_S:g} s")

    async def _pieces(self, version: replies.FileVersion) -> AsyncIterator[bytes]:
        known = contents.inline(version)
        if known is not None:
            yield known
            return
        offset, blob = 0, contents.blob_of(version)
        while True:
            chunk = await self._run(calls.read_chunk(self._seat, blob, offset))
            yield contents.piece(chunk, offset, blob)
            offset += len(chunk.data)
            if offset >= chunk.size:
                return

    @asynccontextmanager
    async def _window(self, opened: Opened, kind: str) -> AsyncIterator[None]:
        opened.begun(await self._run(calls.open_window(self._seat, kind)))
        try:
            yield
            if opened.window:
                opened.ended(await self._run(calls.close_window(self._seat, opened.window)))
        except BaseException:  # also where the closing was cancelled before it was sent
            await self._close_quietly(opened)
            raise

    async def _close_quietly(self, opened: Opened) -> None:
        if not opened.window:
            return
        with anyio.move_on_after(LEAVE_S, shield=True):
            try:
                opened.ended(await self._run(calls.close_window(self._seat, opened.window), timeout_s=LEAVE_S))
            except RewinddError as exc:
                logger.warning("session %s: the end of a window was not told: %s", self.id, exc.message)

    async def _save_turn(self, turn: Turn) -> replies.Summary:
        """Saves; once more where another process moved the head meanwhile and said nothing."""
        try:
            return await self.save(turn.label)
        except HeadMoved:
            self._seat.check_unmoved()
            return await self.save(turn.label)

    async def _end_edit(self, edit: str | None, *, quietly: bool) -> None:
        if edit is None:
            return
        with anyio.move_on_after(LEAVE_S, shield=True):
            try:
                await self._run(calls.end_edit(self._seat, edit), timeout_s=LEAVE_S)
            except RewinddError as exc:
                if not quietly:
                    raise
                logger.warning("session %s: the end of an edit was not told: %s", self.id, exc.message)

    async def _run(self, work: Work[T], *, timeout_s: float | None = None) -> T:
        if not work.alone and self._seat.info is not None:
            return await self._drive(work, timeout_s=timeout_s)
        async with self._alone:
            return await self._drive(work, timeout_s=timeout_s)
