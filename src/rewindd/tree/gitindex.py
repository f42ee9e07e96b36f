"""What git's index says of the files that git tracks: how each looked when git last read it. Whatever still looks so, git has.

Neither contents nor attributes are read, as `status` and `diff-files` do, which run the repository's filters.
"""

import os
import re
from collections.abc import Iterator

from rewindd.paths import MAX_PATH_BYTES
from rewindd.tree.gitrun import read_git

#: It only says what is captured first; git lists an index of 100,000 files in a tenth of a second.
TIMEOUT_S = 5.0
#: An entry is not longer: a path, and five lines of numbers.
MAX_ENTRY_BYTES = MAX_PATH_BYTES + 1024
#: The sizes of the index have 32 bits (gitformat-index(5)).
SIZE_MASK = 0xFFFFFFFF

_NS_PER_S = 1_000_000_000
#: One file of `ls-files --debug -z`. Its form may change at any time (git-ls-files(1)): then nothing is found, or less.
_ENTRY = re.compile(
    rb"(?m)^([^\0]++)\0  ctime: \d+:\d+\n  mtime: (\d+):(\d+)\n  dev: \d+\tino: \d+\n"
    rb"  uid: \d+\tgid: \d+\n  size: (\d+)\tflags: [0-9a-f]+\n"
)


def staged(directory: str) -> Iterator[tuple[str, int, int]]:
    """Yields of each tracked file in a directory of a work tree, and below it, what the index says; nothing where git cannot.

    Its path from there, when it was last changed (nanoseconds, perhaps whole seconds of them), and the low 32 bits of its size;
    zeros where the index does not vouch for it. Blocks while git runs.
    """
    rest = b""
    for piece in read_git(["ls-files", "-c", "-z", "--debug"], cwd=directory, timeout_s=TIMEOUT_S, user_config=True):
        text, end = rest + piece, 0
        for entry in _ENTRY.finditer(text):
            path, mtime_s, mtime_ns, size = entry.groups()
            end = entry.end()
            yield os.fsdecode(path), int(mtime_s) * _NS_PER_S + int(mtime_ns), int(size)
        rest = text[max(end, len(text) - MAX_ENTRY_BYTES) :]
