# The project's front door: `make help`. Every target sets up .venv first, once.
.DEFAULT_GOAL := help
.PHONY: help demo test test-embedded bench docs lint clean

BIN := .venv/bin
READY := .venv/.ready
# The peers that the benchmarks run beside pin other versions (NeuroKit2 needs pandas < 3), so they live apart.
BENCH := .venv/bench/bin
BENCH_READY := .venv/bench/.ready
# What the site is built with needs none of what mhealth needs, and the other way round.
DOCS := .venv/docs/bin
DOCS_READY := .venv/docs/.ready
# What compiles for microcontrollers and emulates them, and the Debian packages it is in.
EMBEDDED_TOOLS := gcc arm-none-eabi-gcc qemu-system-arm aarch64-linux-gnu-gcc qemu-aarch64
EMBEDDED_PACKAGES := gcc libc6-dev gcc-arm-none-eabi qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
RECORD ?=
ARGS ?=

# The first interpreter that runs, is Python 3.11 or newer and can make environments (Debian splits ensurepip off).
USABLE := import sys, ssl, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
QUIETLY := install --quiet --disable-pip-version-check
OFFLINE := make: pip failed, see above. The first set-up needs the network; later calls do not.
define find_python
for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
  if "$$python" -c "$(USABLE)" >/dev/null 2>&1; then break; fi; python=; \
done; \
if [ -z "$$python" ]; then \
  echo "make: no Python 3.11 or newer with venv and pip was found (tried: $(PYTHON) python3, python3.11 to 3.14)."; \
  echo "      Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python), or name it:"; \
  echo "      make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; \
  exit 1; \
fi
endef

help:  ## list what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22
	@echo "  Options: RECORD=path (demo: your own recording), ARGS='...' (passed on to pytest), PYTHON=/path/to/python"

demo: $(READY)  ## label a synthetic ECG and breathing, or RECORD=path; writes demo/report.html
	@$(BIN)/mhealth demo $(if $(RECORD),--record "$(RECORD)") --out demo

test: $(READY)  ## run the tests (real recordings: MHEALTH_DATA, default ../shared/data)
	@$(BIN)/python -m pytest $(ARGS)

test-embedded: $(READY)  ## install emulators of microcontrollers (apt), and prove exported C on them
	@for tool in $(EMBEDDED_TOOLS); do command -v $$tool >/dev/null || missing=yes; done; \
	if [ -n "$$missing" ]; then \
	  echo "Installing $(EMBEDDED_PACKAGES) (once; about 500 MB) ..."; \
	  root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  { $$root apt-get update -qq && $$root apt-get install -qq --no-install-recommends $(EMBEDDED_PACKAGES); } >/dev/null \
	    || echo "make: they could not be installed; what needs them fails below."; \
	fi
	@MHEALTH_EMBEDDED=1 $(BIN)/python -m pytest tests/export -m embedded $(ARGS)

bench: $(BENCH_READY)  ## measure speed beside NeuroKit2 and prominence-delineator
	@$(BENCH)/python -m experiments.benchmarks.speed $(ARGS)

docs: $(DOCS_READY)  ## run the course, and build the documentation as a site (site/index.html)
	@$(BIN)/python docs/course/render.py
	@$(DOCS)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . site
	@echo "site/index.html"

lint: $(READY)  ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:  ## remove the environment and everything that can be made again
	rm -rf .venv demo build dist site .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp, so that a second call is instant and needs no network.
$(READY): pyproject.toml
	@$(BIN)/python -c "$(USABLE)" 2>/dev/null || { $(find_python); \
	echo "Setting up .venv with $$("$$python" --version) (once; a minute or two) ..."; \
	"$$python" -m venv --clear .venv; }
	@$(BIN)/python -m pip $(QUIETLY) -e '.[dev,edf,parquet]' || { echo "$(OFFLINE)"; exit 1; }
	@$(BIN)/python -m pip $(QUIETLY) -e '.[litert]' 2>/dev/null || echo "LiteRT is not to be had here; what needs it, the U-Net, is left out."
	@touch $@

$(BENCH_READY): $(READY)
	@echo "Setting up .venv/bench with the peers (once; a minute or two) ..."
	@$(BIN)/python -m venv .venv/bench
	@$(BENCH)/python -m pip $(QUIETLY) -e '.[bench]' || { echo "$(OFFLINE)"; exit 1; }
	@touch $@

$(DOCS_READY): $(READY) docs/requirements.txt
	@echo "Setting up .venv/docs with Sphinx (once; half a minute) ..."
	@$(BIN)/python -m venv .venv/docs
	@$(DOCS)/python -m pip $(QUIETLY) -r docs/requirements.txt || { echo "$(OFFLINE)"; exit 1; }
	@touch $@
