"""An agent in a real sandbox: bubblewrap, with only its grant's directory mounted."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from rewindd.blocking import Client
from support import bubblewrap
from support.daemon import RealDaemon
from support.grants import grant, grants

REASON = bubblewrap.why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

CALLED = "/box/project"
#: What the agent does, with the Python client and the program, by the paths that it sees; the last line is what it found.
AGENT = """
import json, os, subprocess, sys
import rewindd.blocking
from rewindd.errors import RewinddError

ctl = [sys.executable, "-c", "from rewindd.cli.main import main; main()"]
found = {"cwd": os.getcwd(), "run": os.listdir("/run/rewindd"), "home": os.listdir(os.environ["HOME"])}

def asked(*args, status=0):
    done = subprocess.run([*ctl, *args], capture_output=True, text=True)
    assert done.returncode == status, (args, done)
    return done.stdout + done.stderr

def write(name, text):
    with open(name, "w") as file:
        file.write(text)

with rewindd.blocking.connect() as client:
    with client.session(".", agent="boxed", session_id="boxed") as session:
        found["root"] = str(session.info.root)
        session.snapshot("app.txt", os.path.abspath("new.txt"))
        write("app.txt", "two\\n")
        write("new.txt", "made inside\\n")
        session.history.add_user_message("change it")
        first = session.save("first")
        with session.editing("app.txt"):
            write("app.txt", "three\\n")
        session.save("second")
        found["changes"] = [str(one.path) for one in session.load("second").file_diffs]
        session.rewind("first")
        found["rewound"] = open("app.txt").read()
        session.undo()
        found["undone"] = open("app.txt").read()
        found["session"] = session.id
    try:
        client.status()
    except RewinddError as error:
        found["status"] = error.code
os.environ["REWINDD_SESSION"] = "boxed"
asked("snapshot", "app.txt", "/box/project/sub/by-name")
os.mkdir("sub")
write("sub/by-name", "by its name inside\\n")
asked("save", "-m", "third")
asked("run", "--", "sh", "-c", "echo by a command > commanded")
asked("save", "-m", "fourth")
found["list"] = asked("list")
asked("rewind", "first", "--yes")
found["by the program"] = [open("app.txt").read(), os.path.exists("sub/by-name"), os.path.exists("commanded")]
done = subprocess.run([*ctl, "doctor", "--json"], capture_output=True, text=True)
found["doctor"] = {one["check"]: one["state"] for one in json.loads(done.stdout)["findings"]}
found["outside"] = asked("snapshot", "/etc/passwd", status=77)
found["escape"] = asked("snapshot", "../../proc/1/environ", status=77)
try:
    os.unlink("/run/rewindd/rewindd.sock")
except OSError as error:
    found["socket"] = error.strerror
print(json.dumps(found))
"""


def test_an_agent_in_a_sandbox(running: RealDaemon, person: Client, tree: Path) -> None:
    """It snapshots, saves and rewinds its workspace by its own paths, and has nothing else; what it did is seen outside."""
    (tree / "app.txt").write_text("one\n")
    granted = grant(person, tree, inside=CALLED)
    done = bubblewrap.inside(tree, CALLED, Path(granted.socket).parent, sys.executable, "-c", AGENT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["cwd"], found["root"], found["run"], found["home"]) == (CALLED, CALLED, ["rewindd.sock"], [])
    assert (found["changes"], found["rewound"], found["undone"]) == (["app.txt"], "two\n", "three\n")
    assert (found["by the program"], found["status"]) == (["two\n", False, False], "not-permitted")
    assert all(word in found["list"] for word in ("first", "second", "third", "fourth"))
    assert all(CALLED in found[word] and str(tree) not in found[word] for word in ("outside", "escape"))
    assert (found["doctor"]["daemon"], found["doctor"]["socket"]) == ("ok", "ok")
    assert found["socket"] == os.strerror(30)
    assert (tree / "app.txt").read_text() == "two\n"
    assert (tree / "new.txt").read_text() == "made inside\n"
    with person.session(tree, session_id="boxed") as outside:
        assert [one.label for one in outside.list() if not one.automatic] == ["first", "second", "third", "fourth"]
        assert outside.load("first").user_prompts == ["change it"]
    assert next(one for one in grants(person) if one.id == granted.id).sessions == ["boxed"]
    assert str(tree) not in done.stdout + done.stderr
    assert f"grant {granted.id}: refused op=snapshot code=outside-workspace" in running.said()


def test_the_daemon_s_own_socket(running: RealDaemon, person: Client, tree: Path) -> None:
    """The same agent with the daemon's own directory mounted is refused, and told the command that makes a grant."""
    del person
    at = Path(running.socket)
    script = f"import rewindd.blocking as b; c = b.connect(socket='{bubblewrap.PLACE}/{at.name}', autostart=False); c.status()"
    done = bubblewrap.inside(tree, CALLED, at.parent, sys.executable, "-c", script)
    assert done.returncode == 1
    assert "NotPermitted" in done.stderr
    assert "rewindctl grant WORKSPACE" in done.stderr
    assert stat.S_ISSOCK(at.stat().st_mode)
