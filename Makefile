# The commands of this project. Each installs what it needs, or says what to install. CONTRIBUTING.md says how long
# they take.

# Real peers and tools of the tests. iptables brings both variants.
PACKAGES = iproute2 iptables nftables conntrack strace util-linux containernetworking-plugins groff-base ethtool
# Real callers of the plugins, and what their container runs.
RUNTIMES = containerd runc podman conmon busybox-static

# A node that systemd boots.
NODES = debootstrap systemd-container

# An emulated machine, and what goes into it: Debian's kernel KERNEL (5.10, 6.1 or 6.12) for ARCH (amd64 or arm64),
# and CASES of the conformance suite: those of tests/kernels/quick, or `all`.
EMULATION = qemu-system-x86 qemu-system-arm cpio kmod xz-utils binutils
KERNEL = 6.1
ARCH = amd64
CASES = quick

# Seconds for each of the fuzz targets in `make test`.
FUZZ_SECONDS = 7

# Tests at once: they wait for more than a quarter of their time.
THREADS = $$(($$(nproc) * 2))

# Namespaces need root; an ordinary user gets them in a user namespace of his own. Cargo wants an
# absolute path here.
AS_ROOT = --config 'target."cfg(all())".runner="$(CURDIR)/tests/sandbox/as-root"'

# The tests of what `make image` made are a part of `make test` where that could make it.
WITH_ARTEFACTS = $$([ "$$(id -u)" != 0 ] || echo --features dist/artefacts)

# What is released for this machine, and where packaging/release/compile puts it: docs/dependencies.md says why musl.
TARGET = $$(uname -m)-unknown-linux-musl
RELEASED = $$(packaging/release/compile $(TARGET) $(CURDIR)/target/release-build/$$(dpkg --print-architecture))

.PHONY: help test one check runtimes nodes kernels demo bench conformance packages debian13 dist dist-arm64 image test-dist reproducible fuzz soak pictures recording

help:
	@echo 'make demo    build, then show a pod-like namespace get its chain and lose it again'
	@echo 'make test    formatting, lints, documentation, and every test'
	@echo 'make one T=NAME   the tests with NAME in their names, and what they run, built'
	@echo 'make runtimes pods of containerd and containers of podman with our plugins (as root)'
	@echo 'make nodes   pods of kubelet, over dockershim and over containerd, with kube-proxy; pods of Debian 13'"'"'s containerd; and a Debian that systemd boots, with firewalls (as root)'
	@echo 'make kernels [KERNEL=6.12] [ARCH=arm64] [CASES=all]  black-box cases in an emulated machine, on a kernel of Debian'"'"'s'
	@echo 'make fuzz    hostile input for every reader, FUZZ_SECONDS for each'
	@echo 'make soak    10,000 attachments that come and go on one node'
	@echo 'make bench   time every verb against the reference, and write docs/performance.md'
	@echo 'make pictures the pictures of the documentation, from committed figures'
	@echo 'make recording  record the session that the README shows, and draw it (as root)'
	@echo 'make conformance [CNI_BIN=DIR]  black-box cases for ours, or for any directory of plugins'
	@echo 'make dist    tarball, Debian package, checksums and bill of materials, in target/dist'
	@echo 'make dist-arm64   the same for aarch64, and run it in emulation'
	@echo 'make image   the image that packaging/kubernetes installs from, in target/dist'
	@echo 'make test-dist    make dist and make image, and look into what they made'
	@echo 'make reproducible build the release in two places and compare every byte'

# The tests come last: their closing lines say how it went.
test: packages debian13 check
	@.ci/packages systemd
	cargo build --workspace --bins
	@if [ "$$(id -u)" = 0 ]; then \
		$(MAKE) runtimes image && released=$(RELEASED) && $(MAKE) conformance CNI_BIN="$$released"; \
	else echo "Not root: make runtimes, make test-dist and conformance of the release are left out." >&2; fi
	$(MAKE) fuzz
	RUST_TEST_THREADS=$(THREADS) cargo test $(AS_ROOT) --workspace --exclude runtimes $(WITH_ARTEFACTS) --no-fail-fast

runtimes: packages
	@.ci/packages $(RUNTIMES)
	cargo build --workspace --bins
	cargo test --package runtimes --no-run
	timeout 300 cargo test --package runtimes --test runtimes --no-fail-fast -- --skip kubelet::

# kubelet, kube-proxy, the node that systemd boots and Debian 13, whose containerd and iptables are newer, are made
# once, outside of the tree (.ci/cache).
nodes: packages
	@.ci/packages $(RUNTIMES) $(NODES)
	tests/nodes/kubernetes
	cargo build --workspace --bins
	timeout 1800 cargo test --package runtimes --test runtimes --no-fail-fast -- kubelet::
	CNI_DEBIAN=trixie timeout 600 cargo test --package runtimes --test runtimes --no-fail-fast -- containerd:: --skip kubelet::
	timeout 2400 cargo test --package runtimes --test firewalls -- --nocapture --test-threads=1

kernels: packages
	@.ci/packages $(EMULATION)
	timeout $(if $(filter all,$(CASES)),36000,2400) tests/kernels/run $(KERNEL) $(ARCH) $(CASES)

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features dist/artefacts --quiet -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --workspace --no-deps --document-private-items --quiet

# What one test needs, without lints and releases.
one: packages debian13
	cargo build --workspace --bins
	cargo test $(AS_ROOT) --workspace --exclude runtimes -- $(T)

# Only what it shows, and not optimised, so that the first build is short.
demo: packages
	cargo build -p tuning -p portmap -p bandwidth -p cnictl -p demo
	cargo run --quiet -p demo

# The engine brings its C++ sources.
fuzz:
	@.ci/packages g++
	.ci/fuzz $(FUZZ_SECONDS)

soak: packages
	CNI_BIN=$(RELEASED) && export CNI_BIN && \
	SOAK_TOTAL=10000 SOAK_LIVE=200 timeout 3600 cargo test $(AS_ROOT) --release --package tests soak:: -- --nocapture

# An idle machine gives the figures of docs/performance.md.
bench: packages
	CNI_BIN=$(RELEASED) && export CNI_BIN && cargo run $(AS_ROOT) --release --quiet -p bench
	$(MAKE) pictures

# Looks at no kernel.
pictures:
	cargo run --quiet -p pictures

recording: packages
	cargo build --workspace --bins
	cargo run --quiet -p demo --bin record
	$(MAKE) pictures

# Ours unless CNI_BIN names another directory.
conformance: packages
	cargo build --workspace --bins --quiet
	cargo run $(AS_ROOT) --quiet -p conformance

dist:
	packaging/release/build $(TARGET)

dist-arm64:
	@.ci/packages qemu-user-static
	packaging/release/build aarch64-unknown-linux-musl
	packaging/release/emulate qemu-aarch64-static target/dist/stage-arm64/image

image: dist
	@.ci/packages buildah
	packaging/release/image $$(dpkg --print-architecture)

test-dist: image
	cargo test -p dist --features artefacts

reproducible:
	packaging/release/reproducible $(TARGET)

packages:
	@.ci/packages $(PACKAGES)

# iptables of another release, which a test compares with ours: unpacked, not installed.
debian13:
	@.ci/debian13
