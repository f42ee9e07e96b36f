"""Child processes that start in a millisecond: forked from one that has imported everything. Also that process: `python -m support.zygote`.

What dies must be a process of its own; a new interpreter for each would cost more than what it does.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds that one child may take; far above what any needs.
PATIENCE_S = 60
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its exit status, negative for a signal, and what its function returned (None when it did not)."""

    status: int
    result: Any

    @property
    def was_killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Zygote:
    """Runs functions of importable modules in children, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, function: Callable[..., object], **arguments: object) -> Ended:
        """Runs it in a child of its own and returns how that ended. Arguments and result are plain data. Fails where it raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([function.__module__, function.__name__, arguments]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the zygote ended"
        status, result = json.loads(line)
        assert status != 1, f"{function.__name__}{arguments} raised\n{result}"
        return Ended(status, result)


@contextmanager
def zygote(preload: Path | None = None) -> Iterator[Zygote]:
    """A zygote for the block. `preload`: a library that stands before the others in it and its children (ld.so(8))."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")}
    if preload is not None:
        env["LD_PRELOAD"] = str(preload)
    path = f"{TESTS}{os.pathsep}{env.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    process = subprocess.Popen(
        [sys.executable, "-m", "support.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env | {"PYTHONPATH": path}
    )
    with process:
        yield Zygote(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


def _serve() -> None:
    importlib.import_module("support.dying")
    for line in sys.stdin:
        module, name, arguments = json.loads(line)
        status, result = _fork(getattr(importlib.import_module(module), name), arguments)
        print(json.dumps([status, result]), flush=True)


def _fork(function: Callable[..., object], arguments: dict[str, object]) -> tuple[int, object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os._exit(_child(function, arguments, writing))
    os.close(writing)
    with os.fdopen(reading) as file:
        told = file.read()
    _, wait_status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(wait_status), json.loads(told) if told else None


def _child(function: Callable[..., object], arguments: dict[str, object], writing: int) -> int:
    signal.alarm(PATIENCE_S)
    try:
        result, status = function(**arguments), 0
    except BaseException:  # noqa: BLE001 - whatever it is, the test is told
        result, status = traceback.format_exc(), 1
    with os.fdopen(writing, "w") as file:
        json.dump(result, file)
    return status


if __name__ == "__main__":
    _serve()
