#define _GNU_SOURCE /* REG_EFL */
#include "tests/fake/stepper.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define EFLAGS_TF 0x100

static const struct stepper *now;
static uint64_t stores;

static void protect(int rights)
{
	if (mprotect(now->memory, now->bytes, rights) != 0)
		abort();
}

/* A store to the memory: it is let through, alone. */
static void before_store(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	if ((uintptr_t)info->si_addr - (uintptr_t)now->memory >= now->bytes) {
		signal(number, SIG_DFL); /* a crash of the call's own comes again */
		return;
	}
	protect(PROT_READ | PROT_WRITE);
	interrupted->uc_mcontext.gregs[REG_EFL] |= EFLAGS_TF;
}

static void after_store(int number, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;

	(void)number;
	(void)info;
	interrupted->uc_mcontext.gregs[REG_EFL] &= ~EFLAGS_TF;
	protect(PROT_READ);
	stores++;
	now->look(now->ctx);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), struct sigaction *ret_old)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO;
	if (sigaction(number, &action, ret_old) != 0)
		abort();
}

uint64_t stepper_run(const struct stepper *s)
{
	struct sigaction old_segv, old_trap;

	now = s;
	stores = 0;
	handle(SIGSEGV, before_store, &old_segv);
	handle(SIGTRAP, after_store, &old_trap);
	protect(PROT_READ);
	s->call(s->ctx);
	protect(PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
	return stores;
}
