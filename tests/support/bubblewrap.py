"""A sandbox as agents have it, made by bubblewrap: Python and rewindd to read, a workspace, one socket; no network, no home."""

import shutil
import subprocess
import sys
from pathlib import Path

import rewindd

#: Where a grant's directory is mounted, and the socket in it.
PLACE = "/run/rewindd"
SOCKET = f"{PLACE}/rewindd.sock"
#: Of the system: what a program needs to run.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")


def why_not() -> str | None:
    """Returns why there can be no such sandbox here, None where there can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    tried = subprocess.run([*_bare(), "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"bubblewrap makes no sandbox: {tried.stderr.strip()}"


def inside(root: Path, called: str, grant_directory: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command in the workspace, in a sandbox that has nothing of the daemon's but one grant's directory."""
    mounts = ["--bind", str(root), called, "--ro-bind", str(grant_directory), PLACE, "--chdir", called]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/agent", "PWD": called, "REWINDD_SOCKET": SOCKET, "REWINDD_AUTOSTART": "0"}
    return subprocess.run([*_bare(), *mounts, *command], env=environment, capture_output=True, text=True, timeout=60, check=False)


def _bare() -> list[str]:
    source = Path(rewindd.__file__).parents[1]
    shown = dict.fromkeys([sys.base_prefix, sys.prefix, str(source)])
    options = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/agent"]
    for path in _SYSTEM:
        if Path(path).is_symlink():
            options += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            options += ["--ro-bind", path, path]
    return [*options, *(word for path in shown if not path.startswith("/usr") for word in ("--ro-bind", path, path))]
