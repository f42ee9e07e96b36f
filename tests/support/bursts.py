"""Random bursts of shell work in a repository: what agents and people do to a tree, many things at once and fast."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from support.yard import Yard

#: Names that trip up who takes them for text, for lines, for options or for patterns.
ODD_NAMES = ("two words", "line\nbreak", "caf\udce9", "-rf", "*.log?", "a:b", "'quoted\"", "ünï", "\x7fdel", "tab\t", "[x]", "a\\b", "!no")
#: A package as npm makes it: directories with small files.
PACKAGE_DIRECTORIES, PACKAGE_FILES = 4, 12


class Bursts:
    """A repository of some hundred files with two branches, and what can be done to it. Everything follows from the seed."""

    def __init__(self, yard: Yard, seed: int, *, packages: int) -> None:
        self.yard, self.root = yard, yard.root
        self.random = random.Random(seed)
        self._packages = packages
        self._number = 0
        #: What was done, for the one who reads of a failure.
        self.done: list[str] = []
        self._found()

    def burst(self, *, npm: bool = False) -> None:
        """Does one to four things, one after the other; with `npm` thousands of files come, and go in a later one."""
        acts = [self.random.choice(self._acts()) for _ in range(self.random.randint(1, 4))]
        if npm:
            acts.append(self._install)
        for act in acts:
            self.done.append(act.__name__)
            act()

    # ---- the acts

    def _acts(self) -> list[Callable[[], None]]:
        return [
            self._switch_branch,
            self._commit,
            self._format,
            self._edit,
            self._edit,
            self._append,
            self._create,
            self._create_and_delete,
            self._remove_tree,
            self._move_tree,
            self._change_case,
            self._save_by_rename,
            self._link,
            self._hard_link,
            self._change_modes,
            self._make_empty_directories,
            self._odd_names,
            self._swap_kinds,
            self._ignored,
            self._extract,
            self._stash,
        ]

    def _found(self) -> None:
        self.yard.git("init", "-q", "-b", "main")
        self.yard.write(".gitignore", "*.log\nbuild/\n")
        for number in range(200):
            self.yard.write(f"src/part{number % 12}/module{number}.py", f"value = {number}\n" * self.random.randint(1, 60))
        for number in range(30):
            self.yard.write(f"docs/page{number}.md", f"# {number}\n")
        self.yard.write("run.sh", "#!/bin/sh\n", 0o755)
        self._commit()
        self.yard.git("checkout", "-q", "-b", "other")
        self._format()
        self._remove_tree()
        self._create()
        self._commit()
        self.yard.git("checkout", "-q", "main")

    def _switch_branch(self) -> None:
        here = self.yard.git("rev-parse", "--abbrev-ref", "HEAD").decode().strip()
        self.yard.git("checkout", "-q", "-f", "other" if here == "main" else "main")

    def _commit(self) -> None:
        """Not `build`: what git tracks it does not ignore, and that moves with its index."""
        self.yard.git("add", "-A")
        self.yard.git("rm", "-q", "--cached", "--ignore-unmatch", "build")
        self.yard.git("commit", "-q", "--allow-empty", "-m", "x")

    def _stash(self) -> None:
        self.yard.git("stash", "-q", "-u", check=False)
        if self.random.random() < 0.5:
            self.yard.git("stash", "pop", "-q", check=False)

    def _format(self) -> None:
        """A formatter over the whole tree."""
        self.yard.shell("find . -name '*.py' -type f -not -path './.git/*' -exec sed -i 's/= /= 1/' {} +")

    def _edit(self) -> None:
        for path in self._some_files(10):
            path.write_bytes(self._content())

    def _append(self) -> None:
        for path in self._some_files(3):
            with path.open("ab") as file:
                for _ in range(20):
                    file.write(b"one more line\n")
                    file.flush()

    def _create(self) -> None:
        top = self._directory() / self._name("new")
        for number in range(self.random.randint(1, 30)):
            place = top / f"d{number % 4}" / f"e{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"f{number}.txt").write_bytes(self._content())

    def _create_and_delete(self) -> None:
        directory = self._directory()
        for number in range(200):
            path = directory / f"tmp{number}"
            path.write_bytes(b"short lived")
            path.unlink()
        for number in range(50):
            place = directory / f"tmpdir{number % 5}"
            (place / "deep").mkdir(parents=True)
            (place / "deep" / "file").write_bytes(b"x")
            if number < 48:
                shutil.rmtree(place)

    def _remove_tree(self) -> None:
        directories = self._directories()
        if len(directories) > 6:
            shutil.rmtree(self.random.choice(directories))

    def _move_tree(self) -> None:
        directories = self._directories()
        if not directories:
            return
        old = self.random.choice(directories)
        into = self._directory()
        if into != old and old not in into.parents:
            old.rename(into / self._name("moved"))
            if self.random.random() < 0.3:
                old.mkdir()

    def _change_case(self) -> None:
        for old in self.random.sample(self._directories(), k=min(2, len(self._directories()))):
            new = old.with_name(old.name.swapcase())
            if old.exists() and not new.exists():
                old.rename(new)

    def _save_by_rename(self) -> None:
        """As editors save: written beside, and moved over."""
        for path in self._some_files(10):
            beside = path.with_name(path.name + ".swp")
            beside.write_bytes(self._content())
            beside.replace(path)

    def _link(self) -> None:
        directory = self._directory()
        link = directory / "link"
        if not os.path.lexists(link):
            link.symlink_to("nowhere")
        elif link.is_symlink():
            link.unlink()
            link.symlink_to(self.random.choice(("../docs", "run.sh", "/etc/hostname", "caf\udce9")))

    def _hard_link(self) -> None:
        for path in self._some_files(2):
            other = path.with_name(self._name("hard"))
            os.link(path, other)
            if self.random.random() < 0.7:
                other.write_bytes(self._content())

    def _change_modes(self) -> None:
        for path in self._some_files(5):
            path.chmod(self.random.choice((0o644, 0o755, 0o600, 0o640)))
        directories = self._directories()
        if directories:
            self.random.choice(directories).chmod(self.random.choice((0o755, 0o700, 0o750)))

    def _make_empty_directories(self) -> None:
        for _ in range(3):
            (self._directory() / self._name("empty") / "inner").mkdir(parents=True)

    def _odd_names(self) -> None:
        directory = self._directory()
        for name in self.random.sample(ODD_NAMES, k=4):
            path = directory / name
            if not os.path.lexists(path):
                path.write_bytes(self._content())
            elif path.is_file() and not path.is_symlink():
                path.unlink()

    def _swap_kinds(self) -> None:
        """A directory becomes a file, or a link, and a file a directory."""
        for path in self._some_files(1):
            path.unlink()
            (path / "inner").mkdir(parents=True)
            (path / "inner" / "file").write_bytes(self._content())
        directories = self._directories()
        if len(directories) > 6:
            path = self.random.choice(directories)
            shutil.rmtree(path)
            if self.random.random() < 0.5:
                path.write_bytes(self._content())
            else:
                path.symlink_to("elsewhere")

    def _ignored(self) -> None:
        self._directory().joinpath("noise.log").write_bytes(self._content())
        build = self.root / "build"
        if build.is_symlink() or build.is_file():
            build.unlink()
        elif build.is_dir() and self.random.random() < 0.5:
            shutil.rmtree(build)
            build.write_bytes(b"a file of that name is not ignored")
            return
        (build / "out").mkdir(parents=True, exist_ok=True)
        (build / "out" / "object.o").write_bytes(self._content())

    def _extract(self) -> None:
        """Files come with an old time stamp, as from an archive, and the same size."""
        for path in self._some_files(5):
            found = path.stat()
            content = bytearray(path.read_bytes())
            if content:
                content[0] ^= 1
                path.write_bytes(content)
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _install(self) -> None:
        top = self.root / "packages"
        if top.exists():
            shutil.rmtree(top)
        for package in range(self._packages):
            for inner in range(PACKAGE_DIRECTORIES):
                place = top / f"package{package}" / "lib" / f"inner{inner}"
                place.mkdir(parents=True)
                for number in range(PACKAGE_FILES):
                    (place / f"{number}.js").write_bytes(b"module.exports = %d\n" % (package * number))

    # ---- where

    def _walk(self) -> list[tuple[str, list[str], list[str]]]:
        found = []
        for directory, directories, files in os.walk(self.root):
            directories[:] = sorted(name for name in directories if name != ".git")
            found.append((directory, [*directories], sorted(files)))
        return found

    def _directories(self) -> list[Path]:
        """The directories that are no links, without the root."""
        found = [Path(directory, name) for directory, directories, _ in self._walk() for name in directories]
        return [path for path in found if not path.is_symlink()]

    def _directory(self) -> Path:
        return self.random.choice([self.root, *self._directories()])

    def _some_files(self, count: int) -> list[Path]:
        found = [Path(directory, name) for directory, _, files in self._walk() for name in files if name != ".gitignore"]
        found = [path for path in found if not path.is_symlink()]
        return self.random.sample(found, k=min(count, len(found)))

    def _name(self, stem: str) -> str:
        self._number += 1
        return f"{stem}{self._number}"

    def _content(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 5, 300, 5000)))
