# Every target does its own set-up in .venv and in place; a repeated call installs nothing again.
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
export PATH := $(CURDIR)/$(BIN):$(PATH)
SOURCES := $(wildcard cext/*.pyx cext/*.pxd cext/*.h) setup.py

.PHONY: demo test check debug test-debug test-schedules test-faults test-asan bench build clean

# With the byte code of all that workers import, as pip makes it for users: else each of them compiles it anew where
# PYTHONDONTWRITEBYTECODE is set, for half a second.
build: .venv/.built
	@$(PY) -m compileall -q engine connectors tests

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "headgate needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check "setuptools>=77" "cython>=3.1" wheel
	HEADGATE_CORE=0 $(PY) -m pip install --quiet --disable-pip-version-check --no-compile --no-build-isolation --editable ".[dev]"
	cd .venv/lib/python3*/site-packages && $(CURDIR)/$(PY) -m compileall -q cloudpickle msgspec zmq typing_extensions.py
	@touch $@

.venv/.built: .venv/.installed $(SOURCES)
	$(PY) setup.py --quiet build_ext --inplace --parallel 2
	@touch $@

demo: build
	$(PY) -m examples.flights

check: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint cext
	$(BIN)/mypy
	$(PY) -m mypy.stubtest cext --allowlist tests/stubtest-allowlist.txt

# Both cores have work throughout: types are checked beside the second build, and as tests wait more than they work, there
# are more of them at once than cores.
AT_ONCE := --numprocesses 4 --dist worksteal

test: build
	$(MAKE) --jobs 2 check debug
	HEADGATE_BENCH_SCALE=0.02 $(BIN)/pytest $(AT_ONCE) --benchmark-disable tests benchmarks
	HEADGATE_SCHEDULES=200 $(MAKE) test-debug DEBUG_TESTS="tests/cext $(foreach name,$(RUNS),tests/engine/test_$(name).py)"

# What of the engine's tests runs jobs of every kind: `make test` has no time for all of them on two builds.
RUNS := processes crossing windows joins
DEBUG_TESTS ?= tests/cext tests/engine

# Core and engine once more, on a build that checks invariants and counts live objects. The checkout stands on the path
# behind that build, as workers need the tests too.
test-debug: debug
	$(BIN)/pytest $(AT_ONCE) -o "pythonpath=build/debug/lib ." $(DEBUG_TESTS)

debug: build
	HEADGATE_DEBUG=1 $(PY) setup.py --quiet build --build-base build/debug --build-lib build/debug/lib --parallel 2

# The links' code in ten thousand schedules of a simulated network; one that fails prints its seed.
test-schedules: build
	HEADGATE_SCHEDULES=$${HEADGATE_SCHEDULES:-10000} $(BIN)/pytest --timeout 3600 tests/cext/test_link_simulated.py

# For a night: processes killed and stopped at thousands of random moments, and at every step of each protocol. The last
# lines say how many strikes have hit. HEADGATE_FAULT_SEED=2 strikes at other moments, HEADGATE_FAULT_RUNS=200 at fewer.
test-faults: build
	HEADGATE_FAULT_RUNS=$${HEADGATE_FAULT_RUNS:-1000} $(BIN)/pytest $(AT_ONCE) tests/faults tests/connectors/test_postgres_exactly_once.py

# The tests of the core and the engine under AddressSanitizer and UBSan. A crash is left to Python's faulthandler, which
# says where in the program it was; some tests make a worker crash. UBSan ends the process at its first finding: pytest
# keeps what a test prints that does not fail.
test-asan: build
	HEADGATE_SANITIZE=address,undefined $(PY) setup.py --quiet build --build-base build/asan --build-lib build/asan/lib --parallel 2
	ASAN_OPTIONS=detect_leaks=0:handle_segv=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
		$(BIN)/pytest -o "pythonpath=build/asan/lib ." --timeout 600 tests/cext tests/engine

bench: build
	$(BIN)/pytest benchmarks --benchmark-only

clean:
	rm -rf .venv build dist *.egg-info cext/*.so cext/*.c
