# Everything starts from a bare Debian or Ubuntu: each target installs what it needs and is quick when there is nothing to do.
#
#   make demo    run experiments/quickstart.yaml and print its table        (needs root: asks sudo)
#   make test    format, lint, types, house rules and every test            (needs root: asks sudo)
#
# PYTHON=/path/to/python3 chooses the interpreter of the virtual environment (3.11 or newer).
# ARGS="..." is passed on: to `pollbench run` by make demo, to pytest by make test; it names benchmarks to make bench.

.PHONY: help demo demo-vm test lint bench mutants campaign fuzz properties site docs gallery-reference gallery-reference-vm lock env env-dev clean
.NOTPARALLEL:

help:
	@echo "make demo    measure experiments/quickstart.yaml and print its table (root, through sudo)"
	@echo "make demo-vm the same in the provided virtual machine (8 min): no root but for installing packages"
	@echo "make test    format, lint, types, house rules and every test (root, through sudo)"
	@echo "make lint    only what needs no root: format, lint, types"
	@echo "make bench   the benchmarks, one after another; keep the machine quiet (root, through sudo)"
	@echo "make mutants how much the unit tests see: a sample of changes to the code (root, through sudo)"
	@echo "make campaign thousands of damaged files against the commands that read them (root, through sudo)"
	@echo "make campaign-kill        SIGKILL at random moments, then clean; also -interrupt, -limits, -users, -soak (root, through sudo)"
	@echo "make fuzz    the parsers of strangers' bytes, by coverage, ten minutes each (root, through sudo)"
	@echo "make properties  what holds for any input, by ten times as many inputs as make test tries, drawn anew"
	@echo "make site    the pages as a site, with their links checked: build/site"
	@echo "make docs    write again the pages that are generated from the code"
	@echo "make gallery-reference     run the gallery twice on this quiet host, keep it, update docs/busy-polling.md (root)"
	@echo "make gallery-reference-vm  the same in guests, with --quick; a busy host does no harm"
	@echo "make lock    pin the dependencies again (UPGRADE=1 to move to newer releases)"
	@echo "make clean   remove what the targets above made, but no results"

demo: env
	@# Exit code 1 says that some runs do not count (a busy machine); the demo has been shown all the same.
	@tools/as-root.sh .venv/bin/pollbench run experiments/quickstart.yaml $(ARGS) || [ $$? -eq 1 ]

# Half a second of model time is some 13,000 requests and costs 3 s: five boots are worth more than longer runs.
demo-vm: env-vm
	@.venv/bin/pollbench vm build
	@.venv/bin/pollbench vm run experiments/quickstart.yaml --set workload.duration=500ms $(ARGS) || [ $$? -eq 1 ]

test: env-dev
	@tools/check.sh test $(ARGS)

lint: env-dev
	@tools/check.sh lint

bench: env-dev
	@tools/bench.sh $(ARGS)

# ARGS="--sample 50 --rooms stats --seed 2" and the like; without: 300 mutants of four rooms.
mutants: env-dev
	@tools/venv.sh mutants
	@tools/as-root.sh .venv/bin/python -m tools.mutants $(ARGS)

# ARGS="--count 500 --kind sets --seed 7", "--only sets:12 --minimise" and the like; without: 2,000 mutants.
campaign: env-dev
	@tools/as-root.sh nice -n 19 .venv/bin/python -m tests.campaign mutate $(ARGS)

# campaign-kill, campaign-interrupt, campaign-limits, campaign-users, campaign-soak: in namespaces of their own; ARGS="--minutes 20 --seed 7",
# "--only run:12" and the like. With ARGS=--hosts-network they also reach the sysctls that only a host has.
campaign-%: env-dev
	@tools/as-root.sh nice -n 19 .venv/bin/python -m tests.campaign $* $(ARGS)

# ARGS="--target yaml --minutes 3"; with clang and its libFuzzer (Debian: clang libclang-rt-14-dev) for the C program's.
fuzz: env-dev
	@[ -d build/atheris ] || .venv/bin/python -m pip install --quiet --require-hashes --no-deps --target build/atheris \
	    --requirement tests/campaign/requirements.txt
	@tools/as-root.sh nice -n 19 .venv/bin/python -m tests.campaign fuzz $(ARGS)

# Properties by ten times as many examples as the tests draw, other ones each time: half an hour.
properties: env-dev
	@nice -n 19 .venv/bin/python -m pytest --hypothesis-profile thorough -m hypothesis -n $$(nproc) $(ARGS)

site: env-dev
	@.venv/bin/python -m tools.site

docs: env-dev
	@.venv/bin/python -m tools.columns_doc >docs/columns.md.new && mv docs/columns.md.new docs/columns.md
	@.venv/bin/python -m tools.experiment_doc
	@.venv/bin/python -m tools.matrix_doc
	@.venv/bin/python -m tools.importing_doc
	@.venv/bin/python -m tools.topology_pictures
	@.venv/bin/python -m tools.house_picture

# A claim holds only where both runs of it agree. ARGS=--quick: 10 minutes instead of 35.
gallery-reference: env-dev
	@rm -rf results/gallery-reference
	@for run in 1 2; do \
	    tools/as-root.sh .venv/bin/pollbench gallery --wait -o results/gallery-reference $(ARGS) || [ $$? -eq 1 ] || exit; \
	done
	@.venv/bin/python -m tools.gallery_reference results/gallery-reference

# The second run draws other random numbers than the first (vm.seed): the same ones would give the same figures.
gallery-reference-vm: env-vm env-dev
	@.venv/bin/pollbench vm build --kernel 6.12,7.3
	@rm -rf results/gallery-reference-vm
	@for run in 1 2; do \
	    .venv/bin/pollbench gallery --in-vm --quick -o results/gallery-reference-vm $(ARGS) || [ $$? -eq 1 ] || exit; \
	done
	@.venv/bin/python -m tools.gallery_reference results/gallery-reference-vm vm

lock:
	@tools/lock.sh $(if $(UPGRADE),--upgrade)

env:
	@tools/os-packages.sh run
	@tools/venv.sh run

env-vm:
	@tools/os-packages.sh vm
	@tools/venv.sh run

env-dev:
	@tools/os-packages.sh test
	@tools/venv.sh test
	@[ -e build/axe/axe.min.js ] || tools/npm-files.sh axe || echo "the tests of accessibility will be skipped"

clean:
	rm -rf .venv build dist *.egg-info .ruff_cache .pytest_cache .hypothesis
	rm -f harness/loadgen/pollbench-loadgen
	find harness tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
