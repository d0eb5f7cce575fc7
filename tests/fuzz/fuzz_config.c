/*
 * Any bytes as configuration: the first says whether the rest is a file or
 * load options. A failure leaves the configuration as it was and says why; a
 * success holds only values that the keys take, in slices of the text.
 */
#include "loader/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* Only texts that were set lie in the input. */
static void require_slice(bool set, struct config_text slice, const char *text, size_t length)
{
	REQUIRE(!set || (slice.bytes >= text && slice.bytes <= text + length &&
			 slice.length <= (size_t)(text + length - slice.bytes)));
}

static void require_values(const struct config *config, const char *text, size_t length)
{
	uint64_t stack = config->stack_size;

	require_slice(config->given & CONFIG_KERNEL, config->kernel, text, length);
	require_slice(config->given & CONFIG_CMDLINE, config->cmdline, text, length);
	REQUIRE(config->kernel.length > 0);
	REQUIRE(config->module_count <= CONFIG_MAX_MODULES);
	REQUIRE((config->module_count > 0) == !!(config->given & CONFIG_MODULE));
	for (uint32_t i = 0; i < config->module_count; i++) {
		REQUIRE(config->modules[i].path.length > 0);
		require_slice(true, config->modules[i].path, text, length);
		require_slice(true, config->modules[i].string, text, length);
	}
	REQUIRE(stack >= 16 << 10 && stack <= 1 << 30 && stack % 4096 == 0);
	REQUIRE((config->width > 0) == (config->height > 0));
	REQUIRE(config->width <= 65535 && config->height <= 65535);
	REQUIRE(config->serial_speed > 1 && 115200 % config->serial_speed == 0);
	REQUIRE(config->serial_port <= 0xfff8);
}

static void require_reason(const struct loader_error *error, enum loader_status status)
{
	REQUIRE(status == LOADER_ERR_CONFIG || status == LOADER_ERR_VALUE ||
		status == LOADER_ERR_CAPACITY);
	REQUIRE(error->status == status && error->index > 0);
	REQUIRE(error->where && error->field && error->expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config, before;
	struct loader_error error;
	enum loader_status status;
	uint32_t length = size ? (uint32_t)size - 1 : 0;
	char *text = malloc(length ? length : 1); /* no byte more, for the sanitizer */

	REQUIRE(text);
	if (length > 0)
		memcpy(text, data + 1, length);
	config_init(&config);
	memcpy(&before, &config, sizeof(before));
	status = size && data[0] % 2 ? config_parse_options(&config, text, length, &error)
				     : config_parse_file(&config, text, length, &error);
	if (status == LOADER_OK) {
		require_values(&config, text, length);
	} else {
		require_reason(&error, status);
		REQUIRE(memcmp(&config, &before, sizeof(config)) == 0);
	}
	free(text);
	return 0;
}
