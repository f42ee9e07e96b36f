"""A mount namespace of a process's own, in which a test may mount what it likes."""

import os
import subprocess


def unshared(script: str) -> list[str]:
    """A command that runs another one in a mount namespace of its own, after a script."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *as_root, "--mount", "--propagation", "private", "sh", "-c", f'{script} && exec "$@"', "sh"]


def inside(pid: int, script: str) -> None:
    """Runs a shell script in the mount namespace of a process; it must end well."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    subprocess.run(["nsenter", "--target", str(pid), *as_root, "--mount", "sh", "-euc", script], check=True, capture_output=True)
