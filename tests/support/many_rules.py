"""A workspace whose rules change, of all kinds but the repository's own; the referee is a look with rules that remember nothing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rewindd.model.capture import CaptureSettings
from rewindd.tree.census import census
from rewindd.tree.root import Root
from rewindd.tree.rules.book import RuleBook
from support.plays import Acts
from support.yard import Picture, Yard, seen

PATTERNS = (
    *("*.o", "build/", "!keep*", "/x*", "sub/**/y*", "*.log", "out", "!*.log", "a*", "!a*.c"),
    *("lib/*", "!lib/x*", "node_modules", "!node_modules/", "venv/", "*.tmp", "**/y", "sub/lib"),
)
EXCLUDE = ("*.c", "/sub/", "out/*.o")
INCLUDE = ("keep*", "build/", "sub/lib/", "node_modules/inside", "x.log", "venv/deep/f.c", "build/sub/y*")
#: `max_file_bytes`.
LIMIT_BYTES = 2000


class ManyRules(Acts):
    """A workspace, in a repository or not, and a configuration that goes with it."""

    def __init__(self, yard: Yard, seed: int, elsewhere: Path, *, is_repository: bool, reload: Callable[[], object]) -> None:
        """Takes a directory outside the workspace, and what has the daemon read its configuration again."""
        super().__init__(yard, seed)
        self._elsewhere, self._reload, self._is_repository = elsewhere, reload, is_repository
        self._settings = CaptureSettings(max_file_bytes=LIMIT_BYTES)
        (yard.home / ".gitconfig").unlink(missing_ok=True)  # another play's: the referee has another home
        if is_repository:
            yard.git("init", "-q")
        self._write_settings()
        reload()

    def acts(self) -> list[Callable[[], None]]:
        """What may be done."""
        often = [*[self._write] * 4, *[self._edit] * 3, *[self._make_directory] * 3, *[self._write_rules] * 3]
        seldom = [self._remove, self._remove_tree, self._remove_tree, self._move_tree, self._move_tree, self._swap, self._configure]
        sizes = [self._grow, self._shrink]
        return [
            *often,
            *seldom,
            *sizes,
            self._make_known_kind,
            self._make_known_kind,
            *[self._commit, self._add_ignored] * self._is_repository,
        ]

    def disk(self) -> Picture:
        """What a census takes, with rules made for it."""
        book = RuleBook(str(self.root), self._settings)
        found = self.root.stat()
        with Root.open(str(self.root), found.st_dev, found.st_ino, 0) as root:
            book.prepare()
            counted = census(root, book, self._settings, lambda _: None)
            book.finish()
        paths = [one.path for one in counted.directories[1:]] + [one.path for one in counted.files]
        return {str(path): seen(self.root / path) for path in paths}

    # ---- the acts

    def _write_rules(self) -> None:
        path = self._directory() / self._random.choice([".gitignore", ".rewindignore", ".rewindignore"])
        path.write_text("\n".join(self._random.sample(PATTERNS, self._random.randint(0, 3))) + "\n")

    def _configure(self) -> None:
        exclude = tuple(self._random.sample(EXCLUDE, self._random.randint(0, 1)))
        include = tuple(self._random.sample(INCLUDE, self._random.randint(0, 2)))
        self._settings = CaptureSettings(max_file_bytes=LIMIT_BYTES, exclude=exclude, include=include)
        self._write_settings()
        self._reload()

    def _write_settings(self) -> None:
        directory = self.yard.daemon.directory / "config" / "rewindd"
        directory.mkdir(parents=True, exist_ok=True)
        lists = f"exclude = {json.dumps(self._settings.exclude)}\ninclude = {json.dumps(self._settings.include)}\n"
        (directory / "config.toml").write_text(f"[capture]\nmax_file_bytes = {LIMIT_BYTES}\n{lists}")

    def _make_known_kind(self) -> None:
        """A directory that a built-in rule knows by its name, or by what is in it: with that from the first moment, or never."""
        made = self._elsewhere / f"made{self._number}"
        self._number += 1
        (made / "deep").mkdir(parents=True)
        (made / "deep" / "f.c").write_text("1")
        (made / "inside").write_text("1")
        kind = self._random.choice(["node_modules", "venv", ".venv", "__pycache__", "cache", "env"])
        if kind in ("venv", ".venv", "env") and self._random.random() < 0.6:
            (made / "pyvenv.cfg").write_text("x")
        if kind == "cache" and self._random.random() < 0.6:
            (made / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
        target = self._directory() / kind
        if not os.path.lexists(target):
            made.rename(target)
        else:
            shutil.rmtree(made)

    def _plain_file(self) -> Path | None:
        return self._random.choice([one for one in self._files() if one.suffix in (".o", ".c", ".log", ".tmp")] or [None])

    def _grow(self) -> None:
        if (path := self._plain_file()) is not None:
            path.write_text("x" * (LIMIT_BYTES + self._random.randint(-5, 50)))

    def _shrink(self) -> None:
        if (path := self._plain_file()) is not None:
            path.write_text("s")

    def _swap(self) -> None:
        if (path := self._plain_file()) is not None:
            path.unlink()
            if self._random.random() < 0.5:
                path.symlink_to("nowhere")
            else:
                path.mkdir()
                (path / "k.o").write_text("1")

    def _commit(self) -> None:
        self.yard.git("add", "-A")
        self.yard.git("commit", "-qm", "x", check=False)

    def _add_ignored(self) -> None:
        if (path := self._file()) is not None:
            self.yard.git("add", "-f", str(path.relative_to(self.root)), check=False)
