import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';

/** A folder that lies in memory where there is one: the ledgers of schedules live for milliseconds. */
export function memoryFolder() {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EACCES') throw error;
    return tmpdir();
  }
}
