#include "loader/elf_format.h"
#include "loader/hoist.h"
#include "loader/native.h"
#include "tests/check.h"

#define KIB   UINT64_C(1024)
#define GIB   (KIB * KIB * KIB)
#define NOTES 4

enum {
	VERSION = HOIST_OPTION_VERSION,
	IDENTITY = HOIST_OPTION_IDENTITY_MAP,
	STACK = HOIST_OPTION_STACK_SIZE,
	FRAMEBUFFER = HOIST_OPTION_FRAMEBUFFER,
	MUST = HOIST_REQUIRED,
};

/* Emitted as a kernel emits it; the tests below use notes of the same form. */
#define EMIT(option, flags, value)        \
	HOIST_NOTE(option, flags, value); \
	static const struct hoist_note *const emitted = &HOIST_NOTE_NAME(__LINE__)

EMIT(HOIST_OPTION_STACK_SIZE, HOIST_REQUIRED, UINT64_C(0x123456789abcdef0));

static const char *status_text(int status)
{
	return loader_strerror((enum loader_status)status);
}

/* An option as a kernel writes it; size 0: the 16 bytes that it has. */
struct wish {
	uint32_t option, flags;
	uint64_t value;
	uint32_t size;
};

static struct hoist_note note_of(struct wish wish)
{
	return (struct hoist_note){
		.name_size = 6,
		.desc_size = wish.size ? wish.size : 16,
		.type = HOIST_NOTE_OPTION,
		.name = "hoist",
		.option = wish.option,
		.flags = wish.flags,
		.value_low = (uint32_t)wish.value,
		.value_high = (uint32_t)(wish.value >> 32),
	};
}

/* A file that is a header and notes, no longer than they are. */
static struct elf_image image_of(const struct hoist_note *notes, uint64_t size)
{
	const Elf64_Ehdr header = { .e_phoff = sizeof(header),
				    .e_phnum = 1,
				    .e_phentsize = sizeof(Elf64_Phdr) };
	const Elf64_Phdr ph = { .p_type = PT_NOTE,
				.p_offset = sizeof(header) + sizeof(ph),
				.p_filesz = size,
				.p_align = 4 };
	uint64_t file_size = sizeof(header) + sizeof(ph) + size;
	uint8_t *file = malloc(file_size);

	if (!file)
		abort();
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), &ph, sizeof(ph));
	memcpy(file + sizeof(header) + sizeof(ph), notes, size);
	return (struct elf_image){ .file = file, .file_size = file_size };
}

static struct elf_image image_of_wishes(const struct wish *wishes, size_t count)
{
	struct hoist_note notes[NOTES];

	for (size_t i = 0; i < count; i++)
		notes[i] = note_of(wishes[i]);
	return image_of(notes, count * sizeof(notes[0]));
}

static void free_image(struct elf_image *image)
{
	free((void *)(uintptr_t)image->file);
}

/* What is configured; a stack of 0 or an identity of -1: nothing. */
struct given {
	uint64_t stack;
	int identity; /* -1: not given */
};

#define NOTHING       \
	{             \
		0, -1 \
	}

static struct config config_of(struct given given)
{
	struct config config;

	config_init(&config);
	if (given.stack != 0) {
		config.stack_size = given.stack;
		config.given |= CONFIG_STACK;
	}
	if (given.identity >= 0) {
		config.identity = given.identity;
		config.given |= CONFIG_IDENTITY;
	}
	return config;
}

/* ---- granted ------------------------------------------------------------------ */

struct granted_row {
	const char *name;
	struct wish wishes[NOTES];
	struct given given;
	struct native_choice want;
};

static const struct granted_row granted_rows[] = {
	{ "nothing is asked for", { { 0 } }, NOTHING, { 64 * KIB, true, false } },
	{ "the configuration decides", { { 0 } }, { 128 * KIB, 0 }, { 128 * KIB, false, false } },
	{ "the version that is there",
	  { { VERSION, MUST, 2, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "an older version", { { VERSION, MUST, 1, 0 } }, NOTHING, { 64 * KIB, true, false } },
	{ "a newer version if there were one",
	  { { VERSION, 0, 3, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "no identity map", { { IDENTITY, 0, 0, 0 } }, NOTHING, { 64 * KIB, false, false } },
	{ "no identity map, required",
	  { { IDENTITY, MUST, 0, 0 } },
	  NOTHING,
	  { 64 * KIB, false, false } },
	{ "the identity map", { { IDENTITY, 0, 1, 0 } }, NOTHING, { 64 * KIB, true, false } },
	{ "the identity map, required",
	  { { IDENTITY, MUST, 1, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "a wish gives way: identity = on",
	  { { IDENTITY, 0, 0, 0 } },
	  { 0, 1 },
	  { 64 * KIB, true, false } },
	{ "a wish gives way: identity = off",
	  { { IDENTITY, 0, 1, 0 } },
	  { 0, 0 },
	  { 64 * KIB, false, false } },
	{ "required as configured: off",
	  { { IDENTITY, MUST, 0, 0 } },
	  { 0, 0 },
	  { 64 * KIB, false, false } },
	{ "required as configured: on",
	  { { IDENTITY, MUST, 1, 0 } },
	  { 0, 1 },
	  { 64 * KIB, true, false } },
	{ "a larger stack", { { STACK, 0, 256 * KIB, 0 } }, NOTHING, { 256 * KIB, true, false } },
	{ "a smaller stack, required",
	  { { STACK, MUST, 16 * KIB, 0 } },
	  NOTHING,
	  { 16 * KIB, true, false } },
	{ "a stack of whole pages and a byte",
	  { { STACK, MUST, 16 * KIB + 1, 0 } },
	  NOTHING,
	  { 20 * KIB, true, false } },
	{ "the largest stack", { { STACK, MUST, GIB, 0 } }, NOTHING, { GIB, true, false } },
	{ "a wish gives way: smaller stack",
	  { { STACK, 0, 256 * KIB, 0 } },
	  { 128 * KIB, -1 },
	  { 128 * KIB, true, false } },
	{ "a wish gives way: larger stack",
	  { { STACK, 0, 16 * KIB, 0 } },
	  { 128 * KIB, -1 },
	  { 128 * KIB, true, false } },
	{ "a required stack that is configured larger",
	  { { STACK, MUST, 16 * KIB, 0 } },
	  { 128 * KIB, -1 },
	  { 128 * KIB, true, false } },
	{ "a required stack that is configured so",
	  { { STACK, MUST, 128 * KIB, 0 } },
	  { 128 * KIB, -1 },
	  { 128 * KIB, true, false } },
	{ "a framebuffer, required",
	  { { FRAMEBUFFER, MUST, 1, 0 } },
	  NOTHING,
	  { 64 * KIB, true, true } },
	{ "a framebuffer if there is one",
	  { { FRAMEBUFFER, 0, 1, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "no framebuffer, required",
	  { { FRAMEBUFFER, MUST, 0, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "an unknown wish", { { 5, 0, 77, 0 } }, NOTHING, { 64 * KIB, true, false } },
	{ "another unknown wish",
	  { { UINT32_MAX, 0, UINT64_MAX, 0 } },
	  NOTHING,
	  { 64 * KIB, true, false } },
	{ "several, the unknown one between",
	  { { IDENTITY, MUST, 0, 0 },
	    { 99, 0, 1, 0 },
	    { STACK, 0, 32 * KIB, 0 },
	    { FRAMEBUFFER, MUST, 1, 0 } },
	  NOTHING,
	  { 32 * KIB, false, true } },
};

static size_t wish_count(const struct wish *wishes)
{
	size_t count = 0;

	while (count < NOTES && wishes[count].option != 0)
		count++;
	return count;
}

static void what_can_be_granted_is(void)
{
	for (size_t i = 0; i < ARRAY_LEN(granted_rows); i++) {
		const struct granted_row *row = &granted_rows[i];
		struct elf_image image = image_of_wishes(row->wishes, wish_count(row->wishes));
		struct config config = config_of(row->given);
		struct native_choice choice = { 0 };
		struct loader_error error, untouched;

		memset(&untouched, 0x5a, sizeof(untouched));
		memcpy(&error, &untouched, sizeof(error));
		CHECK_STATUS(native_choose(&image, &config, &choice, &error), LOADER_OK,
			     status_text, row->name);
		CHECK(memcmp(&error, &untouched, sizeof(error)) == 0, row->name);
		CHECK_EQ(choice.stack_size, row->want.stack_size, row->name);
		CHECK_EQ(choice.identity, row->want.identity, row->name);
		CHECK_EQ(choice.framebuffer, row->want.framebuffer, row->name);
		free_image(&image);
	}
}

/* ---- refused ------------------------------------------------------------------ */

struct refused_row {
	const char *name;
	struct wish wishes[NOTES];
	struct given given;
	enum loader_status status;
	uint32_t index;
	const char *field;
	uint64_t value;
};

static const struct refused_row refused_rows[] = {
	{ "a newer version",
	  { { VERSION, MUST, 3, 0 } },
	  NOTHING,
	  LOADER_ERR_OPTION,
	  0,
	  "version",
	  3 },
	{ "a version beyond 32 bits",
	  { { VERSION, MUST, UINT64_C(1) << 32, 0 } },
	  NOTHING,
	  LOADER_ERR_OPTION,
	  0,
	  "version",
	  UINT64_C(1) << 32 },
	{ "an unknown option", { { 5, MUST, 77, 0 } }, NOTHING, LOADER_ERR_OPTION, 0, "option", 5 },
	{ "the largest unknown option, after a known one",
	  { { VERSION, 0, 1, 0 }, { UINT32_MAX, MUST, 0, 0 } },
	  NOTHING,
	  LOADER_ERR_OPTION,
	  1,
	  "option",
	  UINT32_MAX },
	{ "a required option and a later wish for the same",
	  { { FRAMEBUFFER, MUST, 1, 0 }, { FRAMEBUFFER, 0, 1, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  1,
	  "option",
	  1 },
	{ "identity map 2",
	  { { IDENTITY, 0, 2, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "identity map",
	  2 },
	{ "identity map 2 where the configuration decides",
	  { { IDENTITY, 0, 2, 0 } },
	  { 0, 1 },
	  LOADER_ERR_VALUE,
	  0,
	  "identity map",
	  2 },
	{ "identity map beyond 32 bits",
	  { { IDENTITY, MUST, UINT64_C(1) << 32, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "identity map",
	  UINT64_C(1) << 32 },
	{ "identity map required, configured off",
	  { { IDENTITY, MUST, 1, 0 } },
	  { 0, 0 },
	  LOADER_ERR_CONFLICT,
	  0,
	  "identity map",
	  1 },
	{ "none required, configured on",
	  { { IDENTITY, MUST, 0, 0 } },
	  { 0, 1 },
	  LOADER_ERR_CONFLICT,
	  0,
	  "identity map",
	  0 },
	{ "no stack", { { STACK, 0, 0, 0 } }, NOTHING, LOADER_ERR_VALUE, 0, "stack size", 0 },
	{ "a stack below 16 KiB",
	  { { STACK, MUST, 16 * KIB - 1, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "stack size",
	  16 * KIB - 1 },
	{ "too large a stack",
	  { { STACK, 0, GIB + 1, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "stack size",
	  GIB + 1 },
	{ "too large a stack where the configuration decides",
	  { { STACK, 0, GIB + 1, 0 } },
	  { 64 * KIB, -1 },
	  LOADER_ERR_VALUE,
	  0,
	  "stack size",
	  GIB + 1 },
	{ "the largest number",
	  { { STACK, MUST, UINT64_MAX, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "stack size",
	  UINT64_MAX },
	{ "a required stack that is configured smaller",
	  { { STACK, MUST, 64 * KIB + 1, 0 } },
	  { 64 * KIB, -1 },
	  LOADER_ERR_CONFLICT,
	  0,
	  "stack size",
	  64 * KIB + 1 },
	{ "framebuffer 2",
	  { { FRAMEBUFFER, 0, 2, 0 } },
	  NOTHING,
	  LOADER_ERR_VALUE,
	  0,
	  "framebuffer",
	  2 },
	{ "a note that is too short, the second",
	  { { VERSION, 0, 1, 0 }, { VERSION, 0, 1, 12 } },
	  NOTHING,
	  LOADER_ERR_FORMAT,
	  1,
	  "n_descsz",
	  12 },
	{ "one byte too few",
	  { { VERSION, 0, 1, 15 } },
	  NOTHING,
	  LOADER_ERR_FORMAT,
	  0,
	  "n_descsz",
	  15 },
};

static void what_cannot_be_granted_is_refused_by_name(void)
{
	for (size_t i = 0; i < ARRAY_LEN(refused_rows); i++) {
		const struct refused_row *row = &refused_rows[i];
		struct elf_image image = image_of_wishes(row->wishes, wish_count(row->wishes));
		struct config config = config_of(row->given);
		struct native_choice choice = { 12345, true, true };
		struct loader_error error = { .field = "nothing" };

		CHECK_STATUS(native_choose(&image, &config, &choice, &error), row->status,
			     status_text, row->name);
		CHECK_STATUS(error.status, row->status, status_text, row->name);
		CHECK(error.where && strcmp(error.where, "option note") == 0, row->name);
		CHECK_EQ(error.index, row->index, row->name);
		CHECK(strcmp(error.field, row->field) == 0, row->name);
		CHECK_EQ(error.value, row->value, row->name);
		CHECK(error.expected && !error.text, row->name);
		CHECK_EQ(choice.stack_size, 12345, row->name);
		free_image(&image);
	}
}

/* ---- notes -------------------------------------------------------------------- */

static void notes_of_others_are_not_read(void)
{
	struct hoist_note notes[2] = { note_of((struct wish){ 99, MUST, 0, 0 }),
				       note_of((struct wish){ 98, MUST, 0, 0 }) };
	struct config config = config_of((struct given)NOTHING);
	struct native_choice choice;
	struct loader_error error;

	notes[0].name[0] = 'H';
	notes[1].type = 2;

	struct elf_image image = image_of(notes, sizeof(notes));

	CHECK_STATUS(native_choose(&image, &config, &choice, &error), LOADER_OK, status_text,
		     "other owner, other type");
	free_image(&image);
}

static void a_longer_note_of_a_younger_kernel_is_read_as_far_as_known(void)
{
	struct {
		struct hoist_note note;
		uint32_t more[2];
	} longer = { note_of((struct wish){ STACK, MUST, 32 * KIB, 24 }), { 1, 2 } };
	struct config config = config_of((struct given)NOTHING);
	struct native_choice choice = { 0 };
	struct loader_error error;
	struct elf_image image = image_of(&longer.note, sizeof(longer));

	CHECK_STATUS(native_choose(&image, &config, &choice, &error), LOADER_OK, status_text,
		     "24 bytes");
	CHECK_EQ(choice.stack_size, 32 * KIB, "24 bytes");
	free_image(&image);
}

static void the_macro_emits_a_note_of_that_form(void)
{
	struct hoist_note want = note_of(
		(struct wish){ STACK, MUST, UINT64_C(0x123456789abcdef0), 0 });

	CHECK(memcmp(emitted, &want, sizeof(want)) == 0, "emitted and written by hand");
}

int main(void)
{
	RUN(what_can_be_granted_is);
	RUN(what_cannot_be_granted_is_refused_by_name);
	RUN(notes_of_others_are_not_read);
	RUN(a_longer_note_of_a_younger_kernel_is_read_as_far_as_known);
	RUN(the_macro_emits_a_note_of_that_form);
	return check_done();
}
