# Two commands are enough: `make demo` and `make test`. Both do all their own set-up on a Debian machine, as root.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
IMAGE ?= careen/installer
LAB := cargo lab

# The agent is static: it runs in an empty image and on any distribution. `--target` keeps the flag away from build
# scripts and procedural macros, which cannot be static.
STATIC := CARGO_TARGET_$(shell echo '$(HOST)' | tr 'a-z-' 'A-Z_')_RUSTFLAGS='-C target-feature=+crt-static'

# The lab tests wait more than they compute: two suites at a time, and of the suite `lab` two tests at a time.
LAB_LANES ?= 2
LAB_THREADS ?= 2

# How long each parser is fuzzed; FUZZ_TARGETS=journal takes one alone.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=

# How many simulated histories are played at a time, and which ones in a soak: each day has its own million.
SIM_THREADS ?= 2
DAY := $(shell echo $$(( $$(date +%s) / 86400 )))
SEEDS ?= $(DAY)000000..$(DAY)050000
# How many pairs of faults are played; all of them are some 100,000.
FAULT_PAIRS ?= 4000

# Parts of the bench, and 'quick' for one round of each; none means all. BENCH=list tells them.
BENCH ?=

.PHONY: help programs build image-root image dist demo demo-configure test test-slow check fmt lint unit sim sim-more soak fault-soak doc deny crash-test lab-test bench fuzz clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## five Debian hosts get new packages and a new engine with `careen upgrade`, while a service keeps running (KEEP=1 leaves them up)
	demo/run

demo-configure: ## three hosts keep themselves as a payload wants them, a fourth joins, a bad version stops at its canary (KEEP=1)
	demo/configure

test: check sim-more deny crash-test lab-test ## everything that must be green: format, lint, unit tests, simulated rollouts, licences, crash and lab tests

test-slow: image dist ## what takes longer, beside make test: engine upgrades, accidents with two engines, other kinds of host
	tools/slow-test

check: fmt lint unit sim doc ## the quick loop: no lab

fmt: ## is the code formatted?
	cargo fmt --all --check
	rustfmt --edition 2024 --check crates/lab/tests/lab/cases/*.rs # found by automod, which cargo fmt does not follow
	rustfmt --edition 2024 --check fuzz/src/main.rs # a workspace of its own

lint: ## clippy, warnings denied
	cargo clippy --workspace --all-targets --all-features --locked -- --deny warnings

unit: ## tests that need no swarm
	cargo test --workspace --locked --lib --bins --test seeds --test usage --test commands --test connections --test push --test load --test packages --test trial --test house

# Private items are documented too, so links to them resolve.
sim: ## simulated rollouts: 200 random histories, a controller killed after every action, broken machines that must be caught
	cargo test --package careen-sim --locked --tests

sim-more: ## 2,000 histories of two rollouts each, two at a time; SIM_THREADS=4 plays more at once
	cargo sim --threads $(SIM_THREADS) --seeds 0..2000

soak: fault-soak ## what takes an hour: pairs of file faults (FAULT_PAIRS=4000), then 50,000 histories, new ones each day (or SEEDS=0..50000)
	cargo build --release --locked --package careen-sim
	target/release/careen-sim --threads $(SIM_THREADS) --seeds $(SEEDS)

doc: ## the documentation builds without a warning
	RUSTDOCFLAGS='--deny warnings --allow rustdoc::private-intra-doc-links' cargo doc --workspace --no-deps --locked --document-private-items

deny: ## licences, bans and sources of the dependencies; advisories where their database is reachable
	tools/deny

crash-test: ## the supervisor killed behind every journal record, and every file operation failing or losing power (needs root)
	cargo test --package careen-agent --locked --features crash-points,fault-points --test crash --test faults -- --nocapture

fault-soak: ## all single faults of file operations, and pairs of them
	CAREEN_FAULT_PAIRS=$(FAULT_PAIRS) cargo test --package careen-agent --locked --features crash-points,fault-points --test faults -- --ignored --nocapture --test-threads 1 | tee target/fault-soak.log
	@sed -n 's/^\(.*: [0-9]* histories.*\)/\1/p' target/fault-soak.log | paste -s -d ';'

lab-test: image ## tests on real swarms of real Debian hosts
	LAB_LANES=$(LAB_LANES) tools/lab-test $(LAB_THREADS)

bench: image ## measures careen beside other ways to the same result, an hour; BENCH=quick a quarter, BENCH=logs one part
	cargo build --quiet --release --locked --package careen-bench --package careen-sim --bins
	target/release/careen-bench --image $(IMAGE):latest $(BENCH)

fuzz: ## looks for bytes that careen's parsers cannot bear, FUZZ_SECONDS=600 for each
	tools/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

build: programs ## target/release/careen, and the static careen-agent and careen-controller
	cargo build --release --locked --package careen

programs:
	$(STATIC) cargo build --release --locked --package careen-agent --package careen-controller --target $(HOST)
	install -D --target-directory target/release target/$(HOST)/release/careen-agent target/$(HOST)/release/careen-controller

image-root: programs
	rm -rf target/image
	install -D --target-directory target/image/root target/release/careen-agent target/release/careen-controller
	install -D --mode 644 --target-directory target/image/root/upgrade image/upgrade/help
	# One file under two names: the image has it once.
	install -d target/image/root/upgrade/bin
	ln target/image/root/careen-agent target/image/root/upgrade/bin/careen-upgrade
	for command in prepare install check verify; do ln -s bin/careen-upgrade target/image/root/upgrade/$$command; done
	install --mode 644 image/Dockerfile target/image/Dockerfile

image: build image-root ## the image careen/installer on this machine's engine
	$(LAB) engine
	tools/build-image --tag $(IMAGE):latest --tag $(IMAGE):$(VERSION) target/image

# The archive is in the program, so it is made first. No engine is needed for it.
dist: image-root ## target/dist: a .deb and a tarball of careen, which carries the image, and their checksums
	tools/image-archive target/image careen/installer:$(VERSION) target/image.tar.gz
	CAREEN_IMAGE_ARCHIVE=$(CURDIR)/target/image.tar.gz cargo build --release --locked --package careen
	tools/dist target/release/careen $(VERSION) target/dist

clean: ## removes what was built; labs stay
	cargo clean
