# Every target does its own set-up: a fresh clone needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := native/CMakeLists.txt $(wildcard native/src/*)
# By the environment, because the tools of the build are to be the pinned ones too; newer pips read the second name there.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet

# Models of other packages have an environment of their own, so that theirs and the project's cannot disturb each other.
THIRD_PARTY := .venv-third-party
THIRD_INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(THIRD_PARTY)/bin/python -m pip install --quiet

.PHONY: demo install test test-all test-third-party sanitize lint bench format clean
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	$(INSTALL) --editable '.[dev]'
	@$(BIN)/python -c 'from gatewise.kernels import native; print("native kernels:", native.why_missing() or native.isa())'
	touch $@

# Also what compiles the native kernels anew after a change in native/.
install: $(STAMP)

# The main job on embedded data: train, evaluate, explain; it says where the report is.
demo: $(STAMP)
	$(BIN)/gatewise demo --out build/demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# With the tests marked `thorough`: more cases of the same kinds, for an hour or two.
test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m ""

$(THIRD_PARTY)/.installed: tests/third_party/requirements.txt pyproject.toml constraints.txt $(NATIVE)
	test -x $(THIRD_PARTY)/bin/python || $(PYTHON) -m venv $(THIRD_PARTY)
	$(THIRD_INSTALL) torch
	$(THIRD_INSTALL) --requirement tests/third_party/requirements.txt pytest pytest-timeout playwright
	$(THIRD_INSTALL) --editable . --config-settings=build-dir=build/third-party/{wheel_tag}
	$(THIRD_PARTY)/bin/python tests/third_party/check_torch.py
	touch $@

# Recording, reports and attribution on the models of other packages, and captum beside ours.
test-third-party: $(THIRD_PARTY)/.installed
	OMP_NUM_THREADS=1 $(THIRD_PARTY)/bin/python -m pytest -W default --timeout 600 tests/third_party \
	  tests/memory/test_attribution.py::test_integrated_gradients_are_captums

# The native kernels without Python, under the address and the undefined behaviour sanitizer; needs CMake.
sanitize:
	cmake -S native -B build/sanitize -DGATEWISE_SANITIZE=address,undefined
	cmake --build build/sanitize --parallel 2
	build/sanitize/native_test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# With onnxruntime, which only stands beside ours here.
bench: $(STAMP)
	$(INSTALL) onnx onnxruntime
	$(BIN)/python -m benchmarks

clean:
	rm -rf build dist $(VENV) $(THIRD_PARTY)
