"""Files of several names: what is written through one of them changed under all."""

from collections.abc import Iterator

from rewindd.model.log import IndexEntry
from rewindd.model.versions import File
from rewindd.paths import RelPath
from rewindd.tree.look import Look
from rewindd.tree.observation import New, Observation
from rewindd.tree.sight import Sight


def other_names(sight: Sight, found: Observation) -> Iterator[tuple[RelPath, list[IndexEntry]]]:
    """Yields known files that got another name, one that was seen here: no event tells of what is written through it.

    Each is alone, with the directory that it is in.
    """
    arrived: list[Look | New] = [*found.new, *(one for one in found.changed if one.path not in sight.index.linked)]
    signatures = [one.signature for one in arrived if isinstance(one.version, File) and one.signature is not None]
    inodes = {(signature.device, signature.inode) for signature in signatures if signature.links > 1}
    seen = {one.path for one in found.changed}
    for entry in sight.index.of_inodes(inodes):
        if entry.path not in seen and entry.path not in sight.skip:
            yield entry.path.parent, [entry]
