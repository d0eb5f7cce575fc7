/*
 * hoist's own protocol: what a kernel asks for in its notes, weighed against
 * the configuration.
 */
#ifndef LOADER_NATIVE_H
#define LOADER_NATIVE_H

#include "loader/config.h"
#include "loader/elf.h"
#include "loader/status.h"

/* What will be done. */
struct native_choice {
	uint64_t stack_size; /* whole pages */
	bool identity;
	bool framebuffer; /* the kernel cannot do without one */
};

/*
 * Rules: the configuration's word counts if it says anything, else the note's,
 * else the default. A note that is required must be granted.
 *
 *   OPTION    a required option is unknown here, or asks for a newer version
 *   CONFLICT  a required option says one thing, the configuration another
 *   VALUE     an option has a value that it cannot have, or stands twice
 *   FORMAT    a note of hoist's is too short, or notes are malformed
 */
enum loader_status native_choose(const struct elf_image *kernel, const struct config *config,
				 struct native_choice *ret_choice, struct loader_error *ret_error);

#endif
