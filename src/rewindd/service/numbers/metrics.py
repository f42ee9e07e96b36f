"""`metrics`: the daemon's numbers. None of them names a path, a session or a workspace: a collector keeps them, and others read it."""

import os
import resource
from collections import Counter
from time import monotonic_ns

import rewindd
from rewindd.protocol import replies
from rewindd.service.asking.query import status
from rewindd.service.asking.render import NS_PER_S
from rewindd.service.numbers.exposition import Family, Sample, gauge, histogram, text
from rewindd.service.numbers.meter import BOUNDS_S, Meter
from rewindd.service.state import State

#: How changes are noticed; each is told, so that a number that goes to 0 is seen to.
WATCHES = ("on", "partly", "off", "idle")


async def metrics(state: State, meter: Meter) -> replies.Metrics:
    """Returns the numbers of this moment, in Prometheus' text format."""
    now = await status(state)
    return replies.Metrics(text=text([*_daemon(state), *_requests(meter), *_store(state, now), *_work(state, now)]))


def _daemon(state: State) -> list[Family]:
    resident, descriptors = _process()
    return [
        gauge("info", "The daemon's version, as a label.", 1, version=rewindd.__version__),
        gauge("uptime_seconds", "Seconds since the daemon's start.", (monotonic_ns() - state.started_ns) / NS_PER_S),
        gauge("resident_memory_bytes", "Memory of the daemon that is in RAM.", resident),
        gauge("open_descriptors", "Descriptors that the daemon has open.", descriptors),
        gauge("max_descriptors", "Descriptors that the daemon may have open.", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    ]


def _requests(meter: Meter) -> list[Family]:
    counts = [Sample(count, {"op": op, "outcome": code}) for (op, code), count in sorted(meter.outcomes.items())]
    spans = [sample for op, one in sorted(meter.durations.items()) for sample in histogram(BOUNDS_S, one.buckets, one.sum_s, {"op": op})]
    dropped = [Sample(count, {"why": why}) for why, count in sorted(meter.dropped().items())]
    return [
        Family("requests_total", "counter", "Requests that were answered, by operation and error code (ok: none).", counts),
        Family("request_duration_seconds", "histogram", "Seconds from a request's arrival to its answer, by operation.", spans),
        gauge("requests_in_flight", "Requests in hand.", meter.in_flight()),
        Family("messages_dropped_total", "counter", "Messages that got no answer or whose answer was not taken, by why.", dropped),
    ]


def _store(state: State, now: replies.Status) -> list[Family]:
    small, bulk = state.bridge.waiting()
    longest = state.bridge.longest()
    waiting = [Sample(small, {"kind": "small"}), Sample(bulk, {"kind": "bulk"})]
    return [
        gauge("store_bytes", "Bytes that the store has on disk.", now.store.bytes),
        gauge("store_max_bytes", "Bytes that the store may have on disk.", state.capture.max_store_bytes),
        gauge("store_rows", "Rows of the edit logs.", now.store.rows),
        gauge("store_blobs", "Contents in the store.", now.store.blobs),
        gauge("store_checkpoints", "Checkpoints in the store.", now.store.checkpoints),
        Family("store_queue_depth", "gauge", "Transactions that wait for the store's thread.", waiting),
        gauge(
            "store_longest_seconds", "The most CPU time that one function of the store took.", longest.seconds, function=longest.function
        ),
    ]


def _work(state: State, now: replies.Status) -> list[Family]:
    watched = Counter(one.watch for one in now.workspaces)
    noticed = [Sample(watched[one], {"watch": one}) for one in WATCHES]
    unseen = sum(len(one.unseen) for one in state.trees())
    families = [
        Family("workspaces", "gauge", "Workspaces, by how changes in them are noticed.", noticed),
        gauge("sessions_open", "Open sessions.", now.sessions),
        gauge("sessions_active", "Open sessions that are at work.", len(state.active())),
        gauge("windows_open", "Open windows of commands and turns.", sum(one.windows for one in now.workspaces)),
        gauge("paths_unseen", "Paths that could not be looked at the last time.", unseen),
    ]
    feed = state.feed
    if feed is None:
        return families
    overflows = [Sample(feed.overflows)]
    return [
        *families,
        gauge("watched_directories", "Directories that inotify watches.", feed.watches),
        gauge("watch_queue_bytes", "Bytes of events that inotify has and nobody has read.", feed.waiting_bytes()),
        Family("watch_overflows_total", "counter", "How often inotify's queue ran over.", overflows),
    ]


def _process() -> tuple[int, int]:
    """Returns resident bytes and open descriptors of this process, proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a file of the kernel
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")) - 1
