"""Another user of the machine: a process that gives up being root, and tries things."""

import os
import subprocess
import sys

import pytest

#: `nobody`, which owns nothing.
UID = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")

#: Everything is imported before: what root's Python is made of need not be readable to others.
_BECOME = f"""
import os, socket, sys, traceback
os.setgroups([])
os.setgid({UID})
os.setuid({UID})
"""


def tries(code: str, *arguments: str) -> str:
    """Runs Python code as the other user; returns `done`, or the name of the exception that ended it."""
    script = f"{_BECOME}\ntry:\n    exec({code!r})\nexcept OSError as error:\n    print(type(error).__name__)\nelse:\n    print('done')"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """Starts Python code as the other user, with pipes to talk through."""
    command = [sys.executable, "-c", f"{_BECOME}\n{code}", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
