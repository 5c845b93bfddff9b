"""Runs every test of Countersign and ends with the line `N passed, N failed`.

Usage: test.py [swift] [interop] [vm] [asan] [tsan] [valgrind]    (without names: all of them)

The counts are those that swift test and pytest report themselves. A run under a sanitizer repeats the Swift tests, so
that it counts as one check, not once more for every test; so does valgrind. A step that cannot be built, ends without
a result or runs no test counts as failed.
"""

import os
import platform
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SWIFTPM = str(ROOT / "Tests" / "Tools" / "swiftpm.sh")
CHECKS = ["--explicit-target-dependency-import-check", "error"]
RESULTS = ROOT / ".build" / "results"

ASAN = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:halt_on_error=1",
    # Loaded from the beginning, so that it is still there to be named when LeakSanitizer reports.
    "LD_PRELOAD": "libtss2-tcti-swtpm.so.0",
    "LSAN_OPTIONS": f"suppressions={ROOT / 'Tests' / 'Tools' / 'lsan.supp'}:print_suppressions=0",
}
# Swift Testing begins all tests at once. Those with many steps keep the others from their turn, under a sanitizer until
# time limits pass that are no concern of theirs.
HEAVY = ["AuthenticatorTests", "StorageTests", "TPMKeyStoreTests", "TransportsTests", "HIDRelayTests"]
GROUPS = [["--filter", f"^{name}\\."] for name in HEAVY] + [["--skip", f"^({'|'.join(HEAVY)})\\."]]
TSAN = {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}


@dataclass
class Outcome:
    """What one step found."""

    passed: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def failure(note: str) -> "Outcome":
        return Outcome(0, 1, [note])

    def as_one_check(self) -> "Outcome":
        if self.failed:
            return Outcome(0, self.failed, self.notes)
        return Outcome(1, 0, [f"{self.passed} tests, clean"] + self.notes)


def run(command: list[str], **environment: str) -> tuple[int, str]:
    """Runs a command, passes its output on as it comes and returns its exit status and that output."""
    print("$", " ".join(command), flush=True)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        sys.stdout.write(line)
        sys.stdout.flush()
    return process.wait(), "".join(lines)


def swift_tests(options: list[str], groups: list[list[str]] = [[]], **environment: str) -> Outcome:
    """Builds the Swift tests once and runs them, group after group."""
    status, _ = run([SWIFTPM, "build", "--build-tests", *CHECKS, *options])
    if status != 0:
        return Outcome.failure("does not build")
    outcomes = [swift_group([*options, *group], **environment) for group in groups]
    return Outcome(
        sum(one.passed for one in outcomes), sum(one.failed for one in outcomes), sum((one.notes for one in outcomes), [])
    )


def swift_group(options: list[str], **environment: str) -> Outcome:
    """Runs built tests, and reads Swift Testing's own closing line."""
    status, output = run([SWIFTPM, "test", "--skip-build", "--disable-xctest", *options], **environment)
    closing = re.findall(r"Test run with (\d+) tests?\b.*\b(passed|failed) after", output)
    if not closing:
        return Outcome.failure(f"ended without a result (exit status {status})")
    total = int(closing[-1][0])
    notes = []
    # ✘ Test "name" failed after 0.1 seconds with 1 issue.
    # ✘ Test name(argument:) with 3 test cases failed after 0.1 seconds with 1 issue.
    # ➜ Test name() skipped: "reason"         (The closing line counts it too.)
    failures = re.findall(r"^\S+ +Test (?!run with )(.*) failed after .* with \d+ issue", output, re.MULTILINE)
    failed = len(failures)
    skipped = len(re.findall(r"^\S+ +Test .* skipped", output, re.MULTILINE))
    if closing[-1][1] == "failed" or status != 0:
        failed = max(failed, 1)
        notes += [f"failed: {one}" for one in failures] or [f"all passed, but the exit status is {status}"]
        notes += sanitizer_report(output)
    passed = max(total - failed - skipped, 0)
    if passed + failed == 0:
        return Outcome.failure("no test ran")
    return Outcome(passed, failed, notes + ([f"{skipped} skipped, reasons above"] if skipped else []))


def sanitizer_report(output: str) -> list[str]:
    """What a sanitizer says last, and where it has found the first thing: a rare one may not come again."""
    first = re.search(
        r"^(?:Direct leak of|==\d+==ERROR: AddressSanitizer|WARNING: ThreadSanitizer).*\n(?:.*\n){0,3}?((?: +#\d+ .*\n)+)",
        output,
        re.MULTILINE,
    )
    frames = re.findall(r"#\d+ (?:0x[0-9a-f]+ in )?(\S+)", first.group(1))[:12] if first else []
    summary = re.findall(r"^SUMMARY: .*$", output, re.MULTILINE)
    return summary + ([f"the first: {' < '.join(frames)}"] if frames else [])


def pytest(name: str, *arguments: str, folder: str = "Tests/Interop", **environment: str) -> Outcome:
    """Runs pytest over a folder and reads the report that it writes."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    status, _ = run(
        [sys.executable, "-m", "pytest", folder, "-ra", f"--junit-xml={report}", *arguments], **environment
    )
    if not report.exists():
        return Outcome.failure(f"ended without a result (exit status {status})")
    total = failed = skipped = 0
    document = ElementTree.parse(report).getroot()
    for suite in document.iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    passed = max(total - failed - skipped, 0)
    if status != 0 and failed == 0:
        failed = 1
    if passed + failed == 0:
        return Outcome.failure("no test ran")
    notes = [f"failed: {one.get('name')}" for one in document.iter("testcase") if one.find("failure") is not None or one.find("error") is not None]
    notes += [f"{skipped} skipped, reasons above"] if skipped else []
    return Outcome(passed, failed, notes + device_suite(document) + figures(document))


def figures(document: ElementTree.Element) -> list[str]:
    """What a test has measured, beside that it passed."""
    found = [one.get("value") for one in document.iter("property") if one.get("name") == "figure"]
    for figure in found:
        print(f"figure: {figure}")
    return found


def device_suite(document: ElementTree.Element) -> list[str]:
    """What python-fido2's own tests, of which each module is one test here, counted themselves."""
    modules = [one.get("value") for one in document.iter("property") if one.get("name") == "device suite"]
    for module in modules:
        print(f"device suite: {module}")
    counts = [map(int, re.search(r": (\d+) passed, (\d+) failed, (\d+) skipped$", one).groups()) for one in modules]
    if not counts:
        return []
    passed, failed, skipped = (sum(column) for column in zip(*counts))
    return [f"python-fido2's device tests among them: {passed} passed, {failed} failed, {skipped} skipped as listed"]


def release_programs() -> Outcome:
    status, _ = run(["make", "--no-print-directory", "build"])
    return Outcome() if status == 0 else Outcome.failure("the release programs do not build")


def swift_step() -> Outcome:
    return swift_tests([], GROUPS)


def interop_step() -> Outcome:
    built = release_programs()
    return built if built.failed else pytest("interop", "-m", "not valgrind")


def vm_step() -> Outcome:
    """Two packages of the same programs, for an upgrade from one to the other, in a machine of the same Debian."""
    system = platform.freedesktop_os_release()
    if system.get("VERSION_CODENAME") != "bookworm":
        return Outcome(notes=[f"not run: the machine is Debian 12, the programs are for {system['PRETTY_NAME']}"])
    for old in (ROOT / ".build" / "deb").glob("countersign_*+test*"):
        old.unlink()
    for suffix in ("+test1", "+test2"):
        status, _ = run(["make", "--no-print-directory", "deb", f"DEB_VERSION_SUFFIX={suffix}"])
        if status != 0:
            return Outcome.failure("the package cannot be made")
    return pytest("vm", "-v", "--durations=12", folder="Tests/VM")


def valgrind_step() -> Outcome:
    built = release_programs()
    return built if built.failed else pytest("valgrind", "-m", "valgrind").as_one_check()


def sanitized(sanitizer: str, **environment: str) -> Outcome:
    options = [f"--sanitize={sanitizer}", "--scratch-path", f".build-{'asan' if sanitizer == 'address' else 'tsan'}"]
    return swift_tests(options, GROUPS, COUNTERSIGN_TESTS="short", **environment).as_one_check()


STEPS = {
    "swift": ("Swift tests", swift_step),
    "interop": ("real clients against the release daemon", interop_step),
    "vm": ("a booted machine with a kernel TPM", vm_step),
    "valgrind": ("release daemon under valgrind", valgrind_step),
    "asan": ("Swift tests under AddressSanitizer", lambda: sanitized("address", **ASAN)),
    "tsan": ("Swift tests under ThreadSanitizer", lambda: sanitized("thread", **TSAN)),
}


def processor_time() -> float:
    """What all that has been run has used so far: comparable on machines that others use too."""
    times = os.times()
    return times.children_user + times.children_system


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"test.py: no step named {unknown[0]}: there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    table = []
    passed = failed = 0
    started = time.monotonic()
    for name in names or STEPS:
        title, step = STEPS[name]
        print(f"\n== {title}", flush=True)
        begun, used = time.monotonic(), processor_time()
        outcome = step()
        passed += outcome.passed
        failed += outcome.failed
        notes = f" ({'; '.join(outcome.notes)})" if outcome.notes else ""
        seconds, used = time.monotonic() - begun, processor_time() - used
        table.append(
            f"{title}: {outcome.passed} passed, {outcome.failed} failed{notes}, {seconds:.0f} s, of processors {used:.0f} s"
        )
    if passed + failed == 0:
        failed = 1
    print(f"\n== Summary after {time.monotonic() - started:.0f} s")
    for line in table:
        print(line)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
