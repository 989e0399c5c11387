/* Which instructions are let through: none that would call the kernel, and none whose result depends on the host. */
#include "silicon.h"

struct opcode {
	uint8_t bytes[4]; /* from the first opcode byte on; NOPs beyond the window */
	int is_repeated;
};

/* The opcode after the prefixes: enough of a decoder for the filter and for REP. */
static struct opcode opcode_at(uint64_t linear, int is_64bit) {
	struct opcode found = { { 0x90, 0x90, 0x90, 0x90 }, 0 };
	for (int i = 0; i < 15 && window_of(linear, 1) == CODE; i++, linear++) {
		uint8_t byte = *(uint8_t *)linear;
		if (byte == 0xf2 || byte == 0xf3) { found.is_repeated = 1; continue; }
		if (byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || (byte >= 0x64 && byte <= 0x67) || byte == 0xf0) continue;
		if (is_64bit && (byte & 0xf0) == 0x40) continue;
		for (int k = 0; k < 4 && window_of(linear + k, 1) == CODE; k++) found.bytes[k] = *(uint8_t *)(linear + k);
		break;
	}
	return found;
}

static int is_string(uint8_t byte) { return (byte >= 0x6c && byte <= 0x6f) || (byte >= 0xa4 && byte <= 0xa7) || (byte >= 0xaa && byte <= 0xaf); }

/* Whether its result depends on the host, or it can lock the worker out of its own memory. */
static int is_host_dependent(const uint8_t *op) {
	uint8_t modrm = op[2], reg = modrm >> 3 & 7;
	if (op[0] != 0x0f) return 0;
	switch (op[1]) {
	case 0x00: return reg < 2; /* SLDT STR: the kernel emulates them under UMIP */
	case 0x01:                 /* SGDT SIDT SMSW; XGETBV VMMCALL VMCALL RDPKRU WRPKRU RDTSCP MONITORX MWAITX CLZERO ... */
		if (modrm < 0xc0) return reg == 0 || reg == 1 || reg == 4;
		return reg == 4 || modrm == 0xc1 || modrm == 0xd0 || modrm == 0xd9 || modrm == 0xee || modrm == 0xef || (modrm >= 0xf9 && modrm <= 0xfd);
	case 0x31: case 0x33: case 0xa2: return 1;                        /* RDTSC RDPMC CPUID */
	case 0xae: return modrm < 0xc0 && (reg == 4 || reg == 5 || reg == 6); /* XSAVE XRSTOR XSAVEOPT: carry PKRU */
	case 0xc7: return modrm >= 0xc0 && reg >= 6;                      /* RDRAND RDSEED RDPID */
	}
	return 0;
}

/* Whether a REP and a string instruction stand there: what TF stops after each iteration. */
int is_repeated_string(uint64_t linear, int is_64bit) {
	const struct opcode found = opcode_at(linear, is_64bit);
	return found.is_repeated && is_string(found.bytes[0]);
}

/* OK, or why the instruction is not run. */
enum status judge(uint64_t linear, int is_64bit, int allow_host_dependent) {
	const struct opcode found = opcode_at(linear, is_64bit);
	const uint8_t *op = found.bytes;
	if (op[0] == 0xcd && op[1] == 0x80) return SYSTEM_CALL;
	if (op[0] == 0x0f && (op[1] == 0x05 || op[1] == 0x34)) return SYSTEM_CALL;
	return is_host_dependent(op) && !allow_host_dependent ? REFUSED : OK;
}
