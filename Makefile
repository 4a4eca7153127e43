# Two commands do everything, set-up included: `make run` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
WORKERS := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 6 ? n + 1 : 6)))
INSTALLED := $(VENV)/.installed

.PHONY: run test gate check lock sandbox sandboxes browser clean

run: $(INSTALLED) sandbox
	$(BIN)/sidedoor run instrumental --model reference/official --model reference/shortcut --model reference/mixture

# Tests run file by file, slow files first, in one process more than there are processors, and in six at most. Where no
# engine or no bubblewrap can be had, those that need it are listed as skipped.
test: export PYTHONDONTWRITEBYTECODE =  # what one worker compiles, the others read
test: $(INSTALLED) sandboxes browser check
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# The regression gate on the reference cohort: PASS on a fresh run of it, FAIL on a planted increase, INVALID on nothing.
gate: $(INSTALLED) sandbox
	SIDEDOOR=$(BIN)/sidedoor results/baselines/check.sh

# Style, types and layers: seconds, no container.
check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2
	cd .typing && ../$(BIN)/lint-imports --config ../pyproject.toml

# Where episodes run: containers, or bubblewrap where no engine can be had.
sandbox:
	@sandboxes/setup.sh sandbox

# Both, so that both are tested.
sandboxes:
	@sandboxes/setup.sh sandboxes

browser:
	@sandboxes/setup.sh browser

$(INSTALLED): requirements.lock pyproject.toml
	@[ -x $(BIN)/python ] || { python=$$(sandboxes/setup.sh python $(PYTHON)) && echo "setup: installing with $$python" && $$python -m venv $(VENV); }
	@echo "setup: installing into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Pins every dependency with its hashes, for all supported Python versions and platforms.
lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean:
	-$(BIN)/sidedoor clean
	rm -rf $(VENV) build *.egg-info
