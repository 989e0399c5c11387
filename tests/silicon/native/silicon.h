/*
 * silicon: runs instruction bytes on this machine's own x86-64 processor and reports the exact state afterwards.
 *
 * User mode only: 64-bit code, 32-bit code, and 16-bit protected-mode code (a segment in the LDT). A worker process runs
 * the cases from inside a signal handler: it loads a case's state into the signal frame and returns; the trap, or the
 * fault, that ends the case comes back as a signal whose frame is the result. A case ends
 *   - when a number of instructions has been single-stepped (TF), the iterations of a REP counting as one instruction, or
 *   - when it reaches the end of its code, where an INT3 stands if it runs free (without single-stepping), or
 *   - at a fault.
 * The parent replaces a worker that dies or hangs, and marks the case that did it.
 *
 * Three windows of two pages each are mapped in the low 4 GiB, and nothing else is there: code (NOPs), data and stack
 * (filled by the case's seed). What runs off a window's end faults.
 *
 * Safety: system calls are refused by decode, at the first instruction and before each single step, and by a seccomp filter in any case.
 *
 * Build with -Wl,-z,now -fno-stack-protector: FS belongs to the case, so the handler must use no thread-local storage.
 * The format of the streams is that of `struct batch`, `struct case_header` and `struct result_header`, all little-endian;
 * tests/silicon/format.ts writes and reads them.
 */
#ifndef SILICON_H
#define SILICON_H
#define _GNU_SOURCE
#include <stdint.h>
#include <ucontext.h>

/* ---- The streams ---- */

enum { HAS_FXSAVE = 1, HAS_YMM = 2, ALLOW_HOST_DEPENDENT = 4, WINDOW_SEGMENTS = 8 };
enum status { OK, EXCEPTION, SYSTEM_CALL, CRASH, HANG, REFUSED, LIMIT };

struct batch {
	uint32_t bytes; /* of the records that follow */
	uint32_t count;
};
struct case_header { /* then: code, [FXSAVE image, 512], [upper YMM halves, 256], patches; each padded to 8 bytes */
	uint32_t size, id;
	uint8_t mode, flags;
	uint16_t code_bytes, patch_count, reserved;
	uint32_t instructions; /* to single-step at most; 0: run free */
	uint32_t seed;
	uint64_t gpr[16], rip, rflags, fs_base, gs_base;
};
struct result_header { /* then, with state: [FXSAVE image], [upper YMM halves]; then changed memory as patches */
	uint32_t size, id;
	uint8_t status, vector, has_state, reserved0;
	uint32_t instructions; /* completed; of a case that ran free: 0 */
	uint32_t error_code;
	uint16_t patch_count, reserved1;
	uint64_t cr2, gpr[16], rip, rflags, fs_base, gs_base;
	uint16_t cs, ss, ds, es, fs, gs, reserved2[2];
};
struct patch {
	uint32_t address, bytes;
	uint8_t data[]; /* padded to 8 bytes */
};
static inline uint32_t padded(uint32_t bytes) { return (bytes + 7) & ~7u; }

enum { WINDOW_BYTES = 8192, WINDOWS = 3, CODE = 0, DATA = 1, STACK = 2, MAX_CODE = 256, FXSAVE_BYTES = 512, YMM_BYTES = 256, FXSAVE_DEFINED = 416 };
static const uint64_t window_base[WINDOWS] = { 0x10000000, 0x20000000, 0x30000000 }; /* code, data, stack */

enum {
	BATCH_BYTES = 16 << 20,
	BATCH_CASES = 8192,
	OUTPUT_BYTES = 16 << 20,
	MAX_CASE = sizeof(struct case_header) + MAX_CODE + FXSAVE_BYTES + YMM_BYTES + 60000,
	/* The worst memory difference is one changed byte in nine: a patch of 16 bytes for each. */
	MAX_RESULT = sizeof(struct result_header) + FXSAVE_BYTES + YMM_BYTES + WINDOWS * WINDOW_BYTES * 2,
	MAX_TRAPS = 100000, /* single-step traps of one case, a REP's iterations included */
};

/* Shared by the parent and its worker: how far the worker came, so that its results outlive it. */
struct progress {
	volatile uint32_t cases_done, output_bytes;
};
extern struct progress *progress;
extern uint8_t *batch_records, *output;
extern uint32_t record_at[BATCH_CASES], batch_count;

/* ---- The host's processor ---- */

extern uint32_t ymm_offset; /* of the upper YMM halves in an XSAVE area; 0: no AVX */
extern int has_fsgsbase;
enum { CS_64 = 0x33, CS_32 = 0x23, CS_16 = 1 << 3 | 7, FLAT_DATA = 0x2b }; /* Linux's user segments, and entry 1 of the LDT */
enum { DATA_WINDOW = 2 << 3 | 7, STACK_WINDOW_16 = 3 << 3 | 7, STACK_WINDOW_32 = 4 << 3 | 7 }; /* of cases with WINDOW_SEGMENTS: a window each */
enum { EFLAGS_OF_CASES = 0x40cd5, IF_TF = 0x302, TF = 0x100 };              /* AC OF DF SF ZF AF PF CF; IF, TF and the bit that is always 1 */

/* ---- memory.c: the windows ---- */

int window_of(uint64_t address, uint64_t bytes);
void fill(uint32_t seed);
void place(uint64_t address, const uint8_t *bytes, uint32_t count);
void unplace(uint64_t address, uint32_t count);
uint8_t *take_differences(uint8_t *out, uint16_t *count);
static inline uint8_t *window(int w) { return (uint8_t *)window_base[w]; }

/* ---- filter.c: which instructions are let through ---- */

int is_repeated_string(uint64_t linear, int is_64bit);
enum status judge(uint64_t linear, int is_64bit, int allow_host_dependent);

/* ---- case.c: a case into a signal frame, and back ---- */

struct case_at_hand {
	struct case_header *header;
	uint8_t *code, *fxsave, *ymm, *patches; /* fxsave and ymm: 0 where the case has none */
	uint64_t end;                           /* linear address of the end of its code */
	uint32_t code_bytes;                    /* that lie inside the window */
	uint64_t step_from;                     /* linear address of the instruction being stepped */
	uint32_t instructions, traps;
};
extern struct case_at_hand at;
void open_case(uint32_t index);
void load_case(ucontext_t *context);
void close_case(ucontext_t *context, enum status status, int vector);

/* ---- worker.c ---- */

enum { LEFT_UNABLE = 90 }; /* the worker's exit status, and above: it could not be set up */
void work(void) __attribute__((noreturn));
#endif
