/* The demo kernel: shows everything that hoist hands over, in 78 columns. */
#ifndef KERNELS_DEMO_H
#define KERNELS_DEMO_H

#include "loader/hoist.h"

#include <stdbool.h>

/* A line that begins a section, with a remark at its right end. */
void demo_heading(const char *title, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of faint text: what the columns below mean. */
void demo_legend(const char *text);

/* A size in ten columns, in the unit that suits it. */
void demo_size(uint64_t size);

/* The two long lists. */
void demo_memory(const struct hoist_info *info);
void demo_mappings(const struct hoist_info *info);

#endif
