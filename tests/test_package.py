"""The project as others get it: a wheel in an empty environment, the README's first graph, the public names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, timeout: float = 240) -> str:
    """What the command prints, with nothing of this checkout in its environment."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_wheel_runs_the_demo_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", ROOT, cwd=ROOT)
    (wheel,) = (tmp_path / "dist").glob("headgate-*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[cli]", cwd=tmp_path)
    shutil.copytree(ROOT / "examples" / "flights", tmp_path / "flights")
    printed = run(python, "-m", "flights", "--database", tmp_path / "flights.db", cwd=tmp_path)
    assert "336,776 records read" in printed
    assert (tmp_path / "flights.db").stat().st_size > 1_000_000
    where = run(python, "-c", "import engine; print(engine.__file__)", cwd=tmp_path)
    assert str(tmp_path) in where
    assert "Usage: headgate" in run(tmp_path / "empty" / "bin" / "headgate", "--help", cwd=tmp_path)


def test_the_readmes_first_graph_runs(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "first.py").write_text(program)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    printed = run(sys.executable, "first.py", cwd=tmp_path)
    assert "records in flight" in printed
    assert "finished after" in printed
    assert (tmp_path / "delays.db").is_file()


GUIDE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("program", GUIDE, ids=range(len(GUIDE)))
def test_every_block_of_the_guide_runs(program: str, tmp_path: Path) -> None:
    run(sys.executable, "-c", program, cwd=tmp_path)


def test_setup_py_stays_short() -> None:
    assert len((ROOT / "setup.py").read_text().splitlines()) < 80


def test_every_source_file_says_in_its_first_line_what_it_is() -> None:
    for path in [*ROOT.glob("*/*.py"), *ROOT.glob("*/*.pyx"), *ROOT.glob("*/*.pyi")]:
        first = path.read_text().split("\n", 1)[0]
        assert first.startswith('"""'), f"{path.relative_to(ROOT)} begins with {first!r}"
