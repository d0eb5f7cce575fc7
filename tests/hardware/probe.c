#include "tests/hardware/probe.h"

#include "tests/hardware/access.h"
#include "tests/hardware/machine.h"
#include "tests/hardware/random.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/trap.h"

#define LEAST_PROBES 100u

/* In spaces with more leaves than this an address is probed in two ways of the six. */
#define FEW_LEAVES   64u
#define SOME_KINDS   2u
#define MOST_PRINTED 12u

/* Never canonical: what runs away into zeroes, `add %al, (%rax)`, stops at once. */
#define NOWHERE (UINT64_C(1) << 62)

#define INT3 0xccu

struct probe_counts probe_counts;

/* What an access comes to. Where there is no page fault the address is 0. */
struct outcome {
	uint64_t result;  /* error code, PROBE_PROTECTION or PROBE_SUCCESS */
	uint64_t address; /* CR2 */
	uint64_t value;   /* reads: the word there; others: what was in RAM afterwards */
};

struct probe {
	struct maker *maker;
	uint64_t va;
	enum probe_kind kind;
	enum pt_status status; /* pt_query()'s, and the leaf if it is PT_OK */
	struct pt_leaf leaf;
	uint64_t token;  /* what the word in RAM is given */
	uint64_t *place; /* that word, NULL if nothing is mapped */
};

static const char *const names[PROBE_KINDS] = { "read",      "write",      "fetch",
						"user read", "user write", "user fetch" };

/* In the image, where the space that is probed has it too. */
static struct access access;

static bool is_user(enum probe_kind kind)
{
	return kind >= PROBE_USER_READ;
}

static bool is_write(enum probe_kind kind)
{
	return kind == PROBE_WRITE || kind == PROBE_USER_WRITE;
}

static bool is_fetch(enum probe_kind kind)
{
	return kind == PROBE_FETCH || kind == PROBE_USER_FETCH;
}

/* ---- the prediction (SDM 3A 4.6 and 4.7) ------------------------------------- */

/* True if rights let the access through; CR0.WP is set, RFLAGS.AC is not. */
static bool is_allowed(const struct probe *p)
{
	uint32_t flags = p->leaf.attr.flags;
	uint64_t guard = is_fetch(p->kind) ? CPU_CR4_SMEP : CPU_CR4_SMAP;

	if (is_write(p->kind) && !(flags & PT_WRITE))
		return false;
	if (is_fetch(p->kind) && !(flags & PT_EXEC))
		return false;
	if (is_user(p->kind))
		return flags & PT_USER;
	return !(flags & PT_USER) || !(cpu_cr4() & guard);
}

/* The bits of an error code that do not depend on the tables. */
static uint64_t error_of(const struct probe *p)
{
	bool tells_fetches = machine_cpu()->nx || (cpu_cr4() & CPU_CR4_SMEP);

	return (is_write(p->kind) ? CPU_FAULT_WRITE : 0) | (is_user(p->kind) ? CPU_FAULT_USER : 0) |
	       (is_fetch(p->kind) && tells_fetches ? CPU_FAULT_FETCH : 0);
}

static uint64_t predict_result(const struct probe *p)
{
	if (p->status == PT_ERR_RANGE)
		return PROBE_PROTECTION;
	if (p->status == PT_ERR_CORRUPT)
		return error_of(p) | CPU_FAULT_PRESENT | CPU_FAULT_RESERVED;
	if (p->status == PT_OK)
		return is_allowed(p) ? PROBE_SUCCESS : error_of(p) | CPU_FAULT_PRESENT;
	return error_of(p);
}

/* AL of a write: differs from the token's byte. */
static uint64_t written_byte(const struct probe *p)
{
	return ~(p->token >> (8 * (p->va % 8))) & 0xff;
}

static uint64_t with_byte(uint64_t word, uint64_t va, uint64_t byte)
{
	unsigned shift = 8 * (va % 8);

	return (word & ~(UINT64_C(0xff) << shift)) | byte << shift;
}

static struct outcome predict(const struct probe *p)
{
	struct outcome o = { .result = predict_result(p) };
	bool success = o.result == PROBE_SUCCESS;

	if (o.result < PROBE_PROTECTION)
		o.address = p->va;
	if (p->place)
		o.value = p->token;
	if (success && is_write(p->kind))
		o.value = with_byte(p->token, p->va, written_byte(p));
	return o;
}

/* ---- the access -------------------------------------------------------------- */

static uint64_t code_of(const struct probe *p)
{
	if (is_fetch(p->kind))
		return p->va;
	if (is_user(p->kind))
		return (uintptr_t)(is_write(p->kind) ? access_user_write : access_user_read);
	return (uintptr_t)(is_write(p->kind) ? access_write : access_read);
}

/*
 * Reserved bits are only looked at in present entries, so P comes with RSVD (SDM
 * 3A 4.7); QEMU 7.2 leaves it out (target/i386/tcg/sysemu/excp_helper.c).
 */
static uint64_t error_code(uint64_t error)
{
	return error & CPU_FAULT_RESERVED ? error | CPU_FAULT_PRESENT : error;
}

/* A fetch has executed the one byte there, and not another one. */
static uint64_t result_of(const struct probe *p, const struct trap *trap)
{
	bool elsewhere = is_fetch(p->kind) && trap->rip != p->va + 1;

	if (trap->vector == CPU_PAGE_FAULT)
		return error_code(trap->error);
	if (trap->vector == CPU_GENERAL_FAULT && trap->error == 0)
		return PROBE_PROTECTION;
	if (trap->vector == CPU_BREAKPOINT && !elsewhere)
		return PROBE_SUCCESS;
	return UINT64_MAX;
}

static struct outcome carry_out(const struct probe *p)
{
	static uint64_t spare[8] __attribute__((aligned(16)));
	bool user = is_user(p->kind);
	struct trap trap = { 0 };

	access = (struct access){
		.root = p->maker->space.root.raw,
		.ss = user ? TRAP_USER_DATA : TRAP_DATA,
		.rsp = (uintptr_t)(spare + 8),
		.cs = user ? TRAP_USER_CODE : TRAP_CODE,
		.rip = code_of(p),
		.rdi = p->va,
		.rsi = p->va & ~UINT64_C(7),
		.rax = is_write(p->kind) ? written_byte(p) : NOWHERE,
	};
	trap_catch(access_go, (uintptr_t)&access, &trap);
	cpu_set_cr3(machine_root());

	struct outcome o = { .result = result_of(p, &trap) };

	if (trap.vector == CPU_PAGE_FAULT)
		o.address = trap.address;
	if (p->place)
		o.value = *p->place;
	if (o.result == PROBE_SUCCESS && !is_fetch(p->kind) && !is_write(p->kind))
		o.value = trap.rax;
	return o;
}

/* ---- one probe --------------------------------------------------------------- */

static void print_flaw(const struct probe *p, const char *what, uint64_t got, uint64_t wanted)
{
	if (probe_counts.flaws++ >= MOST_PRINTED)
		return;
	print_out("# %s of %lx: %s is %lx, pt_query() predicts %lx (%s", names[p->kind], p->va,
		  what, got, wanted, pt_strerror(p->status));
	if (p->status == PT_OK)
		print_out("; level %u, %lx -> %lx, flags %x, own %x", p->leaf.level, p->leaf.va.raw,
			  p->leaf.pa.raw, p->leaf.attr.flags, p->leaf.own);
	print_out("; CR4 %lx)\n", cpu_cr4());
}

/* The processor sets accessed and dirty bits where an access succeeded (SDM 3A 4.8). */
static void compare_use(const struct probe *p, bool success)
{
	uint32_t want = p->leaf.own | (success ? PT_ACCESSED : 0) |
			(success && is_write(p->kind) ? PT_DIRTY : 0);
	/* A failed one may count as an access, never as a write. */
	uint32_t looked_at = success ? ~0u : ~(uint32_t)PT_ACCESSED;
	struct pt_leaf now = p->leaf;
	enum pt_status status = pt_query(&p->maker->space, virt(p->va), &now);

	if (status != PT_OK || ((now.own ^ want) & looked_at))
		print_flaw(p, "what the leaf says then", now.own, want);
}

static void compare(const struct probe *p)
{
	struct outcome wanted = predict(p);
	struct outcome got = carry_out(p);

	probe_counts.probes++;
	probe_counts.results[p->kind][wanted.result]++;
	if (got.result != wanted.result)
		print_flaw(p, "the error code (20: #GP, 21: none)", got.result, wanted.result);
	else if (got.address != wanted.address)
		print_flaw(p, "CR2", got.address, wanted.address);
	else if (got.value != wanted.value)
		print_flaw(p, "the word", got.value, wanted.value);
	if (p->status == PT_OK) {
		compare_use(p, wanted.result == PROBE_SUCCESS);
		probe_counts.successes[p->leaf.level] += wanted.result == PROBE_SUCCESS;
	}
}

/*
 * QEMU 7.2 aborts when it translates an instruction in the last byte of the
 * address space: that address is its mark for none (target/i386/tcg/translate.c,
 * gen_update_eip_cur). The byte before stands in.
 */
static uint64_t where(uint64_t va, enum probe_kind kind)
{
	return is_fetch(kind) && va == UINT64_MAX ? va - 1 : va;
}

/*
 * Where the leaf is said to lead, RAM is given a word that is nowhere else; its
 * byte at `va` is an INT3 if it is to be executed.
 */
static void probe(struct maker *m, uint64_t byte, enum probe_kind kind)
{
	uint64_t va = where(byte, kind);
	struct probe p = { .maker = m, .va = va, .kind = kind };
	uint64_t before = 0;

	p.status = pt_query(&m->space, virt(va), &p.leaf);
	p.token = random_next(&m->random);
	if (is_fetch(kind))
		p.token = with_byte(p.token, va, INT3);
	if (p.status == PT_OK) {
		p.place = machine_ptr((p.leaf.pa.raw + (va - p.leaf.va.raw)) & ~UINT64_C(7));
		before = *p.place;
		*p.place = p.token;
	}
	compare(&p);
	if (p.place)
		*p.place = before;
}

/* ---- a space ----------------------------------------------------------------- */

static void probe_byte(struct maker *m, uint64_t va, bool thoroughly)
{
	/* A write would overwrite the prober. */
	if (maker_is_image(va))
		return;
	if (!thoroughly) {
		for (unsigned i = 0; i < SOME_KINDS; i++)
			probe(m, va, (enum probe_kind)random_below(&m->random, PROBE_KINDS));
		return;
	}
	for (unsigned kind = 0; kind < PROBE_KINDS; kind++)
		probe(m, va, (enum probe_kind)kind);
}

static void probe_half(struct maker *m, struct pt_range half, bool thoroughly)
{
	struct pt_walk walk;
	struct pt_entry entry;

	pt_walk_start(&walk, &m->space, half, PT_NO_BUDGET);
	while (pt_walk_next(&walk, &entry) == PT_OK) {
		uint64_t first = entry.at.va.raw, size = entry.at.pages * PT_PAGE_SIZE;

		if (entry.kind != PTE_LEAF)
			continue;
		probe_byte(m, first - 1, thoroughly);
		probe_byte(m, first, thoroughly);
		probe_byte(m, first + random_below(&m->random, size), thoroughly);
		probe_byte(m, first + (size - 1), thoroughly);
		probe_byte(m, first + size, thoroughly);
	}
}

/* Edges are first bytes or last ones: either way both bytes of the border and one more. */
static void probe_edges(struct maker *m)
{
	for (unsigned i = 0; i < m->edge_count; i++) {
		probe_byte(m, m->edges[i] - 1, true);
		probe_byte(m, m->edges[i], true);
		probe_byte(m, m->edges[i] + 1, true);
	}
}

void probe_space(struct maker *maker)
{
	uint64_t before = probe_counts.probes;
	bool thoroughly = maker_leaves(maker) <= FEW_LEAVES;

	probe_half(maker, pt_lower_half(&maker->space.cpu), thoroughly);
	probe_half(maker, pt_upper_half(&maker->space.cpu), thoroughly);
	probe_edges(maker);
	while (probe_counts.probes - before < LEAST_PROBES)
		probe_byte(maker, maker_anchor(maker) + random_below(&maker->random, 2) - 1, true);
}
