#include "loader/config.h"

#define KIB UINT64_C(1024)

#define STACK_LEAST (16 * KIB)
#define STACK_MOST  (KIB * KIB * KIB)
#define STACK_UNIT  4096

/*
 * A 16550 divides its base rate by a number of 16 bits, so that 1 is not among
 * the speeds although it divides the rate.
 */
#define SERIAL_BASE_RATE    115200
#define SERIAL_DIVISOR_MOST UINT16_MAX
/* The registers of a 16550 are eight ports. */
#define SERIAL_PORT_MOST (UINT16_MAX - 7)

#define SIDE_MOST 65535

#define NUMBER_AS_TEXT2(number) #number
#define NUMBER_AS_TEXT(number)  NUMBER_AS_TEXT2(number)

/* ---- Text -------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* What is left of `text` without its first `count` bytes, count <= text.length. */
static struct config_text text_from(struct config_text text, uint32_t count)
{
	return (struct config_text){
		.bytes = text.bytes + count,
		.length = text.length - count,
	};
}

static struct config_text text_first(struct config_text text, uint32_t count)
{
	return (struct config_text){ .bytes = text.bytes, .length = count };
}

/* The place of the first `c`, or text.length. */
static uint32_t text_find(struct config_text text, char c)
{
	uint32_t at = 0;

	while (at < text.length && text.bytes[at] != c)
		at++;
	return at;
}

static bool text_is(struct config_text text, const char *word)
{
	for (uint32_t i = 0; i < text.length; i++) {
		if (word[i] == '\0' || text.bytes[i] != word[i])
			return false;
	}
	return word[text.length] == '\0';
}

static struct config_text text_trim_front(struct config_text text)
{
	while (text.length > 0 && is_blank(text.bytes[0]))
		text = text_from(text, 1);
	return text;
}

static struct config_text text_trim(struct config_text text)
{
	text = text_trim_front(text);
	while (text.length > 0 && is_blank(text.bytes[text.length - 1]))
		text.length--;
	return text;
}

/* Takes `c` from the front of *rest if it is there. */
static bool take_char(struct config_text *rest, char c)
{
	if (rest->length == 0 || rest->bytes[0] != c)
		return false;
	*rest = text_from(*rest, 1);
	return true;
}

/* The value of a digit, or a number above every radix. */
static uint32_t digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint32_t)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (uint32_t)(c - 'A') + 10;
	return UINT32_MAX;
}

/*
 * Takes all digits from the front of *rest. False, and nothing taken, if there
 * is none or if the number exceeds `most`, which is not below `radix`.
 */
static bool take_number(struct config_text *rest, uint32_t radix, uint64_t most,
			uint64_t *ret_number)
{
	uint64_t number = 0;
	uint32_t at = 0;

	for (; at < rest->length; at++) {
		uint32_t digit = digit_value(rest->bytes[at]);

		if (digit >= radix)
			break;
		if (number > (most - digit) / radix)
			return false;
		number = number * radix + digit;
	}
	if (at == 0)
		return false;
	*rest = text_from(*rest, at);
	*ret_number = number;
	return true;
}

/*
 * Bytes of the character in front of `text`, 1 to 4; 0 if it is none or NUL.
 * RFC 3629 section 3: no surrogates, nothing above U+10FFFF, and no encoding
 * that is longer than necessary.
 */
static uint32_t utf8_length(struct config_text text)
{
	static const uint32_t least[] = { 0, 0x01, 0x80, 0x800, 0x10000 };
	uint8_t lead = (uint8_t)text.bytes[0];
	/* Leading ones say how long it is: none for ASCII, one for a byte that follows. */
	uint32_t ones = (uint32_t)__builtin_clz(~((uint32_t)lead << 24));
	uint32_t length = ones == 0 ? 1 : ones;
	uint32_t code = lead & (0x7fu >> ones);

	if (ones == 1 || ones > 4 || length > text.length)
		return 0;
	for (uint32_t i = 1; i < length; i++) {
		uint8_t next = (uint8_t)text.bytes[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (next & 0x3f);
	}
	if (code < least[length] || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff)
		return 0;
	return length;
}

/* The part of `text` before its first byte that is NUL or not UTF-8. */
static uint32_t utf8_valid_length(struct config_text text)
{
	uint32_t at = 0;

	while (at < text.length) {
		uint32_t length = utf8_length(text_from(text, at));

		if (length == 0)
			break;
		at += length;
	}
	return at;
}

/* ---- Values ------------------------------------------------------------ */

/*
 * Each takes a value for one key. NULL if it is accepted, else what would have
 * been right; *config is then unchanged.
 */

static const char *set_path(struct config_text *path, struct config_text value)
{
	if (value.length == 0)
		return "a path";
	*path = value;
	return NULL;
}

/* There is room for one more. */
static const char *add_module(struct config *config, struct config_text value)
{
	struct config_module *module = &config->modules[config->module_count];
	uint32_t path_length = 0;

	while (path_length < value.length && !is_blank(value.bytes[path_length]))
		path_length++;
	if (path_length == 0)
		return "a path, then what the kernel is told about it";
	module->path = text_first(value, path_length);
	module->string = text_trim_front(text_from(value, path_length));
	config->module_count++;
	return NULL;
}

static const char *set_switch(bool *state, struct config_text value)
{
	bool on = text_is(value, "on");

	if (!on && !text_is(value, "off"))
		return "on or off";
	*state = on;
	return NULL;
}

static const char *set_on_fault(struct config *config, struct config_text value)
{
	bool reset = text_is(value, "reset");

	if (!reset && !text_is(value, "halt"))
		return "halt or reset";
	config->reset_on_fault = reset;
	return NULL;
}

static const char *set_stack(struct config *config, struct config_text value)
{
	static const char expected[] = "16K to 1G in steps of 4K: bytes, or with K, M, G";
	uint64_t number = 0, unit = 1;

	if (!take_number(&value, 10, STACK_MOST, &number))
		return expected;
	if (take_char(&value, 'K'))
		unit = KIB;
	else if (take_char(&value, 'M'))
		unit = KIB * KIB;
	else if (take_char(&value, 'G'))
		unit = KIB * KIB * KIB;
	/* No product can wrap: both factors are at most 2^30. */
	if (value.length != 0 || number * unit < STACK_LEAST || number * unit > STACK_MOST ||
	    number * unit % STACK_UNIT != 0)
		return expected;
	config->stack_size = number * unit;
	return NULL;
}

static const char *set_resolution(struct config *config, struct config_text value)
{
	uint64_t width = 0, height = 0;

	if (!take_number(&value, 10, SIDE_MOST, &width) || !take_char(&value, 'x') ||
	    !take_number(&value, 10, SIDE_MOST, &height) || value.length != 0 || width == 0 ||
	    height == 0)
		return "width x height, each 1 to 65535, as in 1280x800";
	config->width = (uint32_t)width;
	config->height = (uint32_t)height;
	return NULL;
}

/* The base of a serial port that is named or given as 0xNNN; 0 if it is neither. */
static uint16_t serial_port(struct config_text name)
{
	uint64_t port = 0;

	/* Where IBM's PC has them; firmware tables are not asked. */
	if (text_is(name, "com1"))
		return 0x3f8;
	if (text_is(name, "com2"))
		return 0x2f8;
	if (text_is(name, "com3"))
		return 0x3e8;
	if (text_is(name, "com4"))
		return 0x2e8;
	if (!take_char(&name, '0') || !take_char(&name, 'x') ||
	    !take_number(&name, 16, SERIAL_PORT_MOST, &port) || name.length != 0)
		return 0;
	return (uint16_t)port;
}

static const char *set_serial(struct config *config, struct config_text value)
{
	uint32_t name_length = text_find(value, ',');
	struct config_text rest = text_from(value, name_length);
	uint16_t port = serial_port(text_first(value, name_length));
	uint64_t speed = SERIAL_BASE_RATE;

	if (port == 0 && !text_is(value, "off"))
		return "com1 to com4, a port as 0x1 to 0xfff8, or off";
	if (take_char(&rest, ',') &&
	    (!take_number(&rest, 10, SERIAL_BASE_RATE, &speed) || rest.length != 0 || speed == 0 ||
	     SERIAL_BASE_RATE % speed != 0 || SERIAL_BASE_RATE / speed > SERIAL_DIVISOR_MOST))
		return "a speed of 2 to 115200 that divides 115200";
	config->serial_port = port;
	config->serial_speed = (uint32_t)speed;
	return NULL;
}

static const char *set_value(struct config *config, enum config_key key, struct config_text value)
{
	switch (key) {
	case CONFIG_KERNEL:
		return set_path(&config->kernel, value);
	case CONFIG_CMDLINE:
		config->cmdline = value;
		return NULL;
	case CONFIG_MODULE:
		return add_module(config, value);
	case CONFIG_IDENTITY:
		return set_switch(&config->identity, value);
	case CONFIG_STACK:
		return set_stack(config, value);
	case CONFIG_RESOLUTION:
		return set_resolution(config, value);
	case CONFIG_SERIAL:
		return set_serial(config, value);
	case CONFIG_VERBOSE:
		return set_switch(&config->verbose, value);
	case CONFIG_ON_FAULT:
		return set_on_fault(config, value);
	}
	__builtin_unreachable();
}

/* ---- Settings ---------------------------------------------------------- */

/* A name lies in its row: a pointer would need a relocation in a read-only page. */
struct key {
	char name[12];
	enum config_key key;
};

static const struct key keys[] = {
	{ "kernel", CONFIG_KERNEL },     { "cmdline", CONFIG_CMDLINE },
	{ "module", CONFIG_MODULE },     { "identity", CONFIG_IDENTITY },
	{ "stack", CONFIG_STACK },       { "resolution", CONFIG_RESOLUTION },
	{ "serial", CONFIG_SERIAL },     { "verbose", CONFIG_VERBOSE },
	{ "on-fault", CONFIG_ON_FAULT },
};

static const struct key *find_key(struct config_text name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (text_is(name, keys[i].name))
			return &keys[i];
	}
	return NULL;
}

/*
 * One text while it is read. All goes into a copy of the configuration, which
 * replaces the caller's once nothing can fail any more.
 */
struct reader {
	struct config config;
	uint32_t given;    /* keys that this text has set */
	bool overrides;    /* its modules replace those that are there */
	const char *where; /* what `index` counts */
	uint32_t index;
	struct loader_error *error;
};

static enum loader_status refuse(const struct reader *reader, enum loader_status status,
				 const char *field, struct config_text text, const char *expected)
{
	*reader->error = (struct loader_error){
		.status = status,
		.where = reader->where,
		.index = reader->index,
		.field = field,
		.text = text.bytes,
		.text_length = text.length,
		.expected = expected,
	};
	return status;
}

/* Refuses a line or word in which a byte is not UTF-8, or NUL. */
static enum loader_status check_bytes(const struct reader *reader, struct config_text line)
{
	uint32_t valid = utf8_valid_length(line);
	const struct key *key = find_key(text_trim(text_first(line, text_find(line, '='))));

	if (valid == line.length)
		return LOADER_OK;
	*reader->error = (struct loader_error){
		.status = LOADER_ERR_CONFIG,
		.where = reader->where,
		.index = reader->index,
		.field = key ? key->name : "byte",
		.value = (uint8_t)line.bytes[valid],
		.expected = "UTF-8 without NUL",
	};
	return LOADER_ERR_CONFIG;
}

static enum loader_status read_setting(struct reader *reader, struct config_text name,
				       struct config_text value)
{
	struct config *config = &reader->config;
	const struct key *key = find_key(name);
	const char *expected;

	if (!key)
		return refuse(
			reader, LOADER_ERR_CONFIG, "key", name,
			"kernel, cmdline, module, identity, stack, resolution, serial, verbose "
			"or on-fault");
	if (key->key == CONFIG_MODULE) {
		if (reader->overrides && !(reader->given & CONFIG_MODULE))
			config->module_count = 0;
		if (config->module_count == CONFIG_MAX_MODULES)
			return refuse(reader, LOADER_ERR_CAPACITY, key->name, value,
				      "at most " NUMBER_AS_TEXT(CONFIG_MAX_MODULES) " modules");
	} else if (reader->given & key->key) {
		return refuse(reader, LOADER_ERR_CONFIG, key->name, value, "to be set once");
	}
	expected = set_value(config, key->key, value);
	if (expected)
		return refuse(reader, LOADER_ERR_VALUE, key->name, value, expected);
	reader->given |= key->key;
	return LOADER_OK;
}

static void finish(const struct reader *reader, struct config *config)
{
	*config = reader->config;
	config->given |= reader->given;
}

void config_init(struct config *ret_config)
{
	static const char kernel[] = "\\boot\\kernel.elf";

	*ret_config = (struct config){
		.kernel = { .bytes = kernel, .length = sizeof(kernel) - 1 },
		.cmdline = { .bytes = "", .length = 0 },
		.stack_size = 64 * KIB,
		.serial_speed = SERIAL_BASE_RATE,
		.serial_port = 0x3f8,
		.identity = true,
	};
}

/* ---- File -------------------------------------------------------------- */

/* Takes the first line from *rest, without what ends it. */
static struct config_text take_line(struct config_text *rest)
{
	uint32_t length = text_find(*rest, '\n');
	struct config_text line = text_first(*rest, length);

	if (length == rest->length) {
		*rest = text_from(*rest, length);
		return line;
	}
	*rest = text_from(*rest, length + 1);
	if (length > 0 && line.bytes[length - 1] == '\r')
		line.length--;
	return line;
}

static enum loader_status read_line(struct reader *reader, struct config_text line)
{
	struct config_text setting = text_trim(line);
	uint32_t equals = text_find(setting, '=');
	enum loader_status status = check_bytes(reader, setting);

	if (status != LOADER_OK)
		return status;
	if (setting.length == 0 || setting.bytes[0] == '#')
		return LOADER_OK;
	if (equals == setting.length)
		return refuse(reader, LOADER_ERR_CONFIG, "line", setting, "key = value");
	return read_setting(reader, text_trim(text_first(setting, equals)),
			    text_trim(text_from(setting, equals + 1)));
}

enum loader_status config_parse_file(struct config *config, char *text, uint32_t length,
				     struct loader_error *ret_error)
{
	struct reader reader = { .config = *config, .where = "line", .error = ret_error };
	struct config_text rest = { .bytes = text, .length = length };

	if (length >= 3 && __builtin_memcmp(text, "\xef\xbb\xbf", 3) == 0)
		rest = text_from(rest, 3);
	while (rest.length > 0) {
		struct config_text line = take_line(&rest);
		enum loader_status status;

		reader.index++;
		status = read_line(&reader, line);
		if (status != LOADER_OK)
			return status;
	}
	finish(&reader, config);
	return LOADER_OK;
}

/* ---- Load options ------------------------------------------------------ */

/* Words that are still to be read: text[at..length). */
struct words {
	char *text;
	uint32_t at, length;
};

static bool skip_blanks(struct words *words)
{
	while (words->at < words->length && is_blank(words->text[words->at]))
		words->at++;
	return words->at < words->length;
}

/*
 * Takes a word and unquotes it where it stands: it only gets shorter. False if
 * a quote is left open; *word is then what there is.
 */
static bool take_word(struct words *words, struct config_text *word)
{
	char *text = words->text;
	uint32_t from = words->at, to = words->at;
	bool quoted = false;

	for (; from < words->length && (quoted || !is_blank(text[from])); from++) {
		if (text[from] != '"') {
			text[to++] = text[from];
		} else if (quoted && from + 1 < words->length && text[from + 1] == '"') {
			text[to++] = '"';
			from++;
		} else {
			quoted = !quoted;
		}
	}
	*word = (struct config_text){ .bytes = text + words->at, .length = to - words->at };
	words->at = from;
	return !quoted;
}

static enum loader_status read_word(struct reader *reader, struct words *words)
{
	struct config_text word;
	bool closed = take_word(words, &word);
	uint32_t equals = text_find(word, '=');
	enum loader_status status = check_bytes(reader, word);

	if (status != LOADER_OK)
		return status;
	if (!closed)
		return refuse(reader, LOADER_ERR_CONFIG, "word", word, "a closing quote");
	/* The shell puts the name of the program first, and "" for arguments that are not there. */
	if (word.length == 0 || (equals == word.length && reader->index == 1))
		return LOADER_OK;
	if (equals == word.length)
		return refuse(reader, LOADER_ERR_CONFIG, "word", word, "key=value");
	return read_setting(reader, text_first(word, equals), text_from(word, equals + 1));
}

enum loader_status config_parse_options(struct config *config, char *text, uint32_t length,
					struct loader_error *ret_error)
{
	struct reader reader = {
		.config = *config,
		.overrides = true,
		.where = "word",
		.error = ret_error,
	};
	struct words words = { .text = text, .length = length };

	while (skip_blanks(&words)) {
		enum loader_status status;

		reader.index++;
		status = read_word(&reader, &words);
		if (status != LOADER_OK)
			return status;
	}
	finish(&reader, config);
	return LOADER_OK;
}
