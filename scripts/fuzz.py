"""One target of tests/support/fuzzing.py under atheris, for so many seconds; what it finds is kept in tests/data/fuzz.

Run by `scripts/fuzz`. It begins with what was kept, and with valid inputs. Each input that is a trouble is kept in a file of its own, once
for each place where it is raised; at the end those that led somewhere new are kept too, some short ones of them. The tests replay both.
"""

import contextlib
import hashlib
import io
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

if sys.argv[1:2] == ["--child"]:
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["rewindd"]):
        from support import fuzzing
else:
    from support import fuzzing

#: A longer input is tried, and not kept where it was no trouble: the corpus lies in the repository.
KEPT_BYTES = 512
#: Inputs that one run adds to what is kept, at most.
ADDED_INPUTS = 100
#: Bytes of an input that is tried. What is longer is for the tests of limits.
TRIED_BYTES = 8 << 10
#: A target that takes longer for one input has found something (libFuzzer's `-timeout`).
PATIENCE_S = 30
#: libFuzzer tells a limit of memory by ending; the fuzzed process has the coverage tables too.
MEMORY_MB = 4096


def oversee(name: str, seconds: int) -> int:
    """Has a process fuzz the target, as libFuzzer ends its own; returns its exit status, 1 where it found a trouble."""
    before = {file.name for file in fuzzing.KEPT.iterdir()}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as corpus:
        for number, one in enumerate([*fuzzing.kept(name), *fuzzing.seeds(name)]):
            Path(corpus, f"given-{number}").write_bytes(one)
        status = subprocess.run([sys.executable, __file__, "--child", name, str(seconds), corpus], check=False).returncode
        added = sorted((file.read_bytes() for file in Path(corpus).iterdir() if not file.name.startswith("given-")), key=len)
    short = [one for one in added if len(one) <= KEPT_BYTES]
    fuzzing.keep(name, [*fuzzing.corpus(name), *short[:: max(1, -(-len(short) // ADDED_INPUTS))]])
    troubles = sorted({file.name for file in fuzzing.KEPT.iterdir()} - before - {f"{name}.corpus"})
    print(f"{name}: {len(added)} inputs led somewhere new; troubles: {', '.join(troubles) or 'none'}", flush=True)
    return 1 if troubles or status else 0


def fuzz(name: str, seconds: int, corpus: str) -> None:
    """Fuzzes the target; does not return."""
    stack = contextlib.ExitStack()
    target = stack.enter_context(fuzzing.targets()[name]())
    seen: set[str] = set()

    def attempt(body: bytes) -> None:
        try:
            target(body)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is what is looked for
            where = "".join(traceback.format_exception(exc))
            place = hashlib.sha256("".join(str(frame) for frame in traceback.extract_tb(exc.__traceback__)).encode()).hexdigest()
            if place not in seen:
                seen.add(place)
                (fuzzing.KEPT / f"{name}-{hashlib.sha256(body).hexdigest()[:12]}").write_bytes(body)
                print(f"{name}: a trouble with {body[:200]!r}\n{where}", flush=True)

    def mutate(body: bytes, most: int, seed: int) -> bytes:
        made = fuzzing.spoil(body, seed) if seed % 2 else atheris.Mutate(body, most)
        return made[:most]

    options = [f"-max_total_time={seconds}", f"-max_len={TRIED_BYTES}", f"-timeout={PATIENCE_S}", f"-rss_limit_mb={MEMORY_MB}"]
    options += [f"-artifact_prefix={fuzzing.KEPT}/{name}-", "-len_control=10", "-print_final_stats=1", "-verbosity=0"]
    speaks = {"custom_mutator": mutate} if name in fuzzing.OF_MESSAGES else {}
    atheris.Setup([sys.argv[0], *options, corpus], attempt, **speaks)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        fuzz(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    sys.exit(oversee(sys.argv[1], int(sys.argv[2])))
