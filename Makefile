# The commands of this project. Each installs what it needs, or says what to install.

# Real peers and tools of the tests. iptables brings both variants.
PACKAGES = iproute2 iptables nftables conntrack strace containernetworking-plugins
# Real callers of the plugins, and what their container runs.
RUNTIMES = containerd runc podman conmon busybox-static

# Seconds for each of the fuzz targets in `make test`.
FUZZ_SECONDS = 3

# Namespaces need root; an ordinary user gets them in a user namespace of his own. Cargo wants an
# absolute path here.
AS_ROOT = --config 'target."cfg(all())".runner="$(CURDIR)/sandbox/as-root"'

.PHONY: help test check runtimes demo bench fuzz soak packages

help:
	@echo 'make demo    build, then show a pod-like namespace get its chain and lose it again'
	@echo 'make test    formatting, lints, documentation, and every test'
	@echo 'make runtimes pods of containerd and containers of podman with our plugins (as root)'
	@echo 'make fuzz    hostile input for every reader, FUZZ_SECONDS for each'
	@echo 'make soak    10,000 attachments that come and go on one node'
	@echo 'make bench   time every verb against the reference'

# The tests come last: their closing lines say how it went.
test: packages check
	cargo build --workspace --bins
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) runtimes; else echo "Not root: make runtimes is left out." >&2; fi
	$(MAKE) fuzz
	cargo test $(AS_ROOT) --workspace --exclude runtimes --no-fail-fast

runtimes: packages
	@.ci/packages $(RUNTIMES)
	cargo build --workspace --bins
	cargo test --package runtimes --no-run
	timeout 300 cargo test --package runtimes --no-fail-fast

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --quiet

demo: packages
	cargo build --release --quiet
	cargo run --release --quiet -p demo

# The engine brings its C++ sources.
fuzz:
	@.ci/packages g++
	.ci/fuzz $(FUZZ_SECONDS)

soak: packages
	cargo build --release --bins
	SOAK_TOTAL=10000 SOAK_LIVE=200 timeout 3600 cargo test $(AS_ROOT) --release --package tests soak:: -- --nocapture

bench: packages
	cargo build --release --quiet
	cargo run $(AS_ROOT) --release --quiet -p bench

packages:
	@.ci/packages $(PACKAGES)
