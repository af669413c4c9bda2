import { expect, it } from 'vitest';
import { PLANTS, planted } from './real/kill-plants.ts';

it.each(PLANTS.map((plant) => [plant.name, plant] as const))('there is still a place to plant: %s', (_name, plant) => {
  expect(() => planted(plant).remove()).not.toThrow();
});
