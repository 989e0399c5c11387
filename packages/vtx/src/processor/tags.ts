import { EptControls, EptStage, type PageModificationLog } from '@minusone/mmu';
import type { Cpu } from '@minusone/x86';
import type { VmxCapabilities } from '../capabilities/capabilities.ts';
import { type Controls, Secondary } from './controls.ts';

/** A guest's translations: whose they are (SDM Vol. 3C, 29.4.1 "Information That May Be Cached"). */
interface TaggedSpace {
  readonly tag: number;
  readonly vpid: number;
  /** EPTP bits 51:12 as an address, or -1 without EPT. */
  readonly root: number;
}

/** The most tags that `Layer.addressSpaceTag` has room for. */
const MOST_TAGS = 2 ** 20 - 1;

/** Tags of translations by VPID and EPTP, and the second stages by EPTP. */
export class Tags {
  readonly #cpu: Cpu;
  readonly #capabilities: VmxCapabilities;
  /** By `root * 65536 + VPID`: a Number, as roots have 40 bits of page number at the most. */
  readonly #spaces = new Map<string, TaggedSpace>();
  readonly #stages = new Map<string, EptStage>();
  #next = 1;
  #lastVpid = -1;
  #lastLow = 0;
  #lastHigh = 0;
  #lastLogs = false;
  #lastTag = 0;
  #lastStage: EptStage | null = null;

  readonly #log: PageModificationLog;

  constructor(cpu: Cpu, capabilities: VmxCapabilities, log: PageModificationLog) {
    this.#cpu = cpu;
    this.#capabilities = capabilities;
    this.#log = log;
  }

  /** Sets the tag and the second stage that the controls ask for. */
  apply(controls: Controls): void {
    const { vpid, eptpLow, eptpHigh } = controls;
    const logs = controls.hasSecondary(Secondary.enablePml);
    if (vpid !== this.#lastVpid || eptpLow !== this.#lastLow || eptpHigh !== this.#lastHigh || logs !== this.#lastLogs) {
      this.#lastVpid = vpid;
      this.#lastLow = eptpLow;
      this.#lastHigh = eptpHigh;
      this.#lastLogs = logs;
      const root = rootOf(eptpLow, eptpHigh);
      this.#lastStage = root < 0 ? null : this.#stage(eptpLow, root, logs);
      this.#lastTag = this.#tag(vpid, root);
    }
    controls.tag = this.#lastTag;
    controls.stage = this.#lastStage;
  }

  #tag(vpid: number, root: number): number {
    const key = `${vpid} ${root}`;
    let space = this.#spaces.get(key);
    if (space === undefined) {
      if (this.#next > MOST_TAGS) {
        this.#spaces.clear();
        this.#cpu.engine.flushAll();
        this.#next = 1;
      }
      space = { tag: this.#next++, vpid, root };
      this.#spaces.set(key, space);
    }
    return space.tag;
  }

  #stage(eptpLow: number, root: number, logs: boolean): EptStage {
    const flags = eptpLow & 0xfff;
    const key = `${flags} ${root} ${logs}`;
    let stage = this.#stages.get(key);
    if (stage === undefined) {
      if (this.#stages.size >= 4096) this.#stages.clear();
      const capabilities = this.#capabilities;
      const controls = new EptControls({
        root,
        levels: (flags & 0x38) === 0x20 ? 5 : 4,
        accessedDirty: (flags & 0x40) !== 0,
        executeOnly: capabilities.offersEptVpid('executeOnlyTranslations'),
        mbPages: capabilities.offersEptVpid('pages2M'),
        gbPages: capabilities.offersEptVpid('pages1G'),
        maxPhyAddr: capabilities.processor.physicalAddressWidth,
      });
      stage = new EptStage(controls, this.#cpu.physical, logs ? { pageModificationLog: this.#log } : {});
      this.#stages.set(key, stage);
    }
    return stage;
  }

  /** INVEPT: all that was made by way of an EPTP (bits 51:12 count), or of any. */
  flushEpt(eptpLow?: number, eptpHigh?: number): void {
    const root = eptpLow === undefined ? undefined : rootOf(eptpLow, eptpHigh ?? 0);
    for (const space of this.#spaces.values()) {
      if (root === undefined ? space.root >= 0 : space.root === root) this.#cpu.engine.flushTag(space.tag);
    }
  }
  /** INVVPID: all of a VPID, or of any but 0. */
  flushVpid(vpid?: number): void {
    for (const space of this.#spaces.values()) {
      if (vpid === undefined ? space.vpid !== 0 : space.vpid === vpid) this.#cpu.engine.flushTag(space.tag);
    }
  }
}

/** EPTP bits 51:12 as an address in bytes; -1 where there is no EPT (an EPTP is never 0: its walk length is not). */
function rootOf(eptpLow: number, eptpHigh: number): number {
  return eptpLow === 0 && eptpHigh === 0 ? -1 : (eptpHigh & 0xf_ffff) * 0x1_0000_0000 + ((eptpLow & ~0xfff) >>> 0);
}
