# make demo   enhance a real recording       make test   everything that is checked
# make check  style and types only           make bench  speed and memory, stored in docs/measured
# make reliability  what batches survive and how fast they are, what broken files do, stored in
#                   docs/measured/reliability

PYTHON ?= python3
BIN := .venv/bin
OUT := demo/out

.PHONY: demo test check bench reliability clean

demo: .venv/base
	@mkdir -p $(OUT)
	$(BIN)/fullband inspect demo/telephone-8khz.wav --no-picture
	$(BIN)/fullband enhance demo/telephone-8khz.wav -o $(OUT)/telephone-48khz.wav \
		--picture $(OUT)/telephone.png --force
	@echo "listen to $(OUT)/telephone-48khz.wav, look at $(OUT)/telephone.png"

# Two files at a time, each on one core: most tests are too small to use more.
test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile \
		--cov=fullband --cov-report=term:skip-covered

check: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python benchmarks/enhance_speed.py

reliability: .venv/dev
	$(BIN)/python benchmarks/batch_kill.py
	$(BIN)/python benchmarks/batch_speed.py
	PYTHONPATH=tests $(BIN)/python -m hostile --out docs/measured/reliability/fuzz.json

clean:
	rm -rf .venv $(OUT) runs

# The version check comes first, so that an old Python says so in one line.
.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "fullband needs Python 3.10 or newer; try make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/base: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[train,evaluate,metrics,scale,live,web,dev]'
	@touch $@ .venv/base
