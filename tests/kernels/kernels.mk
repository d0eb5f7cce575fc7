# The kernels of the boot tests: build/kernels/*.elf, and bad ones in build/kernels/bad.
# To be included; needs nothing but a C compiler, binutils and python3.

KERNEL_CC ?= gcc

KERNEL_WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes \
	-Wmissing-prototypes -Wswitch-enum -Wvla -Wcast-align -Wwrite-strings -Werror

# A kernel has no vector registers yet, no red zone (exceptions may use its stack), no canary.
KERNEL_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-stack-protector -mno-red-zone \
	-mgeneral-regs-only -fno-asynchronous-unwind-tables -fcf-protection=none -I. \
	$(KERNEL_WARNINGS)
KERNEL_EXEC_CFLAGS := -mcmodel=kernel -fno-pic -fno-pie
KERNEL_PIE_CFLAGS := -fPIE -fvisibility=hidden

KERNEL_LDFLAGS := -nostdlib -z max-page-size=4096 -z noexecstack --no-undefined \
	--fatal-warnings --build-id=none
KERNEL_EXEC_LDFLAGS := -static -z norelro -T tests/kernels/kernel.ld
KERNEL_PIE_LDFLAGS := -static -pie --no-dynamic-linker -z text -z relro -z pack-relative-relocs \
	-T tests/kernels/kernel-pie.ld

KERNEL_LIB := $(patsubst tests/kernels/%,%,$(wildcard tests/kernels/lib/*.c tests/kernels/lib/*.S)) \
	loader/font.c
KERNEL_VARIANTS := judge_plain.c judge_pie.c judge_noid.c
KERNEL_JUDGE := $(KERNEL_LIB) $(filter-out $(KERNEL_VARIANTS), \
	$(patsubst tests/kernels/%,%,$(wildcard tests/kernels/judge*.c tests/kernels/judge*.S)))

# The adopter links the mapping core, the two files of `make dist`, and takes what hoist hands over
# as the judge does.
KERNEL_ADOPT := $(KERNEL_LIB) judge_take.c judge_verdict.c \
	$(patsubst tests/kernels/%,%,$(wildcard tests/kernels/adopt*.c))

# Objects of the sources $(2), compiled for $(1), exec or pie.
kernel_objects = $(patsubst %,build/kernels/obj/$(1)/%.o,$(2))

KERNEL_ELF := $(addprefix build/kernels/,demo.elf judge.elf judge-pie.elf judge-noid.elf \
	adopt.elf fault.elf)
KERNEL_BAD := $(addprefix build/kernels/bad/,truncated.elf machine.elf overlap.elf \
	sharedpage.elf wx.elf lowerhalf.elf option.elf)

.PHONY: kernels
kernels: $(KERNEL_ELF) $(KERNEL_BAD)

build/kernels/obj/exec/%.o: tests/kernels/%
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_EXEC_CFLAGS) -MMD -MP -c $< -o $@

build/kernels/obj/exec/adopt%.o: KERNEL_CFLAGS += -Ibuild/dist
$(patsubst %,build/kernels/obj/exec/%.o,$(filter adopt%,$(KERNEL_ADOPT))): build/dist/pt.h

build/kernels/obj/pt.o: build/dist/pt.c build/dist/pt.h
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_EXEC_CFLAGS) -MMD -MP -c $< -o $@

build/kernels/obj/exec/loader/%.o: loader/%
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_EXEC_CFLAGS) -MMD -MP -c $< -o $@

build/kernels/obj/pie/loader/%.o: loader/%
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_PIE_CFLAGS) -MMD -MP -c $< -o $@

build/kernels/obj/pie/%.o: tests/kernels/%
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_PIE_CFLAGS) -MMD -MP -c $< -o $@

build/kernels/demo.elf: $(call kernel_objects,exec,demo.c demo_lists.c $(KERNEL_LIB))
build/kernels/fault.elf: $(call kernel_objects,exec,fault.c lib/words.c lib/mem.c)
build/kernels/judge.elf: $(call kernel_objects,exec,judge_plain.c $(KERNEL_JUDGE))
build/kernels/judge-noid.elf: $(call kernel_objects,exec,judge_noid.c $(KERNEL_JUDGE))
build/kernels/judge-pie.elf: $(call kernel_objects,pie,judge_pie.c $(KERNEL_JUDGE))

build/kernels/adopt.elf: $(call kernel_objects,exec,$(KERNEL_ADOPT)) build/kernels/obj/pt.o

build/kernels/judge%: KERNEL_ENTRY := -e judge_start

build/kernels/demo.elf build/kernels/fault.elf build/kernels/judge.elf \
		build/kernels/judge-noid.elf build/kernels/adopt.elf: tests/kernels/kernel.ld
	@$(LD) $(KERNEL_LDFLAGS) $(KERNEL_EXEC_LDFLAGS) $(KERNEL_ENTRY) $(filter %.o,$^) -o $@

build/kernels/judge-pie.elf: tests/kernels/kernel-pie.ld
	@$(LD) $(KERNEL_LDFLAGS) $(KERNEL_PIE_LDFLAGS) $(KERNEL_ENTRY) $(filter %.o,$^) -o $@

$(KERNEL_BAD) &: build/kernels/judge.elf tests/kernels/spoil.py
	@python3 tests/kernels/spoil.py $< build/kernels/bad

-include $(shell find build/kernels/obj -name '*.d' 2>/dev/null)
