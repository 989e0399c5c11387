/**
 * What is known of a page. CODE and LOGGED_CLEAN belong to the host page and stand in the linear memory's page flags;
 * the others belong to the guest-physical page.
 *
 * A page may have a fast write path if and only if
 * `(flags & (WRITABLE | CODE | LOGGED_CLEAN)) === WRITABLE`.
 */
export const PageFlag = {
  /** Some 64 bytes of it bear a code mark. */
  CODE: 0x01,
  /** Dirty logging is on, and the page is clean in some log. */
  LOGGED_CLEAN: 0x02,
  /** A slot backs the page. */
  RAM: 0x10,
  /** The slot that backs it is read-only. */
  ROM: 0x20,
  /** An MMIO region stands on some byte of it. */
  MMIO: 0x40,
  /** A slot backs it that is not read-only, and no MMIO region touches it. */
  WRITABLE: 0x80,
} as const;

/** A read is plain where these bits are exactly RAM. */
export const PLAIN_READ_MASK: number = PageFlag.RAM | PageFlag.MMIO;
