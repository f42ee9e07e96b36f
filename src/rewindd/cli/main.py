"""The entry of `rewindctl`: as little as possible before the program itself is loaded, and after it has ended."""

import gc
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command of this process's arguments, and ends the process.

    A run is over before garbage matters: collecting while modules load costs 3 of 80 ms. When the program returns, all is
    closed and flushed; taking the interpreter apart module by module would cost another 10.
    """
    gc.disable()
    try:
        from rewindd.cli.program import execute

        status = int(execute(sys.argv[1:], os.environ))
        if sys.stderr is not None:
            sys.stderr.flush()
    except KeyboardInterrupt:
        status = 130  # 128 + SIGINT, as shells say it
    os._exit(status)
