"""rewindd's main job on real input: a source tree is edited over three checkpoints, rewound, and un-rewound; a deletion by a command too.

Run by `scripts/quickstart`. The daemon, its store and the tree are temporary, and removed at the end.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import anyio

import rewindd

#: Packages of the standard library: a real source tree of some hundred files that every machine with Python has.
PACKAGES = ("asyncio", "ctypes", "email", "encodings", "html", "http", "importlib", "json", "logging", "unittest", "urllib", "xml")
#: The three turns of the agent that this program plays.
TURNS = ("faster json", "no email", "release")
#: How long the daemon may take to say goodbye.
STOP_S = 10.0

Tree = dict[str, str]


def say(text: str) -> None:
    """Prints one line at once."""
    print(text, flush=True)


def photograph(root: Path) -> Tree:
    """Returns every path below a directory with its mode and its content's digest, a link's target, or that it is a directory."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), oct(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = f"{mode} -> {path.readlink()}"
        else:
            found[name] = f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else 'directory'}"
    return found


def check(what: str, root: Path, expected: Tree) -> None:
    """Compares the tree with a photograph, byte for byte, and ends the program when they differ."""
    found = photograph(root)
    different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if different:
        sys.exit(f"FAILED: {what}: {len(different)} paths differ, first {different[0]!r}")
    say(f"   checked: {what}, all {len(expected)} paths, every byte and mode")


def copy_sources(to: Path) -> int:
    """Copies the packages into a new directory; returns the number of files."""
    library = Path(sysconfig.get_path("stdlib"))
    for package in PACKAGES:
        shutil.copytree(library / package, to / package, ignore=shutil.ignore_patterns("__pycache__", "*.so", "test", "tests"))
    return sum(1 for path in to.rglob("*") if path.is_file())


def edit_first(root: Path) -> None:
    """Edits two files and adds one."""
    for name in ("json/decoder.py", "json/encoder.py"):
        path = root / name
        path.write_text(path.read_text().replace("def ", "def  ", 3))
    # What an agent leaves half done.
    (root / "json" / "fast.py").write_text("def loads(text):\n    raise NotImplementedError\n")


def edit_second(root: Path) -> None:
    """Deletes a package and renames a file."""
    shutil.rmtree(root / "email")
    (root / "http" / "client.py").rename(root / "http" / "caller.py")


def edit_third(root: Path) -> None:
    """Makes a script executable, a link, a binary file and an empty directory."""
    (root / "json" / "tool.py").chmod(0o755)
    (root / "latest").symlink_to("json/fast.py")
    (root / "logo.bin").write_bytes(bytes(range(256)) * 40)
    (root / "empty" / "inside").mkdir(parents=True)


async def main_job(socket: Path, root: Path) -> None:
    """Three checkpoints, then back and forth."""
    photographs = [photograph(root)]
    async with rewindd.connect(socket=str(socket), autostart=False) as client:
        status = await client.status()
        say(f"2. a daemon is running: rewindd {status.version}, process {status.pid}")
        async with client.session(root, agent="quickstart") as session:
            say(f"3. a session: {session.id}")
            checkpoints = []
            for number, (label, edit) in enumerate(zip(TURNS, (edit_first, edit_second, edit_third), strict=True), 1):
                taken = await session.snapshot(".")
                session.history.add_user_message(f"{label}, please", tokens=8)
                edit(root)
                session.history.add_assistant_message("done", tokens=2)
                summary = await session.save(label)
                photographs.append(photograph(root))
                checkpoints.append(summary)
                say(
                    f"   checkpoint {number}: {summary.id} {label!r}: snapshot of {len(taken.snapshots)} paths, then "
                    f"{summary.files} changed, +{summary.insertions} -{summary.deletions} lines"
                )
            say("4. list, oldest first")
            for summary in await session.list():
                mark = "@" if summary.is_head else " "
                say(f"   {mark} {summary.id}  {summary.label:<12} {summary.files:>4} paths  {summary.stats.total_messages} messages")
            async with session.editing("json/fast.py"):
                (root / "json" / "fast.py").write_text("# after the last save\n")
            unsaved = await session.diff("json/fast.py")
            if unsaved is None:
                sys.exit("FAILED: the unsaved edit was not seen")
            say(f"5. an unsaved edit of {unsaved.path} (+{unsaved.insertions} -{unsaved.deletions}): the rewind will name it, not lose it")
            plan = await session.rewind(checkpoints[0].id, dry_run=True)
            to_do = f"{len(plan.restored)} to restore, {len(plan.removed)} to remove"
            say(f"6. dry run of a rewind to {checkpoints[0].id}: {to_do}, plan {plan.plan_id}")
            before = photograph(root)
            check("the dry run changed nothing", root, before)
            started = time.perf_counter()
            result = await session.rewind(checkpoints[0].id, plan=plan.plan_id)
            took = (time.perf_counter() - started) * 1000
            nothing_left(result)
            done = f"{len(result.restored)} restored, {len(result.removed)} removed, {result.stats.total_messages} messages left"
            say(f"7. rewind: {done}, in {took:.0f} ms")
            check("the tree is as it was at the first checkpoint", root, photographs[1])
            started = time.perf_counter()
            await session.undo()
            took = (time.perf_counter() - started) * 1000
            say(f"8. undo, in {took:.0f} ms")
            check("the tree is as it was just before the rewind", root, before)
            nothing_left(await session.rewind(checkpoints[0].id, before=True))
            say(f"9. rewind to just before {checkpoints[0].id}")
            check("the tree is as it was at the start", root, photographs[0])
            nothing_left(await session.rewind(checkpoints[2].id))
            say(f"10. and forward again to {checkpoints[2].id}")
            check("the tree is as it was at the third checkpoint", root, photographs[3])
            await by_a_command(session, root)


async def by_a_command(session: rewindd.Session, root: Path) -> None:
    """A shell command deletes a package that is in no snapshot, and a rewind brings it back."""
    shutil.copytree(root / "asyncio", root / "copied")
    before = photograph(root)
    async with session.command("rm -rf copied") as command:
        await anyio.run_process(["rm", "-rf", "copied"], cwd=root)
    say(f"11. a package of {len(command.changes)} paths, copied just now and in no snapshot, was deleted by a shell command")
    nothing_left(await session.rewind("@"))
    check("the rewind brought it back", root, before)


def nothing_left(result: rewindd.RewindResult) -> None:
    """Ends the program when a rewind left something undone."""
    if result.kept or result.conflicts:
        sys.exit(f"FAILED: the rewind left {[*result.kept, *result.conflicts]}")


def run(directory: Path) -> None:
    """Starts a daemon, does the job, stops the daemon."""
    root, socket = directory / "project", directory / "run" / "rewindd.sock"
    root.mkdir()
    say(f"1. {copy_sources(root)} files of Python's own library, copied to {root}")
    places = ["--socket", str(socket), "--data-dir", str(directory / "data")]
    arguments = [sys.executable, "-m", "rewindd.daemon", *places, "--log-level", "warning"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")}
    daemon = subprocess.Popen(arguments, env=environment | {"XDG_CONFIG_HOME": str(directory)})
    try:
        wait_for(socket, daemon)
        anyio.run(main_job, socket, root)
    finally:
        daemon.terminate()
        code = daemon.wait(STOP_S)
    say(f"12. the daemon is stopped (exit status {code}), its store and the copy are removed")
    if code:
        sys.exit(f"FAILED: the daemon ended with status {code}")


def wait_for(socket: Path, daemon: "subprocess.Popen[bytes]") -> None:
    """Waits until the daemon answers."""
    with rewindd.blocking.connect(socket=str(socket), autostart=False) as client:
        for _ in range(100):
            try:
                client.status()
            except rewindd.errors.TransportError:
                if daemon.poll() is not None:
                    sys.exit(f"FAILED: the daemon ended with status {daemon.returncode}")
                time.sleep(0.05)
            else:
                return
    sys.exit("FAILED: the daemon does not answer")


def go_on() -> None:
    """Says what to do next."""
    bin_directory = Path(sys.executable).parent
    say("")
    say("All of it worked. To go on, in a project of yours:")
    say(f"   export PATH={bin_directory}:$PATH")
    say("   rewindctl run --session -- AGENT...   # a session around any agent, starts the daemon if there is none")
    say("   rewindctl list")
    say("   rewindctl rewind @ --before --dry-run # what would be taken back; then with --yes, and `rewindctl undo` if it was wrong")
    say("   rewindctl restore -- PATH             # what anybody deleted")
    say("For agents: docs/python.md. All commands: rewindctl --help.")


if __name__ == "__main__":
    say("rewindd quick start")
    with tempfile.TemporaryDirectory(prefix="rewindd-quickstart-") as temporary:
        run(Path(temporary).resolve())
    go_on()
