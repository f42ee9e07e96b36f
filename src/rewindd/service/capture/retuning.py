"""Other settings while the daemon runs: what is captured is judged by them from the next look on.

The settings are the new ones at once. Each workspace takes them over under its lock, after what is under way in it: an observation
goes by one set of rules from its beginning to its end.
"""

import logging
from dataclasses import replace
from functools import partial

from rewindd.model.capture import CaptureSettings
from rewindd.paths import ROOT
from rewindd.service.capture import noticing
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.rules.book import RuleBook
from rewindd.tree.watch.feed import Feed
from rewindd.tree.watch.mounts import Mounts

log = logging.getLogger(__name__)


def retune(state: State, capture: CaptureSettings) -> None:
    """Takes over other settings. Does nothing where they are the same."""
    before = state.capture
    if capture == before:
        return
    state.capture = capture
    if capture.reserve_bytes != before.reserve_bytes:
        state.later(lambda: state.bridge.work(state.bridge.reserve.resize, capture.reserve_bytes))
    # Asked whenever a plan is made, or what is kept is looked through.
    if replace(capture, protect=before.protect, retention=before.retention) == before:
        return
    state.measured_room = None
    rules_changed = (capture.exclude, capture.include) != (before.exclude, before.include)
    state.later(partial(_take_over_all, state, rules_changed=rules_changed))


def open_feed() -> Feed | None:
    """Returns the change feed; None where inotify gives none: then everything is looked at instead."""
    try:
        return Feed()
    except OSError as exc:
        log.warning("changes cannot be watched (%s); whole trees are looked at instead", exc)
        return None


def open_mounts() -> Mounts | None:
    """Returns what is mounted; None where the kernel does not say: then a mount shows when all is looked at in turn."""
    try:
        return Mounts()
    except OSError:
        return None


async def _take_over_all(state: State, *, rules_changed: bool) -> None:
    """Has every workspace take the settings over, and between them turns the change feed off or on."""
    gone = state.feed if not state.capture.watch else None
    if gone is not None:
        state.feed = None
        state.noticed()
    elif state.capture.watch and state.feed is None:
        state.mounts = state.mounts or await state.bridge.work(open_mounts)
        state.feed = await state.bridge.work(open_feed)
    for tree in state.trees():
        await _take_over(state, tree, rules_changed)
    if gone is not None:
        # Nobody waits for it any more: who did was woken, and has had the turns of the loop since, of which a worker's is one.
        await state.bridge.work(gone.close)
    state.noticed()


async def _take_over(state: State, tree: Tree, rules_changed: bool) -> None:
    async with tree.lock:
        if rules_changed:
            tree.rulebook = RuleBook(tree.workspace.root, state.capture)
            tree.judge.add(ROOT)
        # The next look is at everything: what a limit left out may be within it now, and what is let in is to be watched.
        noticing.unwatch(tree)
