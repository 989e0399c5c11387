/**
 * A segment's attributes stand in a VMCB as in the descriptor, without the limit's four bits between them (APM Vol. 2 15.5.1, "Segment State in the VMCB"); everyone else here
 * has them as VT-x's access rights (SDM Vol. 3C, 24.4.1). A VMCB cannot say "unusable": there a null segment is one that is not present.
 */

const UNUSABLE = 0x1_0000;
const P = 0x80;

/** @param attributes access rights @returns bits 11:0: type S DPL P, AVL L D/B G */
export function toVmcbAttributes(attributes: number): number {
  const packed = (attributes & 0xff) | ((attributes >>> 4) & 0xf00);
  return (attributes & UNUSABLE) !== 0 ? packed & ~P : packed;
}

/** @param packed a VMCB's attributes @returns access rights: "unusable" where the segment is not present */
export function fromVmcbAttributes(packed: number): number {
  const attributes = (packed & 0xff) | ((packed & 0xf00) << 4);
  return (packed & P) === 0 ? attributes | UNUSABLE : attributes;
}
