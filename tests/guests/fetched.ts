import { join } from 'node:path';
import { fetchGuests, GuestsUnavailableError } from 'minusone';
import { ROOT } from '../../scripts/workspace.mjs';

/** Debian's kernel and busybox, fetched if they are not here; or why they cannot be had, for a test to skip. */
export async function fetchedGuests(): Promise<Awaited<ReturnType<typeof fetchGuests>> | string> {
  try {
    return await fetchGuests({ folder: join(ROOT, '.cache/guests') });
  } catch (error) {
    if (error instanceof GuestsUnavailableError) return error.message;
    throw error;
  }
}
