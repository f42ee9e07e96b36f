"""One flipped bit, anywhere in a store: found and named, never written to a workspace, and what it does not touch can be used."""

import os
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from rewindd.errors import RewinddError, StoreError, UnknownCheckpoint
from rewindd.paths import FsText
from rewindd.protocol import replies, requests
from rewindd.protocol.asking import EventBody
from support.desk import Photograph, photograph
from support.windows import Sill, sill

#: Bits that are flipped, one after the other; each takes some tenths of a second.
FLIPS = 24
MANY_FLIPS = 1500
SAVES = 5


@dataclass
class Kept:
    """A store, the tree that it is about, and the tree as it was at each of its checkpoints, by label."""

    directory: Path
    session: str = ""
    other: str = ""
    photographs: dict[str, Photograph] = field(default_factory=dict)
    last: Photograph = field(default_factory=dict)

    @property
    def tree(self) -> Path:
        return self.directory / "tree"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def put_back(self) -> None:
        """Brings store and tree back as they were before anything was flipped."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.directory / "sound", self.data)
        for name in os.listdir(self.tree):
            path = self.tree / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        for name, (kind, mode, content) in sorted(self.last.items()):
            path = self.tree / name
            if kind == "directory":
                path.mkdir()
                path.chmod(mode)
            elif kind == "symlink":
                path.symlink_to(os.fsdecode(content))
            else:
                path.write_bytes(content)
                path.chmod(mode)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Files, directories and a link, saved time and again by two sessions; rewinds, an undo, a barrier, words."""
    made = Kept(tmp_path_factory.mktemp("rot").resolve())
    made.tree.mkdir()
    for n in range(30):
        (made.tree / f"old{n}").write_text(f"was here {n}\n" * 20)
    async with sill(made.directory) as at:
        made.session, made.other = await opened(at, "one"), await opened(at, "two")
        for n in range(SAVES):
            (made.tree / "text").write_text(f"{n}\n" * 300)
            (made.tree / f"new{n}").mkdir()
            (made.tree / f"new{n}" / "inner").write_bytes(bytes([n]) * 3000)
            (made.tree / "large").write_bytes(random.Random(n).randbytes(300_000))
            (made.tree / f"link{n}").symlink_to("text")
            (made.tree / f"old{n}").unlink()
            events = [EventBody(kind="user_prompt", text=f"prompt {n}"), EventBody(kind="tool_call", tool_name="edit", arguments="x" * 500)]
            saving = made.session if n % 2 == 0 else made.other
            await at.ask(requests.Save(session=saving, label=f"s{n}", events=events), replies.Saved)
            made.photographs[f"s{n}"] = photograph(made.tree)
        await at.ask(requests.Rewind(session=made.session, position="s2", scope="workspace"), replies.RewindResult)
        await at.ask(requests.Undo(session=made.session), replies.RewindResult)
        await at.ask(requests.MakeBarrier(session=made.session, label="b"), replies.BarrierMade)
        made.last = photograph(made.tree)
    made.data.rename(made.directory / "sound")
    return made


async def opened(at: Sill, name: str) -> str:
    """Opens a session for which everything is captured; returns when the first capture is over."""
    request = requests.OpenSession(directory=FsText(at.root), agent=name, id=name, exact=True)
    session = (await at.ask(request, replies.SessionReply)).session.id
    await at.ask(requests.Save(session=session, label=f"start of {name}"), replies.Saved)
    return session


def columns(db: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def flip_value(data: Path, chance: random.Random) -> str:
    """Flips a bit of one value of one row."""
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as db:
        checked = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'") if "checksum" in columns(db, name)]
        tables = [name for name in [*checked, "blobs", "packs"] if db.execute(f"SELECT count(*) FROM {name}").fetchone() != (0,)]
        table = chance.choice(tables)
        keys = [name for _, name, *_, at in db.execute(f"PRAGMA table_info({table})") if at]
        row = chance.choice(db.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall())
        where = " AND ".join(f"{key} = ?" for key in keys)
        names = [name for name in columns(db, table) if not (table in ("blobs", "packs") and name == "number")]
        values = {name: db.execute(f"SELECT {name} FROM {table} WHERE {where}", row).fetchone()[0] for name in names}
        column = chance.choice([name for name, value in values.items() if value not in (None, "", b"")])
        value = values[column]
        if isinstance(value, int):
            fresh: object = value ^ 1 << chance.randrange(40)
        else:
            stored = bytearray(value if isinstance(value, bytes) else value.encode())
            at = chance.randrange(len(stored) * 8)
            stored[at // 8] ^= 1 << at % 8
            fresh = bytes(stored)
        cast = f"CAST(? AS {'TEXT' if isinstance(value, str) else 'BLOB'})" if not isinstance(value, int) else "?"
        try:
            db.execute(f"UPDATE {table} SET {column} = {cast} WHERE {where}", (fresh, *row))
        except sqlite3.IntegrityError:
            return "nothing: another row has that key"
        return f"{table}.{column} of {row}"


def flip_byte(data: Path, chance: random.Random) -> str:
    """Flips a bit of the database's file, or of a content's."""
    files = [data / "store.db", *(path for path in sorted((data / "blobs").rglob("*")) if path.is_file())]
    file = files[0] if chance.random() < 0.8 else chance.choice(files[1:])
    at, bit = chance.randrange(file.stat().st_size), 1 << chance.randrange(8)
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ bit]))
    return f"byte {at} of {file.name}"


async def tried(at: Sill, session: str, position: str) -> replies.RewindResult | RewinddError:
    """Returns what a rewind answers, also where that is an error."""
    try:
        return await at.ask(requests.Rewind(session=session, position=position, scope="workspace"), replies.RewindResult)
    except RewinddError as exc:
        return exc


async def holds(kept: Kept, what: str) -> None:
    """Everything that is promised of a store in which one bit is flipped."""
    is_refused = True
    # Damage that is found at the start, where there is no backup to come back from.
    with suppress(StoreError):
        async with sill(kept.directory) as at:
            is_refused = False
            found = await at.ask(requests.Verify(), replies.Verified)
            for label in kept.photographs:
                await goes_back(kept, at, label, found, what)
    assert not is_refused or photograph(kept.tree) == kept.last, what


async def goes_back(kept: Kept, at: Sill, label: str, found: replies.Verified, what: str) -> None:
    """A checkpoint can be had exactly, or it was named; where it is refused nothing is written."""
    named = {ref.label for one in found.damage if one.healed_from is None for ref in one.checkpoints}
    anything = any(one.kind == "structure" or not one.checkpoints for one in found.damage)
    before, expected = photograph(kept.tree), kept.photographs[label]
    done = await tried(at, kept.session if label in ("s0", "s2", "s4") else kept.other, label)
    after = photograph(kept.tree)
    if isinstance(done, RewinddError):
        assert after == before, (what, label, done)
        # A label or an id that was hit names nothing any more.
        is_nameless = isinstance(done, UnknownCheckpoint) and any(one.table == "checkpoints" for one in found.damage)
        assert label in named or anything or is_nameless, (what, label, done, found)
        return
    said = {str(one.path) for one in (*done.kept, *done.not_restored)}
    differs = {path for path in after.keys() | expected.keys() if after.get(path) != expected.get(path)}
    assert differs <= said or label in named, (what, label, differs - said, found)
    assert not differs or found.damage, (what, label, differs)


@pytest.mark.parametrize("seed", range(FLIPS))
async def test_a_flipped_value(kept: Kept, seed: int, anyio_backend: str) -> None:
    """A bit of a row, a content or a pack."""
    kept.put_back()
    await holds(kept, flip_value(kept.data, random.Random(seed)))


@pytest.mark.parametrize("seed", range(FLIPS))
async def test_a_flipped_byte(kept: Kept, seed: int, anyio_backend: str) -> None:
    """A bit of a file of the store, whatever it stands for."""
    kept.put_back()
    await holds(kept, flip_byte(kept.data, random.Random(seed)))


@pytest.mark.long
async def test_many(kept: Kept, anyio_backend: str) -> None:
    """Many bits of both kinds."""
    for seed in range(1000, 1000 + MANY_FLIPS):
        for flip in (flip_value, flip_byte):
            kept.put_back()
            with anyio.fail_after(60):
                await holds(kept, f"seed {seed}: {flip(kept.data, random.Random(seed))}")
