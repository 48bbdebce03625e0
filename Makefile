# Every task installs what it lacks; `infra/build` says how.

# cargo with a prebuilt RocksDB.
CARGO := infra/build/cargo.sh

# Where cargo puts what it compiles.
TARGET_FOLDER := $(or $(CARGO_TARGET_DIR),target)

# How much of the full size `make acceptance` runs: 1 is what benches/RESULTS.md reports.
SCALE ?= 0.01
# The seed `make sim` replays; without one it draws some and prints them.
SEED ?=

# What `make fuzz` runs, a file in tests/fuzz/fuzz_targets, and for how long.
TARGET ?= json
SECONDS ?= 60

.PHONY: run test acceptance bench sim fuzz fmt

run:
	$(CARGO) run --locked --release --bin stanchiond -- --data ./data

# Everything CI runs. Programs are built with examples, for then cargo heeds what tests depend on,
# and the next line finds all of it compiled.
test:
	cargo fmt --all --check
	$(CARGO) clippy --locked --workspace --all-features --all-targets -- -D warnings
	$(CARGO) clippy --locked --package stanchion-service --no-default-features --all-targets \
		-- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --all-features --no-deps
	infra/build/deny.sh
	infra/build/install.sh clients
	$(CARGO) build --locked --workspace --all-features --bins --examples
	$(CARGO) test --locked --workspace --all-features
	$(TARGET_FOLDER)/debug/acceptance --scale 0.01 --counts-only

acceptance:
	$(CARGO) build --locked --release --workspace --bins
	$(TARGET_FOLDER)/release/acceptance --scale $(SCALE)

bench:
	$(CARGO) build --locked --release --workspace --bins
	$(TARGET_FOLDER)/release/bench

sim:
	$(if $(SEED),STANCHION_SEED=$(SEED)) $(CARGO) test --locked --test simulation -- --nocapture

# Needs a nightly toolchain and `cargo install cargo-fuzz`.
fuzz:
	mkdir -p tests/fuzz/corpus/$(TARGET)
	cargo +nightly fuzz run --fuzz-dir tests/fuzz $(TARGET) tests/fuzz/corpus/$(TARGET) \
		$(wildcard tests/fuzz/seeds/$(TARGET)) -- -max_total_time=$(SECONDS)

fmt:
	cargo fmt --all
