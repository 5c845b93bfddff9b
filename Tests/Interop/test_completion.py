"""The completions that `make install` brings, in the shells themselves."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from test_install import install


@pytest.fixture
def share(programs, folder):
    install(programs, folder / "root")
    return folder / "root/usr/local/share"


class Terminal:
    """A shell at a terminal, and somebody who types."""

    def __init__(self, *command, **environment):
        assert shutil.which(command[0]), f"{command[0]} is missing: Tests/Tools/prerequisites.sh test"
        child, self.terminal = pty.fork()
        if child == 0:
            os.execvpe(command[0], command, {"PATH": os.environ["PATH"], "TERM": "dumb", **environment})
        self.child = child
        self.shown = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.terminal)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def await_line(self, pattern):
        """What the group of a pattern matches, once it is shown."""
        deadline = time.monotonic() + 30
        while not (found := re.search(pattern, self.shown, re.MULTILINE)):
            ready, _, _ = select.select([self.terminal], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{pattern} is not in {self.shown!r}"
            self.shown += os.read(self.terminal, 4096).decode(errors="replace").replace("\r", "")
        self.shown = self.shown[found.end() :]
        return found[1]

    def completed(self, typed, keys):
        """The line after these keys: it is made the argument of a command that shows it."""
        self.type(typed + keys + "\x01printf '<%s>\\n' \x05\n")
        self.type("printf 'end%s\\n' ed\n")
        shown = self.await_line(r"((?:.|\n)*?)^ended$")
        return re.findall(r"^<(.*)>$", shown, re.MULTILINE)


ALL = "\x1b*"
TAB = "\t"


def test_bash(share, folder):
    (folder / "options.json").touch()
    (folder / "state").mkdir()
    with Terminal("bash", "--noprofile", "--norc", "-i", INPUTRC="/dev/null", PS1="$ ", HOME=str(folder)) as bash:
        bash.type("cd; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n")
        for program in ("countersign", "countersignd"):
            bash.type(f"source {share}/bash-completion/completions/{program}\n")
        assert bash.completed("countersign regi", TAB) == ["countersign", "register"]
        assert set(bash.completed("countersign credential ", ALL)[2:]) == {
            "list", "show", "delete", "disable", "enable", "rename", "pin", "unpin", "--help",
        }
        assert bash.completed("countersign credential list --rp", TAB)[-1] == "--rp-id"
        assert bash.completed("countersign verify assertion --cred", TAB)[-1] == "--credential"
        # A file, where the value is one; nothing, where it is not.
        assert bash.completed("countersign register --in op", TAB)[-1] == "options.json"
        assert bash.completed("countersign register --in=op", TAB)[-1] == "--in=options.json"
        assert bash.completed("countersign register --timeout op", TAB)[-1] == "op"
        assert bash.completed("countersign completion z", TAB)[-1] == "zsh"
        assert bash.completed("countersignd --check", TAB)[-1] == "--check-config"
        assert bash.completed("countersignd --state-directory st", TAB)[-1] == "state/"


def test_zsh(share, folder):
    (folder / "options.json").touch()
    with Terminal("zsh", "--no-rcs", "-i", PS1="$ ", HOME=str(folder)) as zsh:
        zsh.type("cd; unsetopt zle_bracketed_paste beep prompt_sp list_beep auto_list; bindkey -e\n")
        zsh.type(f"fpath=({share}/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D\n")
        assert zsh.completed("countersign regi", TAB) == ["countersign", "register"]
        assert zsh.completed("countersign credential del", TAB)[-1] == "delete"
        assert zsh.completed("countersign credential list --rp", TAB)[-1].startswith("--rp-id")
        assert zsh.completed("countersign register --in op", TAB)[-1] == "options.json"
        assert zsh.completed("countersign completion z", TAB)[-1] == "zsh"
        assert zsh.completed("countersignd --check", TAB)[-1] == "--check-config"


def test_fish(share, folder):
    (folder / "options.json").touch()
    (folder / "state").mkdir()
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_DIRS": str(share)}

    def candidates(line):
        done = subprocess.run(
            ["fish", "--command", f"cd; source {share}/fish/vendor_completions.d/{line.split()[0]}.fish\n"
             f"complete --do-complete '{line}'"],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return {row.split("\t")[0] for row in done.stdout.splitlines()}

    assert candidates("countersign regi") == {"register"}
    kinds = {"list", "show", "delete", "disable", "enable", "rename", "pin", "unpin"}
    assert candidates("countersign credential ") == kinds
    assert candidates("countersign pin st") == {"status"}
    # Not those of `countersign status`.
    assert "--socket" in candidates("countersign pin status --")
    assert candidates("countersign credential list --rp") == {"--rp-id"}
    assert candidates("countersign register --in op") == {"options.json"}
    assert candidates("countersign register --timeout op") == set()
    assert candidates("countersignd --state-directory st") == {"state/"}
    assert candidates("countersignd --check") == {"--check-config"}
