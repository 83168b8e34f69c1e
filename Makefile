# Bindery's commands. Each is one line here and one script in scripts/.

# A fresh rustup is not in the PATH of shells that were open before it.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The extension's PostgreSQL, for the calls of cargo here; scripts/lib.sh does the same.
ifdef PG_CONFIG
export PGRX_PG_CONFIG_PATH = $(PG_CONFIG)
endif
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup build demo dev check-demo check-dev dev-stop env install test test-python \
  test-typescript test-api test-web chaos test-pg supabase lint load bench screenshots site dist \
  test-dist clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install what is missing (Debian, Ubuntu; as root or with sudo)
	@scripts/setup.sh

build: setup ## build the daemon, build and install the extension
	@scripts/build.sh binderyd

# Faster to build, slower to run; tests, benchmarks and installed programs are release builds.
demo dev: export BINDERY_PROFILE ?= quick
# Only the tests need Node.js; the load over HTTP runs if k6 and Node.js are installed.
demo dev load bench: export WITHOUT_NODE = yes
# wal2json, which reads the write-ahead log.
bench: export WITH_BENCH = yes
# Node.js for the relay with which Bindery is compared; the other benchmarks do not need it.
bench: export WITH_PEER = $(if $(filter-out peer,$(ONLY)),,yes)

demo: check-demo build ## make comics of three stories; q ends (ONCE=1: no live view; SPEED=2)
	@scripts/demo.sh

dev: check-dev build ## a private Postgres, Redis and daemon in the background (BINDERY_PORT)
	@scripts/dev.sh start

# Report a port in use before the build, which takes minutes.
check-demo check-dev: check-%:
	@scripts/$*.sh check

dev-stop: ## stop what `make dev` started
	@scripts/dev.sh stop

env: ## the addresses of `make dev` as shell exports: eval "$(make env)"
	@scripts/dev.sh env

install: ## the program and its unit for systemd (PREFIX, DESTDIR); after make build
	@scripts/install.sh

# Most end-to-end tests wait for servers most of the time.
test: export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
test: build lint ## unit and property tests; end to end and pgTAP on both kernels; the demo
	@echo "==> every test in Rust; end to end on the native kernel"
	BINDERY_KERNEL=native cargo test --workspace --exclude bindery
	@echo "==> the end-to-end tests once more, on the portable kernel (without those of both kernels)"
	BINDERY_KERNEL=portable cargo test --workspace --exclude bindery --test e2e -- --skip kernels::
	@echo "==> pgTAP on both kernels"
	scripts/pgtap.sh --kernel native
	scripts/pgtap.sh --kernel portable
	@echo "==> the pipelines, walked by XState"
	scripts/xstate.sh
	@echo "==> the scripts on bad input, and beside another checkout"
	scripts/test-scripts.sh
	@echo "==> the demo, from the first event to its own proof"
	ONCE=1 SPEED=4 scripts/demo.sh

test-python: build ## the Python package and the example comic: style, types, tests
	scripts/python.sh

test-typescript: export WITH_WEB = yes
test-typescript: build ## the TypeScript producer: style, types, tests; pgTAP in PGlite
	scripts/typescript.sh

test-api: build ## the OpenAPI document: valid, and what schemathesis makes of it
	scripts/api.sh

test-web: export WITH_WEB = yes
test-web: build ## what takes Chromium and Supabase's own programs (600 MB)
	@echo "==> Supabase: its CLI, REST, what Realtime reads, gateways"
	scripts/supabase.sh test
	@echo "==> the client package"
	scripts/react.sh
	@echo "==> the page in Chromium"
	scripts/page.sh
	@echo "==> README and the quickstarts, typed as they stand"
	scripts/docs.sh

chaos: export BINDERY_CHAOS = yes
chaos: build ## the faults at length: 100 kills, 20 failovers, a large backlog (half an hour)
	cargo test --workspace --exclude bindery --test e2e -- --nocapture \
	  crash:: faults:: failover:: daemons:: pooler:: outage::

test-pg: ## what depends on PostgreSQL, on another major (PG=17; QUICK=1)
	@scripts/test-pg.sh $(PG)

supabase screenshots: export WITH_WEB = yes
supabase: build ## renew supabase/migrations and supabase/types from the schema
	scripts/supabase.sh generate

lint: setup ## formatting, language, links and facts of the pages, clippy
	cargo fmt --all --check
	node scripts/lint-words.mjs
	scripts/docs.sh links
	cargo clippy --workspace --all-targets -- -D warnings

load: build ## many books at once, every row checked (BOOKS=200 CONNECTIONS=16)
	cargo run --release -p bindery-tests --bin load
	scripts/supabase.sh load

bench: build ## the benchmarks: a table, and one JSON line a figure (ONLY=peer)
	cargo run --release -p bindery-tests --bin bench -- $(ONLY)

screenshots: build ## the page's and the components' pictures in docs/images, made anew
	scripts/page.sh screenshots
	scripts/react.sh screenshots

site: ## the documentation as a site with search, in target/site/ (mdBook), its links checked
	@scripts/docs.sh site

# Node.js for the clients, without the tests' other programs.
dist test-dist: export WITHOUT_NODE = yes
dist test-dist: export WITH_PEER = yes
dist: setup ## all that users install, in dist/ (MAJORS='15 17'; QUICK=1)
	@scripts/dist.sh build

test-dist: dist ## install each package of dist/ in a clean place, and see a book's progress there
	@scripts/test-dist.sh

clean: ## stop `make dev`; remove what was built, private data and logs
	@scripts/dev.sh clean
	cargo clean
	rm -rf examples/comic/out dist
