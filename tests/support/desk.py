"""A workspace and a client of a real daemon: what an integration test sits at."""

import os
import stat
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

import rewindd
from rewindd.protocol import replies
from support.daemon import RealDaemon

#: The time between two questions, for a state that takes a few milliseconds to come.
POLL_S = 0.005

#: A tree as it is found: path to kind, mode bits and content (a link's target).
Photograph = dict[str, tuple[str, int, bytes]]


def photograph(root: Path) -> Photograph:
    """Returns every path below a directory as it is; nothing is followed."""
    found: Photograph = {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = look(path)
    return found


def look(path: str | Path) -> tuple[str, int, bytes]:
    """Returns kind, mode bits and content of one path."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "symlink", 0, os.fsencode(os.readlink(path))
    if stat.S_ISDIR(mode):
        return "directory", stat.S_IMODE(mode), b""
    if stat.S_ISREG(mode):
        return "file", stat.S_IMODE(mode), Path(path).read_bytes()
    return "special", stat.S_IFMT(mode), b""


class Desk:
    """One workspace, and a client of the daemon that keeps it."""

    def __init__(self, client: rewindd.Client, root: Path, daemon: RealDaemon) -> None:
        self.client, self.root, self.daemon = client, root, daemon
        #: What its sessions capture; None: the default.
        self.capture: str | None = None

    def write(self, name: str, content: str | bytes, mode: int | None = None) -> Path:
        """Writes a file in place, with the directories above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            path.chmod(mode)
        return path

    def read(self, name: str) -> str:
        """Returns a file's text."""
        return (self.root / name).read_text()

    def photograph(self) -> Photograph:
        """Returns the whole workspace as it is."""
        return photograph(self.root)

    @asynccontextmanager
    async def session(
        self,
        *,
        agent: str = "tester",
        session_id: str | None = None,
        parent_id: str | None = None,
        from_position: str | None = None,
        attribution: str | None = None,
    ) -> AsyncIterator[rewindd.Session]:
        """A session on the workspace, whose first capture is complete: what that sees in the middle of a test is one more row."""
        async with self.client.session(
            self.root,
            agent=agent,
            session_id=session_id,
            parent_id=parent_id,
            from_position=from_position,
            attribution=attribution,
            capture=self.capture,
        ) as session:
            while await self._is_being_captured():
                await anyio.sleep(POLL_S)
            yield session

    async def _is_being_captured(self) -> bool:
        workspaces = (await self.client.status()).workspaces
        return any(one.root == str(self.root) and one.baseline.state == "running" for one in workspaces)


def reasons(listed: Iterable[replies.PathReason]) -> dict[str, str]:
    """Paths to their reasons."""
    return {str(one.path): one.reason for one in listed}


async def edit(session: rewindd.Session, desk: Desk, name: str, content: str | bytes) -> None:
    """The session edits a file, and says so before."""
    await session.snapshot(name)
    desk.write(name, content)


async def saved(session: rewindd.Session, desk: Desk, name: str, content: str | bytes, label: str | None = None) -> replies.Summary:
    """The session edits a file and saves."""
    await edit(session, desk, name, content)
    return await session.save(label)
