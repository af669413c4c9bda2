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
  expect(rooms.take(ROOM_BYTES_MIN * 4).buffer).toBe(one.buffer);
});
