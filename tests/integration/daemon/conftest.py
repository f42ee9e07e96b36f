"""Fixtures: daemon processes around a fake service, ended with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from support.daemon_process import Client, Daemon, Daemons


@pytest.fixture
def context() -> "Iterator[zmq.Context[zmq.Socket[bytes]]]":
    found: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield found
    found.destroy(linger=0)


@pytest.fixture
def daemons(tmp_path: Path, context: "zmq.Context[zmq.Socket[bytes]]") -> Iterator[Daemons]:
    clients: list[Client] = []

    def client(path: str, kind: int) -> Client:
        clients.append(Client(context, path, kind))
        return clients[-1]

    found = Daemons(tmp_path, client)
    yield found
    found.end()
    for each in clients:
        each.socket.close()


@pytest.fixture
def daemon(daemons: Daemons) -> Daemon:
    return daemons.up()
