"""Namespaces around a process, as a sandbox or container has them, made by util-linux."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Who is not root needs a user namespace to make any other one.
_AS_ROOT: tuple[str, ...] = () if os.geteuid() == 0 else ("--user", "--map-root-user")
MOUNT = ("unshare", *_AS_ROOT, "--mount", "--propagation", "private")
PID = ("unshare", *_AS_ROOT, "--pid", "--fork", "--kill-child")
USER = ("unshare", "--user", "--map-root-user")
#: What a container has.
ALL = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")


def why_not() -> str | None:
    """Returns why there can be no namespaces here, None where there can."""
    try:
        tried = subprocess.run([*ALL, "true"], capture_output=True, text=True, check=False)
    except OSError as exc:
        return f"there is no unshare: {exc}"
    return None if tried.returncode == 0 else f"namespaces are not to be had: {tried.stderr.strip()}"


@contextmanager
def container(command: Sequence[str] = ALL) -> Iterator[int]:
    """Namespaces for the block; gives the number of their first process as it is outside."""
    outer = subprocess.Popen([*command, "sh", "-c", "echo up; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert outer.stdin is not None
    assert outer.stdout is not None
    try:
        assert outer.stdout.readline() == b"up\n"
        yield int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
    finally:
        outer.stdin.close()
        outer.wait()
        outer.stdout.close()


def entering(pid: int) -> tuple[str, ...]:
    """The command that runs another one in the namespaces of a container's process."""
    return ("nsenter", "--target", str(pid), "--user", "--preserve-credentials", "--mount", "--pid", "--")
