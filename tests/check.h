/*
 * The harness of the host tests. A program runs its tests with RUN(name) and
 * ends with `return check_done();`. It prints one line a test, "ok - name" or
 * "not ok - name", and before the latter what was expected where; tests/run.py
 * counts the lines.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static unsigned check_failures; /* in the test that runs */
static unsigned check_failed_tests;

/* Reports a failure; after twenty in one test the rest is not printed. */
#define CHECK_FAIL(...)                                          \
	do {                                                     \
		if (check_failures++ < 20) {                     \
			printf("# %s:%d: ", __FILE__, __LINE__); \
			printf(__VA_ARGS__);                     \
			putchar('\n');                           \
		}                                                \
	} while (0)

/* `name` says which row of the test this is. */
#define CHECK(condition, name)                                            \
	do {                                                              \
		if (!(condition))                                         \
			CHECK_FAIL("%s: not true: %s", name, #condition); \
	} while (0)

#define CHECK_EQ(got, want, name)                                                            \
	do {                                                                                 \
		uint64_t check_got = (uint64_t)(got), check_want = (uint64_t)(want);         \
		if (check_got != check_want)                                                 \
			CHECK_FAIL("%s: %s is %#" PRIx64 ", expected %#" PRIx64, name, #got, \
				   check_got, check_want);                                   \
	} while (0)

/* For enumerators with a text function. */
#define CHECK_STATUS(got, want, text, name)                                                   \
	do {                                                                                  \
		int check_got = (int)(got), check_want = (int)(want);                         \
		if (check_got != check_want)                                                  \
			CHECK_FAIL("%s: %s is \"%s\" (%d), expected \"%s\" (%d)", name, #got, \
				   text(check_got), check_got, text(check_want), check_want); \
	} while (0)

#define RUN(test) check_run(#test, test)

static inline void check_run(const char *name, void (*test)(void))
{
	check_failures = 0;
	test();
	printf("%s - %s\n", check_failures ? "not ok" : "ok", name);
	fflush(stdout);
	check_failed_tests += check_failures != 0;
}

static inline int check_done(void)
{
	return check_failed_tests != 0;
}

/* The seed of a random test: SEED from the environment, or the default; printed. */
static inline uint64_t check_seed(uint64_t standard)
{
	const char *text = getenv("SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : standard;

	printf("# SEED=%" PRIu64 "\n", seed);
	return seed;
}

/* splitmix64: small, and every seed is a good one. */
static inline uint64_t check_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#endif
