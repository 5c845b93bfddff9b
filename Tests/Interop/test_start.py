"""What the daemon says where it cannot start: each line names what to do."""

import json
import os

import pytest

from harness import check_configuration
from test_policy import rule

RULES = [rule("r", ["one.example.com"], ["register"])]


def test_a_folder_in_which_others_could_put_another_configuration(programs, folder):
    parent = folder / "parent"
    (parent / "etc").mkdir(parents=True)
    file = parent / "etc" / "countersign.json"
    file.write_text(json.dumps({"rules": RULES}))
    assert check_configuration(programs, file).returncode == 0
    for place in (parent / "etc", parent):
        place.chmod(0o775)
        done = check_configuration(programs, file)
        assert done.returncode == 2 and f"its folder {place}/ can be changed by its group or by everyone" in done.stderr, done
        assert f"forbid it: chmod go-w '{place}/'" in done.stderr
        # Nobody but its owner takes a file out of a sticky folder.
        place.chmod(0o1777)
        assert check_configuration(programs, file).returncode == 0
        place.chmod(0o755)
    # By whichever way it is named.
    link = folder / "link"
    link.symlink_to(parent)
    parent.chmod(0o775)
    assert check_configuration(programs, link / "etc" / "countersign.json").returncode == 2
    parent.chmod(0o755)
    assert check_configuration(programs, link / "etc" / "countersign.json").returncode == 0
