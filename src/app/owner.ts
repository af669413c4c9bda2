import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Ports } from '../model/ports.ts';

/**
 * Names this process in leases, so that another one can find out whether it is gone. A process that is merely paused
 * may wake up and send at any moment, so only proof counts: the kernel that started it says that it runs no more.
 * That can be said only on the same boot of the same machine and in the same pid namespace.
 */
export interface Owner {
  readonly host: string;
  readonly boot: string;
  readonly pidNamespace: string;
  readonly pid: number;
  /** Clock ticks since boot: tells a process from a later one with the same pid. */
  readonly startTime: string;
  /** Tells two instances in one process apart. */
  readonly instance: string;
}

const FORM = 'waybill-owner-1';

/** This process, as the opaque text that leases carry. */
export function ownerOf(ports: Pick<Ports, 'id'>): string {
  const parts = [
    hostname(),
    bootId(),
    pidNamespace(),
    String(process.pid),
    stateOf(process.pid)?.startTime ?? '',
    ports.id(),
  ];
  return [FORM, ...parts.map((part) => encodeURIComponent(part ?? ''))].join('/');
}

export function parseOwner(text: string): Owner | undefined {
  const [form, ...parts] = text.split('/');
  if (form !== FORM || parts.length !== 6) return undefined;
  const [host = '', boot = '', namespace = '', pid = '', startTime = '', instance = ''] = parts.map(decodeURIComponent);
  return { host, boot, pidNamespace: namespace, pid: Number(pid), startTime, instance };
}

/** For messages: `process 4711 on host-a`. */
export function showOwner(text: string): string {
  const owner = parseOwner(text);
  return owner === undefined ? text : `process ${owner.pid} on ${owner.host}`;
}

/** True and false are proofs; undefined when nothing can be proved from here. */
export function isGone(text: string): boolean | undefined {
  const owner = parseOwner(text);
  if (owner === undefined || owner.boot === '' || owner.startTime === '' || owner.pidNamespace === '') return undefined;
  if (!Number.isSafeInteger(owner.pid) || owner.pid <= 0) return undefined;
  if (owner.boot !== bootId() || owner.pidNamespace !== pidNamespace()) return undefined;
  if (!exists(owner.pid)) return true;
  const state = stateOf(owner.pid);
  // It is there but hidden from us (`hidepid`), or it ended between the two questions: ask again some other time.
  if (state === undefined) return undefined;
  return state.ended || state.startTime !== owner.startTime;
}

/** A signal that is not sent still finds a process that `/proc` would hide from this user. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

interface ProcessState {
  /** A zombie runs no more: only its exit status waits to be fetched. */
  readonly ended: boolean;
  readonly startTime: string;
}

function stateOf(pid: number): ProcessState | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The command's name stands in brackets and may itself hold blanks and brackets.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields?.[0], fields?.[19]];
  return state === undefined || startTime === undefined ? undefined : { ended: /^[ZXx]$/.test(state), startTime };
}

const bootId = (): string | undefined => readText('/proc/sys/kernel/random/boot_id')?.trim();

function pidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
