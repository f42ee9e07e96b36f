"""Two agents and a person edit the same three files; one of the agents is rewound, and the others' work is there.

Run by `scripts/demo-agents`. Every step is checked; the first that is not as it says ends the program with status 1. The daemon, its
store and the tree are temporary, and removed at the end.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import anyio

import rewindd
from rewindd.protocol.replies import Notice, RewindResult

#: How long the daemon may take to come and to go, and a notice to arrive.
PATIENCE_S = 30.0

#: The three files, as they are before anybody comes.
FILES = {
    "price.py": """TAX = 0.19
DIGITS = 2


def price(net):
    return round(net * (1 + TAX), DIGITS)


def label(net):
    return f"{price(net)} EUR"
""",
    "cart.py": """from price import price

SHIPPING = 4.90


def total(cart):
    return sum(price(net) for net in cart) + SHIPPING


def is_free(cart):
    return not cart
""",
    "README.md": """# The shop

Taxes: 19 %.

Every price has two digits.

Shipping costs 4.90 EUR.
""",
}

#: Who writes what: a file, the text that was there, and the text in its place.
Edit = tuple[str, str, str]
TAXES: tuple[Edit, ...] = (
    ("price.py", "TAX = 0.19\n", "TAX = 0.21  # taxes\n"),
    (
        "cart.py",
        "    return sum(price(net) for net in cart) + SHIPPING\n",
        "    return round(sum(map(price, cart)) + SHIPPING, 2)  # taxes\n",
    ),
    ("README.md", "Taxes: 19 %.\n", "Taxes: 21 %, since January. (taxes)\n"),
)
WORDS: tuple[Edit, ...] = (
    ("price.py", '    return f"{price(net)} EUR"\n', '    return f"EUR {price(net)}"  # words\n'),
    ("cart.py", "def is_free(cart):\n", "def is_empty(cart):  # words\n"),
    ("README.md", "Every price has two digits.\n", "Every price has two digits, after the currency. (words)\n"),
)
PERSON: tuple[Edit, ...] = (
    ("price.py", "def price(net):\n", "def price(net):  # Ada: gross, for customers\n"),
    ("cart.py", "SHIPPING = 4.90\n", "SHIPPING = 5.90  # Ada\n"),
    ("README.md", "Shipping costs 4.90 EUR.\n", "Shipping costs 5.90 EUR. (Ada)\n"),
)


def say(text: str = "") -> None:
    """Prints one line at once."""
    print(text, flush=True)


def must(is_so: bool, what: str) -> None:
    """Ends the program where something is not as it says."""
    if not is_so:
        sys.exit(f"FAILED: {what}")
    say(f"   checked: {what}")


def edited(*edits: Edit) -> dict[str, str]:
    """Returns what the three files are with these edits made to them."""
    texts = dict(FILES)
    for name, old, new in edits:
        if old not in texts[name]:
            sys.exit(f"FAILED: {old!r} is not in {name}")
        texts[name] = texts[name].replace(old, new)
    return texts


def edit(root: Path, one: Edit) -> None:
    """Makes an edit on disk, as an editor does."""
    name, old, new = one
    path = root / name
    path.write_text(path.read_text().replace(old, new))


def on_disk(root: Path) -> dict[str, str]:
    """Returns what the three files are."""
    return {name: (root / name).read_text() for name in FILES}


def show(root: Path) -> None:
    """Prints those lines of the three files that somebody wrote."""
    known = {line for text in FILES.values() for line in text.splitlines()}
    for name, text in on_disk(root).items():
        for number, line in enumerate(text.splitlines(), 1):
            if line not in known:
                say(f"   {name + ':' + str(number):<12} {line}")


def show_plan(plan: RewindResult) -> None:
    """Prints what a rewind does, or would do."""
    for step in plan.steps:
        say(f"   {step.action:<8} {step.path:<10} +{step.insertions} -{step.deletions}  {step.why}")
    if plan.left is not None:
        say(f"   left alone: {plan.left.rows} changes that nobody announced, to {', '.join(plan.left.paths)}")
        say(f"     to take them too: {plan.left.command}")
    for one in plan.dependents:
        say(f"   built on it since: {one.agent}'s checkpoint {one.checkpoint_id} ({one.label}), with {', '.join(one.paths)}")


async def notices(client: rewindd.Client, session: rewindd.Session, kind: str, paths: Iterable[str]) -> list[Notice]:
    """Returns a session's notices, when there is one of this kind for each of the paths."""
    found: list[Notice] = []
    with anyio.move_on_after(PATIENCE_S):
        async for notice in client.events(session):
            found.append(notice)
            if {str(one.path) for one in found if one.kind == kind} >= set(paths):
                break
    return [one for one in found if one.kind == kind]


async def demo(socket: Path, root: Path) -> None:
    """The whole story."""
    async with rewindd.connect(socket=str(socket), autostart=False) as client:
        async with client.session(root, agent="taxes") as taxes, client.session(root, agent="words") as words:
            say(f"2. two agents, each with a session: taxes ({taxes.id}) and words ({words.id})")
            await taxes.save("start")
            await words.save("start")

            say("3. taxes edits price.py; words, about to do the same, snapshots it and is warned:")
            async with taxes.editing("price.py"):
                edit(root, TAXES[0])
            kept = await words.snapshot("price.py")
            for overlap in kept.overlaps:
                say(f"   {overlap.text}")
            told = [(str(one.path), one.session_id) for one in kept.overlaps]
            must(told == [("price.py", taxes.id)], "the warning names the file and the other session")

            say("4. words edits other lines of all three files, so does taxes, and Ada in her editor, who tells nobody")
            for one in WORDS:
                async with words.editing(one[0]):
                    edit(root, one)
            for one in TAXES[1:]:
                async with taxes.editing(one[0]):
                    edit(root, one)
            await taxes.save("new tax rate")
            wording = await words.save("wording")
            for one in PERSON:
                edit(root, one)
            show(root)
            must(on_disk(root) == edited(*TAXES, *WORDS, *PERSON), "nine edits of three authors are in three files")

            say("5. taxes was wrong. What a rewind of it to its start would do (a dry run):")
            plan = await taxes.rewind("start", dry_run=True)
            show_plan(plan)
            must(on_disk(root) == edited(*TAXES, *WORDS, *PERSON), "the dry run changed nothing")
            must(all(one.sessions == [words.id] for one in plan.steps), "for each file it names the session whose work stays")
            must([one.checkpoint_id for one in plan.dependents] == [wording.id], "it names the checkpoint that words made on top")
            must(plan.left is not None and plan.left.rows == len(PERSON), "it says that Ada's changes stay, and how to take them too")

            say(f"6. so be it: the rewind, by the plan that was shown ({plan.plan_id})")
            before = on_disk(root)
            result = await taxes.rewind("start", plan=plan.plan_id)
            must((result.kept, result.conflicts) == ([], []), "nothing was in the way")
            show(root)
            must(on_disk(root) == edited(*WORDS, *PERSON), "taxes' three edits are gone, words' and Ada's six are there, to the byte")

            say("7. words is told, with its next reply or when it asks; in words that can be handed to a model:")
            arrived = await notices(client, words, "rewound", FILES)
            for notice in arrived:
                say(f"   {notice.text}")
            who = {(str(one.path), one.session_id) for one in arrived}
            must(who == {(name, taxes.id) for name in FILES}, "a notice for each file, which names taxes")

            say("8. it was right after all: undo")
            await taxes.undo()
            must(on_disk(root) == before, "all three files are as before the rewind, to the byte")


def run(directory: Path) -> None:
    """Starts a daemon, tells the story, stops the daemon."""
    root, socket = directory / "shop", directory / "run" / "rewindd.sock"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    places = ["--socket", str(socket), "--data-dir", str(directory / "data")]
    arguments = [sys.executable, "-m", "rewindd.daemon", *places, "--log-level", "warning"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REWINDD_")}
    daemon = subprocess.Popen(arguments, env=environment | {"XDG_CONFIG_HOME": str(directory)})
    try:
        wait_for(socket, daemon)
        say(f"1. three files in {root}, and a daemon of its own")
        anyio.run(demo, socket, root)
    finally:
        daemon.terminate()
        code = daemon.wait(PATIENCE_S)
    say(f"9. the daemon is stopped (exit status {code}), its store and the files are removed")
    if code:
        sys.exit(f"FAILED: the daemon ended with status {code}")


def wait_for(socket: Path, daemon: "subprocess.Popen[bytes]") -> None:
    """Waits until the daemon answers."""
    until_s = time.monotonic() + PATIENCE_S
    with rewindd.blocking.connect(socket=str(socket), autostart=False) as client:
        while time.monotonic() < until_s:
            try:
                client.status()
            except rewindd.errors.TransportError:
                if daemon.poll() is not None:
                    sys.exit(f"FAILED: the daemon ended with status {daemon.returncode}")
                time.sleep(0.05)
            else:
                return
    sys.exit("FAILED: the daemon does not answer")


if __name__ == "__main__":
    say("two agents and a person in the same three files")
    with tempfile.TemporaryDirectory(prefix="rewindd-demo-") as temporary:
        run(Path(temporary).resolve())
