# hoist: `make help` lists the targets. All output goes under build/.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL = /bin/bash
.SHELLFLAGS = -euc

B = build
CC = gcc
CLANG = clang
LD = ld
AR = ar
PYTHON = python3

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/    make \1\t\2/p' Makefile | expand -t 24
	@echo
	@echo '    make run KERNEL=file CMDLINE="..." INITRD=file MEM=2G CPU=qemu64 GUI=1'
	@echo '    make run KERNEL=file CONF=hoist.conf QEMU_ARGS="-s -S"'
	@echo '    make fuzz SECONDS=60 OPS=10000000        make boot CASES="words of their names"'
	@echo '    make install PREFIX=/usr/local DESTDIR='

# ---- the machine: everything is a Debian package ------------------------------------

PACKAGES = gcc make python3 gnu-efi ovmf qemu-system-x86 mtools dosfstools gdisk xorriso \
	clang libclang-rt-14-dev g++ pkgconf
LINT_PACKAGES = clang-format clang-tidy cppcheck

# Installs what is missing, as root or through sudo; else says what to type.
define require
	@missing=; \
	for p in $(1); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || \
			missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	install="apt-get update && apt-get install -y --no-install-recommends$$missing"; \
	echo "installing:$$missing"; \
	if [ "$$(id -u)" = 0 ]; then DEBIAN_FRONTEND=noninteractive sh -c "$$install" >/dev/null; \
	elif sudo -n true 2>/dev/null; then sudo sh -c "$$install" >/dev/null; \
	else echo "please type:  sudo sh -c '$$install'"; exit 1; fi
endef

.PHONY: packages lint-packages
packages: $(B)/.gitignore
	$(call require,$(PACKAGES))

$(B)/.gitignore:
	@mkdir -p $(@D) && printf '*\n' >$@

lint-packages: packages
	$(call require,$(LINT_PACKAGES))

# ---- the same sources, three builds: firmware, host with sanitizers, fuzzer ---------------

PAGING = $(wildcard paging/*.c)
LOADER = $(wildcard loader/*.c)
EFI = $(wildcard efi/*.c)
CORE = $(PAGING) $(LOADER)
# Instructions that a program on the host must not execute: tests/fake/cpu.c takes their place.
PRIVILEGED = paging/cpu_x86_64.c

WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Wvla -Wcast-align -Wwrite-strings -Werror
DEPS = -MMD -MP

# ---- hoist.efi -----------------------------------------------------------------------------

FREESTANDING = -std=gnu11 -ffreestanding -fpic -fshort-wchar -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fvisibility=hidden -fno-asynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -I.
# paging/ for speed, the rest for size. No gnu-efi on the include path of paging/ and loader/.
CORE_CFLAGS = $(FREESTANDING) $(if $(filter paging/%,$<),-O2,-Os) -g
GNU_EFI = -DGNU_EFI_USE_MS_ABI -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
EFI_CFLAGS = $(FREESTANDING) -Os -g $(GNU_EFI)

EFI_OBJECTS = $(patsubst %,$(B)/efi/%.o,$(EFI) $(CORE) $(wildcard loader/*.S))

$(B)/efi/efi/%.o: efi/% | packages
	@mkdir -p $(@D)
	@$(CC) $(EFI_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/efi/%.o: % | packages
	@mkdir -p $(@D)
	@$(CC) $(CORE_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/hoist.so: $(EFI_OBJECTS) efi/hoist.lds Makefile
	@$(LD) -nostdlib -shared -Bsymbolic --no-undefined --gc-sections --fatal-warnings \
		-z noexecstack -T efi/hoist.lds /usr/lib/crt0-efi-x86_64.o $(EFI_OBJECTS) \
		-L/usr/lib -lefi -lgnuefi -o $@

$(B)/hoist.efi: $(B)/hoist.so efi/nxcompat.py
	@objcopy -j .text -j .reloc -j .rodata -j .data -j .dynamic -j .rela \
		--strip-all --target efi-app-x86_64 --subsystem=10 \
		--section-alignment=4096 $< $@
	@$(PYTHON) efi/nxcompat.py $@
	@echo "$@: $$(stat -c %s $@) bytes"

# Applications that the boot tests start hoist from.
TEST_EFI = $(patsubst tests/efi/%.c,$(B)/test-efi/%.efi,$(wildcard tests/efi/*.c))

$(B)/test-efi/%.o: tests/efi/%.c | packages
	@mkdir -p $(@D)
	@$(CC) $(EFI_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/test-efi/%.so: $(B)/test-efi/%.o
	@$(LD) -nostdlib -shared -Bsymbolic --no-undefined -z noexecstack \
		-T /usr/lib/elf_x86_64_efi.lds /usr/lib/crt0-efi-x86_64.o $^ \
		-L/usr/lib -lefi -lgnuefi -o $@

$(B)/test-efi/%.efi: $(B)/test-efi/%.so
	@objcopy -j .text -j .sdata -j .data -j .dynamic -j .dynsym -j .rel -j .rela -j .reloc \
		--strip-all --target efi-app-x86_64 --subsystem=10 $< $@

include tests/kernels/kernels.mk
include tests/hardware/hardware.mk
$(KERNEL_ELF) $(B)/hardware/prober.elf: | packages

# ---- boot it ---------------------------------------------------------------------------------

KERNEL ?= $(B)/kernels/demo.elf
# The demo kernel leaves QEMU only if it is told that it runs there.
CMDLINE ?= $(if $(filter $(B)/kernels/demo.elf,$(KERNEL)),qemu-exit)
export CMDLINE
INITRD ?=
CONF ?=
QEMU_ARGS ?=
MEM ?= 256M
CPU ?= max
GUI ?=
OVMF = /usr/share/OVMF

# A volume with hoist, the kernel and a configuration for it.
.PHONY: esp
esp: $(B)/hoist.efi $(KERNEL)
	@rm -rf $(B)/esp && mkdir -p $(B)/esp/EFI/BOOT $(B)/esp/boot
	@cp $(B)/hoist.efi $(B)/esp/EFI/BOOT/BOOTX64.EFI
	@cp startup.nsh $(B)/esp/
	@cp $(KERNEL) $(B)/esp/boot/kernel.elf
ifneq ($(CONF),)
	@cp $(CONF) $(B)/esp/hoist.conf
else
	@printf '%s\n' 'kernel = \boot\kernel.elf' "cmdline = $$CMDLINE" >$(B)/esp/hoist.conf
endif
ifneq ($(INITRD),)
	@cp $(INITRD) $(B)/esp/boot/initrd.img
	@grep -q initrd.img $(B)/esp/hoist.conf || echo 'module = \boot\initrd.img' >>$(B)/esp/hoist.conf
endif

QEMU = qemu-system-x86_64 -nodefaults -machine q35 -accel tcg -cpu $(CPU) -m $(MEM) -no-reboot \
	-nic none -serial mon:stdio -display $(if $(GUI),gtk,none) $(if $(GUI),-device VGA) \
	-device isa-debug-exit,iobase=0xf4,iosize=4 \
	-drive if=pflash,format=raw,unit=0,readonly=on,file=$(OVMF)/OVMF_CODE_4M.fd \
	-drive if=pflash,format=raw,unit=1,file=$(B)/vars.fd $(QEMU_ARGS)

.PHONY: run
run: esp ## boot the demo kernel (or KERNEL=...) in QEMU, serial console on the terminal
	@cp $(OVMF)/OVMF_VARS_4M.fd $(B)/vars.fd
	@$(QEMU) -drive format=raw,if=none,id=esp,file=fat:rw:$(B)/esp \
		-device virtio-blk-pci,drive=esp,bootindex=1 || \
		{ status=$$?; [ $$status = 33 ] || exit $$status; }

.PHONY: image iso
image: esp ## build/hoist.img: a GPT disk to write to a USB stick
	@efi/mkimage.sh disk $(B)/hoist.img $(B)/esp
	@echo "$(B)/hoist.img"

iso: esp ## build/hoist.iso: boots as a CD and, written to one, as a stick
	@efi/mkimage.sh iso $(B)/hoist.iso $(B)/esp
	@echo "$(B)/hoist.iso"

# ---- the mapping core as a library: needs a compiler and Python, no other package ----------------

VERSION = 0.1.0
PREFIX = /usr/local
DESTDIR =
DIST = $(addprefix $(B)/dist/,pt.h pt.c example.c)
LIBRARY = $(B)/lib/libhoist-paging.a
INSTALLED = $(addprefix $(DESTDIR)$(PREFIX)/,include/hoist-paging/pt.h \
	lib/libhoist-paging.a lib/pkgconfig/hoist-paging.pc)

.PHONY: dist install uninstall
dist: $(DIST) ## build/dist: the mapping core as one header and one C file, with an example
install: $(DIST) $(LIBRARY) ## the mapping core as a static library, for pkg-config
	@install -d $(dir $(INSTALLED))
	@install -m 644 $(B)/dist/pt.h $(word 1,$(INSTALLED))
	@install -m 644 $(LIBRARY) $(word 2,$(INSTALLED))
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' paging/hoist-paging.pc.in \
		>$(word 3,$(INSTALLED))
uninstall: ## takes away what install put there
	@rm -f $(INSTALLED)
	@rmdir --ignore-fail-on-non-empty $(dir $(firstword $(INSTALLED)))

$(B)/dist/pt.h $(B)/dist/pt.c &: paging/amalgamate.py $(wildcard paging/*.[ch]) LICENSE Makefile \
		| $(B)/.gitignore
	@$(PYTHON) -B paging/amalgamate.py --version $(VERSION) $(B)/dist

$(B)/dist/example.c: docs/example.c | $(B)/.gitignore
	@mkdir -p $(@D) && cp $< $@

# The flags of the firmware's build fit a kernel at any address and a program alike.
$(LIBRARY): $(B)/dist/pt.c $(B)/dist/pt.h
	@mkdir -p $(@D)
	@$(CC) $(FREESTANDING) -O2 $(WARNINGS) -c $< -o $(@:.a=.o)
	@$(RM) $@ && $(AR) rcs $@ $(@:.a=.o)

# ---- tests on the host ------------------------------------------------------------------------

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
HOST_CFLAGS = -std=gnu11 -g -O1 -I. $(SANITIZE)
FAKE_LAYOUT = -DPTE_LAYOUT='"tests/fake/pte_fake.h"'
VTD_LAYOUT = -DPTE_LAYOUT='"paging/pte_vtd.h"'

# Programs of the layout of x86-64, and those of the fake one and of VT-d's. Those that make
# millions of calls are made fast.
FAST_ONLY = $(wildcard tests/property/exhaust_pt.c)
FAKE_ONLY = $(wildcard tests/property/prop_views.c)
BOTH_LAYOUTS = tests/unit/test_pte.c $(addprefix tests/property/prop_,engine.c share.c) \
	$(addprefix tests/unit/test_pt_,frames.c holds.c counted.c soft.c budget.c foreign.c)
VTD_TOO = tests/unit/test_pte.c tests/property/prop_pt.c tests/property/starve_pt.c
VTD_ONLY = tests/vtd/test_vtd.c
HOST_TESTS = $(filter-out $(FAST_ONLY) $(FAKE_ONLY),$(wildcard tests/unit/*.c tests/property/*.c))
HOST_PROGRAMS = $(HOST_TESTS:tests/%.c=$(B)/host/%) $(FAST_ONLY:tests/%.c=$(B)/fast/%) \
	$(patsubst tests/%.c,$(B)/fake/%,$(FAKE_ONLY) $(BOTH_LAYOUTS)) \
	$(patsubst tests/%.c,$(B)/vtd/%,$(VTD_TOO) $(VTD_ONLY))

# Tests that compile: snippets, what `make dist` and `make install` make, and with it the recipes of
# docs/paging.md.
SCRIPTS = tests/unit/must_use.py tests/dist/dist.py tests/docs/recipes.py

HOST_LIB = $(patsubst %.c,$(B)/host/%.o,$(filter-out $(PRIVILEGED),$(CORE)) \
	$(wildcard tests/fake/*.c))
FAKE_LIB = $(patsubst %.c,$(B)/fake/%.o,$(PAGING) tests/fake/space.c tests/fake/engine.c)
FAST_LIB = $(FAKE_LIB:$(B)/fake/%=$(B)/fast/%)
VTD_LIB = $(patsubst %.c,$(B)/vtd/%.o,$(PAGING) tests/fake/space.c tests/vtd/sdm_vtd.c)

# No address sanitizer, which sees nothing in an arena of small tables.
FAST_CFLAGS = -std=gnu11 -g -O2 -I. -fsanitize=undefined -fsanitize-trap=undefined

$(B)/host/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/fake/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_CFLAGS) $(FAKE_LAYOUT) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/fast/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(FAST_CFLAGS) $(FAKE_LAYOUT) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/vtd/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(HOST_CFLAGS) $(VTD_LAYOUT) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/host/%: $(B)/host/tests/%.o $(HOST_LIB)
	@mkdir -p $(@D)
	@$(CLANG) $(SANITIZE) $^ -o $@

$(B)/fake/%: $(B)/fake/tests/%.o $(FAKE_LIB)
	@mkdir -p $(@D)
	@$(CLANG) $(SANITIZE) $^ -o $@

$(B)/fast/%: $(B)/fast/tests/%.o $(FAST_LIB)
	@mkdir -p $(@D)
	@$(CLANG) $(FAST_CFLAGS) $^ -o $@

# Threads, under a sanitizer that goes with no other.
THREAD_CFLAGS = -std=gnu11 -g -O1 -I. -fsanitize=thread
THREAD_PROGRAMS = $(patsubst tests/threads/%.c,$(B)/threads/%,$(wildcard tests/threads/*.c))
THREAD_LIB = $(patsubst %.c,$(B)/threads/%.o,$(PAGING) tests/fake/space.c tests/fake/sdm.c)

$(B)/threads/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(THREAD_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/threads/%: $(B)/threads/tests/threads/%.o $(THREAD_LIB)
	@$(CLANG) -fsanitize=thread -pthread $^ -o $@

HOST_PROGRAMS += $(THREAD_PROGRAMS)

$(B)/vtd/%: $(B)/vtd/tests/%.o $(VTD_LIB)
	@mkdir -p $(@D)
	@$(CLANG) $(SANITIZE) $^ -o $@

.SECONDARY:

BOOT_FILES = $(B)/hoist.efi $(TEST_EFI) $(KERNEL_ELF) $(KERNEL_BAD) $(B)/kernels/readme.elf

$(B)/kernels/readme.elf: README.md loader/hoist.h tests/boot/readme.py | packages
	@$(PYTHON) tests/boot/readme.py $(B)/readme
	@cp $(B)/readme/kernel.elf $@

# That the mutation tests can tell the dead from the living: a few mutants, a few tests.
MUTATE_CHECK = $(PYTHON) -B tests/mutate.py --self-check \
	--host $(addprefix tests/unit/test_,addr.c pt.c pt_read.c pte.c) $(wildcard tests/fake/s*.c) \
	--fake tests/unit/test_pte.c tests/fake/space.c

.PHONY: test check hardware boot
test: $(HOST_PROGRAMS) $(DIST) $(B)/hardware/prober.elf $(BOOT_FILES) ## everything; the last line is 'N passed, N failed'
	@$(PYTHON) tests/run.py $(HOST_PROGRAMS) $(SCRIPTS) --alone "$(MUTATE_CHECK)" \
		--alone "$(PYTHON) tests/hardware/hardware.py" \
		--alone "$(PYTHON) tests/boot/boot.py"

check: $(HOST_PROGRAMS) $(DIST) ## the host part of the tests
	@$(PYTHON) tests/run.py $(HOST_PROGRAMS) $(SCRIPTS) --alone "$(MUTATE_CHECK)"

hardware: $(B)/hardware/prober.elf ## random address spaces against a processor, in QEMU
	@$(PYTHON) tests/hardware/hardware.py $(CASES)

boot: $(BOOT_FILES) ## the QEMU part of the tests
	@$(PYTHON) tests/boot/boot.py $(CASES)

# ---- fuzzing ------------------------------------------------------------------------------------

SECONDS ?= 60
FUZZ_PROGRAMS = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*.c))
FUZZ_CFLAGS = -std=gnu11 -g -O1 -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

FUZZ_SOURCES = $(CORE) tests/fake/ports.c tests/fake/space.c tests/fake/sdm.c

$(B)/fuzz/%: tests/fuzz/%.c $(FUZZ_SOURCES) $(wildcard */*.h tests/fake/*.h) | packages
	@mkdir -p $(@D)
	@$(CLANG) $(FUZZ_CFLAGS) $(WARNINGS) $< $(FUZZ_SOURCES) -o $@

# Tables of four entries: a few bytes of input reach every corner of the core.
$(B)/fuzz/fuzz_pt: tests/fuzz/fuzz_pt.c $(PAGING) tests/fake/space.c \
		$(wildcard paging/*.h tests/fake/*.h) | packages
	@mkdir -p $(@D)
	@$(CLANG) $(FUZZ_CFLAGS) $(FAKE_LAYOUT) $(WARNINGS) $(filter %.c,$^) -o $@

# The random test of the core, for volume: as fast as the core itself is.
OPS ?= 10000000
VOLUME_SOURCES = tests/property/prop_pt.c $(PAGING) tests/fake/space.c tests/fake/sdm.c

$(B)/volume/prop_pt: $(VOLUME_SOURCES) $(wildcard paging/*.h tests/*.h tests/fake/*.h) | packages
	@mkdir -p $(@D)
	@$(CC) -std=gnu11 -g -O2 -I. $(WARNINGS) $(VOLUME_SOURCES) -o $@

.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS) $(B)/volume/prop_pt ## libFuzzer targets, SECONDS=n each; OPS=n random calls
	@for f in $(FUZZ_PROGRAMS); do echo "== $$f"; mkdir -p $$f.corpus; \
		$$f -max_total_time=$(SECONDS) -print_final_stats=1 -artifact_prefix=$(B)/fuzz/ \
			$$f.corpus 2>&1 | tail -n 12; done
	@echo "== $(B)/volume/prop_pt"; OPS=$(OPS) $(B)/volume/prop_pt

# ---- coverage --------------------------------------------------------------------------------

COVERAGE_CFLAGS = -std=gnu11 -g -O1 -I. -fprofile-instr-generate -fcoverage-mapping
COVERAGE_PROGRAMS = $(patsubst $(B)/%,$(B)/coverage/%,$(filter-out $(B)/vtd/% $(B)/threads/%, \
	$(HOST_PROGRAMS:$(B)/fast/%=$(B)/fake/%)))

$(B)/coverage/host/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(COVERAGE_CFLAGS) $(DEPS) -c $< -o $@

$(B)/coverage/fake/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CLANG) $(COVERAGE_CFLAGS) $(FAKE_LAYOUT) $(DEPS) -c $< -o $@

$(B)/coverage/host/%: $(B)/coverage/host/tests/%.o $(HOST_LIB:$(B)/%=$(B)/coverage/%)
	@mkdir -p $(@D)
	@$(CLANG) $(COVERAGE_CFLAGS) $^ -o $@

$(B)/coverage/fake/%: $(B)/coverage/fake/tests/%.o $(FAKE_LIB:$(B)/%=$(B)/coverage/%)
	@mkdir -p $(@D)
	@$(CLANG) $(COVERAGE_CFLAGS) $^ -o $@

.PHONY: coverage coverage-packages
coverage-packages: packages
	$(call require,llvm)

coverage: coverage-packages $(COVERAGE_PROGRAMS) ## lines and branches of paging/ that tests reach
	@$(PYTHON) tests/coverage.py --lines 98 --branches 95 $(COVERAGE_PROGRAMS)

# ---- mutation --------------------------------------------------------------------------------

# Mechanical changes of paging/, each of which a test has to notice; MUTANTS=all takes an hour.
MUTANTS ?= 200
SEED ?= 1
MUTATE = $(PYTHON) -B tests/mutate.py --host $(HOST_TESTS) $(wildcard tests/fake/*.c) \
	--fake $(FAKE_ONLY) $(FAST_ONLY) $(BOTH_LAYOUTS) tests/fake/space.c

.PHONY: mutate
mutate: | packages ## mutants of paging/ that no test notices: MUTANTS=n|all SEED=n
	@$(MUTATE) --mutants $(MUTANTS) --seed $(SEED) $(if $(ONLY),--only $(ONLY))


# ---- benchmarks ---------------------------------------------------------------------------------

# The core as in the firmware, and the limits like it; what drives and checks them, for the host.
BENCH_CFLAGS = -std=gnu11 -O2 -g -I.
BENCH_ALIKE_CFLAGS = $(FREESTANDING) -O2 -g
BENCH_ALIKE = $(PAGING) tests/bench/limits.c
BENCH_SOURCES = $(BENCH_ALIKE) tests/fake/sdm.c \
	$(filter-out tests/bench/limits.c,$(wildcard tests/bench/*.c))

$(BENCH_ALIKE:%.c=$(B)/bench/%.o): BENCH_CFLAGS = $(BENCH_ALIKE_CFLAGS)

$(B)/bench/%.o: %.c | packages
	@mkdir -p $(@D)
	@$(CC) $(BENCH_CFLAGS) $(WARNINGS) $(DEPS) -c $< -o $@

$(B)/bench/bench: $(BENCH_SOURCES:%.c=$(B)/bench/%.o)
	@$(CC) $^ -o $@

.PHONY: bench
bench: $(B)/bench/bench ## speed of the mapping core, against the memory's; build/bench.json
	@$(PYTHON) -B tests/bench/report.py $(B)/bench/bench $(B)/bench.json

# ---- style ----------------------------------------------------------------------------------------

SOURCES = $(wildcard */*.c */*.h tests/*/*.c tests/*/*.h tests/kernels/lib/*.c tests/kernels/lib/*.h)
PURE_CFLAGS = -std=gnu11 -ffreestanding -I.

.PHONY: format lint
format: lint-packages ## clang-format everything
	@clang-format -i $(SOURCES)

lint: lint-packages $(DIST) $(B)/hoist.efi $(KERNEL_ELF) ## all static checks
	@.ci/lint

-include $(shell find $(B) -name '*.d' 2>/dev/null)
