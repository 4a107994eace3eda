# Two commands are enough: `make demo` and `make test`. Both do all their own set-up on a Debian machine (as root).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
IMAGE := careen/installer
LAB := cargo lab

# The agent is static: it runs in an empty image and on any distribution. `--target` keeps the flag away from build
# scripts and procedural macros, which cannot be static.
STATIC_FLAGS := CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUSTFLAGS='-C target-feature=+crt-static'

.PHONY: help build image
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

build: ## target/release/careen and target/release/careen-agent
	cargo build --release --package careen
	$(STATIC_FLAGS) cargo build --release --package careen-agent --target $(HOST)
	install -D target/$(HOST)/release/careen-agent target/release/careen-agent

image: build ## the image careen/installer on the local engine
	$(LAB) engine
	install -D target/release/careen-agent target/image/careen-agent
	cp image/Dockerfile target/image/Dockerfile
	DOCKER_BUILDKIT=0 docker build --quiet --tag $(IMAGE):latest --tag $(IMAGE):$(VERSION) target/image
