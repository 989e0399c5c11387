import { State } from '../state/layout.ts';
import { Activity, InterruptShadow } from './activity.ts';
import type { Cpu } from './cpu.ts';
import { combine, type DeliveredEvent, EventType, isFaultClass } from './event.ts';
import { layerExit } from './extension.ts';
import { guestFault, SECOND_STAGE_FAULT, Vector } from './fault.ts';
import { deliver } from './transfer/deliver.ts';

/**
 * Delivers an event to its handler; faults on the way combine as Table 6-5 of SDM Vol. 3A says, up to shutdown. `resume`: RF is set in the frame. `debugBits`:
 * what a #DB leaves in DR6.
 */
export function deliverEvent(cpu: Cpu, event: DeliveredEvent, resume: boolean, debugBits: number): void {
  let setsResume = resume;
  try {
    for (;;) {
      try {
        if (!announce(cpu, event, debugBits)) return;
        // An exit on the way finds them so: SDM Vol. 3C, 28.1.
        cpu.activity = Activity.ACTIVE;
        cpu.interruptShadow = InterruptShadow.NONE;
        // A fault leaves nothing of the traps that MOV SS holds, nor of its own instruction's.
        if (event.type === EventType.HARDWARE_EXCEPTION && event.during === undefined) cpu.pendingDebug = 0;
        deliver(cpu, event, setsResume);
        return;
      } catch (thrown) {
        cpu.ext = 0;
        if (thrown !== guestFault) throw thrown;
        if (guestFault.vector === SECOND_STAGE_FAULT) {
          cpu.secondStageFault();
          return;
        }
        if (!becomeNextEvent(cpu, event)) return;
        setsResume = isFaultClass(event.vector);
      }
    }
  } catch (thrown) {
    if (thrown !== layerExit) throw thrown;
  } finally {
    event.active = false;
    event.during = undefined;
  }
}

/** Turns an event into what its delivery raised; false after a shutdown. The frame will point to RIP as it is now: in the new task, if a task switch had got so far. */
function becomeNextEvent(cpu: Cpu, event: DeliveredEvent): boolean {
  const { vector, errorCode, hasErrorCode } = guestFault;
  const low = cpu.registers.get32(State.rip);
  const high = cpu.registers.get32(State.rip + 4);
  event.keepAsFirst();
  const combination = combine(event, vector);
  event.set(vector, EventType.HARDWARE_EXCEPTION, low, high, errorCode, hasErrorCode && !cpu.isRealMode);
  if (combination === 'serial') return true;
  // Its own intercept comes first: SDM Vol. 3C, 26.2 "Triple fault"; APM Vol. 2, 15.12.
  if (isExceptionIntercepted(cpu, event, 0)) return false;
  // SDM Vol. 3A, 6.15, Interrupt 14: CR2 is written even if the page fault is delivered as a double fault, or occurs during the delivery of one.
  if (vector === Vector.PF) loadCr2(cpu);
  if (combination === 'shutdown') {
    if (!cpu.layer?.intercept({ kind: 'triple-fault' })) cpu.activity = Activity.SHUTDOWN;
    return false;
  }
  event.set(Vector.DF, EventType.HARDWARE_EXCEPTION, low, high, 0, !cpu.isRealMode);
  return true;
}

/** Asks the layer directly: to throw is dear, and a hypervisor may see very many of these. */
function isExceptionIntercepted(cpu: Cpu, event: DeliveredEvent, debugBits: number): boolean {
  const { layer } = cpu;
  if (layer === undefined) return false;
  const { vector, type, errorCode, hasErrorCode } = event;
  const { addressLow, addressHigh } = guestFault;
  return layer.intercept({ kind: 'exception', vector, type, errorCode, hasErrorCode, addressLow, addressHigh, debugBits });
}

/** Lets the layer intercept: false where it does. Then writes CR2 and DR6, which only a delivered exception does. */
function announce(cpu: Cpu, event: DeliveredEvent, debugBits: number): boolean {
  if (event.isInjected) return true;
  const { vector, type } = event;
  const isHardware = type === EventType.HARDWARE_EXCEPTION;
  const isException = isHardware || type === EventType.SOFTWARE_EXCEPTION || type === EventType.PRIVILEGED_SOFTWARE_EXCEPTION;
  if (isException && isExceptionIntercepted(cpu, event, debugBits)) return false;
  if (!isHardware) return true;
  if (vector === Vector.PF) loadCr2(cpu);
  else if (vector === Vector.DB) cpu.debug.record(debugBits);
  return true;
}

function loadCr2(cpu: Cpu): void {
  cpu.registers.set32(State.cr2, guestFault.addressLow);
  cpu.registers.set32(State.cr2 + 4, guestFault.addressHigh);
}
