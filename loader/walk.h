/*
 * The walk of one address, step by step, over tables that may hold anything:
 * for last words. It shares no code with the mapping core or the audit; bits
 * are as the SDM gives them (3A 4.5.4).
 */
#ifndef LOADER_WALK_H
#define LOADER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#define WALK_STEPS 5

/* What a step comes upon; all but a table end the walk. */
enum walk_kind {
	WALK_TABLE,
	WALK_LEAF,
	WALK_ABSENT,     /* not present */
	WALK_RESERVED,   /* present, with a bit set that has to be clear: a fault too */
	WALK_UNREADABLE, /* the entry itself cannot be read */
};

struct walk_step {
	uint32_t level; /* 5 or 4 down to 1 */
	uint32_t index; /* of the entry in its table */
	uint64_t at;    /* physical address of the entry */
	uint64_t entry; /* 0 if it cannot be read */
	enum walk_kind kind;
};

struct walk_space {
	uint64_t root;     /* CR3; its low and high bits do not count */
	uint8_t levels;    /* 4 or 5 */
	uint8_t max_leaf;  /* largest leaf of the processor: 2 or 3 */
	uint8_t phys_bits; /* MAXPHYADDR */
	bool nx;           /* bit 63 is not reserved */
	/* Reads 8 aligned bytes at a physical address; false if that cannot be done. */
	bool (*read)(uint64_t physical, uint64_t *ret_value);
};

/* Bytes that an entry of this level translates. */
uint64_t walk_entry_size(uint32_t level);

/* The number of steps, at most space->levels; 0 if the address is not canonical. */
uint32_t walk_address(const struct walk_space *space, uint64_t address,
		      struct walk_step ret_steps[WALK_STEPS]);

#endif
