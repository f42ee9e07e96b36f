"""What the kinds of file systems mean for a data directory: where a store is safe, where it is gone some day, where it breaks."""

import enum

#: By the number that statfs(2) gives as f_type (linux/magic.h, statfs(2), and the file systems' own headers): those that are another
#: machine's. virtiofs and what mounts as fuse.NAME or fuseblk are FUSE, and may be or not.
REMOTE = {
    0x0000517B: "smb",
    0x0000564C: "ncp",
    0x00006969: "nfs",
    0x00C36400: "ceph",
    0x01021997: "9p",
    0x01161970: "gfs2",
    0x0BD00BD0: "lustre",
    0x19830326: "beegfs",
    0x20030528: "orangefs",
    0x47504653: "gpfs",
    0x5346414F: "afs",
    0x6B414653: "afs",
    0x73757245: "coda",
    0x7461636F: "ocfs2",
    0x786F4256: "vboxsf",
    0xAAD7AAEA: "panfs",
    0xBACBACBC: "vmhgfs",
    0xFE534D42: "smb2",
    0xFF534D42: "cifs",
}
_MEMORY = "memory, and gone with the machine's next start"
_PASSING = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x794C7630: "overlay", 0x65735546: "fuse"}
#: By the name in mountinfo: what holds no data for long, and why. FUSE is as good as the program that serves it.
FLEETING = {
    "tmpfs": _MEMORY,
    "ramfs": _MEMORY,
    "overlay": "a container's own layer, and gone with the container",
    "fuse": "served by a program, and as safe as that is",
}


class Fitness(enum.Enum):
    """Whether a data directory may be on a file system: yes, yes with a warning, or not unless it was allowed."""

    FIT = "fit"
    WARNED = "warned"
    REFUSED = "refused"


def fitness(f_type: int) -> tuple[Fitness, str]:
    """Returns what a data directory has of a file system, by statfs(2)'s f_type, and the words for it: `nfs`, `tmpfs: memory, …`."""
    kind = f_type & 0xFFFFFFFF  # some are negative as a C long of 32 bits
    if kind in REMOTE:
        return Fitness.REFUSED, f"{REMOTE[kind]}: locks and syncs are another machine's"
    if kind in _PASSING:
        name = _PASSING[kind]
        return Fitness.WARNED, f"{name}: {FLEETING[name]}"
    return Fitness.FIT, ""
