# Every target sets up what it needs. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
SPEC ?= specs/demo.toml
PORT ?= 4200
SCALE ?= benchmarks-lake
# Set to anything, this variable doubles the start-up time of every command and server that a test starts.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: browser demo test test-fast test-rest test-all coverage test-demo up down soak crowd bench bench-quick bench-scale lint fetch format docs constraints clean

demo: fetch
	$(BIN)/editflow run $(SPEC)
	$(BIN)/editflow ask last "The headquarters of Yamaha are in"
	$(BIN)/editflow query "SELECT kind, count(*) AS artifacts, sum(bytes) // 1024 AS kib FROM artifacts GROUP BY kind ORDER BY kind"

# Two workers with one thread each, because most tests are too small for more. A spec that asks for two threads must not take
# a core from the other worker, so waiting threads sleep. Each file runs in one worker, in the order set by tests/conftest.py.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest \
	--numprocesses 2 --dist loadfile --no-loadscope-reorder
# Empty, or options that measure coverage.
COVER :=

# Under 90 seconds on two cores: no server, no browser, no real model.
test-fast: .venv/ready
	$(PYTEST) -m 'not (demo or soak or exhaustive or slow or server or browser or real_model)'

# Under 10 minutes on two cores: lint, types, and every behaviour once, with a real model, server, worker and browser.
test: .venv/ready
	$(MAKE) --jobs 2 --output-sync fetch lint browser
	$(PYTEST) $(COVER) -m 'not (demo or soak or exhaustive)'

# What `make test` leaves out: more cases of the same behaviours, installed packages, long documents.
test-rest: fetch browser
	$(PYTEST) $(COVER) -m 'exhaustive and not (demo or soak)'

# Under 30 minutes on two cores: both of the above, and the branch coverage of both together.
test-all: .venv/ready
	rm -f .coverage .coverage.*
	$(MAKE) test COVER='--cov --cov-append --cov-report= --cov-fail-under=0'
	$(MAKE) test-rest COVER='--cov --cov-append --cov-report= --cov-fail-under=0'
	$(MAKE) coverage

# Fails if coverage is less than `fail_under` in pyproject.toml.
coverage: .venv/ready
	@printf 'branch coverage in percent: '
	@$(BIN)/coverage report

test-demo: fetch browser
	$(BIN)/python -m pytest -m demo

# A Prefect server with all deployments and their schedules, and a worker, in the background.
up: fetch
	$(BIN)/editflow up --port $(PORT)

down: .venv/ready
	$(BIN)/editflow down

# Under an hour: 120 kills of long commands and 20 signals, 20 kills of two processes that apply one queue, full disks, three
# machines on one lake, 20,000 hostile inputs, and `crowd`. Each part prints its numbers. EDITFLOW_SOAK_KILLS,
# EDITFLOW_SOAK_SIGNALS and EDITFLOW_CASES make it shorter.
soak: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak --capture no

# Five minutes: two processes write to one lake, one queries it, and one collects garbage and is sometimes killed.
crowd: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak --capture no tests/storage/test_concurrent_processes.py

bench: fetch
	$(BIN)/python -m benchmarks --out benchmarks.json

bench-quick: fetch
	$(BIN)/python -m benchmarks --quick --out benchmarks-quick.json

# A lake of a million artifacts: the first run takes some minutes and 10 GB, later runs half a minute.
bench-scale: .venv/ready
	$(BIN)/python -m benchmarks.scale $(SCALE) --out benchmarks-scale.json

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fetch: .venv/ready
	$(BIN)/editflow fetch

# The report's tests need Chromium: the one on the system, else Playwright's own, else Debian's.
browser: .venv/ready
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| $(BIN)/playwright install --with-deps chromium-headless-shell >/dev/null 2>&1 \
		|| { apt-get update -qq && apt-get install -y -qq chromium; } \
		|| { echo "error: the tests of the report need Chromium: install it, then run make test again" >&2; exit 2; }

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready
	$(BIN)/python tests/docs/generate.py

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11: install a newer one, or use make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

constraints: .venv/ready
	{ echo '# Versions that are tested together; regenerate with `make constraints`.'; \
		$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > constraints.txt

clean:
	rm -rf .venv .coverage benchmarks*.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
