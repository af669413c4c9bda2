import { describe, expect, it } from 'vitest';
import { geoJsonOf } from './geometry.ts';

const SRID = '00000000';
const POINT = '0101000000000000000000f83f00000000000000c0';

describe('a geometry of MySQL', () => {
  it.each([
    [POINT, { type: 'Point', coordinates: [1.5, -2] }],
    ['00000000013ff8000000000000c000000000000000', { type: 'Point', coordinates: [1.5, -2] }],
    [`010400000001000000${POINT}`, { type: 'MultiPoint', coordinates: [[1.5, -2]] }],
    ['010700000000000000', { type: 'GeometryCollection', geometries: [] }],
  ])('%s is GeoJSON', (hex, geometry) => {
    expect(geoJsonOf(Buffer.from(SRID + hex, 'hex'))).toEqual(geometry);
  });

  it('keeps its reference system', () => {
    expect(geoJsonOf(Buffer.from(`110f0000${POINT}`, 'hex'))).toEqual({
      type: 'Point',
      coordinates: [1.5, -2],
      crs: { type: 'name', properties: { name: 'EPSG:3857' } },
    });
  });

  it.each([
    ['that is cut short', POINT.slice(0, -2)],
    ['with something behind it', `${POINT}00`],
    ['with more points than bytes', '0102000000ffffffff'],
    ['of a kind that nobody knows', '01e9030000'],
    ['of nothing', ''],
  ])('%s is an error that says what to do', (_what, hex) => {
    const read = () => geoJsonOf(Buffer.from(SRID + hex, 'hex'));
    expect(read).toThrow(
      expect.objectContaining({ code: 'SOURCE_INVALID', hint: expect.stringContaining('st_astext') }),
    );
  });
});
