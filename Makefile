# Each target installs what it needs in .venv.
# PYTHON selects the interpreter for .venv: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/runtime.stamp
DEVELOPMENT := $(VENV)/development.stamp
BROWSER := $(VENV)/browser.stamp
SITE := $(VENV)/site.stamp
EXTRAS := dev,cluster,roformer,desk,tensorboard
PACKAGING := requirements.txt setup.cfg pyproject.toml

.PHONY: help demo test test-browser test-slurm fuzz lint docs bench clean

help:
	@echo 'make demo    generate music, scenes and listeners; enhance, score and pack (five minutes)'
	@echo 'make test    run the tests'
	@echo 'make test-browser   test the pages in Chromium, which must be installed'
	@echo 'make test-slurm     install and start Slurm on Debian, as root, and test Slurm jobs'
	@echo 'make fuzz    test with random inputs for MINUTES=60 with the seed SEED=0'
	@echo 'make lint    run ruff and mypy'
	@echo 'make docs    build the site of the documentation in build/site'
	@echo 'make bench   compare the speed with that of pyclarity'
	@echo 'make clean   remove .venv, the demo and all caches'

# enhance.py and evaluate.py on the demo. $(1): name of the run, $(2): overrides
define enhance_and_evaluate
$(PY) recipes/cad2/enhance.py path.root=demo/data path.exp_folder=demo/exp/$(1) $(2)
$(PY) recipes/cad2/evaluate.py path.exp_folder=demo/exp/$(1)
endef

demo: demo/data
	rm -rf demo/exp
	$(call enhance_and_evaluate,passthrough,separator=passthrough)
	$(call enhance_and_evaluate,oracle,separator=oracle)
	$(call enhance_and_evaluate,default,stems=true)
	$(PY) recipes/cad2/merge_results.py path.exp_folder=demo/exp/default \
		'compare=[demo/exp/passthrough,demo/exp/oracle]'
	@echo
	@echo 'Unprocessed mixture, default system, ground truth stems:'
	@echo
	@$(PY) -m benchmarks.systems demo/exp/passthrough demo/exp/default demo/exp/oracle
	@echo
	@echo "Report with figures and sounds, for a browser: $(CURDIR)/demo/exp/default/report/index.html"
	@echo "Submission folder: $$(echo $(CURDIR)/demo/exp/default/submission_*/)"

# The demo data are generated again after a change of metadata_tools.
demo/data: $(wildcard metadata_tools/*.py metadata_tools/*/*.py) $(RUNTIME)
	rm -rf demo/data
	$(PY) -m metadata_tools.demo --out demo/data

# Each process has one thread, because there are as many processes as cores. Files are tested in the
# order of tests/conftest.py, which begins with long ones.
test: $(DEVELOPMENT)
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-browser: $(BROWSER)
	$(PY) -m pytest -m browser tests/browser

test-slurm: $(DEVELOPMENT)
	tests/with_slurm.sh $(PY) -m pytest -m slurm tests/test_cluster.py

MINUTES ?= 60
SEED ?= 0

fuzz: $(DEVELOPMENT)
	$(PY) -m tests.fuzz --minutes $(MINUTES) --seed $(SEED)

lint: $(DEVELOPMENT)
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

docs: $(SITE)
	$(PY) -m mkdocs build --strict --quiet

bench: demo/data
	$(PY) -m benchmarks.haaqi
	$(PY) -m benchmarks.haaqi_parts
	$(PY) -m benchmarks.bss_eval --pieces 3
	$(PY) -m benchmarks.hearing_aid
	$(PY) -m benchmarks.separation
	$(PY) -m benchmarks.pipeline demo/data --split valid

clean:
	rm -rf .venv demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find benchmarks cmss metadata_tools recipes tests -name __pycache__ -prune -exec rm -rf {} +

# Install packages in .venv. $(1): arguments of pip. Before version 25.2, pip does not resume an
# interrupted download, so a failed installation is tried once more.
install = $(PY) -m pip install $(1) || $(PY) -m pip install $(1)

# If .venv exists, pip only installs packages whose versions have changed.
$(RUNTIME): $(PACKAGING)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer, see PYTHON in Makefile")'
	$(PYTHON) -m venv $(VENV)
	$(call install,-r requirements.txt -e .)
	touch $@

$(DEVELOPMENT): $(RUNTIME)
	$(call install,-r requirements.txt -e '.[$(EXTRAS)]')
	# tinysoundfont is installed without PyAudio, which is only for playback and needs a compiler.
	$(call install,--no-deps tinysoundfont==0.3.7)
	touch $@

$(BROWSER): $(DEVELOPMENT)
	$(call install,-r requirements.txt -e '.[browser]')
	touch $@

$(SITE): $(DEVELOPMENT)
	$(call install,-r requirements.txt -e '.[docs]')
	touch $@
