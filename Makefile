# Countersign. `make demo` and `make test` install what they need; everything else expects it to be there.

SWIFT ?= swift
PYTHON ?= python3
STRIP ?= strip

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/countersign
DATADIR ?= $(PREFIX)/share/countersign
# `countersign bench` looks for it from BINDIR: ../libexec/countersign.
LIBEXECDIR ?= $(PREFIX)/libexec/countersign
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
UDEVDIR ?= $(PREFIX)/lib/udev/rules.d
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
SYSCONFDIR ?= /etc

# One place has the version; CHANGELOG.md and debian/changelog are held to it by Tests/Interop/test_package.py.
VERSION := $(shell sed -n 's/.*static let text = "\(.*\)"/\1/p' Sources/Platform/CountersignVersion.swift)
# For the tests of upgrades: make deb DEB_VERSION_SUFFIX=+test1
DEB_VERSION_SUFFIX ?=
DEB_VERSION := $(VERSION)$(DEB_VERSION_SUFFIX)

# The floors of the house stay apart: an import of what Package.swift does not put below a room is an error, and
# Tests/Interop/test_rooms.py finds those that are below it but not listed.
CHECKS := --explicit-target-dependency-import-check error
# Swift's libraries are inside, and nothing is looked for beside the program.
PROGRAM_OPTIONS := -c release --static-swift-stdlib --disable-local-rpath
# Leaves nothing in TMPDIR.
SWIFTPM := Tests/Tools/swiftpm.sh
RELEASE := .build/release
VENV := .venv/bin/python

export SWIFT PYTHON

.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: build bench demo test test-vm lint install clean asan tsan valgrind interop fuzz deb deb-check tarball \
  demo-prerequisites test-prerequisites deb-prerequisites vm-prerequisites

build:
	$(SWIFTPM) build $(PROGRAM_OPTIONS) $(CHECKS) --product countersignd
	$(SWIFTPM) build $(PROGRAM_OPTIONS) $(CHECKS) --product countersign
	$(SWIFTPM) build $(PROGRAM_OPTIONS) $(CHECKS) --product countersign-hid
	$(SWIFTPM) build $(PROGRAM_OPTIONS) $(CHECKS) --product countersign-bench

# Figures: ratios to a bare TPM2_Sign loop on the same software TPM in the same run, memory, time to ready; about ten
# minutes, after which docs/performance.* are new. No part of `make test`. QUICK=1 takes one minute and writes no document;
# BENCH takes more options (countersign bench --help), e.g. BENCH="--parts load --rounds 3".
bench: demo-prerequisites build
	$(RELEASE)/countersign-bench $(if $(QUICK),--quick,$(if $(BENCH),,--documents docs)) $(BENCH)

# Software TPM, daemon and command line in a temporary folder; the relying party is py_webauthn.
demo: demo-prerequisites .venv/installed
	@echo "countersign: building the release programs (a few minutes the first time)"
	@$(MAKE) --no-print-directory build
	@$(VENV) Tests/Interop/demo.py --programs $(RELEASE)

# Everything, with a closing line `N passed, N failed`.
test: test-prerequisites .venv/installed
	@$(VENV) Tests/Tools/test.py

# One of the runs of `make test`, for when it is the one that interests.
asan tsan valgrind interop: test-prerequisites .venv/installed
	@$(VENV) Tests/Tools/test.py $@

# A Linux machine in QEMU with swtpm behind the kernel's driver, the package in it, and programs that others wrote.
test-vm: vm-prerequisites .venv/installed
	@$(VENV) Tests/Tools/test.py vm

# Every fuzz target for FUZZ_SECONDS (60), or some: make fuzz TARGETS="cbor engine". What it finds goes to
# Tests/Fuzz/Crashes, which `make test` replays.
fuzz:
	@$(PYTHON) Tests/Tools/fuzz.py $(TARGETS)

# Warnings are errors in every target, so building is half of the linting.
lint:
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift
	$(SWIFTPM) build --build-tests $(CHECKS)

demo-prerequisites:
	@Tests/Tools/prerequisites.sh demo

deb-prerequisites:
	@Tests/Tools/prerequisites.sh deb

vm-prerequisites:
	@Tests/Tools/prerequisites.sh vm

test-prerequisites:
	@Tests/Tools/prerequisites.sh test

.venv/installed: Tests/Interop/requirements.txt | demo-prerequisites
	@echo "countersign: installing the pinned Python packages of Tests/Interop/requirements.txt into .venv"
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement Tests/Interop/requirements.txt
	@touch $@

PROGRAMS := $(addprefix $(RELEASE)/,countersign countersignd countersign-hid countersign-bench)

# Builds only what is missing, so that `make && sudo make install` compiles nothing as root.
$(PROGRAMS):
	$(MAKE) build

SERVICES := countersignd.service countersign-hid.service
DAEMONS := countersignd countersign-hid

# $(call completions,SHELL,PLACE): made from what the programs say of themselves.
define completions
	$(RELEASE)/countersign completion $(1) > $(call $(2),countersign)
	for program in $(DAEMONS); do \
	  $(RELEASE)/$$program --help | \
	  $(RELEASE)/countersign completion $(1) --program $$program > $(call $(2),$$program) || exit 1; done
	chmod 0644 $(call $(2),countersign) $(foreach program,$(DAEMONS),$(call $(2),$(program)))
endef
bash-place = $(DESTDIR)$(BASHDIR)/$(1)
zsh-place = $(DESTDIR)$(ZSHDIR)/_$(1)
fish-place = $(DESTDIR)$(FISHDIR)/$(1).fish

install: $(PROGRAMS)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 \
	  $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DOCDIR) $(DESTDIR)$(DATADIR)/integrations $(DESTDIR)$(UNITDIR) \
	  $(DESTDIR)$(SYSUSERSDIR) $(DESTDIR)$(UDEVDIR) $(DESTDIR)$(SYSCONFDIR)/countersign/conf.d \
	  $(DESTDIR)$(BASHDIR) $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(FISHDIR)
	install -m 0755 -s --strip-program=$(STRIP) $(RELEASE)/countersign $(DESTDIR)$(BINDIR)/countersign
	install -m 0755 -s --strip-program=$(STRIP) $(RELEASE)/countersignd $(DESTDIR)$(SBINDIR)/countersignd
	install -m 0755 -s --strip-program=$(STRIP) $(RELEASE)/countersign-hid $(DESTDIR)$(SBINDIR)/countersign-hid
	install -m 0755 -s --strip-program=$(STRIP) $(RELEASE)/countersign-bench $(DESTDIR)$(LIBEXECDIR)/countersign-bench
	install -m 0644 man/countersign.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 0644 man/countersign.json.5 $(DESTDIR)$(MANDIR)/man5/
	install -m 0644 man/countersignd.8 man/countersign-hid.8 $(DESTDIR)$(MANDIR)/man8/
	install -m 0644 README.md SECURITY.md CHANGELOG.md LICENSE $(DESTDIR)$(DOCDIR)/
	for unit in $(SERVICES); do \
	  sed 's|/usr/local/sbin|$(SBINDIR)|' systemd/$$unit > $(DESTDIR)$(UNITDIR)/$$unit && \
	  chmod 0644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; done
	install -m 0644 systemd/countersignd.socket $(DESTDIR)$(UNITDIR)/
	install -m 0644 systemd/countersign.sysusers $(DESTDIR)$(SYSUSERSDIR)/countersign.conf
	install -m 0644 udev/72-countersign.rules $(DESTDIR)$(UDEVDIR)/
	$(call completions,bash,bash-place)
	$(call completions,zsh,zsh-place)
	$(call completions,fish,fish-place)
	install -m 0644 systemd/countersign.json $(DESTDIR)$(DOCDIR)/countersign.json.example
	install -m 0644 systemd/countersign.schema.json $(DESTDIR)$(DATADIR)/
	for runner in github-runner gitlab-runner; do \
	  install -d $(DESTDIR)$(DATADIR)/integrations/$$runner && \
	  for script in integrations/$$runner/*.sh; do \
	    installed=$(DESTDIR)$(DATADIR)/integrations/$$runner/$$(basename $$script) && \
	    sed 's|/usr/bin/countersign|$(BINDIR)/countersign|; s|/usr/share/countersign|$(DATADIR)|' $$script > $$installed && \
	    chmod 0755 $$installed || exit 1; done || exit 1; done
	test -e $(DESTDIR)$(SYSCONFDIR)/countersign/countersign.json || \
	  install -m 0644 systemd/countersign.json $(DESTDIR)$(SYSCONFDIR)/countersign/countersign.json

# What a package is made of besides the programs.
PACKAGED := Makefile README.md SECURITY.md CHANGELOG.md LICENSE debian integrations man systemd udev
DEB_TREE := .build/deb/countersign-$(DEB_VERSION)

# .build/deb/countersign_VERSION_ARCHITECTURE.deb, of the programs that `make build` leaves. dpkg-buildpackage writes into
# the folder above its tree, so that gets a copy of its own. Its variables are not those of this make.
deb: deb-prerequisites build
	rm -rf $(DEB_TREE)
	mkdir -p $(DEB_TREE)
	cp -R $(PACKAGED) $(DEB_TREE)/
	sed -i '1s/([^)]*)/($(DEB_VERSION))/' $(DEB_TREE)/debian/changelog
	cd $(DEB_TREE) && env -u MAKEFLAGS -u MAKEOVERRIDES -u MAKELEVEL COUNTERSIGN_PROGRAMS=$(abspath $(RELEASE)) \
	  dpkg-buildpackage --build=binary --no-check-builddeps --unsigned-changes
	rm -rf $(DEB_TREE)
	@ls .build/deb/countersign_$(DEB_VERSION)_*.deb

# What Debian's own checker says of it. Silent where it finds nothing.
deb-check: deb
	lintian --allow-root --fail-on error,warning .build/deb/countersign_$(DEB_VERSION)_*.deb

ARCHITECTURE := $(shell uname -m)
TARBALL := countersign-$(VERSION)-linux-$(ARCHITECTURE)

# .build/countersign-VERSION-linux-ARCHITECTURE.tar.gz: what `make install` installs, and install.sh, which puts it there.
tarball: $(PROGRAMS)
	rm -rf .build/$(TARBALL)
	$(MAKE) install DESTDIR=.build/$(TARBALL) PREFIX=/usr/local
	rm -r .build/$(TARBALL)/etc
	install -m 0755 systemd/install.sh .build/$(TARBALL)/install.sh
	install -m 0644 README.md LICENSE .build/$(TARBALL)/
	tar --create --gzip --file .build/$(TARBALL).tar.gz --directory .build --owner=root:0 --group=root:0 --sort=name \
	  $(TARBALL)
	rm -rf .build/$(TARBALL)
	@ls .build/$(TARBALL).tar.gz

clean:
	rm -rf .build .build-asan .build-tsan .build-fuzz .venv
	find Tests -name __pycache__ -prune -exec rm -rf {} +
