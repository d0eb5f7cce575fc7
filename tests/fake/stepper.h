/*
 * Looks at memory between any two instructions of a call: the processor traps
 * after each one (SDM 3B 18.3.1.4, TF), so no order of stores escapes. Linux
 * on x86-64; one call at a time.
 */
#ifndef TESTS_FAKE_STEPPER_H
#define TESTS_FAKE_STEPPER_H

#include <stdint.h>

/* Runs call(ctx), and look(ctx) after every instruction of it; returns how many there were. */
uint64_t stepper_run(void (*call)(void *), void (*look)(void *), void *ctx);

#endif
