# Every target sets up what it needs in .venv and does nothing there the second time.
# What is installed follows from pyproject.toml and constraints.txt; a stamp per set of extras remembers it.
.POSIX:
.NOTPARALLEL:

BIN = .venv/bin
PINS = pyproject.toml constraints.txt

help:
	@echo 'make setup        find a Python >= 3.12, make .venv, install the pinned versions'
	@echo 'make demo         run the demonstration: real nodes, a liar outvoted, a kill survived (KEEP=1: and go on, with a dashboard)'
	@echo 'make test         run the tests; those that take longest are left to make test-long'
	@echo 'make sim          play random histories of faults in the simulator (SEEDS=10000, 1000000, or 5000-6000)'
	@echo 'make chaos        strike a real cluster for SECONDS=60 (SEED=…, SERVERS=3, KEEP=folder), then prove the promises'
	@echo 'make test-btcd    publish over the wire on btcd, a Bitcoin node that Go builds in half a minute'
	@echo 'make nats-server  build a NATS server that elects leaders within 3 s (needs Go; see docs/guarantees.md)'
	@echo 'make check        lint, types, import rules, guests and schemas compared with their sources'
	@echo 'make image        build the image of a node with buildah, without a daemon (TARGET=services, TARGET=all)'
	@echo 'make test-image   build it, and run the node from it against a cluster: read-only, as uid 1000, to a verdict'
	@echo '                  make test-image-services: the same of the four services'
	@echo 'make bench        measure, against Ray and Celery where they can be installed'
	@echo 'make constraints  pin again what pyproject.toml asks for (UPGRADE=--upgrade: the newest)'
	@echo 'make manual       write docs/cli.md and the manual page anew, from the command itself'
	@echo 'make recording    run the demo and put what it printed into README.md; make figures: the benchmarks;'
	@echo '                  make screenshots: pictures of the dashboard'
	@echo 'make clean        remove .venv and every cache'
	@echo
	@echo 'PYTHON=/path/to/python3 chooses the interpreter.'

setup: $(BIN)/.dev

# KEEP=1 lets the cluster run on, with its dashboard, until ctrl-C.
demo: $(BIN)/.all
	@$(BIN)/ambient demo $${KEEP:+--keep}

test: $(BIN)/.dev
	@$(BIN)/python -m pytest -m 'not long' $(TOGETHER) --durations 25

# Three servers, the demonstration, cut logs, jumping clocks, foreign API clients: ten seconds and more each.
test-long: $(BIN)/.dev
	@$(BIN)/python -m pytest -m long $(TOGETHER) --durations 12

# Three files at a time on two cores: while one waits for a fact, two compute.
TOGETHER = -n 3 --dist loadfile --no-loadscope-reorder

# A thousand of them are part of `make test` already.
SEEDS = 10000
sim: $(BIN)/.dev
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

# A short one is part of `make test` already. Without SEED it is another plan each time; the report says how to play it again.
SECONDS = 60
SERVERS = 1
chaos: $(BIN)/.dev
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) --servers $(SERVERS) $${SEED:+--seed $$SEED} $${KEEP:+--keep "$$KEEP"}

# A node that is neither Bitcoin Core nor ours.
test-btcd: $(BIN)/.dev $(BIN)/btcd
	@BTCD=$(BIN)/btcd $(BIN)/python -m pytest -n 0 tests/anchor/bitcoin/test_btcd.py

# What is built is tried: see deploy/trial.py for what must be true of it.
TARGET = node
image:
	@deploy/image $(TARGET)

# 22 MB of schemas that nothing else needs: in a folder of their own, for as long as it takes.
test-manifests: $(BIN)/.dev
	@schemas=$$(mktemp -d) && trap 'rm -rf "$$schemas"' EXIT && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --target "$$schemas" --no-deps \
		kubernetes-validate==1.37.0 importlib-resources==7.1.0; \
	PYTHONPATH="$$schemas" $(BIN)/python deploy/manifests.py || { code=$$?; [ $$code -eq 3 ] || exit $$code; }

test-image: $(BIN)/.dev
	@deploy/image node
	@$(BIN)/python deploy/trial.py
	@$(BIN)/python deploy/wheels.py || { code=$$?; [ $$code -eq 3 ] || exit $$code; }

# Coordinator, verifier, anchor and gateway from theirs, with a node outside.
test-image-services: $(BIN)/.dev
	@deploy/image services
	@$(BIN)/python deploy/trial_services.py

$(BIN)/btcd: $(BIN)/python
	@GOBIN="$$PWD/$(BIN)" go install github.com/btcsuite/btcd@v0.26.2

# NATS' own server, released and unchanged but for the spans after which three servers elect a leader anew.
nats-server: $(BIN)/nats-server

$(BIN)/nats-server: $(BIN)/python deploy/nats-server/main.go deploy/nats-server/go.mod
	@cd deploy/nats-server && go build -trimpath -ldflags '-s -w' -o ../../$@ .
	@echo 'Built $@: AMBIENT_NATS_SERVER=$@ ambient up --servers 3'

check: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m examples.guests.build --check
	$(BIN)/python -m bus.schemas --check
	$(BIN)/python -m metrics.paper --check
	$(BIN)/python -m gateway.paper --check
	$(BIN)/python -m grafana.build --check
	$(BIN)/python tools/readme.py --check
	$(BIN)/python tools/manual.py --check
	$(BIN)/python tools/javascript.py

# docs/cli.md and the manual page, from the command itself.
manual: $(BIN)/.dev
	@$(BIN)/python tools/manual.py

# Needs the demo to be true: it fails otherwise and records nothing.
recording: $(BIN)/.all
	@$(BIN)/python tools/readme.py record

figures: $(BIN)/.all
	@$(BIN)/python tools/readme.py figures

screenshots: $(BIN)/.dev
	@PYTHONPATH=. $(BIN)/python tools/screenshots.py

bench: $(BIN)/.bench
	@$(BIN)/python -m bench

# The result keeps every pin that still fits, so that a new dependency does not move the old ones.
constraints: $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --all-extras --no-annotate \
		--no-emit-index-url --no-emit-find-links --custom-compile-command 'make constraints' \
		$(UPGRADE) --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Without prerequisites: made when it is missing, or when the interpreter it points to has gone.
$(BIN)/python:
	@python=$$(tools/find-python) || { exit 1; }; \
	echo "Making .venv with $$python"; \
	"$$python" -m venv --clear .venv

$(BIN)/.all: $(BIN)/python $(PINS)
	@tools/install all
	@touch $@

# Holds `all` too, so its stamp is set with it.
$(BIN)/.dev: $(BIN)/python $(PINS)
	@tools/install all,dev
	@touch $@ $(BIN)/.all

$(BIN)/.bench: $(BIN)/python $(PINS)
	@tools/install all,bench
	@touch $@ $(BIN)/.all

.PHONY: help setup demo test test-btcd nats-server image test-image test-image-services test-manifests sim chaos check manual recording figures screenshots bench constraints clean
