/*
 * bench [--list | --count ID | ID...]: measures the workloads, all or those
 * named, and prints one object of JSON a line. --count does the work of one
 * once, on a small instance, for a tool that counts the instructions of
 * bench_run_once(), and prints how many operations it was.
 */
#define _GNU_SOURCE
#include "tests/bench/bench.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REPETITIONS_MAX = 32 };

/* Moving to another processor would change what is cached in the middle of a run. */
static void pin(void)
{
	cpu_set_t allowed, one;
	size_t cpu = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
		cpu--;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static uint64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The function by whose name the instructions of a run are counted. */
void bench_run_once(void (*run)(struct bench *b), struct bench *b);

__attribute__((noinline)) void bench_run_once(void (*run)(struct bench *b), struct bench *b)
{
	run(b);
	/* Not a tail call: this function ends when the run has. */
	__asm__ volatile("" : : : "memory");
}

static uint64_t timed(void (*run)(struct bench *b), struct bench *b)
{
	uint64_t start = thread_ns();

	bench_run_once(run, b);
	return thread_ns() - start;
}

static void call(void (*step)(struct bench *b), struct bench *b)
{
	if (step)
		step(b);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t median(uint64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return times[count / 2];
}

static void set_up(const struct workload *w, struct bench *b)
{
	b->batch = 1;
	b->counted = b->live = b->zeroed = false;
	b->ops = b->limit_ops = 0;
	w->set_up(b);
}

static void tear_down(struct bench *b)
{
	list_free(&b->list);
	list_free(&b->base);
	free(b->vas);
	b->vas = NULL;
	b->va_count = 0;
}

/* Work and limit take turns, so that a change of the machine's speed meets both. */
static void measure(const struct workload *w, struct bench *b)
{
	uint64_t work[REPETITIONS_MAX], limit[REPETITIONS_MAX] = { 0 };

	set_up(w, b);
	for (unsigned i = 0; i < w->repetitions; i++) {
		call(w->prepare, b);
		work[i] = timed(w->run, b);
		if (i == 0)
			w->verify(b);
		call(w->prepare_limit, b);
		if (w->limit)
			limit[i] = timed(w->limit, b);
		call(w->verify_limit, b);
	}
	printf("{\"id\": \"%s\", \"work\": \"%s\", \"op\": \"%s\", \"ops\": %" PRIu64
	       ", \"ns\": %" PRIu64 ", \"limit_ops\": %" PRIu64 ", \"limit_ns\": %" PRIu64
	       ", \"tables\": %" PRIu64 "}\n",
	       w->id, w->work, w->op, b->ops, median(work, w->repetitions),
	       w->limit ? b->limit_ops : 0, median(limit, w->repetitions), b->list.shape.tables);
	fflush(stdout);
	tear_down(b);
}

static const struct workload *find(const char *id)
{
	for (size_t i = 0; i < bench_workload_count; i++) {
		if (strcmp(bench_workloads[i].id, id) == 0)
			return &bench_workloads[i];
	}
	bench_die(id, "no such workload");
}

static void count_instructions(const struct workload *w)
{
	struct bench b = { .counting = true };

	ground_init(&b);
	set_up(w, &b);
	call(w->prepare, &b);
	bench_run_once(w->run, &b);
	printf("%" PRIu64 "\n", b.ops);
	tear_down(&b);
	ground_free(&b);
}

static void measure_all(size_t count, char **ids)
{
	struct bench b = { 0 };

	pin();
	ground_init(&b);
	for (size_t i = 0; i < (count ? count : bench_workload_count); i++)
		measure(count ? find(ids[i]) : &bench_workloads[i], &b);
	ground_free(&b);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < bench_workload_count; i++)
			puts(bench_workloads[i].id);
	} else if (argc == 3 && strcmp(argv[1], "--count") == 0) {
		count_instructions(find(argv[2]));
	} else {
		measure_all((size_t)argc - 1, argv + 1);
	}
	return 0;
}
