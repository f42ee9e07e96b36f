"""What a grant lets in and out was thought of, field by field: a later version's fields are looked at here before they are told."""

import dataclasses
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest

from rewindd.model.grant import GrantedOps
from rewindd.paths import RelPath
from rewindd.protocol.requests import REQUESTS
from rewindd.service.doors.doortelling import TOLD
from rewindd.service.doors.doorway import OFFERED, check_inside
from rewindd.service.rewinding.protecting import Protection, from_grants
from support.protocol_page import structures

#: Every structure in what is told through a grant, with all its fields. Who adds one says in `doortelling` what of it is told, then here.
PARTS = {
    "Checkpoint": (
        "id created_at stats user_prompts assistant_responses tool_calls file_diffs session_id parent_id label "
        "is_head automatic files insertions deletions incomplete"
    ),
    "ChildrenLeft": "rows paths sessions command",
    "Dependent": "session_id agent checkpoint_id label paths count",
    "FileDiff": "path before after timestamp change mixed insertions deletions binary patch",
    "FileVersion": "kind mode size blob target text base64",
    "GitHeads": "then now",
    "Incomplete": "count first",
    "Kept": "path kind size blob",
    "Left": "rows paths command",
    "Moved": "session_id agent head_before head event",
    "PathReason": "path reason",
    "SessionInfo": "id workspace root agent parent_id capture attribution opened_at last_seen_at closed_at head event stats from_id",
    "Stats": "start_time total_messages total_tool_calls total_duration_s estimated_tokens",
    "StepInfo": "path action why insertions deletions sessions",
    "Summary": "id session_id parent_id label created_at is_head automatic files insertions deletions stats incomplete barrier_id",
    "ToolCallRecord": "tool_name arguments result success",
}
#: What no grant has ever to do with.
NEVER = {
    *(
        "status",
        "metrics",
        "health",
        "stop",
        "barrier",
        "barriers",
        "show.path",
        "tree",
        "log",
        "blame",
        "capture",
        "events",
        "export",
        "import",
    ),
    *("grant", "grants", "grant.revoke"),
}
PROTECTION = Protection((), [from_grants()])


def names(kind: type) -> list[str]:
    """The fields of a structure."""
    found = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else msgspec.structs.fields(kind)
    return [one.name for one in found]


def parts_of(hint: object) -> list[type]:
    """The structures in a field's type."""
    if isinstance(hint, type) and get_origin(hint) is None:
        return [hint] if issubclass(hint, msgspec.Struct) else []
    return [kind for one in get_args(hint) for kind in parts_of(one)]


def test_every_answer() -> None:
    """Each answer of an operation that is offered is told by some of its fields, and those that are not have a default to be left at."""
    assert TOLD.keys() == {offer.reply for offer in OFFERED.values()}
    for kind, told in TOLD.items():
        required = {one.name for one in msgspec.structs.fields(kind) if one.required}
        assert required <= told <= set(names(kind)), kind


def test_every_part_that_is_told() -> None:
    """Nothing is in what is told through a grant that was not thought of."""
    roots = [part for kind, told in TOLD.items() for name in told for part in parts_of(get_type_hints(kind)[name])]
    found = structures(*roots)
    assert {name: " ".join(names(kind)) for name, kind in found.items()} == PARTS


def test_what_is_never_offered() -> None:
    """What tells of all, or is about all, no grant lets in; each word of a grant lets something in."""
    assert REQUESTS.keys() - {kind.op for kind in OFFERED} >= NEVER
    assert {offer.word for offer in OFFERED.values()} == {None, *GrantedOps}


@pytest.mark.parametrize(("kind", "offer"), OFFERED.items(), ids=lambda value: getattr(value, "op", ""))
def test_offered_fields_exist(kind: type, offer: object) -> None:
    """An offer names fields that the request has."""
    assert set(getattr(offer, "fields")) <= set(names(kind))  # noqa: B009 - an object, for pytest's sake


@pytest.mark.parametrize(
    ("path", "is_directory"),
    [
        (".claude", True),
        (".claude/settings.json", False),
        ("a/b/.claude/hooks/x", False),
        (".mcp.json", False),
        ("x/.codex/config.toml", False),
        (".gemini/settings.json", False),
        (".cursor/hooks.json", False),
        (".opencode/plugins/x.ts", False),
        ("opencode.json", False),
        ("sub/.config/opencode/x", False),
        (".clinerules/hooks/x", False),
        (".github/hooks/pre", False),
        ("sub/.github/hooks", True),
        (".vscode/settings.json", False),
        (".idea/workspace.xml", False),
        (".devcontainer/devcontainer.json", False),
        (".envrc", False),
        ("sub/.bashrc", False),
        (".bash_profile", False),
        (".profile", False),
        (".zshenv", False),
        (".config/fish/config.fish", False),
        ("home/.config/systemd/user/x.service", False),
        (".ssh/authorized_keys", False),
        (".gitconfig", False),
        (".git/hooks/pre-commit", False),
        ("sub/.git", True),
        (".Claude/settings.json", False),
        ("a/.BASHRC", False),
    ],
)
def test_protected(path: str, is_directory: bool) -> None:
    """What is run or obeyed outside is protected, at any depth."""
    assert PROTECTION.protected(RelPath(path), is_directory) == "protected"


@pytest.mark.parametrize(
    "path", ["claude", "src/app.py", ".github/workflows/ci.yml", "profile", ".config/other", "x.bashrc", ".gitignore", ".env"]
)
def test_not_protected(path: str) -> None:
    """What looks like it and is not stays the agent's to take back."""
    assert PROTECTION.protected(RelPath(path)) is None


@pytest.mark.parametrize(("given", "found"), [("/work", "/work"), ("//work/", "/work"), ("/a/./b//", "/a/b")])
def test_the_root_inside(given: str, found: str) -> None:
    """The root inside is kept in its normal form."""
    assert check_inside(given) == found
