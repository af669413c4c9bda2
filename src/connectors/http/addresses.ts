import { BlockList, isIP } from 'node:net';

/** IPv4 that is no place on the public internet: RFC 6890, and what clouds answer their own machines by. */
const V4 = [
  ['0.0.0.0', 8, 'an address without a place'],
  ['10.0.0.0', 8, 'a private address'],
  ['100.64.0.0', 10, 'a private address'],
  ['127.0.0.0', 8, 'a loopback address'],
  ['169.254.0.0', 16, 'a link-local address'],
  ['172.16.0.0', 12, 'a private address'],
  ['192.0.0.0', 24, 'a reserved address'],
  ['192.0.2.0', 24, 'a reserved address'],
  ['192.88.99.0', 24, 'a reserved address'],
  ['192.168.0.0', 16, 'a private address'],
  ['198.18.0.0', 15, 'a reserved address'],
  ['198.51.100.0', 24, 'a reserved address'],
  ['203.0.113.0', 24, 'a reserved address'],
  ['224.0.0.0', 4, 'a multicast address'],
  ['240.0.0.0', 4, 'a reserved address'],
] as const;

const V6 = [
  ['::', 128, 'an address without a place'],
  ['::1', 128, 'a loopback address'],
  ['64:ff9b:1::', 48, 'a private address'],
  ['100::', 64, 'a reserved address'],
  ['2001::', 23, 'a reserved address'],
  ['2001:db8::', 32, 'a reserved address'],
  ['fc00::', 7, 'a private address'],
  ['fe80::', 10, 'a link-local address'],
  ['fec0::', 10, 'a private address'],
  ['ff00::', 8, 'a multicast address'],
] as const;

interface AddressRange {
  readonly list: BlockList;
  readonly family: 'ipv4' | 'ipv6';
  readonly what: string;
}

/** Made anew for each question: one is asked a connection. */
const ranges = (): readonly AddressRange[] => [
  ...V4.map(([net, bits, what]) => ({ list: listOf(net, bits, 'ipv4'), family: 'ipv4' as const, what })),
  ...V6.map(([net, bits, what]) => ({ list: listOf(net, bits, 'ipv6'), family: 'ipv6' as const, what })),
];

function listOf(net: string, bits: number, family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  list.addSubnet(net, bits, family);
  return list;
}

/** What an address is if it is no place on the public internet, in words; undefined: it is one. */
export function notPublic(address: string): string | undefined {
  const bare = address.replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 0) return 'no address';
  const inner = version === 6 ? embedded(bare) : undefined;
  if (inner !== undefined) return notPublic(inner);
  const family = version === 4 ? 'ipv4' : 'ipv6';
  return ranges().find((range) => range.family === family && range.list.check(bare, family))?.what;
}

/** What answers a machine about itself, wherever it stands: nothing that a name may lead to. */
export function neverMeant(address: string): string | undefined {
  const what = notPublic(address);
  return what === 'a private address' || what === 'a loopback address' ? undefined : what;
}

/** The IPv4 address in one of IPv6 that stands for it: mapped, compatible, NAT64 and 6to4. */
function embedded(address: string): string | undefined {
  const groups = groupsOf(address);
  const v4 = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  const [first = 0, second = 0, third = 0] = groups;
  const [high = 0, low = 0] = groups.slice(6);
  if (first === 0x2002) return v4(second, third);
  if (first === 0x64 && second === 0xff9b && third === 0) return v4(high, low);
  if (groups.slice(0, 4).some((group) => group !== 0)) return undefined;
  const [fifth = 0, sixth = 0] = groups.slice(4);
  const mapped = (fifth === 0 && sixth === 0xffff) || (fifth === 0xffff && sixth === 0);
  const compatible = fifth === 0 && sixth === 0 && (high !== 0 || low > 1);
  return mapped || compatible ? v4(high, low) : undefined;
}

/** The eight groups; whichever way the address is spelled, a URL spells it in one. */
function groupsOf(address: string): readonly number[] {
  const [before = '', after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const part = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  if (after === undefined) return part(before);
  const [head, tail] = [part(before), part(after)];
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
