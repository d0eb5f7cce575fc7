# The prober: build/hardware/prober.elf. To be included after kernels.mk.

PROBER_SOURCES := $(wildcard tests/hardware/*.c tests/hardware/*.S) $(wildcard paging/*.c) \
	$(addprefix tests/kernels/lib/,mem.c print.c serial.c trap.c trap.S words.c)

build/hardware/obj/%.o: %
	@mkdir -p $(@D)
	@$(KERNEL_CC) $(KERNEL_CFLAGS) $(KERNEL_EXEC_CFLAGS) -MMD -MP -c $< -o $@

build/hardware/prober.elf: $(PROBER_SOURCES:%=build/hardware/obj/%.o) tests/hardware/prober.ld
	@$(LD) $(KERNEL_LDFLAGS) -static -z norelro -T tests/hardware/prober.ld $(filter %.o,$^) -o $@

-include $(shell find build/hardware/obj -name '*.d' 2>/dev/null)
