#include "loader/config.h"
#include "tests/check.h"

#define KIB     UINT64_C(1024)
#define MIB     (1024 * KIB)
#define LONGEST 8192

#define KEYS            "kernel, cmdline, module, identity, stack, resolution, serial, verbose or on-fault"
#define STACK_EXPECTED  "16K to 1G in steps of 4K: bytes, or with K, M, G"
#define SIZE_EXPECTED   "width x height, each 1 to 65535, as in 1280x800"
#define PORT_EXPECTED   "com1 to com4, a port as 0x1 to 0xfff8, or off"
#define SPEED_EXPECTED  "a speed of 2 to 115200 that divides 115200"
#define PATH_EXPECTED   "a path"
#define MODULE_EXPECTED "a path, then what the kernel is told about it"

typedef enum loader_status parser(struct config *config, char *text, uint32_t length,
				  struct loader_error *ret_error);

static const char *status_text(int status)
{
	return loader_strerror((enum loader_status)status);
}

/*
 * Parses a copy of `text` that ends where the text does, so that a read beyond
 * it is an error of the sanitizer. The copy stays until the next one: values
 * are slices of it.
 */
static enum loader_status parse_bytes(parser *parse, struct config *config, const char *text,
				      size_t length, struct loader_error *ret_error)
{
	static char *copies[2];
	static size_t turn;

	turn = !turn;
	free(copies[turn]);
	copies[turn] = malloc(length ? length : 1);
	if (!copies[turn])
		abort();
	memcpy(copies[turn], text, length);
	return parse(config, copies[turn], (uint32_t)length, ret_error);
}

/* Parses what has to be accepted; the detail of an error is then not touched. */
static void accept(parser *parse, struct config *config, const char *text, const char *name)
{
	struct loader_error error, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	memcpy(&error, &untouched, sizeof(error));
	CHECK_STATUS(parse_bytes(parse, config, text, strlen(text), &error), LOADER_OK, status_text,
		     name);
	CHECK(memcmp(&error, &untouched, sizeof(error)) == 0, name);
}

static bool same_text(struct config_text text, const char *want)
{
	return text.bytes && text.length == strlen(want) &&
	       memcmp(text.bytes, want, text.length) == 0;
}

static void expect_text(struct config_text got, const char *want, const char *name)
{
	if (!same_text(got, want))
		CHECK_FAIL("%s: got '%.*s', expected '%s'", name, (int)got.length, got.bytes, want);
}

static void test_defaults_boot_the_usual_kernel(void)
{
	struct config config;

	memset(&config, 0x5a, sizeof(config));
	config_init(&config);
	CHECK_EQ(config.given, 0, "given");
	CHECK_EQ(config.module_count, 0, "modules");
	expect_text(config.kernel, "\\boot\\kernel.elf", "kernel");
	expect_text(config.cmdline, "", "cmdline");
	CHECK_EQ(config.stack_size, 64 * KIB, "stack");
	CHECK_EQ(config.width, 0, "resolution");
	CHECK_EQ(config.height, 0, "resolution");
	CHECK_EQ(config.serial_port, 0x3f8, "serial");
	CHECK_EQ(config.serial_speed, 115200, "serial");
	CHECK_EQ(config.identity, true, "identity");
	CHECK_EQ(config.verbose, false, "verbose");
	CHECK_EQ(config.reset_on_fault, false, "on-fault");
}

static void expect_full(const struct config *config, const char *name)
{
	CHECK_EQ(config->given, 0x1ff, name);
	expect_text(config->kernel, "\\k.elf", name);
	expect_text(config->cmdline, "root=/dev/sda quiet", name);
	CHECK_EQ(config->module_count, 2, name);
	expect_text(config->modules[0].path, "\\initrd.img", name);
	expect_text(config->modules[0].string, "first one", name);
	expect_text(config->modules[1].path, "\\second", name);
	expect_text(config->modules[1].string, "", name);
	CHECK_EQ(config->identity, false, name);
	CHECK_EQ(config->stack_size, 1 * MIB, name);
	CHECK_EQ(config->width, 1280, name);
	CHECK_EQ(config->height, 800, name);
	CHECK_EQ(config->serial_port, 0x2f8, name);
	CHECK_EQ(config->serial_speed, 9600, name);
	CHECK_EQ(config->verbose, true, name);
	CHECK_EQ(config->reset_on_fault, true, name);
}

static void test_every_key_is_understood_in_both_forms(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config,
	       "kernel = \\k.elf\ncmdline = root=/dev/sda quiet\nmodule = \\initrd.img first one\n"
	       "module = \\second\nidentity = off\nstack = 1M\nresolution = 1280x800\n"
	       "serial = com2,9600\nverbose = on\non-fault = reset\n",
	       "file");
	expect_full(&config, "file");

	config_init(&config);
	accept(config_parse_options, &config,
	       "hoist.efi kernel=\\k.elf cmdline=\"root=/dev/sda quiet\" "
	       "module=\"\\initrd.img first one\" module=\\second identity=off stack=1M "
	       "resolution=1280x800 serial=com2,9600 verbose=on on-fault=reset",
	       "options");
	expect_full(&config, "options");
}

/* What one text makes of `cmdline`, the value that takes anything. */
struct text_row {
	const char *name;
	const char *text;
	const char *cmdline;
};

static void expect_cmdlines(parser *parse, const struct text_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct config config;

		config_init(&config);
		accept(parse, &config, rows[i].text, rows[i].name);
		expect_text(config.cmdline, rows[i].cmdline, rows[i].name);
		CHECK_EQ(config.given & CONFIG_CMDLINE,
			 strstr(rows[i].text, "cmdline") ? CONFIG_CMDLINE : 0, rows[i].name);
	}
}

static void test_lines_are_cut_as_the_header_says(void)
{
	static const struct text_row rows[] = {
		{ "an empty file", "", "" },
		{ "an empty file with a byte order mark", "\xef\xbb\xbf", "" },
		{ "only line ends", "\n\r\n\n", "" },
		{ "blank lines and comments", "  \t \n# kernel\n \t# a = b\n#\n", "" },
		{ "a byte order mark is skipped",
		  "\xef\xbb\xbf"
		  "cmdline = a\n",
		  "a" },
		{ "a byte order mark before a comment", "\xef\xbb\xbf#\ncmdline = a\n", "a" },
		{ "lines may end with CR LF", "\r\ncmdline = a\r\n", "a" },
		{ "the last line needs no end", "#\ncmdline = a", "a" },
		{ "a CR that is not before LF is part of the value", "cmdline = a\rb\r\r\n",
		  "a\rb\r" },
		{ "a CR at the end of the file too", "cmdline = a\r", "a\r" },
		{ "no blanks are necessary", "cmdline=a\n", "a" },
		{ "blanks around key and value do not count", " \t cmdline\t = \t a \t \n", "a" },
		{ "blanks before CR LF do not count either", "cmdline = a \t\r\n", "a" },
		{ "blanks inside do", "cmdline =  a \t b  \n", "a \t b" },
		{ "a value may be empty", "cmdline =\n", "" },
		{ "a value of blanks is empty", "cmdline = \t \n", "" },
		{ "quotes, '#' and '=' are part of a value", "cmdline = \"a b\" # = c\n",
		  "\"a b\" # = c" },
		{ "UTF-8 is kept", "cmdline = \xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7\n",
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7" },
		{ "UTF-8 in a comment", "# \xc3\xa4\ncmdline = a\n", "a" },
		{ "a second byte order mark is a character", "cmdline = \xef\xbb\xbf\n",
		  "\xef\xbb\xbf" },
	};

	expect_cmdlines(config_parse_file, rows, ARRAY_LEN(rows));
}

static void test_words_are_cut_as_the_header_says(void)
{
	static const struct text_row rows[] = {
		{ "no options", "", "" },
		{ "only blanks", " \t ", "" },
		{ "only the name of the program", "hoist.efi", "" },
		{ "a quoted name of the program", "\"fs0:\\my files\\hoist.efi\" cmdline=a", "a" },
		{ "an empty name of the program", "\"\" cmdline=a", "a" },
		{ "no name of the program", "cmdline=a", "a" },
		{ "blanks around words", " \t cmdline=a \t ", "a" },
		{ "empty words do not count", "\"\" cmdline=a \"\" \"\"", "a" },
		{ "a first word after blanks is the first", "  \\hoist.efi  cmdline=a", "a" },
		{ "a value may be empty", "cmdline=", "" },
		{ "a quoted value may be empty", "cmdline=\"\"", "" },
		{ "quotes keep blanks", "cmdline=\" a \t b \"", " a \t b " },
		{ "quotes may begin anywhere", "cmdline=a\" b \"c", "a b c" },
		{ "quotes may hold the key", "\"cmdline=a b\"", "a b" },
		{ "two quotes inside quotes are one", "cmdline=\"a \"\"b c\"\" d\"",
		  "a \"b c\" d" },
		{ "three begin or end with one", "cmdline=\"\"\"a b\"\"\"", "\"a b\"" },
		{ "two outside quotes are none", "cmdline=a\"\"b", "ab" },
		{ "four are one", "cmdline=\"\"\"\"", "\"" },
		{ "a backslash is an ordinary character", "cmdline=\"\\a\\\" verbose=on", "\\a\\" },
		{ "'=' and '#' are part of a value", "cmdline=#=b=", "#=b=" },
		{ "UTF-8 is kept", "cmdline=\xc3\xa4", "\xc3\xa4" },
	};

	expect_cmdlines(config_parse_options, rows, ARRAY_LEN(rows));
}

static void test_values_are_slices_of_the_text(void)
{
	char text[] = "kernel=\\k module=\"\\m \"\"x\"\"\"";
	struct config config;
	struct loader_error error;

	config_init(&config);
	CHECK_STATUS(config_parse_options(&config, text, sizeof(text) - 1, &error), LOADER_OK,
		     status_text, "options");
	CHECK(config.kernel.bytes == text + 7, "kernel");
	CHECK(config.modules[0].path.bytes == text + 17, "path");
	expect_text(config.modules[0].path, "\\m", "path");
	expect_text(config.modules[0].string, "\"x\"", "string");
}

static void test_a_module_is_a_path_and_a_string(void)
{
	static const struct {
		const char *name, *text, *path, *string;
		parser *parse;
	} rows[] = {
		{ "a path alone", "module = \\m", "\\m", "", config_parse_file },
		{ "a path and a word", "module = \\m x", "\\m", "x", config_parse_file },
		{ "several blanks", "module = \\m \t x  y\t\n", "\\m", "x  y", config_parse_file },
		{ "a tab", "module=\\m\tx", "\\m", "x", config_parse_file },
		{ "quotes and '='", "module = \\m a=\"b c\"", "\\m", "a=\"b c\"",
		  config_parse_file },
		{ "a path alone, option", "module=\\m", "\\m", "", config_parse_options },
		{ "quoted blanks behind it stay", "module=\"\\m  x \"", "\\m", "x ",
		  config_parse_options },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config config;

		config_init(&config);
		accept(rows[i].parse, &config, rows[i].text, rows[i].name);
		CHECK_EQ(config.given, CONFIG_MODULE, rows[i].name);
		CHECK_EQ(config.module_count, 1, rows[i].name);
		expect_text(config.modules[0].path, rows[i].path, rows[i].name);
		expect_text(config.modules[0].string, rows[i].string, rows[i].name);
	}
}

static void test_numbers_and_names_mean_what_they_say(void)
{
	static const struct {
		const char *text;
		uint64_t stack;
		uint32_t width, height, port, speed;
		bool identity, verbose;
	} rows[] = {
		{ "stack = 16384", 16 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 16K", 16 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 20480", 20 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 3M", 3 * MIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 1G", 1024 * MIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 1024M", 1024 * MIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 1048576K", 1024 * MIB, 0, 0, 0x3f8, 115200, true, false },
		{ "stack = 1073741824", 1024 * MIB, 0, 0, 0x3f8, 115200, true, false },
		{ "resolution = 1x1", 64 * KIB, 1, 1, 0x3f8, 115200, true, false },
		{ "resolution = 65535x1", 64 * KIB, 65535, 1, 0x3f8, 115200, true, false },
		{ "resolution = 1x65535", 64 * KIB, 1, 65535, 0x3f8, 115200, true, false },
		{ "serial = com1", 64 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "serial = com2", 64 * KIB, 0, 0, 0x2f8, 115200, true, false },
		{ "serial = com3", 64 * KIB, 0, 0, 0x3e8, 115200, true, false },
		{ "serial = com4,38400", 64 * KIB, 0, 0, 0x2e8, 38400, true, false },
		{ "serial = com1,57600", 64 * KIB, 0, 0, 0x3f8, 57600, true, false },
		{ "serial = com1,2", 64 * KIB, 0, 0, 0x3f8, 2, true, false },
		{ "serial = com1,115200", 64 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "serial = 0x3f8,9600", 64 * KIB, 0, 0, 0x3f8, 9600, true, false },
		{ "serial = 0xAbC", 64 * KIB, 0, 0, 0xabc, 115200, true, false },
		{ "serial = 0x1", 64 * KIB, 0, 0, 1, 115200, true, false },
		{ "serial = 0xfff8", 64 * KIB, 0, 0, 0xfff8, 115200, true, false },
		{ "serial = off", 64 * KIB, 0, 0, 0, 115200, true, false },
		{ "identity = on", 64 * KIB, 0, 0, 0x3f8, 115200, true, false },
		{ "identity = off", 64 * KIB, 0, 0, 0x3f8, 115200, false, false },
		{ "verbose = on", 64 * KIB, 0, 0, 0x3f8, 115200, true, true },
		{ "verbose = off", 64 * KIB, 0, 0, 0x3f8, 115200, true, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config config;

		config_init(&config);
		accept(config_parse_file, &config, rows[i].text, rows[i].text);
		CHECK_EQ(config.stack_size, rows[i].stack, rows[i].text);
		CHECK_EQ(config.width, rows[i].width, rows[i].text);
		CHECK_EQ(config.height, rows[i].height, rows[i].text);
		CHECK_EQ(config.serial_port, rows[i].port, rows[i].text);
		CHECK_EQ(config.serial_speed, rows[i].speed, rows[i].text);
		CHECK_EQ(config.identity, rows[i].identity, rows[i].text);
		CHECK_EQ(config.verbose, rows[i].verbose, rows[i].text);
	}
}

static void test_a_fault_halts_or_resets(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config, "on-fault = reset", "reset");
	CHECK_EQ(config.reset_on_fault, true, "reset");
	accept(config_parse_options, &config, "on-fault=halt", "halt");
	CHECK_EQ(config.reset_on_fault, false, "halt");
}

static void test_options_override_the_file(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config,
	       "kernel = \\file\ncmdline = file\nserial = com2,9600\nstack = 1M\nmodule = \\a\n"
	       "module = \\b\n",
	       "file");
	accept(config_parse_options, &config, "cmdline=option serial=com1 verbose=on", "options");
	CHECK_EQ(config.given,
		 CONFIG_KERNEL | CONFIG_CMDLINE | CONFIG_SERIAL | CONFIG_STACK | CONFIG_MODULE |
			 CONFIG_VERBOSE,
		 "given");
	expect_text(config.kernel, "\\file", "of the file");
	expect_text(config.cmdline, "option", "overridden");
	CHECK_EQ(config.serial_port, 0x3f8, "overridden");
	CHECK_EQ(config.serial_speed, 115200, "overridden as a whole");
	CHECK_EQ(config.stack_size, 1 * MIB, "of the file");
	CHECK_EQ(config.module_count, 2, "no module in the options");
}

static void test_modules_of_the_options_replace_those_of_the_file(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config, "module = \\a 1\nmodule = \\b 2\nmodule = \\c 3\n",
	       "file");
	accept(config_parse_options, &config, "module=\\x module=\"\\y 4\"", "options");
	CHECK_EQ(config.module_count, 2, "options");
	expect_text(config.modules[0].path, "\\x", "first");
	expect_text(config.modules[0].string, "", "first");
	expect_text(config.modules[1].path, "\\y", "second");
	expect_text(config.modules[1].string, "4", "second");
}

static void test_a_second_file_adds_its_modules(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config, "module = \\a\nstack = 1M", "first file");
	accept(config_parse_file, &config, "module = \\b\nstack = 2M", "second file");
	CHECK_EQ(config.module_count, 2, "modules");
	expect_text(config.modules[0].path, "\\a", "first");
	expect_text(config.modules[1].path, "\\b", "second");
	CHECK_EQ(config.stack_size, 2 * MIB, "a key stands once in a text, not in two");
}

/* `count` times `setting`. */
static const char *repeated(const char *setting, size_t count)
{
	static char text[LONGEST];
	size_t length = strlen(setting);

	for (size_t i = 0; i < count; i++)
		memcpy(text + i * length, setting, length);
	text[count * length] = '\0';
	return text;
}

static void expect_module_limit(parser *parse, const char *setting, const char *where)
{
	struct config config, before;
	struct loader_error error;
	const char *text;

	config_init(&config);
	accept(parse, &config, repeated(setting, CONFIG_MAX_MODULES), where);
	CHECK_EQ(config.module_count, CONFIG_MAX_MODULES, where);

	config_init(&config);
	memcpy(&before, &config, sizeof(before));
	text = repeated(setting, CONFIG_MAX_MODULES + 1);
	CHECK_STATUS(parse_bytes(parse, &config, text, strlen(text), &error), LOADER_ERR_CAPACITY,
		     status_text, where);
	CHECK(memcmp(&config, &before, sizeof(config)) == 0, where);
	CHECK_EQ(error.status, LOADER_ERR_CAPACITY, where);
	CHECK_EQ(error.index, CONFIG_MAX_MODULES + 1, where);
	CHECK(strcmp(error.where, where) == 0, where);
	CHECK(strcmp(error.field, "module") == 0, where);
	CHECK(strcmp(error.expected, "at most 64 modules") == 0, where);
	CHECK(same_text((struct config_text){ error.text, error.text_length }, "\\m"), where);
}

static void test_64_modules_are_taken_and_not_65(void)
{
	expect_module_limit(config_parse_file, "module = \\m\n", "line");
	expect_module_limit(config_parse_options, "module=\\m ", "word");
}

static void test_64_modules_of_options_replace_64_of_the_file(void)
{
	struct config config;

	config_init(&config);
	accept(config_parse_file, &config, repeated("module = \\f\n", CONFIG_MAX_MODULES), "file");
	accept(config_parse_options, &config, repeated("module=\\o ", CONFIG_MAX_MODULES),
	       "options");
	CHECK_EQ(config.module_count, CONFIG_MAX_MODULES, "options");
	expect_text(config.modules[0].path, "\\o", "first");
	expect_text(config.modules[CONFIG_MAX_MODULES - 1].path, "\\o", "last");
}

struct refusal {
	const char *name;
	const char *text;
	enum loader_status status;
	uint32_t index;
	const char *field;
	const char *value; /* as text, or NULL: `byte` */
	const char *expected;
	uint8_t byte;
	size_t length; /* of the text where it is not strlen() */
};

static void expect_refusal(parser *parse, const char *where, const struct refusal *row)
{
	struct config config, before;
	struct loader_error error;
	size_t length = row->length ? row->length : strlen(row->text);

	memset(&error, 0x5a, sizeof(error));
	config_init(&config);
	config.modules[0].path.bytes = "untouched";
	config.module_count = 1;
	memcpy(&before, &config, sizeof(before));
	CHECK_STATUS(parse_bytes(parse, &config, row->text, length, &error), row->status,
		     status_text, row->name);
	CHECK(memcmp(&config, &before, sizeof(config)) == 0, row->name);
	CHECK_EQ(error.status, row->status, row->name);
	if (error.status != row->status)
		return;
	CHECK(strcmp(error.where, where) == 0, row->name);
	CHECK_EQ(error.index, row->index, row->name);
	CHECK(strcmp(error.field, row->field) == 0, row->name);
	CHECK(strcmp(error.expected, row->expected) == 0, row->name);
	CHECK_EQ(error.value, row->value ? 0 : row->byte, row->name);
	CHECK_EQ(error.text != NULL, row->value != NULL, row->name);
	if (row->value)
		expect_text((struct config_text){ error.text, error.text_length }, row->value,
			    row->name);
	else
		CHECK_EQ(error.text_length, 0, row->name);
}

static void test_a_bad_line_is_refused_by_number_and_key(void)
{
	static const struct refusal rows[] = {
		{ "no '='", "#\n\n kernel \\k \nstack=1", LOADER_ERR_CONFIG, 3, "line",
		  "kernel \\k", "key = value", 0, 0 },
		{ "no '=' in the last line", "kernel=\\k\r\nx", LOADER_ERR_CONFIG, 2, "line", "x",
		  "key = value", 0, 0 },
		{ "no key", " = a\n", LOADER_ERR_CONFIG, 1, "key", "", KEYS, 0, 0 },
		{ "unknown key", "verbose = on\nkernl = a\n", LOADER_ERR_CONFIG, 2, "key", "kernl",
		  KEYS, 0, 0 },
		{ "beginning of a key", "kerne = a\n", LOADER_ERR_CONFIG, 1, "key", "kerne", KEYS,
		  0, 0 },
		{ "more than a key", "kernels = a\n", LOADER_ERR_CONFIG, 1, "key", "kernels", KEYS,
		  0, 0 },
		{ "keys are lower case", "Kernel = a\n", LOADER_ERR_CONFIG, 1, "key", "Kernel",
		  KEYS, 0, 0 },
		{ "a comment does not follow a setting", "verbose = on # yes\n", LOADER_ERR_VALUE,
		  1, "verbose", "on # yes", "on or off", 0, 0 },
		{ "kernel twice", "kernel = \\a\n\nkernel = \\b\n", LOADER_ERR_CONFIG, 3, "kernel",
		  "\\b", "to be set once", 0, 0 },
		{ "cmdline twice, the same", "cmdline=\ncmdline=\n", LOADER_ERR_CONFIG, 2,
		  "cmdline", "", "to be set once", 0, 0 },
		{ "identity twice", "identity=on\nidentity=on", LOADER_ERR_CONFIG, 2, "identity",
		  "on", "to be set once", 0, 0 },
		{ "stack twice", "stack=64K\nstack=64K", LOADER_ERR_CONFIG, 2, "stack", "64K",
		  "to be set once", 0, 0 },
		{ "resolution twice", "resolution=1x1\nresolution=1x1", LOADER_ERR_CONFIG, 2,
		  "resolution", "1x1", "to be set once", 0, 0 },
		{ "serial twice", "serial=off\nserial=off", LOADER_ERR_CONFIG, 2, "serial", "off",
		  "to be set once", 0, 0 },
		{ "verbose twice", "verbose=on\nverbose=x", LOADER_ERR_CONFIG, 2, "verbose", "x",
		  "to be set once", 0, 0 },
		{ "a second byte order mark", "\xef\xbb\xbf\xef\xbb\xbfstack=64K",
		  LOADER_ERR_CONFIG, 1, "key", "\xef\xbb\xbfstack", KEYS, 0, 0 },
		{ "half a byte order mark", "\xef\xbb", LOADER_ERR_CONFIG, 1, "byte", NULL,
		  "UTF-8 without NUL", 0xef, 0 },
		{ "NUL in a value", "\ncmdline = a\0b\n", LOADER_ERR_CONFIG, 2, "cmdline", NULL,
		  "UTF-8 without NUL", 0, 15 },
		{ "NUL in a comment", "#\0\n", LOADER_ERR_CONFIG, 1, "byte", NULL,
		  "UTF-8 without NUL", 0, 3 },
		{ "NUL behind a key", "stack\0=64K", LOADER_ERR_CONFIG, 1, "byte", NULL,
		  "UTF-8 without NUL", 0, 10 },
		{ "invalid UTF-8 in a comment", "# \xe4\n", LOADER_ERR_CONFIG, 1, "byte", NULL,
		  "UTF-8 without NUL", 0xe4, 0 },
		{ "invalid UTF-8 before bad value", "stack = \xff\n", LOADER_ERR_CONFIG, 1, "stack",
		  NULL, "UTF-8 without NUL", 0xff, 0 },
		{ "the first bad line counts", "stack = 1\nkernl = 1\n", LOADER_ERR_VALUE, 1,
		  "stack", "1", STACK_EXPECTED, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_refusal(config_parse_file, "line", &rows[i]);
}

static void test_a_bad_word_is_refused_by_number_and_key(void)
{
	static const struct refusal rows[] = {
		{ "no '=' in the second word", "hoist.efi  kernel", LOADER_ERR_CONFIG, 2, "word",
		  "kernel", "key=value", 0, 0 },
		{ "no '=' after a setting", "verbose=on kernel", LOADER_ERR_CONFIG, 2, "word",
		  "kernel", "key=value", 0, 0 },
		{ "blanks around '='", "verbose = on", LOADER_ERR_CONFIG, 2, "key", "", KEYS, 0,
		  0 },
		{ "no key", "=a", LOADER_ERR_CONFIG, 1, "key", "", KEYS, 0, 0 },
		{ "unknown key", "hoist.efi a=b", LOADER_ERR_CONFIG, 2, "key", "a", KEYS, 0, 0 },
		{ "a quoted blank behind a key", "\"stack =64K\"", LOADER_ERR_CONFIG, 1, "key",
		  "stack ", KEYS, 0, 0 },
		{ "a quoted blank before a value", "stack=\" 64K\"", LOADER_ERR_VALUE, 1, "stack",
		  " 64K", STACK_EXPECTED, 0, 0 },
		{ "a key twice", "h cmdline=a verbose=on cmdline=b", LOADER_ERR_CONFIG, 4,
		  "cmdline", "b", "to be set once", 0, 0 },
		{ "a value that is none", "module=\\m verbose=yes", LOADER_ERR_VALUE, 2, "verbose",
		  "yes", "on or off", 0, 0 },
		{ "a quote left open", "cmdline=\"a b", LOADER_ERR_CONFIG, 1, "word", "cmdline=a b",
		  "a closing quote", 0, 0 },
		{ "a quote left open by one of three", "cmdline=\"a\"\"", LOADER_ERR_CONFIG, 1,
		  "word", "cmdline=a\"", "a closing quote", 0, 0 },
		{ "a quote left open in the name of the program", "\"a", LOADER_ERR_CONFIG, 1,
		  "word", "a", "a closing quote", 0, 0 },
		{ "a quote alone at the end", "verbose=on \"", LOADER_ERR_CONFIG, 2, "word", "",
		  "a closing quote", 0, 0 },
		{ "no byte order mark", "\xef\xbb\xbfstack=64K", LOADER_ERR_CONFIG, 1, "key",
		  "\xef\xbb\xbfstack", KEYS, 0, 0 },
		{ "NUL in a value", "kernel=\\k\0", LOADER_ERR_CONFIG, 1, "kernel", NULL,
		  "UTF-8 without NUL", 0, 10 },
		{ "invalid UTF-8 in the name of the program", "\xfe", LOADER_ERR_CONFIG, 1, "byte",
		  NULL, "UTF-8 without NUL", 0xfe, 0 },
		{ "invalid UTF-8 in a value", "a cmdline=b\xc3", LOADER_ERR_CONFIG, 2, "cmdline",
		  NULL, "UTF-8 without NUL", 0xc3, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_refusal(config_parse_options, "word", &rows[i]);
}

static const struct {
	const char *key, *value, *expected;
} bad_values[] = {
	{ "kernel", "", PATH_EXPECTED },
	{ "module", "", MODULE_EXPECTED },
	{ "identity", "", "on or off" },
	{ "identity", "o", "on or off" },
	{ "identity", "ON", "on or off" },
	{ "identity", "offf", "on or off" },
	{ "identity", "1", "on or off" },
	{ "verbose", "onn", "on or off" },
	{ "on-fault", "", "halt or reset" },
	{ "on-fault", "on", "halt or reset" },
	{ "on-fault", "resets", "halt or reset" },
	{ "stack", "", STACK_EXPECTED },
	{ "stack", "K", STACK_EXPECTED },
	{ "stack", "0", STACK_EXPECTED },
	{ "stack", "12K", STACK_EXPECTED },
	{ "stack", "16383", STACK_EXPECTED },
	{ "stack", "16385", STACK_EXPECTED },
	{ "stack", "18K", STACK_EXPECTED },
	{ "stack", "1048580K", STACK_EXPECTED },
	{ "stack", "1073745920", STACK_EXPECTED },
	{ "stack", "1025M", STACK_EXPECTED },
	{ "stack", "2G", STACK_EXPECTED },
	{ "stack", "1073741824G", STACK_EXPECTED },
	{ "stack", "17179869185G", STACK_EXPECTED },
	{ "stack", "18446744073709617152", STACK_EXPECTED },
	{ "stack", "64k", STACK_EXPECTED },
	{ "stack", "64KB", STACK_EXPECTED },
	{ "stack", "64 K", STACK_EXPECTED },
	{ "stack", "-64K", STACK_EXPECTED },
	{ "stack", "0x10000", STACK_EXPECTED },
	{ "stack", "1aK", STACK_EXPECTED },
	{ "resolution", "", SIZE_EXPECTED },
	{ "resolution", "800", SIZE_EXPECTED },
	{ "resolution", "800x", SIZE_EXPECTED },
	{ "resolution", "x600", SIZE_EXPECTED },
	{ "resolution", "800X600", SIZE_EXPECTED },
	{ "resolution", "800x600x32", SIZE_EXPECTED },
	{ "resolution", "0x600", SIZE_EXPECTED },
	{ "resolution", "800x0", SIZE_EXPECTED },
	{ "resolution", "65536x1", SIZE_EXPECTED },
	{ "resolution", "1x65536", SIZE_EXPECTED },
	{ "resolution", "4294967297x1", SIZE_EXPECTED },
	{ "resolution", "18446744073709551617x1", SIZE_EXPECTED },
	{ "serial", "", PORT_EXPECTED },
	{ "serial", "on", PORT_EXPECTED },
	{ "serial", "com0", PORT_EXPECTED },
	{ "serial", "com5", PORT_EXPECTED },
	{ "serial", "com11", PORT_EXPECTED },
	{ "serial", "com", PORT_EXPECTED },
	{ "serial", "COM1", PORT_EXPECTED },
	{ "serial", "com1 ,9600", PORT_EXPECTED },
	{ "serial", ",9600", PORT_EXPECTED },
	{ "serial", "off,9600", PORT_EXPECTED },
	{ "serial", "3f8", PORT_EXPECTED },
	{ "serial", "1016", PORT_EXPECTED },
	{ "serial", "0x", PORT_EXPECTED },
	{ "serial", "0x0", PORT_EXPECTED },
	{ "serial", "0x3g8", PORT_EXPECTED },
	{ "serial", "0X3F8", PORT_EXPECTED },
	{ "serial", "0xfff9", PORT_EXPECTED },
	{ "serial", "0x103f8", PORT_EXPECTED },
	{ "serial", "com1,", SPEED_EXPECTED },
	{ "serial", "com1, 9600", SPEED_EXPECTED },
	{ "serial", "com1,9600,8n1", SPEED_EXPECTED },
	{ "serial", "com1,0", SPEED_EXPECTED },
	{ "serial", "com1,1", SPEED_EXPECTED },
	{ "serial", "com1,9601", SPEED_EXPECTED },
	{ "serial", "com1,115201", SPEED_EXPECTED },
	{ "serial", "com1,230400", SPEED_EXPECTED },
	{ "serial", "com1,4294976896", SPEED_EXPECTED },
	{ "serial", "com1,0x2580", SPEED_EXPECTED },
};

static void test_a_bad_value_is_refused_with_what_was_expected(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_values); i++) {
		char line[128], word[128];
		struct refusal row = { line,
				       line,
				       LOADER_ERR_VALUE,
				       2,
				       bad_values[i].key,
				       bad_values[i].value,
				       bad_values[i].expected,
				       0,
				       0 };

		snprintf(line, sizeof(line), "# comment\n%s = %s\n", bad_values[i].key,
			 bad_values[i].value);
		expect_refusal(config_parse_file, "line", &row);
		snprintf(word, sizeof(word), "hoist.efi %s=\"%s\"", bad_values[i].key,
			 bad_values[i].value);
		row.name = row.text = word;
		expect_refusal(config_parse_options, "word", &row);
	}
}

/* First and last of every row of RFC 3629 section 4, and what is just outside. */
static void test_utf8_is_valid_as_in_rfc_3629(void)
{
	static const struct {
		const char *bytes;
		bool valid;
	} rows[] = {
		{ "\x01", true },
		{ "\x7f", true },
		{ "\x80", false },
		{ "\xbf", false },
		{ "\xc0\x80", false },
		{ "\xc1\xbf", false },
		{ "\xc2\x80", true },
		{ "\xdf\xbf", true },
		{ "\xc2\x7f", false },
		{ "\xc2\xc0", false },
		{ "\xc2", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xe0\xa0\x80", true },
		{ "\xe1\x80\x80", true },
		{ "\xed\x9f\xbf", true },
		{ "\xed\xa0\x80", false },
		{ "\xed\xbf\xbf", false },
		{ "\xee\x80\x80", true },
		{ "\xef\xbf\xbf", true },
		{ "\xe1\x80", false },
		{ "\xe1\x80\x41", false },
		{ "\xe1\x41\x80", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf0\x90\x80\x80", true },
		{ "\xf3\xbf\xbf\xbf", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xf1\x80\x80", false },
		{ "\xf1\x80\x80\xc0", false },
		{ "\xf8\x88\x80\x80\x80", false },
		{ "\xff", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[32], name[32];
		struct config config;
		struct loader_error error;

		config_init(&config);
		snprintf(text, sizeof(text), "cmdline=%s", rows[i].bytes);
		snprintf(name, sizeof(name), "row %zu", i);
		CHECK_STATUS(parse_bytes(config_parse_file, &config, text, strlen(text), &error),
			     rows[i].valid ? LOADER_OK : LOADER_ERR_CONFIG, status_text, name);
		CHECK_STATUS(parse_bytes(config_parse_options, &config, text, strlen(text), &error),
			     rows[i].valid ? LOADER_OK : LOADER_ERR_CONFIG, status_text, name);
	}
}

int main(void)
{
	RUN(test_defaults_boot_the_usual_kernel);
	RUN(test_every_key_is_understood_in_both_forms);
	RUN(test_lines_are_cut_as_the_header_says);
	RUN(test_words_are_cut_as_the_header_says);
	RUN(test_values_are_slices_of_the_text);
	RUN(test_a_module_is_a_path_and_a_string);
	RUN(test_numbers_and_names_mean_what_they_say);
	RUN(test_a_fault_halts_or_resets);
	RUN(test_options_override_the_file);
	RUN(test_modules_of_the_options_replace_those_of_the_file);
	RUN(test_a_second_file_adds_its_modules);
	RUN(test_64_modules_are_taken_and_not_65);
	RUN(test_64_modules_of_options_replace_64_of_the_file);
	RUN(test_a_bad_line_is_refused_by_number_and_key);
	RUN(test_a_bad_word_is_refused_by_number_and_key);
	RUN(test_a_bad_value_is_refused_with_what_was_expected);
	RUN(test_utf8_is_valid_as_in_rfc_3629);
	return check_done();
}
