"""What the capture benchmark measures, by name, and what is demanded of each at which size of tree."""

from benchmark.comparison import Demand, Subject

FIRST = "first capture, with 200 files read back"
FIRST_STATUS = "first capture, until the status says complete"
FIRST_SAVE = "first capture, until a save has returned"
AGAIN = "opened again by a new daemon, until complete"
SAVE_CHANGED = "save of 10 changed files, at once"
SAVE_QUIET = "save of 10 changed files, after quiet"
SAVE_NOTHING = "save of nothing"
REWIND = "rewind of 10 files; reset --hard"
REWIND_CHECKOUT = "rewind of 10 files; read-tree, checkout-index -a -f"
UNWATCHED_CHANGED = "REWINDD_WATCH=0: save of 10 changed files, at once"
UNWATCHED_QUIET = "REWINDD_WATCH=0: save of 10 changed files, after quiet"
UNWATCHED_NOTHING = "REWINDD_WATCH=0: save of nothing"
GIT_STATUS = "git status in the user's repository, beside a daemon that watches it"
DISK = "disk after the first capture"
MEMORY = "resident memory after the first capture"
PEAK = "resident memory, at most during it"
BESIDE = {word: f"{word} beside a first capture" for word in ("status", "snapshot", "list")}

#: By name; the numbers of files are those of the trees; 0: of every tree.
SUBJECTS = (
    Subject(name=FIRST, unit="ms", demands={20_000: Demand("faster", 3, aim=5)}),
    Subject(name=FIRST_STATUS, unit="ms"),
    Subject(name=FIRST_SAVE, unit="ms"),
    Subject(name=AGAIN, unit="ms"),
    *(
        Subject(name=name, unit="ms", demands={20_000: Demand("faster", 25, aim=100), 100_000: Demand("faster", 100, aim=500)})
        for name in (SAVE_CHANGED, SAVE_QUIET)
    ),
    Subject(name=SAVE_NOTHING, unit="ms", demands={0: Demand("below", 3)}),
    Subject(name=REWIND, unit="ms", demands={20_000: Demand("faster", 10)}),
    Subject(name=REWIND_CHECKOUT, unit="ms"),
    *(Subject(name=name, unit="ms", demands={0: Demand("faster", 2)}) for name in (UNWATCHED_CHANGED, UNWATCHED_QUIET)),
    Subject(name=UNWATCHED_NOTHING, unit="ms"),
    Subject(name=GIT_STATUS, unit="ms", demands={0: Demand("within", 1.1)}, other_name="the same without"),
    Subject(name=DISK, unit="MB", demands={0: Demand("faster", 2)}),
    Subject(name=MEMORY, unit="MB", demands={100_000: Demand("below", 250)}),
    Subject(name=PEAK, unit="MB"),
    *(
        Subject(name=name, unit="ms", demands={0: Demand("within", 10)}, other_name="the same when idle", at_p99=True)
        for name in BESIDE.values()
    ),
)

#: The largest tree must be within so many times the smallest.
LEVEL = ((SAVE_CHANGED, 1.5), (SAVE_QUIET, 1.5))
