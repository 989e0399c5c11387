/* The worker: runs the cases of a batch from inside a signal handler. */
#include "silicon.h"
#include <asm/ldt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_running;

static void __attribute__((noreturn)) leave(int status) {
	asm volatile("syscall" ::"a"(SYS_exit_group), "D"(status) : "rcx", "r11", "memory");
	__builtin_unreachable();
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
		load_case(context); /* also what is refused now: it leaves with its state, and its memory is put back */
		const enum status status = judge(c->rip, c->mode == 64, c->flags & ALLOW_HOST_DEPENDENT);
		if (status == OK) break;
		close_case(context, status, 0);
	}
	at.step_from = at.header->rip;
}

static uint64_t linear_rip(const greg_t *gregs) { return (uint64_t)gregs[REG_RIP] + ((gregs[REG_CSGSFS] & 0xffff) == CS_16 ? window_base[CODE] : 0); }

/* After a single-step trap: whether, and how, the case ends here. -1: it goes on. */
static int after_step(ucontext_t *context) {
	greg_t *gregs = context->uc_mcontext.gregs;
	const uint64_t rip = linear_rip(gregs);
	const int is_64bit = (gregs[REG_CSGSFS] & 0xffff) == CS_64;
	if (++at.traps >= MAX_TRAPS) return LIMIT;
	if (rip == at.step_from && is_repeated_string(rip, is_64bit)) {
		gregs[REG_EFL] |= TF;
		return -1;
	}
	at.instructions++;
	if (rip == at.end) return OK;
	if (at.instructions >= at.header->instructions) return at.header->instructions == 1 ? OK : LIMIT;
	const enum status status = judge(rip, is_64bit, at.header->flags & ALLOW_HOST_DEPENDENT);
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
/* AC, NT and ID may be set by the case: they are cleared before any C runs, and ID, which a signal frame does not restore, before the next case. */
asm(".globl signal_entry\n"
    "signal_entry:\n"
    "	pushfq\n"
    "	andl $0xffdbbfff, (%rsp)\n"
    "	popfq\n"
    "	jmp on_signal\n");
void signal_entry(void);

static void make_segment(int selector, int w, int contents, int is_32bit) {
	struct user_desc segment = { .entry_number = selector >> 3, .base_addr = window_base[w], .limit = WINDOW_BYTES - 1, .contents = contents, .seg_32bit = is_32bit, .useable = 1 };
	syscall(SYS_modify_ldt, 1, &segment, sizeof segment);
}

void work(void) {
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
	/* Where the kernel has no LDT, cases that need it crash and say so. */
	make_segment(CS_16, CODE, MODIFY_LDT_CONTENTS_CODE, 0);
	make_segment(DATA_WINDOW, DATA, MODIFY_LDT_CONTENTS_DATA, 1);
	make_segment(STACK_WINDOW_16, STACK, MODIFY_LDT_CONTENTS_DATA, 0);
	make_segment(STACK_WINDOW_32, STACK, MODIFY_LDT_CONTENTS_DATA, 1);

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
