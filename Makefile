# Every target does its own set-up: a fresh clone needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := native/CMakeLists.txt $(wildcard native/src/*)
# By the environment, because the tools of the build are to be the pinned ones too; newer pips read the second name there.
INSTALL := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet

.PHONY: demo install test test-all sanitize lint bench format clean
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
	rm -rf build dist $(VENV)
