/* Random numbers that a seed repeats. */
#ifndef HARDWARE_RANDOM_H
#define HARDWARE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

/* splitmix64: small, and every seed is a good one. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Less than `limit`, which is not 0. */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

/* True once in `times`. */
static inline bool random_once_in(uint64_t *state, uint64_t times)
{
	return random_below(state, times) == 0;
}

#endif
