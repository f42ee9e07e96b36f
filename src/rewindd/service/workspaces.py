"""The workspace of a directory: found, found elsewhere, put in another's place, or made. docs/design.md, "Workspaces", has the rules."""

import enum
import logging
from collections.abc import Mapping
from dataclasses import replace
from time import time_ns

from rewindd.errors import AlreadyExists
from rewindd.model.ids import WorkspaceId
from rewindd.model.session import Capture, Workspace
from rewindd.service import names, places
from rewindd.service.capture.holding import drop
from rewindd.service.capture.nesting import leave_to
from rewindd.service.places import Place
from rewindd.service.state import State
from rewindd.service.words import choice
from rewindd.store import claims as claim_rows
from rewindd.store import workspaces
from rewindd.store.database import Connection

log = logging.getLogger(__name__)


class Replaced(enum.Enum):
    """What becomes of a workspace whose directory is another one now: it goes on there, or a new one begins."""

    ADOPT = "adopt"
    NEW = "new"


async def find_or_add(
    state: State,
    directory: str,
    device: int | None,
    inode: int | None,
    *,
    exact: bool,
    capture: Capture = Capture.SNAPSHOTS,
    replaced: str | None = None,
) -> Workspace:
    """Returns the workspace of a directory, made if there is none; called under `state.opening`.

    Args:
        device, inode: what the caller sees there.
        exact: the directory itself, not the top of its git work tree.
        capture: what is to be kept of it; the home directory is never kept whole.
        replaced: what to do where another directory took the place of a workspace's; None asks.

    Raises:
        AlreadyExists: that is so, and what was captured of the old directory would need an answer; `workspace` names it.
        BadRequest, UnknownWorkspace, RefusedRoot: see `places`.
    """
    wish = None if replaced is None else choice(Replaced, replaced, "replaced")
    place, workspace = await find_place(state, directory, device, inode, exact=exact, capture=capture)
    return await _settled(state, place, workspace, wish)


async def find_place(
    state: State, directory: str, device: int | None, inode: int | None, *, exact: bool, capture: Capture
) -> tuple[Place, Workspace | None]:
    """Returns the root of the workspace that a directory is in or would be made in, and the workspace that is there or had its path.

    Args, Raises: as `find_or_add`; nothing is made.
    """
    place, above, top = await state.bridge.work(_survey, directory, device, inode, None if exact else state.home)
    places.refuse(place.root, state.home, state.own_directories)
    listed = await state.bridge.transact(known)
    found = nearest(listed, place.root, above)
    if found is not None and found[0] == state.home != place.root and capture is Capture.WORKSPACE:
        found = None  # what is kept whole cannot be a part of the home directory, which is not
    if found is None or (top is not None and top.startswith(f"{found[0]}/")):
        root = place if top is None or _is_refused(top, state) else above[top]
        found = nearest(listed, root.root, above, depth=1)
    else:
        root = above[found[0]]
    places.refuse_whole_home(root.root, state.home, capture)
    return root, found[1] if found is not None else None


async def holding(state: State, directory: str) -> Workspace | None:
    """Returns the workspace that holds a directory, which need not be there; None where none does."""
    above = await state.bridge.work(places.upwards, directory)
    found = nearest(await state.bridge.transact(known), directory, above)
    return found[1] if found is not None else None


def known(db: Connection) -> list[Workspace]:
    """Returns the workspaces that are kept; not the entries that hold imported checkpoints."""
    return [workspace for workspace in workspaces.all_of(db) if not names.is_import(workspace.id)]


def nearest(
    listed: list[Workspace], directory: str, above: Mapping[str, Place], *, depth: int | None = None
) -> tuple[str, Workspace] | None:
    """Returns the workspace nearest around a directory, and where its root is: `directory` or a directory above it.

    The same directory is the same workspace, wherever it was moved or mounted to; else it is the one that has that path.

    Args:
        above: the directories that are there, by path.
        depth: how many directories are tried, from `directory` upwards; None: all.
    """
    for path in places.lineage(directory)[:depth]:
        place = above.get(path)
        same = [one for one in listed if place is not None and place.is_root_of(one)]
        found = same or [one for one in listed if one.root == path and not one.replaced]
        if found:
            return path, found[-1]
    return None


def _survey(directory: str, device: int | None, inode: int | None, home: str | None) -> tuple[Place, dict[str, Place], str | None]:
    """The directory, those above it, and the top of its work tree (`home` None: not looked for)."""
    place = places.look(directory, device, inode)
    top = None if home is None else places.repository_top(place.root, home)
    return place, {**places.upwards(place.root), place.root: place}, top


async def _settled(state: State, place: Place, workspace: Workspace | None, wish: Replaced | None) -> Workspace:
    """The workspace whose root is this very directory. `workspace`: the one that it is, or whose path it has."""
    if workspace is None:
        return await _add(state, place)
    if place.is_root_of(workspace):
        return await _found(state, workspace, place)
    if place.is_remounted(workspace):
        return await _adopt(state, workspace, place, is_same=True)
    if wish is Replaced.NEW:
        return await _add(state, place)
    if wish is None and await state.bridge.transact(lambda db: workspaces.has_history(db, workspace.id)):
        raise AlreadyExists(
            f"{place.root!r} is another directory than workspace {workspace.id} was, which has a history: a new clone, or made again. "
            "`rewindctl session open --adopt` goes on with it, and what differs is nobody's change; `--new` begins another one",
            workspace=workspace.id,
            path=place.root,
        )
    return await _adopt(state, workspace, place, is_same=False)


async def _add(state: State, place: Place) -> Workspace:
    """Makes a workspace. One that had the path is not found by it any more; those around it leave it out from then on."""
    new = Workspace(id=WorkspaceId(names.workspace_id()), root=place.root, device=place.device, inode=place.inode, born_ns=place.born_ns)

    def write(db: Connection) -> list[Workspace]:
        workspaces.add(db, new, time_ns())
        return _displace(db, new)

    return await _take_place(state, new, await state.bridge.transact(write))


async def _found(state: State, workspace: Workspace, place: Place) -> Workspace:
    """The workspace of this very directory. It is known by its new path, unless it is still under the old one too (a bind mount)."""
    if place.root == workspace.root and not workspace.replaced:
        return workspace
    if place.root != workspace.root and await state.bridge.work(places.is_there, workspace):
        return workspace
    moved = replace(workspace, root=place.root, replaced=False)

    def write(db: Connection) -> list[Workspace]:
        workspaces.move(db, moved.id, moved.root)
        return _displace(db, moved)

    return await _take_place(state, moved, await state.bridge.transact(write))


async def _adopt(state: State, workspace: Workspace, place: Place, *, is_same: bool) -> Workspace:
    """Puts a directory in the place of a workspace's. `is_same`: it is its own, whose file system has another number now.

    Nobody claimed what another directory holds: the claims end, and the next look finds the differences as nobody's.
    """
    tree = await state.tree(workspace.id)
    async with tree.lock:
        ended = [] if is_same else [claim for held in tree.claims.values() for claim in held]
        adopted = replace(workspace, device=place.device, inode=place.inode, born_ns=place.born_ns)

        def write(db: Connection) -> None:
            workspaces.place(db, workspace.id, place.device, place.inode, place.born_ns)
            claim_rows.drop(db, workspace.id, ended)

        await state.bridge.transact(write)
        drop(tree, ended)
        state.moved(adopted)
    if not is_same:
        log.warning("workspace %s goes on in another directory", workspace.id)
    await _leave_to(state, adopted)
    return adopted


async def _take_place(state: State, here: Workspace, displaced: list[Workspace]) -> Workspace:
    """Takes over what was committed of a workspace's new path; the workspaces around it leave it out from then on."""
    for one in displaced:
        state.moved(one)
    await _leave_to(state, here)
    state.moved(here)
    return here


async def _leave_to(state: State, here: Workspace) -> None:
    for outer in await state.bridge.transact(known):
        if not outer.replaced and places.is_below(here.root, outer.root):
            await leave_to(state, here, outer)


def _displace(db: Connection, here: Workspace) -> list[Workspace]:
    """Notes that no other workspace is found by this one's path; returns those that were."""
    others = [one for one in known(db) if one.root == here.root and one.id != here.id and not one.replaced]
    for one in others:
        workspaces.displace(db, one.id)
    return [replace(one, replaced=True) for one in others]


def _is_refused(top: str, state: State) -> bool:
    return top == "/" or places.is_below(state.home, top)
