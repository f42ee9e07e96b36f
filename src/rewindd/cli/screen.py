"""The two streams of a command line: data on stdout, everything else on stderr; colour, pager and progress on a terminal only."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from rewindd.cli.settings import Settings

if TYPE_CHECKING:
    from rewindd.protocol.wire import Progress

#: A progress bar that flashes up and goes again is noise: it shows when the wait is longer than this.
PROGRESS_AFTER_S = 0.5
_BAR_CELLS = 24
#: What progress is about, in a person's words.
_WHAT = {"baseline": "first capture"}
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36"}
#: As git sets it: quit if it fits, keep colours, leave the text on the screen.
_LESS = "FRX"

#: Text and a style's name to text: with escape sequences, or as it was.
Paint = Callable[[str, str], str]


class ReaderGone(Exception):
    """Nobody reads stdout any more. No OSError, which click would take for its own to handle."""


class Screen:
    """Where a command's words go. A stream that the caller closed (`>&-`) takes everything and shows nothing."""

    def __init__(self, settings: Settings, env: Mapping[str, str], *, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._settings = settings
        self._env = env
        self._out: TextIO | None = out or sys.stdout
        self._err: TextIO | None = err or sys.stderr
        self._started_s = time.monotonic()
        self._bar_shown = False

    @property
    def json(self) -> bool:
        """True when data is to be printed as JSON."""
        return self._settings.json

    @property
    def is_interactive(self) -> bool:
        """True when a person can be asked: stdin and stderr are a terminal."""
        return sys.stdin is not None and sys.stdin.isatty() and _is_terminal(self._err)

    @property
    def out_is_terminal(self) -> bool:
        """True when a person reads stdout."""
        return _is_terminal(self._out)

    @property
    def width(self) -> int | None:
        """Returns the terminal's width in cells; None where stdout is none, and nothing is cut."""
        if not self.out_is_terminal:
            return None
        import shutil

        return shutil.get_terminal_size().columns

    @property
    def is_unicode(self) -> bool:
        """True when stdout can show more than ASCII."""
        return self._out is None or (self._out.encoding or "").lower().replace("-", "") == "utf8"

    def paint(self, text: str, style: str) -> str:
        """Returns text for stdout in a style, or as it is where nobody would see a colour."""
        return self._painted(text, style, self._out)

    def paint_err(self, text: str, style: str) -> str:
        """Returns text for stderr in a style."""
        return self._painted(text, style, self._err)

    def print(self, text: str) -> None:
        """Prints data. Raises ReaderGone when nobody reads it any more, OSError when it cannot be written."""
        self._clear_bar()
        try:
            _write(self._out, f"{text}\n" if not text.endswith("\n") else text)
        except BrokenPipeError as exc:
            raise ReaderGone from exc

    def print_bytes(self, data: bytes) -> None:
        """Prints data as it is. Raises as `print`."""
        self._clear_bar()
        if self._out is None or self._out.closed:
            return
        try:
            self._out.flush()
            self._out.buffer.write(data)
        except BrokenPipeError as exc:
            raise ReaderGone from exc

    def page(self, text: str) -> None:
        """Prints data through the pager, when a person reads it and it is longer than the screen."""
        if not text:
            return
        if not self.out_is_terminal or not self._page(text):
            self.print(text)

    def say(self, text: str) -> None:
        """Tells the person something, unless `-q`."""
        if not self._settings.quiet:
            self.warn(text)

    def detail(self, text: str) -> None:
        """Tells the person something with `-v` only."""
        if self._settings.verbose:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Tells the person something in any case."""
        self._clear_bar()
        _write(self._err, f"{text}\n")

    def ask(self, question: str) -> bool:
        """Asks on the terminal; only a yes is one."""
        self._clear_bar()
        _write(self._err, f"{question} [y/N] ")
        if self._err is not None:
            self._err.flush()
        answer = sys.stdin.readline()
        if not answer:
            _write(self._err, "\n")
        return answer.strip().lower() in ("y", "yes")

    def choose(self, question: str, answers: tuple[str, ...]) -> str | None:
        """Asks on the terminal which of several answers; None for anything that is not one, or the beginning of one alone."""
        self._clear_bar()
        _write(self._err, f"{question} [{'/'.join(answers)}] ")
        if self._err is not None:
            self._err.flush()
        said = sys.stdin.readline()
        if not said:
            _write(self._err, "\n")
        word = said.strip().lower()
        meant = [answer for answer in answers if word and answer.startswith(word)]
        return meant[0] if len(meant) == 1 else None

    def progress(self, progress: "Progress") -> None:
        """Shows how far a request is: on a terminal, after a while."""
        waited_s = time.monotonic() - self._started_s
        if self._settings.quiet or waited_s < PROGRESS_AFTER_S or not _is_terminal(self._err) or self._env.get("TERM") == "dumb":
            return
        self._bar_shown = True
        _write(self._err, f"\r{_bar(progress)}\x1b[K")
        if self._err is not None:
            self._err.flush()

    def flush(self) -> None:
        """Hands over what was printed. Raises ReaderGone when nobody reads it any more, OSError when it cannot be written."""
        self._clear_bar()
        try:
            for stream in (self._out, self._err):
                if stream is not None and not stream.closed:
                    stream.flush()
        except BrokenPipeError as exc:
            raise ReaderGone from exc

    def _painted(self, text: str, style: str, stream: TextIO | None) -> str:
        if not text or not _is_terminal(stream) or self._env.get("NO_COLOR") or self._env.get("TERM") == "dumb":
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    def _clear_bar(self) -> None:
        if self._bar_shown:
            self._bar_shown = False
            _write(self._err, "\r\x1b[K")

    def _page(self, text: str) -> bool:
        """Shows the text in the pager; False when it needs none or there is none."""
        import shlex
        import shutil
        import subprocess

        command = shlex.split(self._env.get("PAGER", "less"))
        if text.count("\n") + 1 < shutil.get_terminal_size().lines or not command or not shutil.which(command[0]):
            return False
        self.flush()
        cwd = None if os.access(".", os.X_OK) else "/"
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env={"LESS": _LESS, **os.environ}, cwd=cwd)
        try:
            pager.communicate(text.encode(errors="replace"))
        except KeyboardInterrupt:  # ^C is for the pager; it ends by its own key
            pager.wait()
        return True


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None or stream.closed:
        return
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))


def _bar(progress: "Progress") -> str:
    what = _WHAT.get(progress.what, progress.what)
    if progress.total <= 0:
        return f"{what} … {progress.done or ''}".rstrip()
    done = min(progress.done, progress.total)
    filled = _BAR_CELLS * done // progress.total
    return f"{what} [{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {done}/{progress.total}"
