"""What the handles' `command` and `turn` give to their blocks; filled in when the block ends."""

from rewindd.protocol import replies

#: How long a turn that failed may take to keep its work: as long as a call's silence. Its error is waiting to be seen.
FAILED_TURN_S = 10.0
#: Characters of a prompt's first line that become its checkpoint's label: a line of a terminal has room for them.
LABEL_CHARS = 60


class Opened:
    """A window. `window` is its id, empty where no daemon opened one; `incomplete`: paths that were not captured when it began.

    `changes`, `unowned` and `contested` are of its end: what the session changed in it, and how many paths were changed meanwhile
    by nobody known, or by several sessions. `lapsed`: it had ended before, or there was none, so they say nothing of what was changed.
    """

    def __init__(self) -> None:
        self.window = ""
        self.incomplete = 0
        self.changes: list[replies.FileDiff] = []
        self.unowned = 0
        self.contested = 0
        self.lapsed = False

    def begun(self, reply: replies.Window) -> None:
        """Takes in what the daemon said when it was opened."""
        self.window, self.incomplete = reply.window, reply.incomplete

    def ended(self, reply: replies.WindowChanges) -> None:
        """Takes in what the daemon said when it was closed."""
        self.changes, self.unowned, self.contested = reply.changes, reply.unowned, reply.contested
        self.lapsed = reply.ended


class Command(Opened):
    """The window of a shell command, `text`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Turn(Opened):
    """The window of a turn. `checkpoint` is the one saved at its end; None until then, and where it could not be saved."""

    def __init__(self, prompt: str | None) -> None:
        super().__init__()
        self.prompt = prompt
        self.checkpoint: replies.Summary | None = None

    @property
    def label(self) -> str | None:
        """The checkpoint's label: the prompt's first line, cut; None where that is empty."""
        lines = (self.prompt or "").replace("\0", "").strip().splitlines()
        first = lines[0].strip() if lines else ""
        return (first if len(first) <= LABEL_CHARS else f"{first[: LABEL_CHARS - 1].rstrip()}…") or None
