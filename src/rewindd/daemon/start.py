"""From a command line to a running daemon and its exit status: what is done once, in order, before the event loop."""

import argparse
import logging
import os
import resource
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress

import anyio

from rewindd import __version__, errors, faults, places
from rewindd.daemon import activation, config, dump, endpoint, lock, log, placement, privacy, refusal
from rewindd.daemon.config import Given, Settings
from rewindd.daemon.life import Running, live
from rewindd.daemon.notify import Notifier

_log = logging.getLogger(__name__)

#: sysexits(3), as `rewindctl` has them (docs/rewindctl.md); everything else is 1.
_EXITS: tuple[tuple[type[errors.RewinddError], int], ...] = (
    (errors.BadConfig, 78),
    (errors.NotPermitted, 77),
    (errors.BusyError, 75),
)


def run(arguments: Sequence[str], env: MutableMapping[str, str], running: Running) -> int:
    """Runs the daemon in the foreground until it is asked to end; returns the exit status, 0 when it was asked.

    Takes from `env` the variables that are for this process alone. Exits itself on a wrong command line (2) and `--version` (0).
    """
    given = _parse(arguments)
    os.umask(0o077)
    _raise_descriptor_limit()
    dump.on_signal()
    try:
        _arm_faults(env)
        settings = _settle(given, env)
        log.begin(settings.log_level, env)
        _live(settings, env, running)
    except (errors.RewinddError, OSError, ExceptionGroup) as raised:
        return _explain(_single(raised))
    return 0


def _settle(given: Given, env: MutableMapping[str, str]) -> Settings:
    """Returns the settings; who waits already is told where there are none."""
    try:
        return config.settle(given, env, os.getuid())
    except errors.BadConfig as error:
        path = os.path.abspath(given.socket or places.socket_path(env, os.getuid()))
        inherited = activation.inherited(env, path)
        if inherited is not None:
            refusal.refuse(path, inherited, error)
        raise


def _live(settings: Settings, env: MutableMapping[str, str], running: Running) -> None:
    """Takes both locks, then lives; who waits already is told where that cannot be. The locks outlast the socket and the store."""
    notifier = Notifier(env)
    ends_when_idle = env.pop(config.STARTED_BY, "") == config.AUTOSTART
    endpoint.check_length(settings.socket)
    inherited = activation.inherited(env, settings.socket)
    with ExitStack() as locks:
        try:
            _prepare(settings, inherited, locks)
        except (errors.RewinddError, OSError) as error:
            if inherited is not None:
                refusal.refuse(settings.socket, inherited, error)
            raise
        anyio.run(_alive, settings, inherited, running, notifier, ends_when_idle)


def _prepare(settings: Settings, inherited: int | None, locks: ExitStack) -> None:
    """Takes both locks, and makes way for the socket, once it is sure that both places are the user's alone."""
    with _usable(f"the socket {settings.socket}", "--socket or REWINDD_SOCKET"):
        privacy.check_way(os.path.dirname(settings.socket))
        endpoint.private_directory(os.path.dirname(settings.socket))
        locks.enter_context(lock.held(f"{settings.socket}.lock", f"socket {settings.socket}"))
    with _usable(f"the data directory {settings.data_dir}", "--data-dir or REWINDD_DATA_DIR"):
        privacy.check_way(settings.data_dir)
        placement.check(settings.data_dir, allows_network=settings.allow_network_data_dir)
        _make_durably(settings.data_dir)
        locks.enter_context(lock.held(os.path.join(settings.data_dir, "lock"), f"data directory {settings.data_dir}"))
        privacy.private_data(settings.data_dir)
    if inherited is None:
        endpoint.make_way(settings.socket)


@contextmanager
def _usable(what: str, setting: str) -> Iterator[None]:
    """Names in what the system refuses within what it is about, and what else can be done. Raises StoreIO, or what is raised as it is."""
    try:
        yield
    except errors.RewinddError:
        raise
    except OSError as exc:
        why = f"{(exc.strerror or str(exc)).lower()} ({exc.filename})" if exc.filename else str(exc)
        raise errors.StoreIO(f"{what} cannot be used: {why}; make it writable for you, or name another with {setting}") from exc


def _make_durably(directory: str) -> None:
    """Makes the directory and what is above it (0700), each with its name on the disk: what is saved in it must not be lost with a name.

    Raises:
        OSError: it cannot be made.
    """
    if os.path.isdir(directory):
        return
    above = os.path.dirname(directory)
    _make_durably(above)
    with suppress(FileExistsError):
        os.mkdir(directory, mode=0o700)
    descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _single(raised: Exception) -> Exception:
    """Returns the one error within, which a task group wraps."""
    while isinstance(raised, ExceptionGroup) and len(raised.exceptions) == 1:
        raised = raised.exceptions[0]
    return raised


def _explain(error: Exception) -> int:
    """Says on stderr why there is no daemon, and returns the exit status."""
    if isinstance(error, (errors.RewinddError, OSError)):
        print(f"rewindd: {error}", file=sys.stderr)
        return next((status for kind, status in _EXITS if isinstance(error, kind)), 1)
    _log.error("ended by a bug", exc_info=error)
    return 1


async def _alive(settings: Settings, inherited: int | None, running: Running, notifier: Notifier, ends_when_idle: bool) -> None:
    await live(settings, inherited, running, notifier, ends_when_idle=ends_when_idle)


def _parse(arguments: Sequence[str]) -> Given:
    parser = argparse.ArgumentParser(
        prog="rewindd", description="The daemon that keeps the work of coding agents safe. It stays in the foreground.", allow_abbrev=False
    )
    parser.add_argument("--socket", metavar="PATH", help="where to listen (REWINDD_SOCKET; in the runtime directory)")
    parser.add_argument("--data-dir", metavar="DIR", help="where the store is (REWINDD_DATA_DIR; in the XDG data directory)")
    parser.add_argument("--config", metavar="FILE", help="the configuration (REWINDD_CONFIG; in the XDG configuration directory)")
    parser.add_argument("--log-level", choices=config.LOG_LEVELS, help="what to log to stderr (info)")
    parser.add_argument("--version", action="version", version=f"rewindd {__version__}")
    found = parser.parse_args(arguments)
    return Given(socket=found.socket, data_dir=found.data_dir, config=found.config, log_level=found.log_level)


def _raise_descriptor_limit() -> None:
    """Each client is a descriptor, and libzmq aborts the process when accept finds none left (libzmq #1306)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _arm_faults(env: MutableMapping[str, str]) -> None:
    spec = env.pop("REWINDD_FAULTS", "")
    if not spec:
        return
    try:
        faults.arm(faults.from_spec(spec))
    except ValueError as exc:
        raise errors.BadConfig(str(exc)) from exc
