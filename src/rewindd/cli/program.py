"""The program `rewindctl`: reads the command line, runs the command, and turns what it raised into words and an exit status."""

import os
import sys
from collections.abc import Mapping, Sequence

import click

from rewindd.cli.exits import Exit, status_of
from rewindd.cli.invocation import Connect, Invocation
from rewindd.cli.root import root
from rewindd.cli.screen import ReaderGone
from rewindd.errors import RewinddError


def execute(args: Sequence[str], env: Mapping[str, str], connect: Connect | None = None) -> int:
    """Runs one command and returns its exit status. `args`: without the program's name. `connect`: makes the client."""
    run = Invocation(env, connect)
    try:
        try:
            status = _run(run, list(args))
        finally:
            run.hang_up()
        run.tell_notices()
        run.screen.flush()
    except ReaderGone:
        _discard_stdout()
        return Exit.DONE
    except OSError as exc:  # stdout on a full disk
        _discard_stdout()
        run.screen.warn(f"rewindctl: stdout: {exc.strerror}")
        return Exit.FAILED
    return status


def _run(run: Invocation, args: list[str]) -> int:
    try:
        returned = root.main(args, prog_name="rewindctl", standalone_mode=False, obj=run, complete_var="_REWINDCTL_COMPLETE")
    except click.UsageError as exc:
        return _usage(run, args, exc)
    except click.Abort:
        return Exit.INTERRUPTED
    except SystemExit as exc:  # the end of completion, and of help that nobody reads
        return exc.code if isinstance(exc.code, int) else Exit.FAILED
    except RewinddError as exc:
        return _failed(run, exc.code, exc.message, dict(exc.fields))
    except OSError as exc:
        where = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, (str, bytes)) else ""
        return _failed(run, "io-error", f"{where}{exc.strerror or exc}", {})
    return returned if isinstance(returned, int) else Exit.DONE


def _usage(run: Invocation, args: list[str], error: click.UsageError) -> int:
    """Says how it is used. `--json` may stand behind what could not be read, so it is looked for in the words themselves."""
    if run.settings.json or "--json" in args[: args.index("--") if "--" in args else None]:
        _print_error(run, "bad-request", error.format_message(), {})
    error.show()
    return Exit.USAGE


def _failed(run: Invocation, code: str, message: str, fields: dict[str, object]) -> int:
    from rewindd.cli.render.words import visible_lines

    if run.settings.json:
        _print_error(run, code, message, fields)
    run.screen.warn(f"{run.screen.paint_err('rewindctl:', 'red')} {visible_lines(message)}")
    for detail in _details(message, fields):
        run.screen.warn(f"  {visible_lines(detail)}")
    if code in ("unknown-op", "unsupported-version"):
        from rewindd.cli import versions

        run.screen.warn(f"  {visible_lines(versions.after(run, code, fields))}")
    return status_of(code)


def _details(message: str, fields: dict[str, object]) -> list[str]:
    """Returns what an error's fields name and its message does not: candidates to choose from, paths in conflict."""
    candidates, conflicts = fields.get("candidates"), fields.get("conflicts")
    found = [str(candidate) for candidate in candidates] if isinstance(candidates, list) else []
    if isinstance(conflicts, list):
        found += [f"{entry.get('path')}: {entry.get('reason')}" for entry in conflicts if isinstance(entry, dict)]
    return [detail for detail in found if detail.partition(": ")[0] not in message]


def _print_error(run: Invocation, code: str, message: str, fields: dict[str, object]) -> None:
    from rewindd.cli.render.json import line, plain

    error = {"code": code, "message": message}
    run.screen.print(line({"error": plain({**error, **fields, **error})}))


def _discard_stdout() -> None:
    """Keeps the interpreter from flushing into the closed pipe at exit (docs.python.org/3/library/signal.html#note-on-sigpipe)."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
