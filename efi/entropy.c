#include "efi/entropy.h"

#include "efi/cpu.h"

#include <efi.h>
#include <efilib.h>
#include <stdbool.h>

#define WORDS 4

/* Intel's advice for RDRAND (SDM 1, 7.3.17.1); RDSEED is slower, and may run dry. */
#define TRIES 100

static bool rdrand(uint64_t *ret_word)
{
	bool good;

	__asm__ volatile("rdrand %0; setc %1" : "=r"(*ret_word), "=qm"(good) : : "cc");
	return good;
}

static bool rdseed(uint64_t *ret_word)
{
	bool good;

	__asm__ volatile("rdseed %0; setc %1" : "=r"(*ret_word), "=qm"(good) : : "cc");
	return good;
}

static bool draw(bool (*instruction)(uint64_t *ret_word), uint64_t *ret_word)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (instruction(ret_word))
			return true;
		__asm__ volatile("pause");
	}
	return false;
}

static bool from_processor(bool (*instruction)(uint64_t *ret_word), uint64_t ret_words[WORDS])
{
	for (unsigned i = 0; i < WORDS; i++) {
		if (!draw(instruction, &ret_words[i]))
			return false;
	}
	return true;
}

static bool from_firmware(uint64_t ret_words[WORDS])
{
	EFI_GUID guid = EFI_RNG_PROTOCOL_GUID;
	void *found;

	if (EFI_ERROR(BS->LocateProtocol(&guid, NULL, &found)))
		return false;

	EFI_RNG_PROTOCOL *rng = found;

	return !EFI_ERROR(rng->GetRNG(rng, NULL, WORDS * sizeof(uint64_t), (UINT8 *)ret_words));
}

/* Processors have been seen whose RDRAND gives the same word for ever. */
static bool is_stuck(const uint64_t words[WORDS])
{
	for (unsigned i = 1; i < WORDS; i++) {
		if (words[i] == words[i - 1])
			return true;
	}
	return false;
}

static void mix(struct hoist_info *info, const uint64_t words[WORDS], enum hoist_entropy source)
{
	const uint8_t *bytes = (const uint8_t *)words;

	if (is_stuck(words))
		return;
	for (unsigned i = 0; i < sizeof(info->entropy); i++)
		info->entropy[i] ^= bytes[i];
	info->entropy_sources |= source;
}

void entropy_gather(struct hoist_info *info)
{
	uint64_t words[WORDS];

	if (cpu_has_rdseed() && from_processor(rdseed, words))
		mix(info, words, HOIST_ENTROPY_RDSEED);
	if (cpu_has_rdrand() && from_processor(rdrand, words))
		mix(info, words, HOIST_ENTROPY_RDRAND);
	if (from_firmware(words))
		mix(info, words, HOIST_ENTROPY_FIRMWARE);
	/* What is left on the stack would tell the seed. */
	__asm__ volatile("" : : "r"(__builtin_memset(words, 0, sizeof(words))) : "memory");
}
