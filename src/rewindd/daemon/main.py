"""The program `rewindd`. It loads everything that the daemon needs, so that an upgrade beneath a running one cannot break it."""

import faulthandler
import gc
import os
import sys

from rewindd.daemon.start import run
from rewindd.service.running import running


def main() -> int:
    """Runs the daemon; returns its exit status."""
    # Where each thread is, when the service manager's watchdog ends a daemon that hangs.
    faulthandler.enable()
    # What was loaded stays: the collector need not go through it each time while requests wait.
    gc.collect()
    gc.freeze()
    return run(sys.argv[1:], os.environ, running)
