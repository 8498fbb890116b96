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

.PHONY: test lint types ui-check unit browser ui slow format clean
# All run even if one fails; the tests come last, so their closing line is the last thing read.
test:
	@$(MAKE) --no-print-directory --keep-going lint types ui-check unit

lint:
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types:
	$(RUN) -m mypy
	$(RUN) -m mypy --config-file tools/mypy.ini

# The committed page is what ui/ builds; without npm it says that this is not checked.
ui-check:
	tools/ui check

# Builds the page into the package.
ui:
	tools/ui build

# Chromium and a Chinese font for the page's tests, by apt where that can be.
browser:
	tools/browser

unit: browser
	$(RUN) -m pytest -m "not slow" --cov --cov-report=term

slow: browser
	$(RUN) -m pytest -m slow

format:
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

clean:
	rm -rf .inkwash ui/node_modules .pytest_cache .mypy_cache .ruff_cache .coverage
