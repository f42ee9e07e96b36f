"""What another session is in the middle of editing is neither overwritten nor left without its directory, unless that is asked for."""

import pytest

from rewindd import errors
from support.desk import Desk, edit, saved

pytestmark = pytest.mark.anyio


async def test_restore_leaves_what_is_being_edited(desk: Desk) -> None:
    """By default what is there is overwritten, but not a half-written edit of another; said in so many words it is."""
    desk.write("f", "0\n")
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        first = await saved(b, desk, "f", "b's\n")
        await edit(a, desk, "f", "a's\n")
        await a.save()
        async with a.editing("f"):
            desk.write("f", "half\n")
            with pytest.raises(errors.Busy, match="'f' is being edited by session"):
                await b.restore("f", position=first.id)
            assert desk.read("f") == "half\n"
            await b.restore("f", position=first.id, overwrite=True)
            assert desk.read("f") == "b's\n"
            desk.write("f", "half\n")
        await b.restore("f", position=first.id)
        assert desk.read("f") == "b's\n"


async def test_the_directory_of_an_edit_stays(desk: Desk) -> None:
    """The file of a bracket is not there yet: its directory is neither removed by a rewind or an undo, nor does it become a file."""
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        start = await a.save()
        async with a.editing("pkg/sub/one"):
            (desk.root / "pkg" / "sub").mkdir(parents=True)
            desk.write("pkg/sub/one", "a's\n")
        await a.save()
        async with b.editing("pkg/sub/deep/two"):
            with pytest.raises(errors.Busy, match="is being edited by session"):
                await a.rewind(start.id)
            assert desk.read("pkg/sub/one") == "a's\n"
            (desk.root / "pkg" / "sub" / "deep").mkdir()
            desk.write("pkg/sub/deep/two", "b's\n")
        result = await a.rewind(start.id)
        assert result.removed == ["pkg/sub/one"]
        assert desk.read("pkg/sub/deep/two") == "b's\n"


async def test_without_the_bracket_the_directory_goes(desk: Desk) -> None:
    """It is the bracket that keeps it: by `overwrite` it goes, and without a bracket too."""
    async with desk.session(agent="a") as a, desk.session(agent="b") as b:
        start = await a.save()
        async with a.editing("pkg/one"):
            (desk.root / "pkg").mkdir()
            desk.write("pkg/one", "a's\n")
        await a.save()
        async with b.editing("pkg/two"):
            forced = await a.rewind(start.id, on_conflict="overwrite")
        assert not (desk.root / "pkg").exists()
        assert "pkg" in forced.removed
        await a.undo()
        await a.rewind(start.id)
        assert not (desk.root / "pkg").exists()
