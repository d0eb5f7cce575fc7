/*
 * The position-independent kernel: pointers that were relocated, thread-local
 * storage, and what is read-only after relocation.
 */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/mem.h"

#define DYN_BASE 0xffffffff80000000

HOIST_NOTE(HOIST_OPTION_IDENTITY_MAP, HOIST_REQUIRED, 1);
/* Nobody knows this one, and nobody has to. */
HOIST_NOTE(0x7fff, 0, 1);

/* ---- Relocation ------------------------------------------------------------------ */

static unsigned one(void)
{
	return 1;
}

static unsigned two(void)
{
	return 2;
}

/* Aligned pointers, which the linker packs (RELR), more of them than one bitmap covers. */
static unsigned (*const aligned_table[])(void) = {
	one, two, one, two, one, two, one, two, one, two, one, two, one, two, one, two,
	one, two, one, two, one, two, one, two, one, two, one, two, one, two, one, two,
	one, two, one, two, one, two, one, two, one, two, one, two, one, two, one, two,
	one, two, one, two, one, two, one, two, one, two, one, two, one, two, one, two,
	one, two, one, two, one, two, one, two, one, two, one, two, one, two, one, two,
};

/* RELR cannot say odd addresses: these become R_X86_64_RELATIVE. */
struct __attribute__((packed)) odd {
	uint8_t before;
	const char *text;
	uint8_t after;
};

static const struct odd odd_table[] = {
	{ 0x11, "first", 0x22 },
	{ 0x33, "second", 0x44 },
};

/* Writable, and with an addend inside of an object. */
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
static const char *letter_k = alphabet + 10;

/* The same pointer, of which the compiler knows nothing: it must read what is there. */
static const void *unknown(const void *pointer)
{
	__asm__ volatile("" : "+r"(pointer) : : "memory");
	return pointer;
}

/* A pointer that was not relocated is compared as a number: it must not be followed. */
static bool is_odd(const struct odd *odd, uint8_t before, const char *text, uint8_t after)
{
	return odd->before == before && odd->after == after && (uintptr_t)odd->text >= DYN_BASE &&
	       memcmp(odd->text, text, 6) == 0;
}

static void check_relocation(void)
{
	unsigned (*const *aligned)(void) = unknown(aligned_table);
	const struct odd *odd = unknown(odd_table);
	const char *const *letter = unknown(&letter_k);

	if (judge.info.kernel_virt != DYN_BASE)
		judge_flaw("kernel_virt is %lx", judge.info.kernel_virt);
	judge_verdict("an image linked at 0 is placed in the higher half");

	for (unsigned i = 0; i < sizeof(aligned_table) / sizeof(aligned_table[0]); i++) {
		if (aligned[i] != (i % 2 ? two : one) || aligned[i]() != 1 + i % 2)
			judge_flaw("aligned_table[%u] is %lx", i, (uintptr_t)aligned[i]);
	}
	if (!is_odd(&odd[0], 0x11, "first", 0x22) || !is_odd(&odd[1], 0x33, "second", 0x44))
		judge_flaw("odd_table: %p, %p", (const void *)odd[0].text,
			   (const void *)odd[1].text);
	if (*letter != alphabet + 10)
		judge_flaw("letter_k is %p", (const void *)*letter);
	judge_verdict("pointers are relocated, RELATIVE and RELR");
}

/* ---- Thread-local storage ---------------------------------------------------------- */

static _Thread_local uint64_t tls_number __attribute__((aligned(64))) = 0x1122334455667788;
static _Thread_local char tls_text[] = "a template";
static _Thread_local uint64_t tls_zero[3];

/* The thread's block, below the thread pointer (variant II of the ELF TLS ABI). */
static struct {
	uint8_t block[1024];
	uint64_t self;
} tls_area __attribute__((aligned(64)));

static bool is_template_sound(const struct hoist_tls *tls)
{
	const struct judge_segment *data = &judge_segments[JUDGE_SEGMENTS - 1];

	return judge_inside(tls->address_virt, (uintptr_t)data->first,
			    (uint64_t)(data->end - data->first)) &&
	       tls->file_size >= sizeof(tls_number) + sizeof(tls_text) &&
	       tls->size >= tls->file_size + sizeof(tls_zero) && tls->alignment == 64 &&
	       tls->address_virt % 64 == 0 && tls->size <= sizeof(tls_area.block);
}

static void set_up_tls(const struct hoist_tls *tls)
{
	uint64_t size = (tls->size + tls->alignment - 1) & -tls->alignment;
	uint8_t *block = (uint8_t *)&tls_area.self - size;

	memset(block, 0, size);
	memcpy(block, (const void *)(uintptr_t)tls->address_virt, tls->file_size);
	tls_area.self = (uintptr_t)&tls_area.self;
	cpu_wrmsr(CPU_MSR_FS_BASE, tls_area.self);
}

/* Not part of its caller, so that no address is computed before there is a thread pointer. */
static __attribute__((noinline)) void check_tls_values(void)
{
	const uint64_t *number = unknown(&tls_number), *zero = unknown(tls_zero);
	const char *text = unknown(tls_text);

	if (*number != 0x1122334455667788 || memcmp(text, "a template", 11) != 0 ||
	    (zero[0] | zero[1] | zero[2]) != 0)
		judge_flaw("number %lx, text %.10s", *number, text);
}

static void check_tls(void)
{
	const struct hoist_tls *tls = &judge.info.tls;

	if (is_template_sound(tls)) {
		set_up_tls(tls);
		check_tls_values();
	} else {
		judge_flaw("%lx, %lu of %lu bytes, alignment %lu", tls->address_virt,
			   tls->file_size, tls->size, tls->alignment);
	}
	judge_verdict("thread-local storage can be set up from its template");
}

void judge_variant(void)
{
	check_relocation();
	check_tls();
	if (!judge_has_identity_map())
		judge_flaw("there is none");
	judge_verdict("the identity map is there, as the kernel requires");
}
