/** Who caches translations or code of a memory, and must hear when they go stale. The engine sets one on its address space. */
export interface MemoryObserver {
  /**
   * Bytes that bear a code mark were written (after the store). Called once per page touched; the marks stay until `clearCode`.
   * @param hostOffset first byte written, as an offset in the linear memory
   * @param bytes count of bytes written, all in one page
   */
  onCodeWritten(hostOffset: number, bytes: number): void;
  /** The page at `hostPage` got its first code mark, or became clean while logging: every fast write path to it must go. */
  onWriteTagsMustDrop(hostPage: number): void;
  /** Slots or MMIO regions changed, or very many pages became clean at once: every cached translation must go. */
  onMappingChanged(): void;
}
