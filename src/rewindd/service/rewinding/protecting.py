"""What no rewind, restore, undo or redo writes: git's own data, the daemon's places, and what `[protect]` of the configuration names.

It is captured, shown and compared as everything is; a plan keeps it as it is. Asked when a plan is made; what cannot be a plan's at all
(`.git`, `.rewindd-…`) `tree.apply` refuses once more, also where an operation of an earlier life is finished.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

from rewindd.model.versions import ABSENT, Directory
from rewindd.paths import RelPath, is_reserved
from rewindd.plan.draft import Draft, Exact, Keep
from rewindd.service.state import State
from rewindd.service.trees import Tree
from rewindd.tree.apply import PROTECTED
from rewindd.tree.gitdirs import git_directories
from rewindd.tree.rules.patterns import Patterns

__all__ = ["FROM_GRANTS", "PROTECTED", "Protection", "from_grants", "protection"]

#: Agents: settings that start commands (hooks, MCP servers), and allow lists.
_AGENTS = """
    .claude .claude.json .mcp.json .codex .gemini .cursor .opencode opencode.json opencode.jsonc agents.md claude.md gemini.md
    .cursorrules .windsurfrules .windsurf **/.github/copilot-instructions.md .amazonq .kiro .qwen .zed .junie .goosehints
    **/.config/goose **/.config/amp .amp .crush.json crush.json .copilot .factory .trae .augment **/.config/claude
    **/.config/rewindd **/.config/opencode .cline .clinerules **/.github/hooks **/.github/copilot **/.github/instructions .aider*
    .continue .roo
"""
#: Editors and tools that run what a directory's settings say.
_EDITORS = """
    .vscode .idea .devcontainer .devcontainer.json .exrc .nvimrc .nvim.lua .gdbinit .husky .vimrc .gvimrc .vim **/.config/vim
    **/.config/nvim **/.config/zed .emacs .emacs.d **/.config/emacs .tmux.conf **/.config/tmux
"""
#: Shells and logins, and what they find first.
_SHELLS = """
    .envrc .bashrc .bash_* .profile .zsh* .zprofile .zlogin .zlogout .kshrc .cshrc .tcshrc .mkshrc .shrc .ashrc .xonshrc .bashrc.d
    **/.config/bash **/.config/zsh **/.config/powershell **/.config/elvish **/etc/profile **/etc/bash.bashrc .login .logout .inputrc
    **/.config/fish **/.config/nushell .xprofile .xinitrc .xsession .xsessionrc .xresources **/.config/autostart **/.config/systemd
    **/.config/environment.d .pam_environment .ssh **/.local/bin
"""
#: git outside its own directory.
_GIT = """
    .gitconfig **/.config/git .gitmodules .gitattributes
"""
#: What no rewind through a grant writes: it is run, or obeyed, outside the sandbox by who never looked at it. At any depth, as a
#: workspace may be a home directory, or hold one. Beside these git's own data, which nobody's rewind writes.
FROM_GRANTS = tuple(f"{_AGENTS} {_EDITORS} {_SHELLS} {_GIT}".split())


class AnyCase(Patterns):
    """Patterns in small letters, held against names in any: on some file systems `.CLAUDE` is `.claude`."""

    def verdict(self, path: str, is_directory: bool) -> bool | None:
        """As `Patterns.verdict`, whatever the case of the path's letters."""
        return super().verdict(path.lower(), is_directory)


class Protection:
    """What is protected in one workspace, now."""

    def __init__(self, ours: Iterable[RelPath], patterns: Iterable[Patterns]) -> None:
        """Takes directories that are another's, and lists of patterns, relative to the root; each list by itself may protect."""
        self._ours = tuple(RelPath(place.lower()) for place in ours)
        self._lists = tuple(patterns)

    def protected(self, path: RelPath, is_directory: bool = False) -> str | None:
        """Returns the reason for which nothing is written at a path, None where something may be.

        A directory that is protected protects all that is below it; what would bring a name in it back (`!`) is not asked, as in
        gitignore(5).
        """
        names = [(above, True) for above in path.ancestors] + [(path, is_directory)]
        if any(is_reserved(part) for part in path.split("/")) or any(RelPath(path.lower()).below(place) for place in self._ours):
            return PROTECTED
        if any(patterns.verdict(name, as_directory) for patterns in self._lists for name, as_directory in names):
            return PROTECTED
        return None

    def keep(self, drafts: Iterable[Draft]) -> list[Draft]:
        """Returns the drafts, with those of protected paths turned into a reason to leave them."""
        return [draft if (reason := self._reason(draft)) is None else replace(draft, way=Keep(reason)) for draft in drafts]

    def _reason(self, draft: Draft) -> str | None:
        becomes = draft.way.version if isinstance(draft.way, Exact) else draft.current
        return self.protected(draft.path, isinstance(draft.current, Directory) or isinstance(becomes, Directory))


async def protection(state: State, tree: Tree, drafts: Sequence[Draft], *, granted: bool) -> Protection:
    """Returns what is protected in a workspace, of what a plan is about; from who asks through a grant more is.

    Raises:
        UnknownWorkspace: the root is gone; looked at for grants only.
    """
    above = f"{tree.workspace.root.rstrip('/')}/"
    ours = [RelPath(place[len(above) :]) for place in (*state.own_directories, *state.own_files) if place.startswith(above)]
    if not granted:
        return Protection(ours, [_patterns(state.capture.protect)])
    return Protection([*ours, *await state.bridge.work(_git, tree, drafts)], [_patterns(state.capture.protect), from_grants()])


def _git(tree: Tree, drafts: Sequence[Draft]) -> set[RelPath]:
    coming = {draft.path for draft in drafts if not isinstance(draft.way, Keep) and draft.way != Exact(ABSENT)}
    with tree.root() as root:
        return git_directories(root, (draft.path for draft in drafts), coming)


@lru_cache(maxsize=1)
def from_grants() -> Patterns:
    """Returns `FROM_GRANTS`, as it is asked."""
    return AnyCase(FROM_GRANTS)


@lru_cache(maxsize=4)
def _patterns(lines: tuple[str, ...]) -> Patterns:
    return Patterns(lines)
