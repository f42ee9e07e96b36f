"""What the two session handles have in common: what they know without asking, and how one is opened."""

import os

from rewindd.client.calls import AnyPath, fs_text
from rewindd.client.history import SessionHistory, SessionStats
from rewindd.client.notices import Post
from rewindd.client.seat import Seat
from rewindd.errors import BadRequest
from rewindd.paths import FsText
from rewindd.protocol.replies import Notice, SessionInfo
from rewindd.protocol.requests import OpenSession

#: How long leaving a session may take to tell what was recorded. An agent is ending: it must not hang on us.
LEAVE_S = 2.0


class Handle:
    """A session, as its handle knows it. `history` and `stats` are the handle's own and go with the next save."""

    def __init__(self, opening: OpenSession, post: Post) -> None:
        self._seat = Seat(opening)
        self._post = post

    @property
    def id(self) -> str:
        """The session's id; empty while no daemon was reached and none was given."""
        return self._seat.id

    @property
    def info(self) -> SessionInfo | None:
        """The session as the daemon last described it whole; None while no daemon was reached."""
        return self._seat.info

    @property
    def notices(self) -> list[Notice]:
        """What others did to what the session works on: as it came with replies so far, and was not taken yet. Oldest first."""
        return list(self._post.box(self.id).waiting)

    def take_notices(self) -> list[Notice]:
        """Returns `notices`, each once: they are acknowledged with the session's next request, and told again where that is never made."""
        return self._post.box(self.id).take()

    @property
    def head(self) -> str | None:
        """The id of the checkpoint where the session stands, as far as the handle knows."""
        return self._seat.head

    @property
    def history(self) -> SessionHistory:
        """The conversation, as added to by this handle."""
        return self._seat.history

    @property
    def stats(self) -> SessionStats:
        """The statistics: what the daemon has, and what was counted since."""
        return self._seat.stats


def opening(
    workspace: AnyPath,
    *,
    agent: str | None,
    session_id: str | None,
    parent_id: str | None,
    from_position: str | None,
    capture: str | None,
    attribution: str | None,
    exact: bool,
    replaced: str | None,
) -> OpenSession:
    """Returns the request that opens a session on a directory. It looks at the directory: call it where that may block.

    Raises:
        BadRequest: the path is empty or holds a NUL byte.
    """
    given = fs_text(workspace)
    if not given or "\0" in given:
        raise BadRequest(f"a path that is empty or has a NUL byte: {str(given)!r}")
    directory = os.path.realpath(given)
    try:
        found = os.stat(directory)
    except OSError:  # the daemon says what is wrong with it
        device = inode = None
    else:
        device, inode = found.st_dev, found.st_ino
    return OpenSession(
        directory=FsText(directory),
        device=device,
        inode=inode,
        agent=agent,
        id=session_id,
        parent=parent_id,
        from_position=from_position,
        capture=capture,
        attribution=attribution,
        exact=exact,
        replaced=replaced,
    )
