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
 * Safety: system calls are refused by decode before each single step, and by a seccomp filter in any case.
 *
 * Build with -Wl,-z,now -fno-stack-protector: FS belongs to the case, so the handler must use no thread-local storage.
 * The format of the streams is that of `struct batch`, `struct case_header` and `struct result_header`, all little-endian;
 * tests/silicon/format.ts writes and reads them.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

/* ---- The streams ---- */

enum { HAS_FXSAVE = 1, HAS_YMM = 2, ALLOW_HOST_DEPENDENT = 4 };
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
static uint32_t padded(uint32_t bytes) { return (bytes + 7) & ~7u; }

enum { WINDOW_BYTES = 8192, WINDOWS = 3, CODE = 0, MAX_CODE = 256, FXSAVE_BYTES = 512, YMM_BYTES = 256, FXSAVE_DEFINED = 416 };
static const uint64_t window_base[WINDOWS] = { 0x10000000, 0x20000000, 0x30000000 }; /* code, data, stack */

enum {
	BATCH_BYTES = 16 << 20,
	BATCH_CASES = 8192,
	OUTPUT_BYTES = 16 << 20,
	MAX_CASE = sizeof(struct case_header) + MAX_CODE + FXSAVE_BYTES + YMM_BYTES + 60000,
	/* The worst memory difference is one changed byte in ten: a patch of 16 bytes for each. */
	MAX_RESULT = sizeof(struct result_header) + FXSAVE_BYTES + YMM_BYTES + WINDOWS * WINDOW_BYTES * 2,
	MAX_TRAPS = 100000, /* single-step traps of one case, a REP's iterations included */
};

/* Shared by the parent and its worker: how far the worker came, so that its results outlive it. */
struct progress {
	volatile uint32_t cases_done, output_bytes;
};
static struct progress *progress;
static uint8_t *batch_records, *output;
static uint32_t record_at[BATCH_CASES], batch_count;

/* ---- The host's processor ---- */

static uint32_t ymm_offset; /* of the upper YMM halves in an XSAVE area; 0: no AVX */
static int has_fsgsbase;
enum { CS_64 = 0x33, CS_32 = 0x23, CS_16 = 1 << 3 | 7, FLAT_DATA = 0x2b }; /* Linux's user segments, and entry 1 of the LDT */
enum { EFLAGS_OF_CASES = 0x40cd5, IF_TF = 0x302, TF = 0x100 };              /* AC OF DF SF ZF AF PF CF; IF, TF and the bit that is always 1 */

static const uint8_t gregs_of_gpr[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void __attribute__((noreturn)) leave(int status) {
	asm volatile("syscall" ::"a"(SYS_exit_group), "D"(status) : "rcx", "r11", "memory");
	__builtin_unreachable();
}

/* ---- Memory ---- */

/* What a window holds by the seed alone, and by the seed and the case. The difference to the second is the result. */
static uint8_t seeded[WINDOWS][WINDOW_BYTES], initial[WINDOWS][WINDOW_BYTES];
static uint32_t current_seed;
static int is_seeded;

static uint8_t *window(int w) { return (uint8_t *)window_base[w]; }

static int window_of(uint64_t address, uint64_t bytes) {
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

static void fill(uint32_t seed) {
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

static void place(uint64_t address, const uint8_t *bytes, uint32_t count) {
	int w = window_of(address, count);
	if (w < 0) return;
	memcpy(window(w) + (address - window_base[w]), bytes, count);
	memcpy(initial[w] + (address - window_base[w]), bytes, count);
}

static void unplace(uint64_t address, uint32_t count) {
	int w = window_of(address, count);
	if (w >= 0) place(address, seeded[w] + (address - window_base[w]), count);
}

/* Writes what the case changed as patches, and takes it back. Bytes that changed less than 9 apart make one patch. */
static uint8_t *take_differences(uint8_t *out, uint16_t *count) {
	for (int w = 0; w < WINDOWS; w++) {
		if (!memcmp(window(w), initial[w], WINDOW_BYTES)) continue;
		for (uint32_t i = 0; i < WINDOW_BYTES; i++) {
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

/* ---- The case at hand ---- */

static struct {
	struct case_header *header;
	uint8_t *code, *fxsave, *ymm, *patches; /* fxsave and ymm: 0 where the case has none */
	uint64_t end;                           /* linear address of the end of its code */
	uint32_t code_bytes;                    /* that lie inside the window */
	uint64_t step_from;                     /* linear address of the instruction being stepped */
	uint32_t instructions, traps;
} at;
static int is_running;

static void open_case(uint32_t index) {
	uint8_t *p = batch_records + record_at[index];
	at.header = (void *)p;
	p += sizeof *at.header;
	at.code = p;
	p += padded(at.header->code_bytes);
	at.fxsave = at.header->flags & HAS_FXSAVE ? p : 0;
	if (at.fxsave) p += FXSAVE_BYTES;
	at.ymm = at.header->flags & HAS_YMM ? p : 0;
	if (at.ymm) p += YMM_BYTES;
	at.patches = p;
	at.end = at.header->rip + at.header->code_bytes;
	uint64_t room = window_base[CODE] + WINDOW_BYTES - at.header->rip;
	at.code_bytes = at.header->code_bytes < room ? at.header->code_bytes : room;
	at.instructions = at.traps = 0;
}

static void each_patch(void (*act)(struct patch *)) {
	uint8_t *p = at.patches;
	for (int i = 0; i < at.header->patch_count; i++) {
		act((void *)p);
		p += sizeof(struct patch) + padded(((struct patch *)p)->bytes);
	}
}
static void place_patch(struct patch *patch) { place(patch->address, patch->data, patch->bytes); }
static void unplace_patch(struct patch *patch) { unplace(patch->address, patch->bytes); }

/* ---- Which instructions are let through ---- */

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

/* OK, or why the instruction is not run. */
static enum status judge(uint64_t linear, int is_64bit) {
	const struct opcode found = opcode_at(linear, is_64bit);
	const uint8_t *op = found.bytes;
	if (op[0] == 0xcd && op[1] == 0x80) return SYSTEM_CALL;
	if (op[0] == 0x0f && (op[1] == 0x05 || op[1] == 0x34)) return SYSTEM_CALL;
	return is_host_dependent(op) && !(at.header->flags & ALLOW_HOST_DEPENDENT) ? REFUSED : OK;
}

/* ---- A case's end: frame to result ---- */

static uint8_t *put_state(ucontext_t *context, struct result_header *result, uint8_t *out) {
	const greg_t *gregs = context->uc_mcontext.gregs;
	const uint8_t *xsave = (uint8_t *)context->uc_mcontext.fpregs;
	result->has_state = 1;
	for (int i = 0; i < 16; i++) result->gpr[i] = gregs[gregs_of_gpr[i]];
	result->rip = gregs[REG_RIP];
	result->rflags = gregs[REG_EFL] & ~(uint64_t)(at.header->instructions ? TF : 0);
	result->cs = gregs[REG_CSGSFS];
	result->ss = (uint64_t)gregs[REG_CSGSFS] >> 48;
	asm volatile("mov %%ds,%0; mov %%es,%1" : "=r"(result->ds), "=r"(result->es));
	asm volatile("mov %%fs,%0; mov %%gs,%1" : "=r"(result->fs), "=r"(result->gs));
	if (has_fsgsbase) asm volatile("rdfsbase %0; rdgsbase %1" : "=r"(result->fs_base), "=r"(result->gs_base));
	if (at.fxsave) {
		memcpy(out, xsave, FXSAVE_DEFINED);
		memset(out + FXSAVE_DEFINED, 0, FXSAVE_BYTES - FXSAVE_DEFINED); /* the kernel's own marks */
		out += FXSAVE_BYTES;
	}
	if (at.ymm) {
		uint64_t in_use; /* XSTATE_BV: a component that is not in use is zero, whatever stands in memory */
		memcpy(&in_use, xsave + FXSAVE_BYTES, 8);
		if (ymm_offset && in_use & 4) memcpy(out, xsave + ymm_offset, YMM_BYTES);
		else memset(out, 0, YMM_BYTES);
		out += YMM_BYTES;
	}
	return out;
}

/* Writes the result of the case at hand and takes its traces from memory. No context: it has not been run. */
static void close_case(ucontext_t *context, enum status status, int vector) {
	struct result_header *result = (void *)(output + progress->output_bytes);
	uint8_t *out = (uint8_t *)(result + 1);
	memset(result, 0, sizeof *result);
	result->id = at.header->id;
	result->status = status;
	result->instructions = at.instructions;
	if (status == EXCEPTION) {
		result->vector = vector;
		result->error_code = context->uc_mcontext.gregs[REG_ERR];
		if (vector == 14) result->cr2 = context->uc_mcontext.gregs[REG_CR2];
	}
	if (context) {
		out = put_state(context, result, out);
		out = take_differences(out, &result->patch_count);
		each_patch(unplace_patch);
		unplace(at.header->rip, at.code_bytes);
		if (!at.header->instructions) unplace(at.end, 1);
	}
	result->size = out - (uint8_t *)result;
	progress->output_bytes += result->size;
	asm volatile("" ::: "memory");
	progress->cases_done++;
}

/* ---- A case's beginning: case to frame ---- */

static void load_state(ucontext_t *context) {
	const struct case_header *c = at.header;
	greg_t *gregs = context->uc_mcontext.gregs;
	for (int i = 0; i < 16; i++) gregs[gregs_of_gpr[i]] = c->mode == 64 || i >= 8 ? c->gpr[i] : (uint32_t)c->gpr[i];
	gregs[REG_RIP] = c->mode == 16 ? c->rip - window_base[CODE] : c->rip;
	gregs[REG_EFL] = (c->rflags & EFLAGS_OF_CASES) | (c->instructions ? IF_TF : IF_TF & ~TF);
	gregs[REG_CSGSFS] = (c->mode == 64 ? CS_64 : c->mode == 32 ? CS_32 : CS_16) | (uint64_t)FLAT_DATA << 48;
	context->uc_flags |= 6; /* UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS: honour SS */

	uint8_t *xsave = (uint8_t *)context->uc_mcontext.fpregs;
	uint64_t in_use;
	memcpy(&in_use, xsave + FXSAVE_BYTES, 8);
	in_use |= ymm_offset ? 7 : 3;
	memcpy(xsave + FXSAVE_BYTES, &in_use, 8);
	const uint16_t fcw = 0x37f; /* what FNINIT loads */
	const uint32_t mxcsr = 0x1f80;
	memset(xsave, 0, FXSAVE_DEFINED);
	memcpy(xsave, &fcw, sizeof fcw);
	memcpy(xsave + 24, &mxcsr, sizeof mxcsr);
	if (at.fxsave) {
		memcpy(xsave, at.fxsave, FXSAVE_DEFINED);
		memset(xsave + 26, 0, 2); /* reserved bits of MXCSR would be #GP in the kernel */
	}
	if (ymm_offset) {
		if (at.ymm) memcpy(xsave + ymm_offset, at.ymm, YMM_BYTES);
		else memset(xsave + ymm_offset, 0, YMM_BYTES);
	}

	const uint32_t fs_gs = c->mode == 64 ? 0 : FLAT_DATA;
	asm volatile("mov %0,%%ds; mov %0,%%es" ::"r"(FLAT_DATA));
	asm volatile("mov %0,%%fs; mov %0,%%gs" ::"r"(fs_gs));
	if (has_fsgsbase && c->mode == 64) asm volatile("wrfsbase %0; wrgsbase %1" ::"r"(c->fs_base), "r"(c->gs_base));
}

/* Loads the next case that may run into the frame; leaves when there is none or no room for its result. */
static void next_case(ucontext_t *context) {
	for (;;) {
		if (progress->cases_done >= batch_count || progress->output_bytes + MAX_RESULT > OUTPUT_BYTES) leave(0);
		open_case(progress->cases_done);
		const struct case_header *c = at.header;
		if (window_of(c->rip, 1) != CODE || (c->mode != 64 && c->mode != 32 && c->mode != 16)) {
			close_case(0, REFUSED, 0);
			continue;
		}
		fill(c->seed);
		each_patch(place_patch);
		place(c->rip, at.code, at.code_bytes);
		if (!c->instructions) place(at.end, (const uint8_t[]){ 0xcc }, 1);
		load_state(context); /* also for what is refused now: it leaves with its state, and its memory is put back */
		const enum status status = c->instructions ? judge(c->rip, c->mode == 64) : OK;
		if (status == OK) break;
		close_case(context, status, 0);
	}
	at.step_from = at.header->rip;
}

/* ---- The worker ---- */

static uint64_t linear_rip(const greg_t *gregs) { return (uint64_t)gregs[REG_RIP] + ((gregs[REG_CSGSFS] & 0xffff) == CS_16 ? window_base[CODE] : 0); }

/* After a single-step trap: whether, and how, the case ends here. -1: it goes on. */
static int after_step(ucontext_t *context) {
	greg_t *gregs = context->uc_mcontext.gregs;
	const uint64_t rip = linear_rip(gregs);
	const int is_64bit = (gregs[REG_CSGSFS] & 0xffff) == CS_64;
	if (++at.traps >= MAX_TRAPS) return LIMIT;
	const struct opcode stepped = opcode_at(at.step_from, is_64bit);
	if (stepped.is_repeated && is_string(stepped.bytes[0]) && rip == at.step_from) { /* TF stops after each iteration */
		gregs[REG_EFL] |= TF;
		return -1;
	}
	at.instructions++;
	if (rip == at.end) return OK;
	if (at.instructions >= at.header->instructions) return at.header->instructions == 1 ? OK : LIMIT;
	const enum status status = judge(rip, is_64bit);
	if (status != OK) return status;
	at.step_from = rip;
	gregs[REG_EFL] |= TF;
	return -1;
}

/* Here FS belongs to the case: no thread-local storage. */
__attribute__((used)) static void on_signal(int signal, siginfo_t *info, void *pointer) {
	ucontext_t *context = pointer;
	greg_t *gregs = context->uc_mcontext.gregs;
	if (is_running) {
		const int vector = gregs[REG_TRAPNO];
		int status = EXCEPTION;
		if (signal == SIGSYS) status = SYSTEM_CALL;
		else if (at.header->instructions && signal == SIGTRAP && vector == 1 && info->si_code == TRAP_TRACE) status = after_step(context);
		else if (!at.header->instructions && vector == 3 && linear_rip(gregs) == at.end + 1) {
			gregs[REG_RIP]--; /* our INT3 */
			status = OK;
		}
		if (status < 0) return;
		close_case(context, status, vector);
	}
	is_running = 1;
	next_case(context);
}
/* AC and NT may be set by the case: they are cleared before any C runs. */
asm(".globl signal_entry\n"
    "signal_entry:\n"
    "	pushfq\n"
    "	andl $0xfffbbfff, (%rsp)\n"
    "	popfq\n"
    "	jmp on_signal\n");
void signal_entry(void);

enum { LEFT_UNABLE = 90 }; /* the worker's exit status, and above: it could not be set up */

static void __attribute__((noreturn)) work(void) {
	const size_t stack_bytes = 1 << 18;
	stack_t stack = { .ss_sp = mmap(0, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), .ss_size = stack_bytes };
	sigaltstack(&stack, 0);
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	action.sa_sigaction = (void *)signal_entry;
	sigfillset(&action.sa_mask);
	const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS };
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
	for (int w = 0; w < WINDOWS; w++) {
		const int protection = PROT_READ | PROT_WRITE | (w == CODE ? PROT_EXEC : 0);
		const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE;
		if (mmap(window(w), WINDOW_BYTES, protection, flags, -1, 0) == MAP_FAILED) leave(LEFT_UNABLE);
	}
	struct user_desc segment = { .entry_number = CS_16 >> 3, .base_addr = window_base[CODE], .limit = WINDOW_BYTES - 1, .contents = MODIFY_LDT_CONTENTS_CODE, .useable = 1 };
	syscall(SYS_modify_ldt, 1, &segment, sizeof segment); /* where the kernel has none, 16-bit cases crash and say so */

	/* The second line of defence: a system call of the 32-bit kind, or from the low 4 GiB, where only the windows are, becomes SIGSYS. */
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) leave(LEFT_UNABLE + 1);
	asm volatile("int3"); /* into on_signal, for good */
	leave(LEFT_UNABLE + 2);
}

/* ---- The parent ---- */

static size_t read_fully(void *to, size_t bytes) {
	size_t done = 0;
	while (done < bytes) {
		ssize_t n = read(0, (uint8_t *)to + done, bytes - done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) break;
		done += n;
	}
	return done;
}

static void flush_output(void) {
	for (uint32_t done = 0; done < progress->output_bytes;) {
		ssize_t n = write(1, output + done, progress->output_bytes - done);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) exit(3);
		done += n;
	}
	progress->output_bytes = 0;
}

static double seconds_of(clockid_t clock) {
	struct timespec t;
	return clock_gettime(clock, &t) ? 0 : t.tv_sec + t.tv_nsec * 1e-9;
}

/* Waits for the worker's end. 1: it hung, and was killed: no progress for 0.25 s of its own processor time, or 20 s of anyone's. */
static int await_worker(pid_t worker, int *status) {
	clockid_t its_clock = CLOCK_MONOTONIC;
	clock_getcpuclockid(worker, &its_clock);
	double its_time = 0, wall_time = seconds_of(CLOCK_MONOTONIC);
	uint32_t seen = progress->cases_done;
	for (long ns = 20000;; ns = ns < 2000000 ? ns * 2 : ns) {
		if (waitpid(worker, status, WNOHANG) == worker) return 0;
		if (progress->cases_done != seen) {
			seen = progress->cases_done;
			its_time = seconds_of(its_clock);
			wall_time = seconds_of(CLOCK_MONOTONIC);
		} else if (seconds_of(its_clock) - its_time > 0.25 || seconds_of(CLOCK_MONOTONIC) - wall_time > 20) {
			kill(worker, SIGKILL);
			waitpid(worker, status, 0);
			return progress->cases_done == seen;
		}
		nanosleep(&(struct timespec){ 0, ns }, 0);
	}
}

static int run_batch(void) {
	progress->cases_done = 0;
	while (progress->cases_done < batch_count) {
		const pid_t worker = fork();
		if (worker < 0) return perror("silicon: fork"), 4;
		if (worker == 0) work();
		int status = 0;
		const int hung = await_worker(worker, &status);
		if (progress->cases_done >= batch_count) break;
		if (WIFEXITED(status) && WEXITSTATUS(status) >= LEFT_UNABLE) return fprintf(stderr, "silicon: the worker could not start (%d)\n", WEXITSTATUS(status)), 4;
		flush_output();
		if (!hung && WIFEXITED(status) && WEXITSTATUS(status) == 0) continue; /* it left for want of room */
		open_case(progress->cases_done);
		close_case(0, hung ? HANG : CRASH, 0);
	}
	flush_output();
	return 0;
}

static void *shared_memory(size_t bytes) {
	void *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) perror("silicon: mmap"), exit(4);
	return memory;
}

int main(void) {
	uint32_t eax, ebx, ecx, edx;
	if (__get_cpuid_count(0xd, 2, &eax, &ebx, &ecx, &edx)) ymm_offset = ebx;
	has_fsgsbase = (getauxval(AT_HWCAP2) & 2) != 0; /* HWCAP2_FSGSBASE */
	progress = shared_memory(sizeof *progress);
	batch_records = shared_memory(BATCH_BYTES);
	output = shared_memory(OUTPUT_BYTES);

	struct batch batch;
	while (read_fully(&batch, sizeof batch) == sizeof batch) {
		if (batch.bytes > BATCH_BYTES || batch.count > BATCH_CASES || read_fully(batch_records, batch.bytes) != batch.bytes) return fputs("silicon: bad batch\n", stderr), 2;
		uint32_t position = 0;
		for (batch_count = 0; batch_count < batch.count; batch_count++) {
			const struct case_header *c = (void *)(batch_records + position);
			if (position + sizeof *c > batch.bytes || c->size > batch.bytes - position || c->size < sizeof *c || c->size > MAX_CASE || c->size % 8 || c->code_bytes > MAX_CODE)
				return fprintf(stderr, "silicon: bad record %u\n", batch_count), 2;
			record_at[batch_count] = position;
			position += c->size;
		}
		const int status = run_batch();
		if (status) return status;
	}
	return 0;
}
