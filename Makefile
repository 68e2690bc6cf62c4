# One word per chore. `make demo` and `make test` set themselves up; PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
SPEC ?= specs/demo.toml
PORT ?= 4200
SCALE ?= benchmarks-lake
# What is imported once need not be compiled by the next process: set to anything, this makes each test of a command and each
# server take twice as long.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: browser demo test test-demo up down soak crowd bench bench-quick bench-scale lint fetch format docs constraints clean

demo: fetch
	$(BIN)/editflow run $(SPEC)
	$(BIN)/editflow ask last "The headquarters of Yamaha are in"
	$(BIN)/editflow query "SELECT kind, count(*) AS artifacts, sum(bytes) // 1024 AS kib FROM artifacts GROUP BY kind ORDER BY kind"

# Two workers of one thread each: most tests are too small for more. Where a spec asks for two, those that wait sleep instead of
# taking a core from the other worker. Files are handed out in the order of tests/conftest.py.
test: .venv/ready
	$(MAKE) --jobs 2 --output-sync fetch lint browser
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-demo: fetch browser
	$(BIN)/python -m pytest -m demo

# A Prefect server with all deployments and their schedules, and a worker, in the background.
up: fetch
	$(BIN)/editflow up --port $(PORT)

down: .venv/ready
	$(BIN)/editflow down

# 120 kills of long commands and 20 signals, 20 kills of a pair that applies one queue, full disks, three machines at one
# lake, 20,000 inputs from strangers, and what `crowd` does: under an hour. Each part prints its figures;
# EDITFLOW_SOAK_KILLS, EDITFLOW_SOAK_SIGNALS and EDITFLOW_CASES make it shorter.
soak: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak --capture no

# Two processes write, one asks and one collects garbage, and is killed at times: five minutes.
crowd: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak --capture no tests/storage/test_concurrent_processes.py

bench: fetch
	$(BIN)/python -m benchmarks --out benchmarks.json

bench-quick: fetch
	$(BIN)/python -m benchmarks --quick --out benchmarks-quick.json

# A lake of a million artifacts: some minutes to make and 10 GB the first time, half a minute to ask.
bench-scale: .venv/ready
	$(BIN)/python -m benchmarks.scale $(SCALE) --out benchmarks-scale.json

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

fetch: .venv/ready
	$(BIN)/editflow fetch

# The tests of the report need a Chromium: the system's, else Playwright's own, else the one of Debian's packages.
browser: .venv/ready
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| $(BIN)/playwright install --with-deps chromium-headless-shell >/dev/null 2>&1 \
		|| { apt-get update -qq && apt-get install -y -qq chromium; } \
		|| { echo "error: the tests of the report need Chromium: install it, then say make test again" >&2; exit 2; }

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready
	$(BIN)/python tests/docs/generate.py

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11: install a newer one, or say make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

constraints: .venv/ready
	{ echo '# Versions that were tried together; regenerate with `make constraints`.'; \
		$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//'; } > constraints.txt

clean:
	rm -rf .venv benchmarks*.json .pytest_cache .mypy_cache .ruff_cache .hypothesis
