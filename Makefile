# One command to see it work, one to test it. Everything else is a convenience.
.PHONY: run test test-vm lint fix lab-up lab-down bench docs assets
PYTHON = .venv/bin/python
LAB ?= $(shell [ "$$(id -u)" = 0 ] && [ "$$(uname)" = Linux ] && echo 1 || echo 0)
PYTEST = $(PYTHON) -m pytest $(if $(K),-k "$(K)",-n 2 --no-loadscope-reorder) $(ARGS)

run:  ## set everything up, start it, do the main job on a lab of three hosts (LAB=0: without; ONCE=1: then stop)
	deploy/setup run $(if $(filter 1,$(LAB)),lab)
	exec $(PYTHON) -m cloudstore up $(if $(filter 1,$(LAB)),--lab) $(if $(filter 1,$(ONCE)),--once)

test:  ## every test that needs no virtual machine (K=name: only these; DB=postgres: on PostgreSQL and a system Redis)
	deploy/setup run lab test
	$(if $(filter postgres,$(DB)),deploy/with-postgres) $(PYTEST) -m "not vm"

test-vm:  ## the tests that need virtual machines (K=name: only these); the first time, builds their image for minutes
	deploy/setup run vm test
	$(PYTHON) tests/lab/vm/lab.py build
	$(PYTHON) -m pytest -n 0 --timeout 600 -m vm $(if $(K),-k "$(K)") $(ARGS) tests/lab/vm tests/lab/test_kinds_conform.py

lint:  ## style, types, layers, and that models and schema history agree
	deploy/setup run test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy cloudstore datastores
	$(PYTHON) manage.py check --fail-level WARNING
	$(PYTHON) manage.py makemigrations --check --dry-run

fix:  ## put right what can be put right by itself
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lab-up:  ## three real hosts on this machine, h1 with disks
	deploy/setup run lab
	$(PYTHON) tests/lab/lab.py up 3 --name lab --disks h1

lab-down:
	$(PYTHON) tests/lab/lab.py down --name lab

bench:  ## measure (ONLY=name: one of them; DB=postgres: on PostgreSQL); writes bench/results.json and docs/benchmarks.md
	deploy/setup run lab test bench
	$(if $(filter postgres,$(DB)),deploy/with-postgres) $(PYTHON) -m bench $(ONLY)

docs:  ## make the screenshots of the documentation anew
	deploy/setup run lab test
	$(PYTHON) -m docs.screenshots

assets:  ## build static/vendor from package.json (needs node and npm)
	npm ci --ignore-scripts --no-audit --no-fund
	npm run --silent assets
