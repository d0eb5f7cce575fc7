#include "loader/audit.h"

/* Bits of an entry (SDM 3A 4.5.4, tables 4-15 to 4-20). */
#define P     UINT64_C(1)
#define RW    UINT64_C(2)
#define US    UINT64_C(4)
#define A     UINT64_C(0x20)
#define D     UINT64_C(0x40)
#define PS    UINT64_C(0x80)
#define G     UINT64_C(0x100)
#define XD    (UINT64_C(1) << 63)
#define FRAME UINT64_C(0x000ffffffffff000)
/* Keys and ignored bits. */
#define OWNERS UINT64_C(0x7ff0000000000e00)

/* Tables of which a walk notes whether it has met them; more take more walks. */
#define NOTED 1024

struct audit {
	const struct audit_request *request;
	struct loader_error *error;
	size_t at;            /* mapping that the next leaf belongs to */
	uint64_t done;        /* bytes of it that have been seen */
	uint64_t tables;      /* seen */
	uint64_t first_noted; /* number of the table that bit 0 of `noted` stands for */
	uint64_t noted[NOTED / 64];
};

/* Where the walk is. */
struct place {
	uint64_t table; /* physical address */
	unsigned level;
	uint64_t virt; /* of its first entry */
};

static bool differ(struct audit *a, const char *field, uint64_t virt, const char *expected)
{
	*a->error = (struct loader_error){ .status = LOADER_ERR_AUDIT,
					   .where = "page tables",
					   .index = LOADER_NO_INDEX,
					   .field = field,
					   .value = virt,
					   .expected = expected };
	return false;
}

static uint64_t entry_size(unsigned level)
{
	return UINT64_C(4096) << (9 * (level - 1));
}

/* The memory type that a leaf selects (SDM 3A 4.9.2). */
static uint32_t leaf_cache(const struct audit_request *r, uint64_t e, unsigned level)
{
	unsigned pat = level == 1 ? (e >> 7) & 1 : (e >> 12) & 1;
	unsigned index = (unsigned)(pat << 2 | ((e >> 4) & 1) << 1 | ((e >> 3) & 1));

	return (r->pat >> (8 * index)) & 7;
}

static bool reserved_bits_clear(const struct audit_request *r, uint64_t e, unsigned level)
{
	uint64_t reserved = FRAME & ~((UINT64_C(1) << r->phys_bits) - 1);

	if (!r->nx)
		reserved |= XD;
	if (level > 1 && (e & PS))
		reserved |= (entry_size(level) - 1) & FRAME & ~UINT64_C(0x1000);
	return (e & reserved) == 0;
}

static bool check_leaf(struct audit *a, uint64_t e, const struct place *p, uint64_t virt)
{
	const struct audit_request *r = a->request;
	uint64_t size = entry_size(p->level);
	uint64_t frame = e & FRAME & ~(size - 1);
	uint32_t rights = (e & RW ? HOIST_RIGHT_WRITE : 0) |
			  (r->nx && (e & XD) ? 0 : HOIST_RIGHT_EXECUTE);

	if (p->level > r->max_leaf)
		return differ(a, "leaf size", virt, "a leaf that the processor has");
	if (a->at == r->mapping_count)
		return differ(a, "leaf", virt, "nothing after the last mapping");

	const struct hoist_mapping *m = &r->mappings[a->at];

	if (virt != m->address_virt + a->done)
		return differ(a, "leaf", virt, "the next page of the mapping list");
	if (size > m->size - a->done)
		return differ(a, "leaf size", virt, "a leaf inside its mapping");
	if (frame != m->address + a->done)
		return differ(a, "physical address", virt, "that of the mapping list");
	if (rights != m->effective || (e & US))
		return differ(a, "rights", virt, "those of the mapping list");
	if (e & (G | A | D | OWNERS))
		return differ(a, "leaf", virt, "not global, unused, without bits of an owner's");
	if (r->nx && rights == (HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE))
		return differ(a, "rights", virt, "not writable and executable at once");
	if (leaf_cache(r, e, p->level) != m->cache)
		return differ(a, "cache type", virt, "that of the mapping list");
	a->done += size;
	if (a->done == m->size) {
		a->at++;
		a->done = 0;
	}
	return true;
}

static bool check_table(struct audit *a, const struct place *p);

static bool check_link(struct audit *a, uint64_t e, const struct place *p, uint64_t virt)
{
	struct place below = { .table = e & FRAME, .level = p->level - 1, .virt = virt };

	if ((e & ~FRAME) != (P | RW | US))
		return differ(a, "link", virt, "a permissive link to cached memory");
	return check_table(a, &below);
}

/* The address of entry `index`, sign-extended from the top level. */
static uint64_t entry_virt(const struct audit *a, const struct place *p, unsigned index)
{
	uint64_t virt = p->virt + index * entry_size(p->level);
	unsigned unused = 64 - (12 + 9 * a->request->levels);

	return (uint64_t)((int64_t)(virt << unused) >> unused);
}

/* False if the table has been met before, or too many have. */
static bool note_table(struct audit *a, uint64_t index)
{
	uint64_t bit = index - a->first_noted; /* wraps to a large number below it */
	uint64_t mask = UINT64_C(1) << (bit % 64);

	if (a->tables++ == a->request->table_count)
		return false;
	if (bit >= NOTED)
		return true;
	if (a->noted[bit / 64] & mask)
		return false;
	a->noted[bit / 64] |= mask;
	return true;
}

/* Depth is bounded by the level; visits by the number of tables. */
static bool check_table(struct audit *a, const struct place *p)
{
	const struct audit_request *r = a->request;
	uint64_t offset = p->table - r->tables_base; /* wraps to a large number below it */

	if (offset / 4096 >= r->table_count)
		return differ(a, "table", p->virt, "a table in the block reserved for them");
	if (!note_table(a, offset / 4096))
		return differ(a, "table", p->virt, "no table linked twice");

	const uint64_t *entries = (const uint64_t *)(const void *)((const char *)r->tables +
								   offset);

	for (unsigned i = 0; i < 512; i++) {
		uint64_t e = entries[i];
		uint64_t virt = entry_virt(a, p, i);

		if (e == 0)
			continue;
		if (!(e & P) || !reserved_bits_clear(r, e, p->level))
			return differ(a, "entry", virt, "present, reserved bits clear");

		bool leaf = p->level == 1 || (e & PS);

		if (!(leaf ? check_leaf(a, e, p, virt) : check_link(a, e, p, virt)))
			return false;
	}
	return true;
}

static bool check_levels(struct audit *a)
{
	uint32_t levels = a->request->levels;

	return levels == 4 || levels == 5 || differ(a, "levels", levels, "4 or 5");
}

/* One walk; it notices a second link to one of NOTED tables from `first_noted` on. */
static bool walk(const struct audit_request *request, uint64_t first_noted,
		 struct loader_error *ret_error)
{
	struct audit audit = { .request = request, .error = ret_error, .first_noted = first_noted };
	struct place root = { .table = request->root, .level = request->levels };

	if (!check_levels(&audit) || !check_table(&audit, &root))
		return false;
	if (audit.at != request->mapping_count)
		return differ(&audit, "mapping",
			      request->mappings[audit.at].address_virt + audit.done,
			      "mapped by a leaf");
	if (audit.tables != request->table_count)
		return differ(&audit, "tables", audit.tables, "as many as were planned");
	return true;
}

/* The list is what the tables hold, so it can be asked for them. */
static bool check_need(const struct audit_request *r, const struct audit_need *need,
		       uint64_t *ret_missing)
{
	uint64_t at = 0;

	for (size_t i = 0; i < r->mapping_count && at < need->size; i++) {
		const struct hoist_mapping *m = &r->mappings[i];
		uint64_t offset = need->virt + at - m->address_virt; /* wraps below it */

		if (offset >= m->size)
			continue;
		if (m->address + offset != need->address + at || (need->rights & ~m->effective))
			break;
		at += m->size - offset;
	}
	*ret_missing = need->virt + at;
	return at >= need->size;
}

enum loader_status audit_needs(const struct audit_request *request, struct loader_error *ret_error)
{
	struct audit audit = { .request = request, .error = ret_error };
	uint64_t missing;

	for (size_t i = 0; i < request->need_count; i++) {
		if (check_need(request, &request->needs[i], &missing))
			continue;
		differ(&audit, "need", missing,
		       "mapped as the switch and the kernel's entry need it");
		return LOADER_ERR_AUDIT;
	}
	return LOADER_OK;
}

enum loader_status audit_tables(const struct audit_request *request, struct loader_error *ret_error)
{
	uint64_t first = 0;

	do {
		if (!walk(request, first, ret_error))
			return LOADER_ERR_AUDIT;
		first += NOTED;
	} while (first < request->table_count);
	return audit_needs(request, ret_error);
}
