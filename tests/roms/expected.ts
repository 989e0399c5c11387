import { fileURLToPath } from 'node:url';

/** The file with what a ROM must show. */
export const expectedFile = (name: string): string => fileURLToPath(new URL(`expected/${name}.txt`, import.meta.url));
