# Everything runs in an environment of its own (.inkwash/test-env), made on first use and kept.
ifndef PYTHON
PYTHON := $(shell tools/find-python)
endif
ifeq ($(PYTHON),)
$(error no Python to set up with)
endif
RUN := $(PYTHON) -I tools/bootstrap test
# Half the threads of a kernel fight each other when tests are small; one is fastest.
export OMP_NUM_THREADS ?= 1

.PHONY: test lint types unit slow format clean
# All three run even if one fails; the tests come last, so their closing line is the last thing read.
test:
	@$(MAKE) --no-print-directory --keep-going lint types unit

lint:
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types:
	$(RUN) -m mypy
	$(RUN) -m mypy --config-file tools/mypy.ini

unit:
	$(RUN) -m pytest -m "not slow" --cov --cov-report=term

slow:
	$(RUN) -m pytest -m slow

format:
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf .inkwash .pytest_cache .mypy_cache .ruff_cache .coverage
