"""A program: one process of an agent that was resumed twice. It says its words in a session that another process speaks in too.

`resumed.py SOCKET TOP SESSION NAME WORDS`. Prints one JSON object: each of its words, in order, and whether the process had looked at
the session again before it: because it heard `head-moved`, or opened the session anew.
"""

import json
import random
import sys
from contextlib import ExitStack

import rewindd.blocking
from rewindd.client.blocking_session import Session
from rewindd.errors import HeadMoved

#: Seconds of silence; a machine at its limit is slow, and not wrong.
SILENCE_S = 60.0


def main(socket: str, top: str, session_id: str, name: str, words: int) -> None:
    """Says the words, some at once and some with a save, comes back now and then, and goes on whenever it hears `head-moved`."""
    chance = random.Random(name)
    said: list[tuple[str, bool]] = []
    heard = 0
    with rewindd.blocking.connect(socket=socket, autostart=False, timeout_s=SILENCE_S) as client, ExitStack() as handles:
        session, looked = handles.enter_context(client.session(top, session_id=session_id)), True
        for number in range(words):
            if number and chance.random() < 0.2:
                handles.close()
                session, looked = handles.enter_context(client.session(top, session_id=session_id)), True
            session.history.add_user_message(f"{name} {number}", tokens=1)
            while not _told(session, with_save=chance.random() < 0.2):
                looked, heard = True, heard + 1
            said.append((f"{name} {number}", looked))
            looked = False
    print(json.dumps({"said": said, "heard": heard}))


def _told(session: Session, *, with_save: bool) -> bool:
    try:
        if with_save:
            session.save()
        else:
            session.record([])
    except HeadMoved:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
