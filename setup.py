"""Builds the Cython core; all metadata is in pyproject.toml.

Switches, as environment variables: HEADGATE_DEBUG=1 checks invariants and counts live objects,
HEADGATE_SANITIZE=address|undefined|thread builds under that sanitizer, HEADGATE_COVERAGE=1 traces lines, and
HEADGATE_CORE=0 leaves the core out, for an editable install beside one that is built in place.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup


def switch(name: str, default: str = "") -> bool:
    return os.environ.get(name, default) not in {"", "0"}


debug, coverage, sanitizer = switch("HEADGATE_DEBUG"), switch("HEADGATE_COVERAGE"), os.environ.get("HEADGATE_SANITIZE")
core = switch("HEADGATE_CORE", "1")
flavour = "-".join(["debug"] * debug + ["coverage"] * coverage + [sanitizer] * bool(sanitizer)) or "release"

compile_args = ["-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers"]
compile_args += ["-Wno-cast-function-type", "-Wno-unused-function", "-Wno-sign-compare"]  # Cython's own output
compile_args += ["-O1", "-g"] if debug or coverage or sanitizer else ["-O3", "-g0"]
link_args: list[str] = []
if sanitizer:
    compile_args += [f"-fsanitize={sanitizer}", "-fno-omit-frame-pointer"]
    link_args += [f"-fsanitize={sanitizer}"]

macros: list[tuple[str, str | None]] = [("HEADGATE_DEBUG", "1" if debug else "0")]
directives = {"language_level": 3, "embedsignature": False, "boundscheck": debug, "wraparound": False}
directives |= {
    "initializedcheck": False,
    "cdivision": True,
    "binding": True,
    "auto_pickle": False,
    "autotestdict": False,
}
if coverage:
    directives["linetrace"] = True
    macros += [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]

extensions = [
    Extension(
        f"cext.{source.stem}",
        [str(source)],
        depends=["cext/spsc.h"],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sorted(Path("cext").glob("*.pyx")) * core
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir=None if coverage else f"build/cython-{flavour}",  # coverage wants the C beside its source
        compiler_directives=directives,
        nthreads=os.cpu_count() or 1,
        quiet=True,
    ),
)
