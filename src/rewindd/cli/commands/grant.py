"""`grant`: a socket of its own for an agent in a sandbox."""

import os
import shlex
import uuid

import click

from rewindd.cli.amounts import seconds, size_bytes
from rewindd.cli.exits import Exit
from rewindd.cli.invocation import Invocation
from rewindd.cli.options import Command, text
from rewindd.cli.render import grants as shown
from rewindd.cli.render.json import line, plain
from rewindd.cli.render.words import visible, visible_lines
from rewindd.cli.where import absolute, identity, physical
from rewindd.model.grant import GrantedOps
from rewindd.paths import FsText
from rewindd.protocol.replies import Grant, GrantReply, Grants
from rewindd.protocol.requests import ListGrants, MakeGrant, RevokeGrant


@click.command("grant", cls=Command)
@click.argument("workspace", required=False, type=click.Path())
@click.option("--ops", metavar="OP,…", type=text, help="What it lets in: snapshot, save, list, diff, rewind; without, all of them.")
@click.option("--ttl", metavar="TIME", default="12h", callback=lambda *given: seconds(given[2]), help="How long it lasts: 45m, 12h, 7d.")
@click.option("--map", "mapping", metavar="INSIDE=ROOT", help="What the workspace's root is called in the sandbox.")
@click.option("--quota", metavar="SIZE", default="1G", callback=lambda *given: size_bytes(given[2]), help="What its sessions may add.")
@click.option("--list", "is_list", is_flag=True, help="List the grants; make none.")
@click.option("--revoke", metavar="ID", type=text, help="End this grant; make none.")
@click.pass_obj
def grant_command(
    run: Invocation, workspace: str | None, ops: str | None, ttl: float, mapping: str | None, quota: int, is_list: bool, revoke: str | None
) -> int:
    """Make a socket of its own for an agent in a sandbox, and print its directory."""
    if is_list + (revoke is not None) + (workspace is not None) != 1:
        raise click.UsageError("name a WORKSPACE, or say --list, or --revoke ID")
    if is_list:
        _list(run, run.ask(ListGrants(), Grants).grants)
    elif revoke is not None:
        _revoked(run, run.ask(RevokeGrant(id=revoke, key=uuid.uuid4().hex), GrantReply).grant)
    else:
        directory = physical(absolute(workspace or ".", run.directory))
        device, inode = identity(directory)
        inside, outside = _mapped(run, mapping)
        request = MakeGrant(
            directory=directory,
            device=device,
            inode=inode,
            ops=_ops(ops),
            ttl_s=ttl,
            inside=inside,
            outside=outside,
            quota_bytes=quota,
            key=uuid.uuid4().hex,
        )
        _made(run, run.ask(request, GrantReply).grant)
    return Exit.DONE


def _ops(given: str | None) -> list[str]:
    words = [] if given is None else given.split(",")
    known = [op.value for op in GrantedOps]
    for word in words:
        if word not in known:
            raise click.BadParameter(f"{word!r} is none of {', '.join(known)}", param_hint="--ops")
    return words


def _mapped(run: Invocation, mapping: str | None) -> tuple[FsText | None, FsText | None]:
    """The root inside and outside, of `--map INSIDE=ROOT`; `INSIDE` alone is the same as with the workspace's."""
    if mapping is None:
        return None, None
    inside, given, outside = mapping.partition("=")
    if not inside.startswith("/"):
        raise click.BadParameter("write it as /work=/home/me/project", param_hint="--map")
    return FsText(inside), physical(absolute(outside, run.directory)) if given else None


def _made(run: Invocation, made: Grant) -> None:
    if run.screen.json:
        run.screen.print(line(plain(made)))
        return
    directory = os.path.dirname(made.socket)
    run.screen.print(visible(directory))
    run.screen.say(shown.grant(made, run.screen.paint))
    mount = shlex.join(["--bind", made.root, made.inside, "--ro-bind", directory, "/run/rewindd"])
    run.screen.say(visible_lines(f"in a sandbox: bwrap … {mount} --setenv REWINDD_SOCKET /run/rewindd/{os.path.basename(made.socket)} …"))


def _list(run: Invocation, found: list[Grant]) -> None:
    if run.screen.json:
        run.screen.print(line({"grants": plain(found)}))
    elif found:
        run.screen.page("\n".join(shown.grant(one, run.screen.paint) for one in found))
    else:
        run.screen.say("no grants; `rewindctl grant WORKSPACE` makes one")


def _revoked(run: Invocation, ended: Grant) -> None:
    if run.screen.json:
        run.screen.print(line(plain(ended)))
    else:
        run.screen.say(f"grant {ended.id} has ended, and its socket is closed")
