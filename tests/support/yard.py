"""A workspace that is captured as a whole, and its session: what a test of capture works in. git is the referee of what counts."""

import os
import select
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

import rewindd.blocking
from rewindd.client.blocking_session import Session
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from support.daemon import PATIENCE_S, RealDaemon

#: A tree: path to kind, mode bits, and a file's digest or a link's target.
Seen = tuple[str, int, str]
Picture = dict[str, Seen]

#: The referee's and the user's git: nobody's configuration but that of the home directory, and an identity.
IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgSign=false", "-c", "init.defaultBranch=main")


class Yard:
    """A workspace, and a session of a daemon on it."""

    def __init__(self, daemon: RealDaemon, root: Path, home: Path, env: Mapping[str, str]) -> None:
        self.daemon, self.root, self.home, self.env = daemon, root, home, env

    # ---- the daemon

    def restart(self, *, kill: bool = False) -> None:
        """Another daemon goes on with the store."""
        if kill:
            self.daemon.kill()
        else:
            self.daemon.stop()
        self.daemon.start(env=self.env)

    @contextmanager
    def client(self) -> Iterator[rewindd.blocking.Client]:
        """A client of its own."""
        with rewindd.blocking.connect(socket=self.daemon.socket, autostart=False, timeout_s=PATIENCE_S) as client:
            yield client

    @contextmanager
    def session(self, *, agent: str | None = "tester", session_id: str | None = None, attribution: str | None = None) -> Iterator[Session]:
        """A session that captures all of the workspace."""
        with self.client() as client:
            with client.session(self.root, agent=agent, session_id=session_id, attribution=attribution, exact=True) as session:
                yield session

    def info(self) -> replies.WorkspaceInfo:
        """What `status` says of the workspace."""
        with self.client() as client:
            return next(one for one in client.status().workspaces if one.root == str(self.root))

    def until_complete(self) -> None:
        """Returns when the first capture is complete."""
        with self.client() as client:
            until(lambda: any(one.root == str(self.root) and one.baseline.state == "complete" for one in client.status().workspaces))

    # ---- the tree

    def write(self, name: str, content: str | bytes, mode: int | None = None) -> Path:
        """Writes a file in place, with the directories above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if mode is not None:
            path.chmod(mode)
        return path

    def git(self, *args: str, stdin: bytes = b"", check: bool = True) -> bytes:
        """Runs the user's git in the workspace, and returns what it wrote."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *IDENTITY, *args], cwd=self.root, env=env, input=stdin, capture_output=True, check=False)
        assert not check or done.returncode == 0, (args, done.stderr)
        return done.stdout

    def shell(self, script: str) -> None:
        """Runs a shell script in the workspace; it must end well."""
        subprocess.run(["sh", "-euc", script], cwd=self.root, check=True, capture_output=True)

    def log(self, session: Session, path: str) -> list[replies.EditInfo]:
        """The log's rows of a path and all below, oldest first."""
        with self.client() as client:
            return client.ask(requests.ReadLog(session=session.id, path=FsText(path)), replies.Edits).edits

    def rows(self) -> int:
        """How many rows all logs have. The daemon looks at no tree for this question; it does to show a log."""
        with self.client() as client:
            return client.status().store.rows

    def listed(self, session: Session, position: str) -> Picture:
        """The tree as the daemon has it at a position, without its root."""
        with self.client() as client:
            return listed(client, session, position)

    def disk(self) -> Picture:
        """The tree as it is, without what git ignores, and without its root and `.git`."""
        return {path: found for path, (found, ignored) in self.judged().items() if not ignored}

    def judged(self) -> dict[str, tuple[Seen, bool]]:
        """The tree as it is, each path with whether git ignores it; what is below such a directory is not in it."""
        found: dict[str, tuple[Seen, bool]] = {}
        level = [""]
        while level:
            names = [f"{directory}{name}" for directory in level for name in os.listdir(self.root / directory) if name != ".git"]
            ignored = self._ignored(names)
            level = []
            for name in names:
                found[name] = (seen(self.root / name), name in ignored)
                if found[name][0][0] == "directory" and name not in ignored:
                    level.append(f"{name}/")
        return found

    def _ignored(self, names: list[str]) -> set[str]:
        if not names or not (self.root / ".git").exists():
            return set()
        asked = b"".join(b"./" + os.fsencode(name) + b"\0" for name in names)
        answer = self.git("check-ignore", "-z", "--stdin", stdin=asked, check=False)
        return {os.fsdecode(name)[2:] for name in answer.split(b"\0") if name}


def listed(client: rewindd.blocking.Client, session: Session, position: str) -> Picture:
    """Returns the tree as the daemon has it at a position, without its root and without what it did not know then."""
    found: Picture = {}
    after = None
    while True:
        page = client.ask(requests.ListTree(session=session.id, position=position, after=after), replies.TreePage)
        found.update((str(one.path), _said(one.version)) for one in page.entries if one.path != "." and _kind(one) != "unknown")
        if not page.more:
            return found
        position, after = page.position, FsText(page.entries[-1].path)


def seen(path: Path) -> Seen:
    """Returns what is at a path."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return "symlink", 0, os.readlink(path)
    if stat.S_ISDIR(found.st_mode):
        return "directory", stat.S_IMODE(found.st_mode), ""
    if stat.S_ISREG(found.st_mode):
        return "file", stat.S_IMODE(found.st_mode), blake3(path.read_bytes()).hexdigest()
    return "special", 0, ""


def photograph(top: Path) -> Picture:
    """Returns every path below a directory, whatever it is."""
    return {
        os.path.relpath(os.path.join(directory, name), top): seen(Path(directory, name))
        for directory, directories, files in os.walk(top)
        for name in (*directories, *files)
    }


def whole(yard: Yard) -> Picture:
    """The tree as it is, but for git's own."""
    return {path: found for path, found in photograph(yard.root).items() if path != ".git" and not path.startswith(".git/")}


def differing(one: Picture, other: Picture) -> dict[str, tuple[Seen | None, Seen | None]]:
    """Returns the paths that differ, each with what both say of it."""
    return {path: (one.get(path), other.get(path)) for path in sorted({*one, *other}) if one.get(path) != other.get(path)}


def until(is_so: Callable[[], bool]) -> None:
    """Returns when it is so; fails after a time that only a broken daemon takes."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s, "it never came to be"
        select.select([], [], [], 0.01)


def _kind(one: replies.PathVersion) -> str:
    return one.version.kind if one.version is not None else "absent"


def _said(version: replies.FileVersion | None) -> Seen:
    assert version is not None
    if version.kind == "symlink":
        return "symlink", 0, str(version.target)
    return version.kind, version.mode or 0, version.blob or ""
