"""The user's systemd, asked by its own programs. Where they are not there, or nobody answers them, that is what is told."""

import os
import subprocess
from collections.abc import Mapping

from rewindd.cli.doctor.facts import Manager, Unit

SERVICE, SOCKET = "rewindd.service", "rewindd.socket"
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "Result", "MainPID")
#: Seconds; it answers in some hundredths, or hangs.
PATIENCE_S = 5.0


def manager(env: Mapping[str, str]) -> Manager:
    """Returns the state of our units and whether the manager lingers."""
    units: dict[str, Unit] = {}
    for name in (SERVICE, SOCKET):
        status, text = _ask(env, "systemctl", "--user", "show", name, f"--property={','.join(_PROPERTIES)}")
        if status is None:
            return Manager(trouble=text)
        if status != 0:
            return Manager(trouble=f"the user's systemd does not answer: {text.strip() or f'exit {status}'}")
        units[name] = unit(text)
    status, text = _ask(env, "loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value")
    return Manager(units=units, lingers=text.strip() == "yes" if status == 0 and text.strip() in ("yes", "no") else None)


def is_installed(env: Mapping[str, str]) -> bool:
    """Returns whether the user's systemd knows the service."""
    known = manager(env).units.get(SERVICE)
    return known is not None and known.load == "loaded"


def unit(text: str) -> Unit:
    """Returns a unit by what `systemctl show` prints of it."""
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Unit(
        load=said.get("LoadState", ""),
        active=said.get("ActiveState", ""),
        enabled=said.get("UnitFileState", ""),
        result=said.get("Result", ""),
        main_pid=int(said.get("MainPID") or 0),
    )


def _ask(env: Mapping[str, str], *command: str) -> tuple[int | None, str]:
    """Returns the exit status and what was printed, on stderr where it failed; None as status where it cannot be run."""
    try:
        ran = subprocess.run(
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except FileNotFoundError:
        return None, f"there is no {command[0]}"
    except (OSError, subprocess.TimeoutExpired) as exc:
        return None, f"{command[0]} gave no answer: {exc}"
    return ran.returncode, ran.stdout if ran.returncode == 0 else ran.stderr
