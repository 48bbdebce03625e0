# Every task installs what it lacks; `infra/build` says how.

# cargo with a prebuilt RocksDB.
CARGO := infra/build/cargo.sh

# How much of the full size `make acceptance` runs: 1 is what benches/RESULTS.md reports.
SCALE ?= 0.01
# The seed `make sim` replays; without one it draws some and prints them.
SEED ?=

.PHONY: run test acceptance bench sim fmt

run:
	$(CARGO) run --locked --release --bin stanchiond -- --data ./data

# Everything CI runs.
test:
	cargo fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package stanchion-service --no-default-features --all-targets \
		-- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps
	infra/build/deny.sh
	infra/build/install.sh clients
	$(CARGO) test --locked --workspace
	$(CARGO) build --locked --workspace --bins
	$(CARGO) run --locked --bin acceptance -- --scale 0.01 --counts-only

acceptance:
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release --bin acceptance -- --scale $(SCALE)

bench:
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release --package stanchion-benches --bin bench

sim:
	$(if $(SEED),STANCHION_SEED=$(SEED)) $(CARGO) test --locked --test simulation -- --nocapture

fmt:
	cargo fmt --all
