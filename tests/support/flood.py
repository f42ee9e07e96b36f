"""Opens so many connections to a socket, and holds them: `flood.py SOCKET COUNT silent|spoken`. Says `full`, and ends with its stdin.

`spoken`: each shakes hands as a ZMTP 3.0 peer does (RFC 23), so that it is closed by no limit of time; it reads nothing.
"""

import resource
import select
import socket
import sys
from contextlib import suppress

#: RFC 23: signature, version, mechanism NULL, then READY with a socket type.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
#: Descriptors that are not connections.
_OWN = 16


def connect(path: str) -> socket.socket:
    """Returns a connection; waits while those before it wait to be accepted."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def main() -> None:
    path, count, way = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard > count + _OWN, f"this test needs {count + _OWN} descriptors, and may have {hard}"
    held: list[socket.socket] = []
    for _ in range(count):
        made = connect(path)
        if way == "spoken":
            with suppress(BrokenPipeError, ConnectionResetError):  # it was turned away already
                made.sendall(GREETING + READY)
        held.append(made)
    print("full", flush=True)
    select.select([sys.stdin], [], [])
    for each in held:
        each.close()


if __name__ == "__main__":
    main()
