/* What the core makes of a processor's own words. */
#include "paging/pt.h"
#include "tests/check.h"
#include "tests/fake/cpu.h"

#define LA57  (UINT64_C(1) << 12)
#define PCIDE (UINT64_C(1) << 17)
#define PKE   (UINT64_C(1) << 22)
#define PKS   (UINT64_C(1) << 24)
#define NXE   (UINT64_C(1) << 11)

enum { PAT_MSR = 0x277 };
#define EFER_MSR 0xc0000080u
#define SEV_MSR  0xc0010131u

/* A processor of which all that matters can be set. */
struct machine {
	uint64_t cr4, efer, pat;
	uint32_t last_leaf, last_extended; /* the highest of CPUID */
	uint32_t features_d, structured_b, extended_d, sizes_a, sev_a, sev_b;
	uint64_t sev_status;
};

static void set_leaf(size_t i, uint32_t leaf, struct pt_cpuid id)
{
	fake_cpu.leaves[i].leaf = leaf;
	fake_cpu.leaves[i].id = id;
}

static void set_msr(size_t i, uint32_t number, uint64_t value)
{
	fake_cpu.msrs[i].number = number;
	fake_cpu.msrs[i].value = value;
}

/* Leaves that are not there answer as the last one does: all bits set. */
static void build(const struct machine *m)
{
	fake_cpu = (struct fake_cpu){ .cr4 = m->cr4 };
	set_leaf(0, 0, (struct pt_cpuid){ .a = m->last_leaf });
	set_leaf(1, 1, (struct pt_cpuid){ .d = m->features_d });
	set_leaf(2, m->last_leaf >= 7 ? 7 : UINT32_MAX, (struct pt_cpuid){ .b = m->structured_b });
	set_leaf(3, 0x80000000u, (struct pt_cpuid){ .a = m->last_extended });
	if (m->last_extended >= 0x80000001u)
		set_leaf(4, 0x80000001u, (struct pt_cpuid){ .d = m->extended_d });
	if (m->last_extended >= 0x80000008u)
		set_leaf(5, 0x80000008u, (struct pt_cpuid){ .a = m->sizes_a });
	if (m->last_extended >= 0x8000001fu)
		set_leaf(6, 0x8000001fu, (struct pt_cpuid){ .a = m->sev_a, .b = m->sev_b });
	set_msr(0, EFER_MSR, m->efer);
	if (m->features_d >> 16 & 1)
		set_msr(1, PAT_MSR, m->pat);
	if (m->sev_a & 2)
		set_msr(2, SEV_MSR, m->sev_status);
}

#define PAT_BIT  (1u << 16)
#define GIB_BIT  (1u << 26)
#define ORDINARY .last_leaf = 0x16, .features_d = PAT_BIT, .pat = PT_PAT_FULL
#define PLAIN    .levels = 4, .max_leaf = 2, .pat = PT_PAT_FULL

static const struct {
	const char *name;
	struct machine machine;
	struct pt_cpu cpu;
} descriptions[] = {
	{ "the first of 64 bits",
	  { .last_leaf = 1, .last_extended = 0x80000000u },
	  { .levels = 4, .max_leaf = 2, .phys_bits = 36, .pat = PT_PAT_RESET } },
	{ "no leaf of sizes",
	  { ORDINARY, .last_extended = 0x80000007u, .sizes_a = 40 },
	  { PLAIN, .phys_bits = 36 } },
	{ "40 bits",
	  { ORDINARY, .last_extended = 0x80000008u, .sizes_a = 0x3028 },
	  { PLAIN, .phys_bits = 40 } },
	{ "the sizes leaf is empty",
	  { ORDINARY, .last_extended = 0x80000008u, .sizes_a = 0x3000 },
	  { PLAIN, .phys_bits = 36 } },
	{ "52 bits",
	  { ORDINARY, .last_extended = 0x80000008u, .sizes_a = 52 },
	  { PLAIN, .phys_bits = 52 } },
	{ "more than there are",
	  { ORDINARY, .last_extended = 0x80000008u, .sizes_a = 53 },
	  { PLAIN, .phys_bits = 52 } },
	{ "1 GiB pages",
	  { ORDINARY, .last_extended = 0x80000001u, .extended_d = GIB_BIT },
	  { .levels = 4, .max_leaf = 3, .phys_bits = 36, .pat = PT_PAT_FULL } },
	{ "other features",
	  { ORDINARY, .last_extended = 0x80000001u, .extended_d = ~GIB_BIT },
	  { PLAIN, .phys_bits = 36 } },
	{ "five levels",
	  { ORDINARY, .last_extended = 0x80000000u, .cr4 = LA57 },
	  { .levels = 5, .max_leaf = 2, .phys_bits = 36, .pat = PT_PAT_FULL } },
	{ "NX",
	  { ORDINARY, .last_extended = 0x80000000u, .efer = NXE },
	  { PLAIN, .phys_bits = 36, .nx = true } },
	{ "all of EFER but NX",
	  { ORDINARY, .last_extended = 0x80000000u, .efer = ~NXE },
	  { PLAIN, .phys_bits = 36 } },
	{ "user keys",
	  { ORDINARY, .last_extended = 0x80000000u, .cr4 = PKE },
	  { PLAIN, .phys_bits = 36, .keys = true } },
	{ "supervisor keys",
	  { ORDINARY, .last_extended = 0x80000000u, .cr4 = PKS },
	  { PLAIN, .phys_bits = 36, .keys = true } },
	{ "all of CR4 but these",
	  { ORDINARY, .last_extended = 0x80000000u, .cr4 = ~(LA57 | PKE | PKS) },
	  { PLAIN, .phys_bits = 36 } },
	{ "no PAT",
	  { .last_leaf = 1, .last_extended = 0x80000000u, .features_d = ~PAT_BIT },
	  { .levels = 4, .max_leaf = 2, .phys_bits = 36, .pat = PT_PAT_RESET } },
	{ "SEV, the bit above the addresses",
	  { ORDINARY, .last_extended = 0x8000001fu, .sizes_a = 48, .sev_a = 2, .sev_b = 51 | 5 << 6,
	    .sev_status = 7 },
	  { PLAIN, .phys_bits = 48, .crypt_bit = 51 } },
	{ "SEV, the bit is one of the address",
	  { ORDINARY, .last_extended = 0x80000020u, .sizes_a = 48, .sev_a = 3, .sev_b = 47,
	    .sev_status = 1 },
	  { PLAIN, .phys_bits = 47, .crypt_bit = 47 } },
	{ "SEV, not active",
	  { ORDINARY, .last_extended = 0x8000001fu, .sizes_a = 48, .sev_a = 2, .sev_b = 47,
	    .sev_status = ~UINT64_C(1) },
	  { PLAIN, .phys_bits = 48 } },
	{ "the host's memory encryption alone",
	  { ORDINARY, .last_extended = 0x8000001fu, .sizes_a = 48, .sev_a = 1, .sev_b = 47 },
	  { PLAIN, .phys_bits = 48 } },
};

static void a_processor_is_described(void)
{
	for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
		const char *name = descriptions[i].name;
		const struct pt_cpu *want = &descriptions[i].cpu;

		build(&descriptions[i].machine);

		struct pt_cpu got = pt_cpu_describe();

		CHECK_EQ(got.levels, want->levels, name);
		CHECK_EQ(got.max_leaf, want->max_leaf, name);
		CHECK_EQ(got.phys_bits, want->phys_bits, name);
		CHECK_EQ(got.nx, want->nx, name);
		CHECK_EQ(got.pat, want->pat, name);
		CHECK_EQ(got.keys, want->keys, name);
		CHECK_EQ(got.crypt_bit, want->crypt_bit, name);
		CHECK_EQ(got.crypt_means_shared, false, name);
		CHECK_EQ(fake_cpu.misuses, 0, name);
		CHECK_EQ(fake_cpu.count, 0, name);
	}
}

static void pcids_and_invpcid_are_found(void)
{
	struct machine m = { ORDINARY, .last_extended = 0x80000000u, .cr4 = PCIDE };

	build(&m);
	CHECK(pt_cpu_has_pcids(), "on");
	CHECK(!pt_cpu_has_invpcid(), "not told");
	m.structured_b = 1u << 10;
	m.cr4 = ~PCIDE;
	build(&m);
	CHECK(!pt_cpu_has_pcids(), "off");
	CHECK(pt_cpu_has_invpcid(), "told");
	m.structured_b = ~(1u << 10);
	build(&m);
	CHECK(!pt_cpu_has_invpcid(), "another feature");
	m.last_leaf = 6;
	build(&m);
	CHECK(!pt_cpu_has_invpcid(), "no such leaf");
}

#define BASE .levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL

static const struct {
	const char *name;
	struct pt_cpu cpu, tables;
	bool accepts;
} pairs[] = {
	{ "the same", { BASE }, { BASE }, true },
	{ "other levels",
	  { BASE },
	  { .levels = 5, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  false },
	{ "smaller leaves",
	  { BASE },
	  { .levels = 4, .max_leaf = 2, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  true },
	{ "larger leaves",
	  { .levels = 4, .max_leaf = 2, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  { BASE },
	  false },
	{ "shorter addresses",
	  { BASE },
	  { .levels = 4, .max_leaf = 3, .phys_bits = 45, .nx = true, .pat = PT_PAT_FULL },
	  true },
	{ "longer addresses",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 45, .nx = true, .pat = PT_PAT_FULL },
	  { BASE },
	  false },
	{ "no NX is relied on",
	  { BASE },
	  { .levels = 4, .max_leaf = 3, .phys_bits = 46, .pat = PT_PAT_FULL },
	  true },
	{ "NX is relied on",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 46, .pat = PT_PAT_FULL },
	  { BASE },
	  false },
	{ "another PAT",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_RESET },
	  { BASE },
	  false },
	{ "no keys are relied on", { BASE, .keys = true }, { BASE }, true },
	{ "keys are relied on", { BASE }, { BASE, .keys = true }, false },
	{ "encrypted", { BASE, .crypt_bit = 47 }, { BASE, .crypt_bit = 47 }, true },
	{ "another bit", { BASE, .crypt_bit = 47 }, { BASE, .crypt_bit = 51 }, false },
	{ "a bit that is none", { BASE }, { BASE, .crypt_bit = 51 }, false },
	{ "a bit left out", { BASE, .crypt_bit = 51 }, { BASE }, false },
	{ "the other meaning",
	  { BASE, .crypt_bit = 47 },
	  { BASE, .crypt_bit = 47, .crypt_means_shared = true },
	  false },
	{ "the meaning of no bit", { BASE }, { BASE, .crypt_means_shared = true }, true },
};

static void tables_fit_a_processor_or_not(void)
{
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		CHECK_EQ(pt_cpu_accepts(&pairs[i].cpu, &pairs[i].tables), pairs[i].accepts,
			 pairs[i].name);
}

int main(void)
{
	RUN(a_processor_is_described);
	RUN(pcids_and_invpcid_are_found);
	RUN(tables_fit_a_processor_or_not);
	return check_done();
}
