/*
 * Configuration: hoist.conf and load options, in the same words.
 *
 * The file is UTF-8 (a byte order mark is skipped), lines end with LF or CRLF:
 *
 *	# a comment
 *	kernel     = \boot\kernel.elf
 *	cmdline    = anything up to the end of the line
 *	module     = \boot\initrd.img anything: the module's string
 *	identity   = on | off
 *	stack      = 64K              (bytes, or with K, M, G)
 *	resolution = 1280x800
 *	serial     = com1,115200 | com2 | 0x3f8,9600 | off
 *	verbose    = on | off
 *	on-fault   = halt | reset       (a fault before the kernel has an IDT)
 *
 * Blanks around key and value do not count; everything else in a value does,
 * quotes and '#' included. `module` may be repeated, every other key stands
 * once.
 *
 * Load options are words: key=value, separated by blanks. Double quotes keep
 * blanks together and are dropped; two of them inside quotes stand for one:
 * cmdline="root=/dev/sda quiet". A backslash is an ordinary character. Empty
 * words do not count. The first word is left out if it has no '=' (the shell
 * puts the name of the program there). A key set in the load options overrides the file's; a
 * `module` there replaces all modules of the file.
 */
#ifndef LOADER_CONFIG_H
#define LOADER_CONFIG_H

#include "loader/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes in somebody's buffer, without a NUL behind them. */
struct config_text {
	const char *bytes;
	uint32_t length;
};

/* In `given`: the key was set, by file or load options. */
enum config_key {
	CONFIG_KERNEL = 1 << 0,
	CONFIG_CMDLINE = 1 << 1,
	CONFIG_MODULE = 1 << 2,
	CONFIG_IDENTITY = 1 << 3,
	CONFIG_STACK = 1 << 4,
	CONFIG_RESOLUTION = 1 << 5,
	CONFIG_SERIAL = 1 << 6,
	CONFIG_VERBOSE = 1 << 7,
	CONFIG_ON_FAULT = 1 << 8,
};

/* Modules at most. */
#define CONFIG_MAX_MODULES 64

struct config_module {
	struct config_text path;
	struct config_text string; /* what stands behind the path; may be empty */
};

struct config {
	uint32_t given; /* of enum config_key */
	uint32_t module_count;
	struct config_text kernel;
	struct config_text cmdline;
	struct config_module modules[CONFIG_MAX_MODULES];
	uint64_t stack_size;    /* bytes */
	uint32_t width, height; /* 0: leave the mode alone */
	uint32_t serial_speed;
	uint16_t serial_port; /* 0: off */
	bool identity;
	bool verbose;
	bool reset_on_fault;
};

/* Sets what holds when nothing is configured: see the definition. */
void config_init(struct config *ret_config);

/*
 * Adds what `text` says to *config. Values are slices of `text`, which must
 * stay as long as the configuration is used; options are unquoted in place.
 * On failure *config is unchanged, text may not be, and *ret_error has the line
 * (counted from 1; for load options the word) in `index`, the key in `field`.
 *
 *   CONFIG    no '=', no key, unknown key, a key twice, an open quote, invalid UTF-8 or a NUL
 *   VALUE     a value that the key does not take
 *   CAPACITY  more modules than CONFIG_MAX_MODULES
 */
enum loader_status config_parse_file(struct config *config, char *text, uint32_t length,
				     struct loader_error *ret_error);
enum loader_status config_parse_options(struct config *config, char *text, uint32_t length,
					struct loader_error *ret_error);

#endif
