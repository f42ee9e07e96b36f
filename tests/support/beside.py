"""A program: the other process of an agent that was resumed twice, which does one thing after the other as it is told.

`beside.py SOCKET TOP SESSION`. Reads a line each: `snapshot PATH`, `save`, `release`, `command` (opens a window), `over` (closes it),
`hear` (looks, and tells the paths of its notices). Answers each with a line. Ends with its input.
"""

import sys
from contextlib import AbstractContextManager

import rewindd.blocking
from rewindd.errors import HeadMoved


def main(socket: str, top: str, session_id: str) -> None:
    """Does as it is told."""
    with (
        rewindd.blocking.connect(socket=socket, autostart=False, timeout_s=60.0) as client,
        client.session(top, session_id=session_id) as own,
    ):
        held: list[AbstractContextManager[object]] = []
        for line in sys.stdin:
            word, _, path = line.strip().partition(" ")
            if word == "snapshot":
                own.snapshot(path)
            elif word == "save":
                try:
                    own.save()
                except HeadMoved:
                    own.save()
            elif word == "release":
                own.release()
            elif word == "hear":
                own.pending()
                print("heard", *(notice.path for notice in own.take_notices()), flush=True)
                continue
            elif word == "command":
                held.append(own.command("its command"))
                held[-1].__enter__()
            else:
                held.pop().__exit__(None, None, None)
            print("did", word, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
