/*
 * The adopter: a kernel that goes on with the tables it was booted on, with the
 * mapping core as its library. It knows of them what hoist's information says,
 * and nothing else. Says sentences as the judge does.
 */
#ifndef KERNELS_ADOPT_H
#define KERNELS_ADOPT_H

/* One header, wherever it comes from: paging/, or what `make dist` makes of it. */
#include "pt.h"
#ifndef PAGING_PT_ACTIVE_H
#include "paging/pt_active.h"
#endif
#include "tests/kernels/judge.h"

/* ---- Memory (adopt_memory.c) ---------------------------------------------- */

/* Frames for data: an aligned large leaf's worth, twice. */
#define ADOPT_DATA_PAGES 1024u

/*
 * Takes frames and tables from memory that is usable; judge.info must have been
 * taken. False if there is not enough.
 */
bool adopt_memory_init(void);

/* The first of ADOPT_DATA_PAGES frames, aligned to 2 MiB. */
uint64_t adopt_data(void);

/* An allocator: a stack of tables, those given back on top. */
struct pt_tables adopt_tables(void);

/* Highest byte in which a table can lie: one of hoist's or of the allocator's. */
uint64_t adopt_last_byte(void);

/* Tables that the allocator has, and how many of those are hoist's. */
unsigned adopt_free_tables(void);
unsigned adopt_free_of_hoist(void);

/* How often a table of hoist's was taken. */
unsigned adopt_reused_of_hoist(void);

/* True if hoist lists a table at this address. */
bool adopt_is_of_hoist(uint64_t table);

/* ---- Flushes (adopt_flush.c) ---------------------------------------------- */

/* How often each way was taken. */
struct adopt_flushes {
	unsigned pages, all, all_global;
};

extern struct adopt_flushes adopt_flushes;

/* The only one. */
extern struct pt_processor adopt_processor;

/* Makes the processor, the only one, forget; then gives the tables back, and says how many. */
size_t adopt_flush(struct pt_space *space, struct pt_flush *flush);

/* ---- Changes (adopt_changes.c) -------------------------------------------- */

/* Maps, protects and unmaps where nothing was, and sees what the processor makes of it. */
void adopt_changes(struct pt_space *space);

/* The error code with which reading or writing a byte, or calling it, faults. */
#define ADOPT_NO_FAULT UINT64_MAX
uint64_t adopt_read(uint64_t va);
uint64_t adopt_write(uint64_t va, uint8_t value);
uint64_t adopt_call(uint64_t va);

#endif
