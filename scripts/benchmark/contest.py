"""A round of the contest with shadow git: each step is done by both, in turns, the one first and then the other."""

import os
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType

import anyio.to_thread

import rewindd
from benchmark import demands, shadow_git, subject
from benchmark.comparison import Key, Samples
from benchmark.ground import Ground, Wrong, rest
from benchmark.shadow_git import ShadowGit, disk_bytes
from rewindd.protocol import replies, requests

#: Files that are read back after a first capture.
READ_BACK = 200
#: Seconds without a write after which nothing is due any more: a path is looked at in the background after 0.5 s of quiet.
QUIET_S = 1.0
#: Seconds between two questions for the status while a first capture runs, and after which it is given up.
ASK_S, PATIENCE_S = 0.02, 900.0
#: Seconds of silence that a request may take.
SILENCE_S = 60.0
#: Paths in one answer about a whole tree.
PAGE = 10_000

Act = Callable[[], Awaitable[object]]


class Round:
    """One round on a ground. What it measures goes into `samples`; its daemons' stores and git directories are removed at its end."""

    def __init__(self, ground: Ground, samples: Samples, number: int, turns: int) -> None:
        self._ground = ground
        self._samples = samples
        self._number = number
        self._turns = turns
        self._daemon = ground.directory / "daemon"
        self._git_directory = ground.directory / "shadow.git"
        self._seed = 1_000_000 * number

    async def __aenter__(self) -> "Round":
        self._remove()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self._remove()

    async def run(self) -> None:
        """Measures everything once, and what is quick `turns` times."""
        if self._number % 2:
            session = await self._first_of_ours()
            git = await self._first_of_git()
        else:
            git = await self._first_of_git()
            session = await self._first_of_ours()
        with subject.running(self._daemon) as daemon:
            async with connect(daemon) as client:
                rest()
                begun = time.perf_counter()
                async with client.session(self._ground.ours, session_id=session) as handle:
                    await complete(client)
                    self._note(demands.AGAIN, begun)
                    for turn in range(self._turns):
                        await self._turn(handle, git, turn)
                    await self._check_out(git)
        with subject.running(self._daemon, settings={"REWINDD_WATCH": "0"}) as daemon:
            async with connect(daemon) as client, client.session(self._ground.ours, session_id=session) as handle:
                await complete(client)
                await handle.save()
                for turn in range(self._turns):
                    await self._unwatched_turn(handle, git, turn)

    async def _first_of_git(self) -> ShadowGit:
        git = ShadowGit(self._git_directory, self._ground.theirs)
        await self._time_git(demands.FIRST, git.capture)
        if git.files() != self._ground.paths:
            raise Wrong("shadow git did not capture what is there")
        self._samples.other[self._key(demands.DISK)].append(git.disk_bytes() / 1e6)
        return git

    async def _first_of_ours(self) -> str:
        """Measures the first capture; returns the session. The daemon has ended then, and what it left is all in its files."""
        ground = self._ground
        with subject.running(self._daemon) as daemon:
            async with connect(daemon) as client:
                read_back = ground.any(min(READ_BACK, len(ground.paths)))
                rest()
                begun = time.perf_counter()
                async with client.session(ground.ours, agent="bench", capture="workspace", attribution="sole") as session:
                    await complete(client)
                    self._note(demands.FIRST_STATUS, begun)
                    saved = await _save(session)
                    self._note(demands.FIRST_SAVE, begun)
                    for path in read_back:
                        if await _shown(session, saved.id, path) != (ground.ours / path).read_bytes():
                            raise Wrong(f"{path} was captured otherwise than it is")
                    self._note(demands.FIRST, begun)
                    for name, field in ((demands.MEMORY, "VmRSS"), (demands.PEAK, "VmHWM")):
                        self._samples.ours[self._key(name)].append(daemon.memory(field))
                    if await _captured(client, session, saved.id) != ground.paths:
                        raise Wrong("rewindd did not capture what is there")
                    known = session.id
        # Ended, it has checkpointed its write-ahead log and closed the database.
        self._samples.ours[self._key(demands.DISK)].append(disk_bytes(self._daemon / "data") / 1e6)
        return known

    async def _turn(self, session: rewindd.Session, git: ShadowGit, turn: int) -> None:
        ground = self._ground
        await self._changed(demands.SAVE_CHANGED, session, git, turn, quiet=False)
        saved, tree = await self._both(turn, demands.SAVE_NOTHING, session.save, git.capture)
        base, commit = self._summary(saved, 0), git.commit(str(tree))
        paths = ground.choose()
        before = ground.contents(ground.ours, paths)
        await self._changed(demands.SAVE_QUIET, session, git, turn, quiet=True, paths=paths)
        result, _ = await self._both(turn, demands.REWIND, lambda: session.rewind(base.id), lambda: git.reset(commit))
        if not isinstance(result, replies.RewindResult) or sorted(result.restored) != sorted(paths):
            raise Wrong(f"a rewind did not restore {len(paths)} files: {result}")
        ground.check_alike(paths, before)
        last = Key(ground.files, demands.REWIND)
        self._samples.ours[self._key(demands.REWIND_CHECKOUT)].append(self._samples.ours[last][-1])
        await self._git_status(turn)

    async def _git_status(self, turn: int) -> None:
        """Measures `git status` in both copies, changed alike: that of the tree which a daemon watches, and the other one."""

        async def beside_us() -> str:
            return await anyio.to_thread.run_sync(shadow_git.status, self._ground.ours)

        said, alone = await self._both(turn, demands.GIT_STATUS, beside_us, lambda: shadow_git.status(self._ground.theirs))
        if not said or said != alone:
            raise Wrong("`git status` says something else in the tree that is watched")

    async def _unwatched_turn(self, session: rewindd.Session, git: ShadowGit, turn: int) -> None:
        await self._changed(demands.UNWATCHED_CHANGED, session, git, turn, quiet=False)
        saved, _ = await self._both(turn, demands.UNWATCHED_NOTHING, session.save, git.capture)
        self._summary(saved, 0)
        await self._changed(demands.UNWATCHED_QUIET, session, git, turn, quiet=True)

    async def _changed(
        self, name: str, session: rewindd.Session, git: ShadowGit, turn: int, *, quiet: bool, paths: list[str] | None = None
    ) -> None:
        """Changes files in both copies and captures them; `quiet`: a while after the last write."""
        chosen = paths if paths is not None else self._ground.choose()
        self._seed += 1
        seed = self._seed

        async def edit(side: Path) -> None:
            self._ground.edit(side, chosen, seed)
            if quiet:
                await anyio.sleep(QUIET_S)

        saved, _ = await self._both(
            turn, name, session.save, git.capture, before_ours=lambda: edit(self._ground.ours), before_git=lambda: edit(self._ground.theirs)
        )
        self._summary(saved, len(chosen))

    async def _check_out(self, git: ShadowGit) -> None:
        """Measures the restore that writes every file anew; alone, and then git learns the new files' state again."""
        tree = git.capture()
        paths = self._ground.choose()
        before = self._ground.contents(self._ground.theirs, paths)
        self._seed += 1
        self._ground.edit(self._ground.theirs, paths, self._seed)
        git.capture()
        await self._time_git(demands.REWIND_CHECKOUT, lambda: git.check_out(tree))
        self._ground.check_alike(paths, before)
        await anyio.to_thread.run_sync(git.capture)

    async def _both(
        self,
        turn: int,
        name: str,
        ours: Act,
        theirs: Callable[[], object],
        *,
        before_ours: Act | None = None,
        before_git: Act | None = None,
    ) -> tuple[object, object]:
        """Times both, the one first in one turn and the other in the next; returns what they returned."""
        results: dict[bool, object] = {}
        for of_ours in (True, False) if turn % 2 else (False, True):
            rest()
            prepare = before_ours if of_ours else before_git
            if prepare is not None:
                await prepare()
            results[of_ours] = await (self._time_ours(name, ours) if of_ours else self._time_git(name, theirs, rested=True))
        return results[True], results[False]

    async def _time_ours(self, name: str, act: Act) -> object:
        begun = time.perf_counter()
        result = await act()
        self._note(name, begun)
        return result

    async def _time_git(self, name: str, act: Callable[[], object], *, rested: bool = False) -> object:
        """Times git, in a worker thread: the client's loop stays free."""
        if not rested:
            rest()
        took_ms: list[float] = []

        def timed() -> object:
            begun = time.perf_counter()
            result = act()
            took_ms.append((time.perf_counter() - begun) * 1000)
            return result

        result = await anyio.to_thread.run_sync(timed)
        self._samples.other[self._key(name)].extend(took_ms)
        return result

    def _note(self, name: str, begun: float) -> None:
        self._samples.ours[self._key(name)].append((time.perf_counter() - begun) * 1000)

    def _key(self, name: str) -> Key:
        return Key(self._ground.files, name)

    def _remove(self) -> None:
        for directory in (self._daemon, self._git_directory):
            shutil.rmtree(directory, ignore_errors=True)
        os.sync()

    @staticmethod
    def _summary(saved: object, files: int) -> replies.Summary:
        """Checks a save. Raises Wrong when it has not so many files, or lacks something."""
        if not isinstance(saved, replies.Summary) or saved.files != files or saved.incomplete.count:
            raise Wrong(f"a save should have {files} files and lack nothing: {saved}")
        return saved


def connect(daemon: subject.Subject) -> AbstractAsyncContextManager[rewindd.Client]:
    """Returns a client of a daemon."""
    return rewindd.connect(socket=daemon.socket, autostart=False, timeout_s=SILENCE_S)


async def complete(client: rewindd.Client) -> None:
    """Returns when the status says that the daemon's only workspace is captured. Raises Wrong when it never does."""
    with anyio.move_on_after(PATIENCE_S):
        while True:
            workspaces = (await client.status()).workspaces
            if workspaces and all(one.baseline.state == "complete" for one in workspaces):
                return
            await anyio.sleep(ASK_S)
    raise Wrong(f"a first capture was not complete after {PATIENCE_S:.0f} s")


async def _save(session: rewindd.Session) -> replies.Summary:
    """Saves; raises Wrong when something is not captured."""
    saved = await session.save()
    if saved.incomplete.count:
        raise Wrong(f"complete, and yet a save lacks {saved.incomplete.count} paths, the first: {saved.incomplete.first[:3]}")
    return saved


async def _shown(session: rewindd.Session, position: str, path: str) -> bytes | None:
    """Returns a file's content as it was at a position, as `show ID:PATH` does; None where there was none."""
    return (await session.show(position, path)).content


async def _captured(client: rewindd.Client, session: rewindd.Session, position: str) -> list[str]:
    """Returns the paths of all files at a position, in order."""
    found: list[str] = []
    after, more = None, True
    while more:
        asked = requests.ListTree(session=session.id, position=position, after=after, limit=PAGE)
        page = await client.ask(asked, replies.TreePage)
        found += [one.path for one in page.entries if one.version is not None and one.version.kind != "directory"]
        after, more = page.entries[-1].path if page.entries else after, page.more
    return sorted(found)
