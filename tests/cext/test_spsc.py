"""Builds and runs the ring's native test, plainly and under each sanitizer; with a control that must fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("native") / "ring_test.c"
FLAGS = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-pthread",
    f"-I{ROOT / 'cext'}",
]
SANITIZED = {
    "address": ["-fsanitize=address,leak", "-fno-omit-frame-pointer"],
    "undefined": ["-fsanitize=undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
}
FOUND = 66  # the exit code of a program in which a sanitizer found something
RELAXED = "-DSPSC_PUBLISH=memory_order_relaxed"


def compiler() -> str:
    found = shutil.which(os.environ.get("CC", "cc"))
    if found is None:
        pytest.skip("no C compiler on the path")
    return found


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without what is preloaded here: one sanitizer's library, as in `make test-asan`, gets in the way of another's."""
    env = os.environ | {"LD_PRELOAD": ""} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=50, check=False)


def build(target: Path, source: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return run(compiler(), *FLAGS, *flags, source, "-o", target)


def without_address_randomization() -> list[str]:
    """The prefix of a command line; TSan refuses kernels that randomize more bits than it knows of."""
    setarch = shutil.which("setarch")
    works = setarch is not None and run(setarch, "-R", "true").returncode == 0
    return [setarch, "-R"] if setarch is not None and works else []


def sanitizer_flags(name: str, tmp_path: Path) -> list[str]:
    """The flags of a sanitizer, once a program that does nothing has been built and run with them."""
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    built = build(tmp_path / "probe", probe, *SANITIZED[name])
    if built.returncode != 0:
        pytest.skip(f"no runtime of the {name} sanitizer: {built.stderr.strip()}")
    return SANITIZED[name]


def run_ring_test(tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    built = build(tmp_path / "ring_test", SOURCE, *flags)
    assert built.returncode == 0, built.stderr
    options = f"exitcode={FOUND}"
    prefix = without_address_randomization()
    return run(*prefix, tmp_path / "ring_test", ASAN_OPTIONS=options, TSAN_OPTIONS=options, UBSAN_OPTIONS=options)


@pytest.mark.parametrize("optimized", ["-O0", "-O3"])
def test_ring_plain(tmp_path: Path, optimized: str) -> None:
    done = run_ring_test(tmp_path, optimized)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("sanitizer", SANITIZED)
def test_ring_under_a_sanitizer(tmp_path: Path, sanitizer: str) -> None:
    done = run_ring_test(tmp_path, *sanitizer_flags(sanitizer, tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_ring_that_publishes_relaxed_is_reported_as_a_race(tmp_path: Path) -> None:
    """The negative control: without it, a silent TSan would prove nothing about the ring."""
    done = run_ring_test(tmp_path, *sanitizer_flags("thread", tmp_path), RELAXED)
    assert done.returncode == FOUND, done.stderr
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert "spsc_pop" in done.stderr
