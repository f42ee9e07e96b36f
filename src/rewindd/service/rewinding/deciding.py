"""From drafts to a settled plan: the merges are run here, and the plan is put into words."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from blake3 import blake3

from rewindd.model.grant import Through
from rewindd.model.ids import BarrierId, SessionId
from rewindd.model.log import OnConflict
from rewindd.model.operation import Operation, Step
from rewindd.model.session import Checkpoint, Missing
from rewindd.model.versions import Directory, File, Unknown, Version
from rewindd.paths import ROOT, RelPath
from rewindd.plan.draft import Draft, Keep, Merged, concerned, merge
from rewindd.plan.merge import Clash
from rewindd.plan.naming import Names
from rewindd.plan.settle import Action, Decision, Settled, settle
from rewindd.protocol import replies
from rewindd.service.asking import comparing, render
from rewindd.service.asking.reading import PAGE_ROWS, Contents
from rewindd.service.capture.holding import editor, editors_below
from rewindd.service.capture.keeping import Content
from rewindd.service.doors import strangers
from rewindd.service.rewinding import unkept
from rewindd.service.rewinding.protecting import protection
from rewindd.service.rewinding.quiet import changed_just_now
from rewindd.service.rewinding.sharing import applying
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.timeline.delta import PathDelta, unowned
from rewindd.timeline.history import Timeline
from rewindd.tree.apply import Outcome
from rewindd.tree.merge import merge_text


@dataclass(frozen=True, slots=True)
class Decided:
    """A settled plan, the contents that its merges made, and the line counts of its steps.

    `busy`: of the conflicts, those that are another session's edit under way, and whose; `unkept`: those over what the store had no room
    for. `lost`: what is overwritten though it is not kept.
    """

    settled: Settled
    made: tuple[Content, ...] = ()
    counts: Mapping[RelPath, tuple[int, int]] = field(default_factory=dict)
    left: replies.Left | None = None
    not_quiet: tuple[RelPath, ...] = ()
    git_heads: replies.GitHeads | None = None
    not_restored: tuple[Missing, ...] = ()
    barrier: BarrierId | None = None
    moved: tuple[replies.Moved, ...] = ()
    not_members: tuple[SessionId, ...] = ()
    busy: tuple[tuple[RelPath, SessionId], ...] = ()
    unkept: tuple[RelPath, ...] = ()
    lost: tuple[RelPath, ...] = ()
    children: replies.ChildrenLeft | None = None
    dependents: tuple[replies.Dependent, ...] = ()


async def decide(
    state: State,
    tree: Tree,
    timeline: Timeline,
    drafts: Sequence[Draft],
    on_conflict: OnConflict,
    paths: Sequence[RelPath] | None,
    names: Names,
    session: SessionId | None,
    through: Through | None,
    *,
    lose_unsaved: bool = False,
    whole: bool = False,
) -> Decided:
    """Runs the merges, checks that a tree comes out, counts lines. What is protected is kept.

    What could not be looked at just now is kept, and named: also where no draft is about it, if it is one of `paths` (None: all) or
    below. What is there now is not what the log says. A path that another than `session` (None: nobody asks) is in the middle of editing
    clashes, unless it is to be overwritten. So does what is on disk and the store had no room for, unless `lose_unsaved`, and, where all
    is to be done or nothing (`whole`), what could not be looked at. Who asks `through` a grant changes nothing of others.
    """
    if through is not None:
        drafts = strangers.leave(timeline, drafts, through)
    looks = await unkept.looked_at(state, tree, drafts)
    blind = tree.unseen.keys() - looks.keys()
    unseen = Clash if whole else Keep
    drafts = [replace(draft, way=unseen(tree.unseen[draft.path]), fallback=None) if draft.path in blind else draft for draft in drafts]
    if not lose_unsaved:
        drafts = unkept.refused(tree, drafts, looks)
    drafts = (await protection(state, tree, drafts, granted=through is not None)).keep(drafts)
    is_forced = on_conflict is OnConflict.OVERWRITE
    edited = _edited(state, tree, drafts, session) if session is not None and not is_forced else {}
    names = names.also({one: (await state.session(one)).agent for one in edited.values()})
    drafts = _clashing(drafts, edited, names)
    merging = [draft for draft in drafts if isinstance(draft.way, Merged)]
    merged: dict[RelPath, Version | Clash] = {}
    contents, made = dict[bytes, bytes](), dict[bytes, bytes]()
    if merging:
        # A thousand merges take seconds: who looks at other paths goes on. What the plan is about stays as it was looked at.
        async with applying(tree, (draft.path for draft in drafts)):
            contents = await Contents(state).read(_merged_versions(merging))
            merged, made = await state.bridge.work(_merge, merging, contents)
    if lose_unsaved:
        drafts = unkept.lost(drafts, looks)
    if len(drafts) <= PAGE_ROWS:
        settled = settle(timeline, drafts, merged, tree.index, on_conflict, names)
    else:
        settled = await state.bridge.work(settle, timeline, drafts, merged, tree.index, on_conflict, names)
    inside = editors_below(state, tree, session, _ending(settled.decisions)) if session is not None and not is_forced else {}
    if inside:  # what they are about to write would have no place: it is as if they edited the directory
        names = names.also({one: (await state.session(one)).agent for one in inside.values()})
        drafts = _clashing(drafts, inside, names)
        edited |= inside
        settled = settle(timeline, drafts, merged, tree.index, on_conflict, names)
    settled = replace(settled, kept=(*settled.kept, *_blind(tree, {draft.path for draft in drafts}, paths)))
    losing = [d for d in settled.decisions if d.path in looks and d.expect != d.target]
    as_known = {d.path: replace(d, expect=tree.index[d.path].version) for d in losing}
    async with applying(tree, (draft.path for draft in drafts)):
        counts = await _counts(state, [as_known.get(d.path, d) for d in settled.decisions], {**contents, **made})
    restless = await changed_just_now(state, tree, timeline, [d.path for d in settled.decisions])
    # A window says nothing of where in the workspace its session is at work.
    not_quiet = (*([ROOT] if tree.windows else []), *restless)
    kept = tuple(Content(File(digest, len(data), 0), data) for digest, data in made.items())
    away = tuple(stays_away(settled.decisions, tree.left_out))
    busy = tuple((one.path, edited[one.path]) for one in settled.conflicts if one.path in edited)
    refused = tuple(one.path for one in settled.conflicts if one.path in looks)
    lost = tuple(d.path for d in losing)
    return Decided(settled, kept, counts, None, not_quiet, not_restored=away, busy=busy, unkept=refused, lost=lost)


def _clashing(drafts: Iterable[Draft], edited: Mapping[RelPath, SessionId], names: Names) -> list[Draft]:
    """The drafts, those turned into a conflict that are about what another session edits."""
    return [
        replace(draft, way=Clash(f"being edited by {names.sessions([edited[draft.path]])}")) if draft.path in edited else draft
        for draft in drafts
    ]


def _ending(decisions: Iterable[Decision]) -> set[RelPath]:
    """The directories that go, or make way for something else."""
    return {d.path for d in decisions if isinstance(d.expect, Directory) and not isinstance(d.target, Directory)}


def _edited(state: State, tree: Tree, drafts: Iterable[Draft], session: SessionId) -> dict[RelPath, SessionId]:
    """The paths to be changed that another session is in the middle of editing, and who that is."""
    found = {draft.path: editor(state, tree, session, draft.path) for draft in drafts if not isinstance(draft.way, Keep)}
    return {path: other for path, other in found.items() if other is not None}


def _blind(tree: Tree, drafted: Set[RelPath], paths: Sequence[RelPath] | None) -> list[Missing]:
    """What was captured once and could not be looked at just now, of the paths that are asked about and have no draft."""
    wanted = concerned([path for path in sorted(tree.unseen) if path not in drafted], None if paths is None else tuple(paths))
    known = ((path, tree.index.get(path)) for path in wanted)
    return [Missing(path=path, reason=tree.unseen[path]) for path, entry in known if entry and not isinstance(entry.version, Unknown)]


def stays_away(decisions: Iterable[Decision], left_out: Mapping[RelPath, str]) -> list[Missing]:
    """Returns what rules and limits had left out below directories that come back: it was not captured, and does not come with them."""
    back = {d.path for d in decisions if isinstance(d.target, Directory) and not isinstance(d.expect, Directory)}
    if not back:
        return []
    return [Missing(path=path, reason=left_out[path]) for path in sorted(left_out) if _is_in(path, back)]


def _is_in(path: RelPath, directories: Set[RelPath]) -> bool:
    above = path.parent
    while above not in directories and above != ROOT:
        above = above.parent
    return above in directories


def steps_of(tree: Tree, decisions: Iterable[Decision]) -> list[Step]:
    """Returns the steps that carry decisions out, in their order."""
    return [
        Step(
            path=d.path,
            expect=d.expect,
            target=d.target,
            signature=entry.signature if (entry := tree.index.get(d.path)) is not None else None,
            off=tuple(sorted(d.off)),
            on=tuple(sorted(d.on)),
        )
        for d in decisions
    ]


def left_behind(
    timeline: Timeline, seq: int, decisions: Iterable[Decision], chosen: Iterable[RelPath], command: str
) -> replies.Left | None:
    """Returns nobody's rows after a position that the decisions leave; None when there are none."""
    taken = {row for decision in decisions for row in decision.off}
    counts = unowned(timeline, seq, taken)
    wanted = sorted(set(counts) & set(chosen))
    return replies.Left(rows=sum(counts[path] for path in wanted), paths=wanted, command=command) if wanted else None


def result(decided: Decided, operation: Operation, target: Checkpoint | None, outcomes: Sequence[Outcome] | None) -> replies.RewindResult:
    """Returns what was done (`outcomes`), or would be (None)."""
    refused = [Missing(path=o.path, reason=o.reason or "changed") for o in outcomes or () if not o.done]
    undone = {one.path for one in refused}
    changing = [d for d in decided.settled.decisions if d.expect != d.target and d.path not in undone]
    head = operation.to_head if not decided.settled.conflicts else operation.from_head
    return replies.RewindResult(
        operation_id=operation.id if outcomes is not None else None,
        plan_id=decided.settled.plan,
        checkpoint_id=target.id if target else operation.checkpoint,
        dry_run=outcomes is None,
        head=head.checkpoint,
        event=head.event,
        stats=render.stats(operation.to_stats),
        restored=_of(changing, Action.RESTORE),
        removed=_of(changing, Action.REMOVE),
        merged=_of(changing, Action.MERGE),
        kept=render.reasons([*decided.settled.kept, *refused]),
        conflicts=render.reasons(decided.settled.conflicts),
        steps=[_step(d, decided.counts) for d in changing],
        left=decided.left,
        not_quiet=list(decided.not_quiet),
        git_heads=decided.git_heads,
        not_restored=render.reasons(one for one in decided.not_restored if not undone or not _is_in(one.path, undone)),
        barrier_id=decided.barrier,
        moved=list(decided.moved),
        not_members=list(decided.not_members),
        children=decided.children,
        dependents=list(decided.dependents),
        lost=[path for path in decided.lost if path not in undone],
    )


def _merge(drafts: Sequence[Draft], contents: Mapping[bytes, bytes]) -> tuple[dict[RelPath, Version | Clash], dict[bytes, bytes]]:
    made: dict[bytes, bytes] = {}

    def text(base: File, ours: File, theirs: File) -> File | None:
        sides = [made.get(one.digest, contents.get(one.digest)) for one in (base, ours, theirs)]
        if sides[0] is None or sides[1] is None or sides[2] is None:
            return None
        merged = merge_text(sides[0], sides[1], sides[2])
        if merged is None:
            return None
        digest = blake3(merged).digest()
        made[digest] = merged
        return File(digest, len(merged), 0)

    ways = {draft.path: merge(draft.current, draft.way, text) for draft in drafts if isinstance(draft.way, Merged)}
    return ways, made


def _merged_versions(drafts: Iterable[Draft]) -> list[Version]:
    found: list[Version] = []
    for draft in drafts:
        found.append(draft.current)
        if isinstance(draft.way, Merged):
            routes = [draft.way.merges, draft.way.check.merges] if draft.way.check is not None else [draft.way.merges]
            found += [draft.way.check.start] if draft.way.check is not None else []
            found += [version for merges in routes for one in merges for version in (one.base, one.theirs)]
    return found


async def _counts(state: State, decisions: Iterable[Decision], at_hand: Mapping[bytes, bytes]) -> dict[RelPath, tuple[int, int]]:
    deltas = [
        PathDelta(path=d.path, before=d.expect, after=d.target, spans=((d.expect, d.target),), mixed=False, seq=0, at_ns=0)
        for d in decisions
        if d.expect != d.target
    ]
    compared = await comparing.compare(state, deltas, at_hand=at_hand)
    return {one.path: (one.insertions, one.deletions) for one in compared}


def _of(decisions: Iterable[Decision], action: Action) -> list[RelPath]:
    return [d.path for d in decisions if d.action is action]


def _step(decision: Decision, counts: Mapping[RelPath, tuple[int, int]]) -> replies.StepInfo:
    insertions, deletions = counts.get(decision.path, (0, 0))
    return replies.StepInfo(
        path=decision.path,
        action=decision.action.value,
        why=decision.why,
        insertions=insertions,
        deletions=deletions,
        sessions=list(decision.others),
    )
