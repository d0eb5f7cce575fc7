#include "tests/fake/stepper.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define EFLAGS_TF 0x100ull

static void (*look_at)(void *);
static void *look_ctx;
static uint64_t steps;

/* The kernel clears TF for the handler and puts it back afterwards. */
static void trapped(int signal_number)
{
	(void)signal_number;
	steps++;
	look_at(look_ctx);
}

uint64_t stepper_run(void (*call)(void *), void (*look)(void *), void *ctx)
{
	struct sigaction action, old;

	memset(&action, 0, sizeof(action));
	action.sa_handler = trapped;
	look_at = look;
	look_ctx = ctx;
	steps = 0;
	if (sigaction(SIGTRAP, &action, &old) != 0) {
		perror("sigaction");
		exit(2);
	}
	__writeeflags(__readeflags() | EFLAGS_TF);
	call(ctx);
	__writeeflags(__readeflags() & ~EFLAGS_TF);
	sigaction(SIGTRAP, &old, NULL);
	return steps;
}
