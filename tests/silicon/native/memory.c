/* The windows: what they hold before a case, what the case changed, and putting them back. */
#include "silicon.h"
#include <string.h>

/* What a window holds by the seed alone, and by the seed and the case. The difference to the second is the result. */
static uint8_t seeded[WINDOWS][WINDOW_BYTES], initial[WINDOWS][WINDOW_BYTES];
static uint32_t current_seed;
static int is_seeded;

int window_of(uint64_t address, uint64_t bytes) {
	for (int w = 0; w < WINDOWS; w++)
		if (address >= window_base[w] && address + bytes <= window_base[w] + WINDOW_BYTES) return w;
	return -1;
}

/* The 32-bit word `index` of data and stack, taken as one sequence: MurmurHash3's finalizer over a Weyl sequence. fill.ts has the same. */
static uint32_t seeded_word(uint32_t seed, uint32_t index) {
	uint32_t h = seed + index * 0x9e3779b9u;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	return h ^ h >> 16;
}

void fill(uint32_t seed) {
	if (is_seeded && seed == current_seed) return;
	if (!is_seeded) memset(seeded[CODE], 0x90, WINDOW_BYTES);
	uint32_t *words = (uint32_t *)seeded[CODE + 1];
	for (uint32_t i = 0; i < (WINDOWS - 1) * WINDOW_BYTES / 4; i++) words[i] = seeded_word(seed, i);
	for (int w = is_seeded ? CODE + 1 : CODE; w < WINDOWS; w++) {
		memcpy(initial[w], seeded[w], WINDOW_BYTES);
		memcpy(window(w), seeded[w], WINDOW_BYTES);
	}
	current_seed = seed;
	is_seeded = 1;
}

void place(uint64_t address, const uint8_t *bytes, uint32_t count) {
	int w = window_of(address, count);
	if (w < 0) return;
	memcpy(window(w) + (address - window_base[w]), bytes, count);
	memcpy(initial[w] + (address - window_base[w]), bytes, count);
}

void unplace(uint64_t address, uint32_t count) {
	int w = window_of(address, count);
	if (w >= 0) place(address, seeded[w] + (address - window_base[w]), count);
}

/* Writes what the case changed as patches, and takes it back. Bytes that changed less than 9 apart make one patch. */
uint8_t *take_differences(uint8_t *out, uint16_t *count) {
	for (int w = 0; w < WINDOWS; w++) {
		if (!memcmp(window(w), initial[w], WINDOW_BYTES)) continue;
		for (uint32_t i = 0; i < WINDOW_BYTES; i++) {
			if (i % 64 == 0 && !memcmp(window(w) + i, initial[w] + i, 64)) {
				i += 63;
				continue;
			}
			if (window(w)[i] == initial[w][i]) continue;
			uint32_t last = i;
			for (uint32_t j = i + 1; j < WINDOW_BYTES && j - last < 9; j++)
				if (window(w)[j] != initial[w][j]) last = j;
			struct patch *patch = (void *)out;
			patch->address = window_base[w] + i;
			patch->bytes = last + 1 - i;
			memset(patch->data, 0, padded(patch->bytes));
			memcpy(patch->data, window(w) + i, patch->bytes);
			memcpy(window(w) + i, initial[w] + i, patch->bytes);
			out += sizeof *patch + padded(patch->bytes);
			++*count;
			i = last;
		}
	}
	return out;
}
