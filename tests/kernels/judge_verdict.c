/* Sentences that are true or not, and how many were. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/qemu.h"
#include "tests/kernels/lib/trap.h"
#include "tests/kernels/lib/words.h"

static unsigned passed, failed;
static unsigned flaws; /* of the check that runs */
static char first_flaw[160];

void judge_flaw(const char *format, ...)
{
	va_list arguments;

	if (flaws++)
		return;
	va_start(arguments, format);
	print_text(first_flaw, sizeof(first_flaw), format, arguments);
	va_end(arguments);
}

bool judge_verdict(const char *sentence)
{
	if (!flaws) {
		print_out("ok - %s\n", sentence);
		passed++;
		return true;
	}
	print_out("not ok - %s: %s", sentence, first_flaw);
	if (flaws > 1)
		print_out(" (and %u more)", flaws - 1);
	print_out("\n");
	failed++;
	flaws = 0;
	return false;
}

void judge_end(void)
{
	print_out("judge: %u passed, %u failed\n", passed, failed);
	if (words_have(judge.cmdline, "wait")) {
		print_out("@waiting\n");
		cpu_halt();
	}
	if (words_have(judge.cmdline, "qemu-exit"))
		qemu_exit(failed == 0);
	cpu_halt();
}

void trap_unexpected(const struct trap *trap)
{
	judge_flaw("vector %lu, error code %lx, CR2 %lx, RIP %lx", trap->vector, trap->error,
		   trap->address, trap->rip);
	judge_verdict("no exception comes unexpected");
	judge_end();
}
