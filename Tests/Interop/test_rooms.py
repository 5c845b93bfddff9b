"""The floors of the house stay apart: a room imports only what Package.swift lists for it.

The compiler's own check, which the Makefile switches on, refuses an import of what a room does not stand on, not even
through others. It lets pass what a listed room stands on in turn; this does not.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|private|fileprivate)[ \t]+)?"
    r"import[ \t]+(?:(?:struct|class|enum|protocol|func|var|let|typealias)[ \t]+)?(\w+)",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def swift():
    program = shutil.which(os.environ.get("SWIFT", "swift"))
    if not program:
        pytest.skip("no Swift here: only the programs are under test")
    return program


def test_what_is_imported_is_listed_and_nothing_else(swift):
    described = subprocess.run(
        [swift, "package", "describe", "--type", "json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rooms = json.loads(described.stdout)["targets"]
    names = {room["c99name"] for room in rooms}
    assert {"Authenticator", "countersignd", "CLinux"} <= names
    for room in rooms:
        if room["module_type"] != "SwiftTarget":
            continue
        listed = set(room.get("target_dependencies", []))
        imported = set()
        for source in room["sources"]:
            imported |= set(IMPORT.findall((ROOT / room["path"] / source).read_text())) & names
        assert imported - listed == set(), f"{room['name']} imports what Package.swift does not list for it"
        # StorageTests start this one.
        assert listed - imported <= {"StorageChild"}, f"{room['name']} does not import what Package.swift lists for it"


def test_an_import_of_another_wing_does_not_build(swift, folder):
    makefile = (ROOT / "Makefile").read_text()
    checks = re.search(r"^CHECKS := (.+)$", makefile, re.MULTILINE).group(1).split()
    builds = re.findall(r"^\t@?\$\(SWIFTPM\) build (.*)$", makefile, re.MULTILINE)
    assert len(builds) >= 3 and all("$(CHECKS)" in one for one in builds)
    for room in ("East", "West"):
        (folder / "Sources" / room).mkdir(parents=True)
        (folder / "Sources" / room / "File.swift").write_text("import West\n" if room == "East" else "let west = 1\n")

    def build(dependencies):
        (folder / "Package.swift").write_text(
            "// swift-tools-version: 6.3\nimport PackageDescription\n"
            f'let package = Package(name: "house", targets: [.target(name: "West"), '
            f'.target(name: "East", dependencies: [{dependencies}])])\n'
        )
        return subprocess.run([swift, "build", *checks], cwd=folder, capture_output=True, text=True)

    done = build("")
    assert done.returncode != 0
    assert "East imports another target (West)" in done.stdout + done.stderr, done.stdout + done.stderr
    done = build('"West"')
    assert done.returncode == 0, done.stdout + done.stderr
