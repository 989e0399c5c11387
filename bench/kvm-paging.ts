import { asm64 } from '@minusone/asm';
import { type Accelerator, boot, kvmAccelerator } from '@minusone/vmm';
import { cpuModels } from '@minusone/x86';
import { elf } from '../tests/guests/small-kernels/elf.ts';
import { median } from './statistics.ts';
import { VENDORS } from './vendors.ts';

/**
 * What a guest's own memory management costs under EPT and NPT: the exits, counted, of so many loads of CR3, INVLPGs and page faults that it handles itself, and the time of a turn of
 * its loop, against the bare CPU in the same run. A guest that does nothing but count shows what the rest of the program exits for.
 *
 *     npx tsx --conditions=@minusone/source bench/kvm-paging.ts [runs]
 */
const RUNS = Number(process.argv[2] ?? 3);
const TURNS = 50_000;
const LOAD_ADDRESS = 0x20_0000;
const IDT = 0x30_0000;
/** The eighth large page, which the guest makes absent. */
const ABSENT = 0x100_0000;
const ACTIONS = {
  'nothing else': 'nop',
  'a load of CR3': 'mov rax, cr3\nmov cr3, rax',
  INVLPG: `invlpg [${LOAD_ADDRESS + 0x5000}]`,
  'a page fault': `mov al, [${ABSENT}]`,
} as const;

/** A 64-bit kernel that does something in each turn of a loop; its #PF handler goes on behind the instruction. */
function kernelFor(action: string): Uint8Array {
  const source = `
      mov rax, cr3
      mov rbx, 0xffffffffff000
      and rax, rbx
      mov rax, [rax]
      and rax, rbx
      mov rax, [rax]
      and rax, rbx
      mov qword [rax + 64], 0
      invlpg [${ABSENT}]
      mov rcx, handler
      mov [${IDT + 14 * 16}], cx
      mov word [${IDT + 14 * 16 + 2}], cs
      mov word [${IDT + 14 * 16 + 4}], 0x8e00
      shr rcx, 16
      mov [${IDT + 14 * 16 + 6}], cx
      lidt [descriptor]
      mov ecx, ${TURNS}
    again:
      ${action}
      dec ecx
      jnz again
      mov al, 0
      out 0xf4, al
    stop: jmp stop
    handler:
      add rsp, 8
      add qword [rsp], 7
      iretq
    descriptor:
      dw ${15 * 16 - 1}
      dq ${IDT}`;
  const code = asm64.with({ origin: LOAD_ADDRESS })(Object.assign([source], { raw: [source] }));
  return elf({ bits: 64, code, address: LOAD_ADDRESS, entry: LOAD_ADDRESS });
}

interface Run {
  readonly seconds: number;
  readonly exits: Readonly<Record<string, number>>;
}
async function run(kernel: Uint8Array, accel: 'none' | Accelerator, model: string): Promise<Run> {
  const machine = await boot({ kernel, memory: '32M', accel, model, timeoutMs: 60_000 });
  const end = await machine.ended;
  if (end.reason !== 'power-off') throw new Error(`The guest ended with ${end.reason}.`);
  return machine.statistics;
}

const contenders: readonly (readonly [string, () => 'none' | Accelerator, string])[] = [
  ['the bare CPU', () => 'none', 'intel'],
  ...VENDORS.map(({ extension, vendor }) => {
    const { name } = vendor().model;
    if (cpuModels[name] === undefined) throw new Error(`No model ${name}.`);
    return [extension, () => kvmAccelerator(vendor()), name] as const;
  }),
];
for (const [what, action] of Object.entries(ACTIONS)) {
  const kernel = kernelFor(action);
  const results = new Map<string, Run[]>();
  for (let n = 0; n < RUNS; n++) {
    for (const [name, accel, model] of contenders) results.set(name, [...(results.get(name) ?? []), await run(kernel, accel(), model)]);
  }
  const ns = (name: string): number => (median((results.get(name) ?? []).map(({ seconds }) => seconds)) * 1e9) / TURNS;
  const [baseline] = results.keys();
  for (const [name, [first]] of results) {
    const exits = Object.entries(first?.exits ?? {}).map(([reason, count]) => `${reason} ${count}`);
    const ratio = name === baseline ? '' : `, ${(ns(name) / ns(baseline as string)).toFixed(2)} times ${baseline}`;
    console.log(
      `${TURNS} turns with ${what} on ${name}: ${ns(name).toFixed(0)} ns a turn${ratio}${exits.length === 0 ? '' : `; exits: ${exits.join(', ')}`}`,
    );
  }
}
