/* A case into a signal frame, and a signal frame into a result. */
#include "silicon.h"
#include <string.h>

struct case_at_hand at;

static const uint8_t gregs_of_gpr[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

void open_case(uint32_t index) {
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

/* ---- Case to frame ---- */

static void load_state(ucontext_t *context) {
	const struct case_header *c = at.header;
	greg_t *gregs = context->uc_mcontext.gregs;
	for (int i = 0; i < 16; i++) gregs[gregs_of_gpr[i]] = c->mode == 64 || i >= 8 ? c->gpr[i] : (uint32_t)c->gpr[i];
	gregs[REG_RIP] = c->mode == 16 ? c->rip - window_base[CODE] : c->rip;
	gregs[REG_EFL] = (c->rflags & EFLAGS_OF_CASES) | (c->instructions ? IF_TF : IF_TF & ~TF);
	const int in_windows = c->flags & WINDOW_SEGMENTS && c->mode != 64;
	const uint64_t ss = !in_windows ? FLAT_DATA : c->mode == 32 ? STACK_WINDOW_32 : STACK_WINDOW_16;
	gregs[REG_CSGSFS] = (c->mode == 64 ? CS_64 : c->mode == 32 ? CS_32 : CS_16) | ss << 48;
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
	asm volatile("mov %0,%%ds; mov %0,%%es" ::"r"(in_windows ? DATA_WINDOW : FLAT_DATA));
	asm volatile("mov %0,%%fs; mov %0,%%gs" ::"r"(fs_gs));
	if (has_fsgsbase && c->mode == 64) asm volatile("wrfsbase %0; wrgsbase %1" ::"r"(c->fs_base), "r"(c->gs_base));
}

/* Places the case at hand in memory and in the frame. */
void load_case(ucontext_t *context) {
	fill(at.header->seed);
	each_patch(place_patch);
	place(at.header->rip, at.code, at.code_bytes);
	if (!at.header->instructions) place(at.end, (const uint8_t[]){ 0xcc }, 1);
	load_state(context);
}

/* ---- Frame to result ---- */

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
void close_case(ucontext_t *context, enum status status, int vector) {
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
