import { expect, it } from 'vitest';
import { BatchRooms, ROOM_BYTES_MIN } from './batch-rooms.ts';

it('gives a room again when it was given back, and not before', () => {
  const rooms = new BatchRooms();
  const one = rooms.take(ROOM_BYTES_MIN);
  expect(rooms.take(ROOM_BYTES_MIN).buffer).not.toBe(one.buffer);
  rooms.giveBack(one.subarray(0, 10));
  expect(rooms.take(ROOM_BYTES_MIN - 1).buffer).toBe(one.buffer);
});

it('takes back what it has given, once, and nothing of anybody else', () => {
  const rooms = new BatchRooms();
  const one = rooms.take(ROOM_BYTES_MIN);
  rooms.giveBack(one);
  rooms.giveBack(one);
  rooms.giveBack(new Uint8Array(ROOM_BYTES_MIN));
  expect(rooms.take(ROOM_BYTES_MIN).buffer).toBe(one.buffer);
  expect(rooms.take(ROOM_BYTES_MIN).buffer).not.toBe(one.buffer);
});

it('gives none that is too small, nor one that is far too large', () => {
  const rooms = new BatchRooms();
  const one = rooms.take(ROOM_BYTES_MIN * 8);
  rooms.giveBack(one);
  expect(rooms.take(ROOM_BYTES_MIN * 9).buffer).not.toBe(one.buffer);
  expect(rooms.take(ROOM_BYTES_MIN).buffer).not.toBe(one.buffer);
  expect(rooms.take(ROOM_BYTES_MIN * 4).buffer).not.toBe(one.buffer);
  expect(rooms.take(ROOM_BYTES_MIN * 6).buffer).toBe(one.buffer);
});

it('takes back all that a batch is made of, and leaves what was made elsewhere', () => {
  const rooms = new BatchRooms();
  const [bytes, spans] = [rooms.take(ROOM_BYTES_MIN), rooms.take(ROOM_BYTES_MIN)];
  const keys = Buffer.alloc(ROOM_BYTES_MIN);
  rooms.giveBackAll({ bytes, spans: new Uint32Array(spans.buffer, 0, 4), keys, records: 2, format: 'pgcopy' });
  const again = [1, 2, 3].map(() => rooms.take(ROOM_BYTES_MIN).buffer);
  expect(new Set(again.slice(0, 2))).toEqual(new Set([bytes.buffer, spans.buffer]));
  expect(again[2]).not.toBe(keys.buffer);
});

it('gives the smallest that will do', () => {
  const rooms = new BatchRooms();
  const [large, small] = [rooms.take(ROOM_BYTES_MIN * 5), rooms.take(ROOM_BYTES_MIN * 4)];
  rooms.giveBackAll({ small, large });
  expect(rooms.take(ROOM_BYTES_MIN * 4).buffer).toBe(small.buffer);
  expect(rooms.take(ROOM_BYTES_MIN * 4).buffer).toBe(large.buffer);
});

it('lets go of a room that fits nobody while many others are taken', () => {
  const rooms = new BatchRooms();
  const odd = rooms.take(ROOM_BYTES_MIN * 16);
  rooms.giveBack(odd);
  for (let nth = 0; nth < 100; nth++) rooms.giveBack(rooms.take(ROOM_BYTES_MIN));
  expect(rooms.take(ROOM_BYTES_MIN * 16).buffer).not.toBe(odd.buffer);
});
