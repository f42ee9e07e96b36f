"""The program `rewindd`. It loads everything that the daemon needs, so that an upgrade beneath a running one cannot break it."""

import faulthandler
import gc
import os
import sys

from rewindd.daemon.start import run
from rewindd.service.running import running

#: How long a thread that works may keep the event loop waiting for the interpreter, in seconds. With Python's own 5 ms a small request,
#: which goes to two threads and back, waited up to 68 ms beside a large save; with 1 ms up to 30 (docs/benchmarks.md).
SWITCH_S = 0.001


def main() -> int:
    """Runs the daemon; returns its exit status."""
    # Where each thread is, when the service manager's watchdog ends a daemon that hangs.
    faulthandler.enable()
    # What was loaded stays: the collector need not go through it each time while requests wait.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
    return run(sys.argv[1:], os.environ, running)
