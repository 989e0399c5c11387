/* The parent: reads batches, has a worker run them, replaces a worker that dies or hangs. See silicon.h for the whole. */
#include "silicon.h"
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct progress *progress;
uint8_t *batch_records, *output;
uint32_t record_at[BATCH_CASES], batch_count;
uint32_t ymm_offset;
int has_fsgsbase;

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
