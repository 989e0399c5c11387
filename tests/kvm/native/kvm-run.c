/*
 * Runs one guest program under the host's /dev/kvm, one virtual CPU, and prints its exits as text, a line each: what tests/kvm compares with ours.
 *
 * Standard input, a word and its hexadecimal operands on each line:
 *   memory BYTES                      one slot at guest-physical address 0
 *   load ADDRESS BYTES                as pairs of digits
 *   mode real | protected             flat segments, CR0.PE and 32-bit code in the latter
 *   register NAME VALUE               rax .. rsp, rip, rflags
 *   cpuid LEAF SUBLEAF FLAGS EAX EBX ECX EDX
 *   interrupt VECTOR                  injected in order, each as soon as KVM says that it can be
 *   exits NUMBER                      at most
 *   singlestep                        KVM_SET_GUEST_DEBUG
 *   breakpoint ADDRESS                the same, DR0: execution
 *   swbreak                           the same, INT3
 *   irqchip                           KVM_CREATE_IRQCHIP; before cpuid and state
 *   irq GSI                           a pulse of KVM_IRQ_LINE after each write to port 10, in order
 *   userMsrs BASE COUNT               denied by KVM_X86_SET_MSR_FILTER; they and unknown ones exit, and read as 1122334455667788
 *   dirtylog                          the pages that were written are printed in the end
 * Whatever the guest reads of devices is 11, 12, 13 ... byte by byte. The run ends at HLT (with no interrupt left), shutdown, an error, or the limit.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "rip", "rflags"};

static __u64 *place_of(struct kvm_regs *regs, const char *name) {
  __u64 *places[] = {&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rsp, &regs->rbp, &regs->rsi, &regs->rdi, &regs->rip, &regs->rflags};
  for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
    if (strcmp(names[i], name) == 0) return places[i];
  return NULL;
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(2);
}

static void print_bytes(const uint8_t *bytes, unsigned count) {
  for (unsigned i = 0; i < count; i++) printf("%02x", bytes[i]);
  printf("\n");
}

static void flat(struct kvm_segment *segment, int type) {
  segment->base = 0;
  segment->limit = 0xffffffff;
  segment->selector = type == 0xb ? 8 : 0x10;
  segment->type = type;
  segment->present = segment->s = segment->db = segment->g = 1;
  segment->dpl = segment->l = segment->unusable = 0;
}

int main(void) {
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) fail("/dev/kvm");
  if (ioctl(kvm, KVM_GET_API_VERSION, 0) != 12) fail("KVM_GET_API_VERSION");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) fail("KVM_CREATE_VM");
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
  static char line[1 << 18], digits[1 << 18], word[32], name[32];
  char *input = NULL;
  size_t input_bytes = 0;
  FILE *all = open_memstream(&input, &input_bytes);
  while (fgets(line, sizeof line, stdin) != NULL) fputs(line, all);
  fclose(all);
  int irqchip = strstr(input, "\nirqchip") != NULL, dirty_log = strstr(input, "\ndirtylog") != NULL;
  if (irqchip && ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) fail("KVM_CREATE_IRQCHIP");
  int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0) fail("KVM_CREATE_VCPU");
  int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  struct kvm_run *run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (run == MAP_FAILED) fail("mmap");

  struct kvm_regs regs;
  memset(&regs, 0, sizeof regs);
  regs.rflags = 2;
  struct kvm_sregs sregs;
  if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) fail("KVM_GET_SREGS");
  struct kvm_segment *segments[] = {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss};
  for (unsigned i = 0; i < 6; i++) segments[i]->base = segments[i]->selector = 0;

  struct {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entries[16];
  } cpuid;
  memset(&cpuid, 0, sizeof cpuid);
  uint8_t *memory = NULL;
  unsigned long memory_bytes = 0, limit = 1000, interrupts[64], interrupt_count = 0, next_interrupt = 0, irqs[64], irq_count = 0, next_irq = 0;

  FILE *lines = fmemopen(input, input_bytes, "r");
  while (fgets(line, sizeof line, lines) != NULL) {
    unsigned long a, b;
    if (sscanf(line, "%31s", word) != 1) continue;
    if (strcmp(word, "memory") == 0 && sscanf(line, "%*s %lx", &memory_bytes) == 1) {
      memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      struct kvm_userspace_memory_region region = {.slot = 0, .flags = dirty_log ? KVM_MEM_LOG_DIRTY_PAGES : 0, .guest_phys_addr = 0, .memory_size = memory_bytes, .userspace_addr = (uintptr_t)memory};
      if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) fail("KVM_SET_USER_MEMORY_REGION");
    } else if (strcmp(word, "load") == 0 && sscanf(line, "%*s %lx %262143s", &a, digits) == 2) {
      for (char *digit = digits; digit[0] != 0 && digit[1] != 0 && a < memory_bytes; digit += 2, a++) {
        unsigned byte;
        sscanf(digit, "%2x", &byte);
        memory[a] = byte;
      }
    } else if (strcmp(word, "mode") == 0) {
      if (strstr(line, "protected") != NULL) {
        sregs.cr0 |= 1;
        flat(&sregs.cs, 0xb);
        for (unsigned i = 1; i < 6; i++) flat(segments[i], 3);
      }
    } else if (strcmp(word, "register") == 0 && sscanf(line, "%*s %31s %lx", name, &a) == 2) {
      __u64 *place = place_of(&regs, name);
      if (place != NULL) *place = a;
    } else if (strcmp(word, "cpuid") == 0) {
      struct kvm_cpuid_entry2 *entry = &cpuid.entries[cpuid.head.nent++];
      sscanf(line, "%*s %x %x %x %x %x %x %x", &entry->function, &entry->index, &entry->flags, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
    } else if (strcmp(word, "interrupt") == 0 && sscanf(line, "%*s %lx", &b) == 1) {
      interrupts[interrupt_count++] = b;
    } else if (strcmp(word, "exits") == 0) {
      sscanf(line, "%*s %lx", &limit);
    } else if (strcmp(word, "irq") == 0 && sscanf(line, "%*s %lx", &b) == 1) {
      irqs[irq_count++] = b;
    } else if (strcmp(word, "userMsrs") == 0 && sscanf(line, "%*s %lx %lx", &a, &b) == 2) {
      static __u8 bitmap[8];
      struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER}};
      if (ioctl(vm, KVM_ENABLE_CAP, &cap) < 0) fail("KVM_CAP_X86_USER_SPACE_MSR");
      struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
      filter.ranges[0] = (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .base = a, .nmsrs = b, .bitmap = bitmap};
      if (ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter) < 0) fail("KVM_X86_SET_MSR_FILTER");
    } else if (strcmp(word, "breakpoint") == 0 && sscanf(line, "%*s %lx", &a) == 1) {
      struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP};
      debug.arch.debugreg[0] = a;
      debug.arch.debugreg[7] = 0x402;
      if (ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) < 0) fail("KVM_SET_GUEST_DEBUG");
    } else if (strcmp(word, "swbreak") == 0) {
      struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP};
      if (ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) < 0) fail("KVM_SET_GUEST_DEBUG");
    } else if (strcmp(word, "singlestep") == 0) {
      struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
      if (ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) < 0) fail("KVM_SET_GUEST_DEBUG");
    }
  }
  if (cpuid.head.nent != 0 && ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0) fail("KVM_SET_CPUID2");
  if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0) fail("KVM_SET_SREGS");
  if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0) fail("KVM_SET_REGS");
  setvbuf(stdout, NULL, _IOLBF, 0);

  uint8_t answer = 0x11;
  for (unsigned long exits = 0; exits < limit; exits++) {
    if (next_interrupt < interrupt_count && run->ready_for_interrupt_injection) {
      struct kvm_interrupt interrupt = {.irq = interrupts[next_interrupt++]};
      if (ioctl(vcpu, KVM_INTERRUPT, &interrupt) < 0) fail("KVM_INTERRUPT");
    }
    run->request_interrupt_window = next_interrupt < interrupt_count;
    if (ioctl(vcpu, KVM_RUN, 0) < 0) fail("KVM_RUN");
    int over = 0;
    switch (run->exit_reason) {
      case KVM_EXIT_IO: {
        uint8_t *data = (uint8_t *)run + run->io.data_offset;
        unsigned bytes = run->io.size * run->io.count;
        printf("io %s port %x size %u count %u", run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in", run->io.port, run->io.size, run->io.count);
        if (run->io.direction == KVM_EXIT_IO_IN) {
          for (unsigned i = 0; i < bytes; i++) data[i] = answer++;
          printf("\n");
        } else {
          printf(" data ");
          print_bytes(data, bytes);
          if (run->io.port == 0x10 && next_irq < irq_count) {
            struct kvm_irq_level level = {.irq = irqs[next_irq++], .level = 1};
            if (ioctl(vm, KVM_IRQ_LINE, &level) < 0) fail("KVM_IRQ_LINE");
            level.level = 0;
            if (ioctl(vm, KVM_IRQ_LINE, &level) < 0) fail("KVM_IRQ_LINE");
          }
        }
        break;
      case KVM_EXIT_X86_RDMSR:
        printf("rdmsr %x\n", run->msr.index);
        run->msr.data = 0x1122334455667788;
        run->msr.error = 0;
        break;
      case KVM_EXIT_X86_WRMSR:
        printf("wrmsr %x data %llx\n", run->msr.index, (unsigned long long)run->msr.data);
        run->msr.error = 0;
        break;
      }
      case KVM_EXIT_MMIO:
        if (run->mmio.is_write) {
          printf("mmio write at %llx data ", (unsigned long long)run->mmio.phys_addr);
          print_bytes(run->mmio.data, run->mmio.len);
        } else {
          printf("mmio read at %llx bytes %u\n", (unsigned long long)run->mmio.phys_addr, run->mmio.len);
          for (unsigned i = 0; i < run->mmio.len; i++) run->mmio.data[i] = answer++;
        }
        break;
      case KVM_EXIT_HLT:
        printf("hlt\n");
        over = next_interrupt >= interrupt_count;
        break;
      case KVM_EXIT_IRQ_WINDOW_OPEN:
        printf("irqWindowOpen\n");
        break;
      case KVM_EXIT_DEBUG:
        printf("debug exception %u pc %llx dr6 %llx\n", run->debug.arch.exception, (unsigned long long)run->debug.arch.pc, (unsigned long long)run->debug.arch.dr6);
        break;
      case KVM_EXIT_SHUTDOWN:
        printf("shutdown\n");
        over = 1;
        break;
      case KVM_EXIT_FAIL_ENTRY:
        printf("failEntry\n");
        over = 1;
        break;
      case KVM_EXIT_INTERNAL_ERROR:
        printf("internalError %u\n", run->internal.suberror);
        over = 1;
        break;
      default:
        printf("exit reason %u\n", run->exit_reason);
        over = 1;
        break;
    }
    if (over) break;
  }
  if (dirty_log) {
    static __u8 bitmap[1 << 13];
    struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = bitmap};
    if (ioctl(vm, KVM_GET_DIRTY_LOG, &log) < 0) fail("KVM_GET_DIRTY_LOG");
    printf("dirty");
    for (unsigned long page = 0; page < memory_bytes >> 12; page++)
      if (bitmap[page >> 3] >> (page & 7) & 1) printf(" %lx", page);
    printf("\n");
  }
  if (ioctl(vcpu, KVM_GET_REGS, &regs) < 0) fail("KVM_GET_REGS");
  if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0) fail("KVM_GET_SREGS");
  printf("end");
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) printf(" %s %llx", names[i], (unsigned long long)*place_of(&regs, names[i]));
  printf(" cs %x cr0 %llx\n", sregs.cs.selector, (unsigned long long)sregs.cr0);
  return 0;
}
