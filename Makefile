# Starling. `make up` brings a swarm up on this machine; `make test` proves it. Both install what is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ARCH := $(shell uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
NODE := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin/node
export PATH := $(CURDIR)/node_modules/node-linux-$(ARCH)/bin:$(PATH)
export NODE_COMPILE_CACHE ?= $(CURDIR)/node_modules/.cache/compile
NPM_INSTALL := npm install --no-save --no-audit --no-fund --ignore-scripts --loglevel=error
OXLINT := @oxlint/binding-linux-$(ARCH)-gnu
# Tests make mount namespaces, which a chroot would get lost in.
MOCHA := tools/whole-root $(NODE) node_modules/mocha/bin/mocha.js
PREFIX ?= /usr/local

PROTOS := $(wildcard proto/swarm/v1/*.proto)
SOURCES = $(shell find agent certs common manager proto raft-ts/src src gen -name '*.ts' 2>/dev/null)

.PHONY: help setup packages gen build test test-long test-unit lint format breaking up down lab bench coverage install uninstall clean

help: ## what the targets do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

packages: ## the system packages that are missing (apt)
	@tools/setup-packages

node_modules/.installed: package.json package-lock.json $(wildcard raft-ts/package.json)
	@# Not `npm ci`: it refuses the lock file where a registry lacks optional packages of other systems.
	$(NPM_INSTALL)
	@# An npm on an older Node.js leaves out optional packages that ask for a newer one; asked for by name they come.
	@test -d node_modules/$(OXLINT) || \
	  $(NPM_INSTALL) $(OXLINT)@$$($(NODE) -p "require('./package-lock.json').packages['node_modules/$(OXLINT)'].version")
	@test -x $(NODE) || { echo "make: no Node.js for the architecture $(ARCH): Starling runs on x64 and arm64" >&2; exit 1; }
	@touch $@

gen/.generated: node_modules/.installed $(PROTOS) $(wildcard tools/protogen/*.ts)
	$(NODE) tools/protogen/main.ts proto gen
	@touch $@

gen: gen/.generated ## the typed code of proto/

setup: packages gen ## everything that building and testing need

dist/.built: gen/.generated tools/build.ts tools/write-code-cache.ts tools/swarm-loader.cjs $(SOURCES)
	$(NODE) tools/build.ts
	@touch $@

build: setup dist/.built ## the two binaries: bin/swarm and bin/swarmd

test: setup dist/.built lint ## all tests of a change (under 12 minutes on 2 cores)
	$(MOCHA)

test-unit: gen ## the tests that need no root and no packages
	$(MOCHA) --ignore 'test/e2e/**'

test-long: setup dist/.built ## test, in one process, then the long suites
	$(MOCHA) --no-parallel
	$(MOCHA) --no-config --require test/support/left-over.ts --require test/support/shared-labs.ts --extension ts \
		--timeout 600000 \
		'test/long/**/*.test.ts' 'raft-ts/test/long/*.test.ts'

coverage: setup dist/.built ## the tests again, with the lines they reach
	$(NODE) node_modules/c8/bin/c8.js $(MOCHA)

lint: gen ## compiler, linter, formatter, contract
	node_modules/.bin/tsc -p tsconfig.json
	node_modules/.bin/tsc -p tsconfig.pure.json
	node_modules/.bin/oxlint --type-aware --deny-warnings
	node_modules/.bin/biome check --error-on-warnings .
	node_modules/.bin/buf lint proto
	$(MAKE) --no-print-directory breaking

breaking: ## the contract against that of the last release
	node_modules/.bin/buf breaking proto --against test/golden/contract.binpb

format: node_modules/.installed ## write the source files in the house style
	node_modules/.bin/biome check --write .

up: build ## a swarm on this machine with the example service
	@tools/up

down: ## take down what `make up` started
	@tools/down

lab: build ## five hosts on this machine (bin/lab --help)
	@bin/lab up --managers 1 --workers 4

bench: setup dist/.built ## figures, as ratios against a peer or the bare kernel
	$(NODE) test/bench/main.ts

install: build ## the binaries, the systemd unit and completion, under PREFIX
	@tools/install $(PREFIX)

uninstall: ## what `make install` put there
	@tools/install --remove $(PREFIX)

clean: ## remove what building made
	rm -rf gen dist coverage node_modules
