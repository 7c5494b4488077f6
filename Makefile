# Everything a developer does. Each target makes what it needs: `make demo` on a new machine is enough.

PYTHON ?= python3
UV      = .uv/bin/uv
BIN     = .venv/bin
READY   = .venv/.ready
# One process more than cores, as some tests wait for others; each comes to 5 GB. A file's tests stay together, and files
# in their order: the long ones are not last.
WORKERS ?= $(shell $(PYTHON) -c "import os; memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'); \
	print(max(1, min(os.cpu_count() + 1, memory // (6 * 10**9))))")
DAMAGED ?= 10000
# The tests' files lie in memory where there is room: to remove their folders from a disk takes minutes.
ROOM    := $(shell df -k --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 8e6 { print "-p /dev/shm" }')

.PHONY: help setup demo test test-all fuzz lint types docs site package bench peers pins clean

help:
	@echo "make setup     install spectrain and all it needs into .venv"
	@echo "make demo      train a small contrastive model on real sea-surface temperature (3 minutes)"
	@echo "make test      the tests (15 minutes on a fast pair of cores)"
	@echo "make test-all  the slow ones too"
	@echo "make fuzz      read 10,000 damaged files of each kind (hours; DAMAGED=1000 for fewer)"
	@echo "make lint      ruff and mypy"
	@echo "make docs      write the generated pages"
	@echo "make package   build the wheel, and use it in an empty environment"
	@echo "make site      the pages as a site, in build/site; a link that leads nowhere is an error"
	@echo "make bench     measure, and write benchmarks/README.md"
	@echo "make peers     what benchmarks/peers measures spectrain beside, into .peers"

setup: $(READY)

# uv comes from pip into a place of the project's; nothing outside the folder changes.
$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

$(READY): requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps --editable .
	$(BIN)/python -m compileall -q src
	@touch $@

demo: setup
	$(BIN)/spectrain demo contrastive

test: setup
	@folder=$$(mktemp -d $(ROOM)) && trap 'rm -rf "$$folder"' EXIT INT TERM && set -x && \
	$(BIN)/python -m pytest -m "not slow" -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --basetemp "$$folder/tests"

test-all: setup
	$(BIN)/python -m pytest -q

# Damaged files of each kind: read or refused, in bounded time and memory.
fuzz: setup
	SPECTRAIN_FUZZ=$(DAMAGED) $(BIN)/python -m pytest -q -s tests/hostile/test_mutations.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

docs: setup
	$(BIN)/python -m spectrain.config.options_page docs/options.md
	$(BIN)/python release/licences.py docs/licences.md
	$(BIN)/python tests/documents/promised.py docs/promises.md
	$(BIN)/python docs/sphinx/python_page.py
	$(BIN)/python docs/sphinx/import_graph.py
	$(BIN)/python docs/sphinx/examples.py

package: setup
	$(BIN)/python release/licences.py docs/licences.md --check
	$(BIN)/python release/try_wheel.py $(UV) dist

# Nothing is fetched: links to other hosts are listed in build/external-links.txt and not followed.
site: setup
	rm -rf build/site
	$(BIN)/python -m sphinx -q -E -W --keep-going -d build/doctrees -c docs/sphinx . build/site
	$(BIN)/python docs/sphinx/check.py build/site

bench: setup
	$(BIN)/python benchmarks/run.py

peers: .peers/.ready

# An environment of its own: what is compared must not decide which versions spectrain is tested with.
.peers/.ready: benchmarks/peers/requirements.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .peers
	$(UV) pip install --quiet --python .peers/bin/python --compile-bytecode -r benchmarks/peers/requirements.txt
	@touch $@

# Pins for Python 3.11 and later on every platform; no index address goes into the file.
pins: | $(UV)
	$(UV) pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --upgrade --quiet -o requirements.txt
	$(UV) pip compile benchmarks/peers/requirements.in --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --upgrade --quiet -o benchmarks/peers/requirements.txt

clean:
	rm -rf .venv .peers .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
