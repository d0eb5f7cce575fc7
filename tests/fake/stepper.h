/*
 * Looks at memory after each store of a call to it: the memory is read-only,
 * and the processor traps after each instruction that was let through (SDM 3B
 * 18.3.1.4, TF). So no order of stores escapes. Linux on x86-64; one call at a
 * time.
 */
#ifndef TESTS_FAKE_STEPPER_H
#define TESTS_FAKE_STEPPER_H

#include <stddef.h>
#include <stdint.h>

struct stepper {
	void (*call)(void *ctx);
	void (*look)(void *ctx); /* reads the memory */
	void *ctx;
	void *memory; /* whole pages */
	size_t bytes;
};

/* Runs s->call, and s->look after each store; returns how many instructions stored something. */
uint64_t stepper_run(const struct stepper *s);

#endif
