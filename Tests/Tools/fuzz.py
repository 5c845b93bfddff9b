"""Fuzzes every target for a while and says how much was run and reached, and what was found.

Usage: fuzz.py [TARGET]...    (without names: all of them; FUZZ_SECONDS each, 60 unless told)

What a run has learnt stays in .build-fuzz/corpus and is where the next one begins. An input that breaks something is
written to Tests/Fuzz/Crashes/TARGET: commit it with the mend, and the tests replay it from then on.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUZZ = ROOT / "Tests" / "Fuzz"
BUILD = ROOT / ".build-fuzz"
PROGRAM = BUILD / "release" / "countersign-fuzz"
SWIFT = os.environ.get("SWIFT", "swift")
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))


def tool(name: str) -> str:
    """The compiler's own: the format of profiles changes with every version of LLVM."""
    paths = json.loads(subprocess.check_output([SWIFT, "-print-target-info"]))["paths"]
    return str(Path(paths["runtimeResourcePath"]).parents[1] / "bin" / name)


def build() -> None:
    command = [ROOT / "Tests" / "Tools" / "swiftpm.sh", "build", "-c", "release", "--scratch-path", str(BUILD), "--product", "countersign-fuzz"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "COUNTERSIGN_FUZZ": "1"}, check=True)


def targets() -> dict[str, list[str]]:
    """Names, and the sources whose coverage is of interest."""
    environment = {**os.environ, "LLVM_PROFILE_FILE": os.devnull}
    listing = subprocess.run([PROGRAM], env=environment, stdout=subprocess.PIPE, text=True).stdout
    return {name: sources for name, *sources in (line.split() for line in listing.splitlines())}


def libfuzzer(target: str, *options: str, profile: Path) -> tuple[int, dict[str, int]]:
    """Runs the program over what is known of a target: exit status and libFuzzer's figures."""
    learnt, crashes = BUILD / "corpus" / target, FUZZ / "Crashes" / target
    environment = {
        **os.environ,
        "LLVM_PROFILE_FILE": str(profile),
        # libFuzzer and Swift would both handle a crash, and wait for each other for ever.
        "SWIFT_BACKTRACE": "enable=no",
        "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=32",
        "LSAN_OPTIONS": f"suppressions={ROOT / 'Tests' / 'Tools' / 'lsan.supp'}:print_suppressions=0",
    }
    process = subprocess.Popen(
        [PROGRAM, target, "-timeout=10", "-rss_limit_mb=2048", *options, f"-artifact_prefix={crashes}/"]
        + [str(folder) for folder in (learnt, FUZZ / "Corpus" / target, crashes)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    figures = {}
    tail = []
    for line in process.stdout:
        tail = [*tail[-80:], line]
        if found := re.match(r"stat::(\w+):\s+(\d+)", line):
            figures[found[1]] = int(found[2])
        for name, value in re.findall(r"\b(cov|ft|corp): (\d+)", line):
            figures[name] = int(value)
    status = process.wait()
    if status != 0:
        sys.stdout.writelines(tail)
    return status, figures


def fuzz(target: str) -> tuple[int, dict[str, int], Path]:
    """Runs one target: exit status, libFuzzer's figures, profile."""
    crashes = FUZZ / "Crashes" / target
    existed = crashes.exists()
    for folder in (BUILD / "corpus" / target, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    profile = BUILD / f"{target}.profraw"
    profile.unlink(missing_ok=True)
    # Looking for leaks after every run would take most of the time: that is done once, over what has been learnt.
    options = [f"-max_total_time={SECONDS}", "-detect_leaks=0", "-print_final_stats=1"]
    status, figures = libfuzzer(target, *options, profile=BUILD / "fuzzing.profraw")
    if status == 0:
        status, _ = libfuzzer(target, "-runs=0", profile=profile)
    if not existed and not any(crashes.iterdir()):
        crashes.rmdir()
    return status, figures, profile


def coverage(profile: Path, sources: list[str]) -> str:
    """Lines reached of the sources that the target is about; nothing is known of a run that ended in a crash."""
    if not profile.exists() or profile.stat().st_size == 0:
        return "-"
    merged = profile.with_suffix(".profdata")
    subprocess.run([tool("llvm-profdata"), "merge", str(profile), "-o", str(merged)], check=True)
    report = subprocess.run(
        [tool("llvm-cov"), "export", "-summary-only", str(PROGRAM), f"-instr-profile={merged}"]
        + [str(ROOT / "Sources" / source) for source in sources],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    lines = json.loads(report.stdout)["data"][0]["totals"]["lines"]
    return f"{lines['covered']}/{lines['count']} ({lines['percent']:.0f} %)"


def main() -> int:
    build()
    known = targets()
    unknown = set(sys.argv[1:]) - set(known)
    if unknown:
        print(f"fuzz: no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"{'target':<14} {'executions':>11} {'per s':>7} {'edges':>6} {'inputs':>6}  {'lines':<17} result", flush=True)
    failed = 0
    for target in sys.argv[1:] or known:
        status, figures, profile = fuzz(target)
        failed += status != 0
        print(
            f"{target:<14} {figures.get('number_of_executed_units', 0):>11} "
            f"{figures.get('average_exec_per_sec', 0):>7} {figures.get('cov', 0):>6} {figures.get('corp', 0):>6}  "
            f"{coverage(profile, known[target]):<17} {'clean' if status == 0 else f'CRASH, see Tests/Fuzz/Crashes/{target}'}",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
