#include "loader/native.h"

#include "loader/hoist.h"
#include "paging/addr.h"

/* One option as it stands in a note. */
struct option {
	uint32_t id;
	uint32_t flags;
	uint64_t value;
	uint32_t index; /* of the note, for messages */
};

#define OPTION_SIZE 16
/* As the key stack allows. */
#define STACK_MIN UINT64_C(0x4000)
#define STACK_MAX UINT64_C(0x40000000)

static uint32_t read32(const uint8_t *bytes)
{
	uint32_t value;

	__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

static enum loader_status refuse(struct loader_error *ret_error, enum loader_status status,
				 const struct option *option, const char *field,
				 const char *expected)
{
	*ret_error = (struct loader_error){ .status = status,
					    .where = "option note",
					    .index = option->index,
					    .field = field,
					    .value = option->value,
					    .expected = expected };
	return status;
}

static enum loader_status choose_identity(const struct option *option, const struct config *config,
					  struct native_choice *choice,
					  struct loader_error *ret_error)
{
	bool wanted = option->value != 0;

	if (option->value > 1)
		return refuse(ret_error, LOADER_ERR_VALUE, option, "identity map", "0 or 1");
	if (!(config->given & CONFIG_IDENTITY))
		choice->identity = wanted;
	else if ((option->flags & HOIST_REQUIRED) && wanted != config->identity)
		return refuse(ret_error, LOADER_ERR_CONFLICT, option, "identity map",
			      "the same as the key identity");
	return LOADER_OK;
}

static enum loader_status choose_stack(const struct option *option, const struct config *config,
				       struct native_choice *choice, struct loader_error *ret_error)
{
	if (option->value < STACK_MIN || option->value > STACK_MAX)
		return refuse(ret_error, LOADER_ERR_VALUE, option, "stack size", "16 KiB to 1 GiB");
	if (!(config->given & CONFIG_STACK))
		choice->stack_size = align_up(option->value, HOIST_PAGE_SIZE);
	else if ((option->flags & HOIST_REQUIRED) && config->stack_size < option->value)
		return refuse(ret_error, LOADER_ERR_CONFLICT, option, "stack size",
			      "at most the key stack");
	return LOADER_OK;
}

static enum loader_status choose(const struct option *option, const struct config *config,
				 struct native_choice *choice, struct loader_error *ret_error)
{
	bool required = option->flags & HOIST_REQUIRED;

	switch ((enum hoist_option)option->id) {
	case HOIST_OPTION_VERSION:
		if (required && option->value > HOIST_VERSION)
			return refuse(ret_error, LOADER_ERR_OPTION, option, "version", "at most 2");
		return LOADER_OK;
	case HOIST_OPTION_IDENTITY_MAP:
		return choose_identity(option, config, choice, ret_error);
	case HOIST_OPTION_STACK_SIZE:
		return choose_stack(option, config, choice, ret_error);
	case HOIST_OPTION_FRAMEBUFFER:
		if (option->value > 1)
			return refuse(ret_error, LOADER_ERR_VALUE, option, "framebuffer", "0 or 1");
		choice->framebuffer = required && option->value == 1;
		return LOADER_OK;
	}
	if (!required)
		return LOADER_OK;

	struct option unknown = *option;

	unknown.value = option->id;
	return refuse(ret_error, LOADER_ERR_OPTION, &unknown, "option", "1 to 4");
}

/* Reads one note; `seen` has a bit for each option that has been there. */
static enum loader_status read_option(const struct elf_note *note, struct option *option,
				      uint64_t *seen, struct loader_error *ret_error)
{
	if (note->desc_size < OPTION_SIZE) {
		option->value = note->desc_size;
		return refuse(ret_error, LOADER_ERR_FORMAT, option, "n_descsz", "at least 16");
	}
	option->id = read32(note->desc);
	option->flags = read32(note->desc + 4);
	option->value = read32(note->desc + 8) | (uint64_t)read32(note->desc + 12) << 32;

	uint64_t bit = option->id < 64 ? UINT64_C(1) << option->id : 0;

	if (*seen & bit)
		return refuse(ret_error, LOADER_ERR_VALUE, option, "option", "each option once");
	*seen |= bit;
	return LOADER_OK;
}

enum loader_status native_choose(const struct elf_image *kernel, const struct config *config,
				 struct native_choice *ret_choice, struct loader_error *ret_error)
{
	struct native_choice choice = { .stack_size = config->stack_size,
					.identity = config->identity };
	struct option option = { 0 };
	struct elf_note note;
	uint64_t cursor = 0, seen = 0;

	if (!elf_notes_are_whole(kernel))
		return refuse(ret_error, LOADER_ERR_FORMAT, &option, "PT_NOTE",
			      "notes that follow each other to the end of the segment");
	for (; elf_next_note(kernel, HOIST_NOTE_OWNER, HOIST_NOTE_OPTION, &cursor, &note);
	     option.index++) {
		enum loader_status status = read_option(&note, &option, &seen, ret_error);

		if (status == LOADER_OK)
			status = choose(&option, config, &choice, ret_error);
		if (status != LOADER_OK)
			return status;
	}
	*ret_choice = choice;
	return LOADER_OK;
}
