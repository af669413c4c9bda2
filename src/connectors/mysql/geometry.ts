import { WaybillError } from '../../model/errors.ts';

type Point = readonly [number, number];

/**
 * A geometry as the server stores it (four bytes of its reference system, then Well-Known Binary) as GeoJSON. The
 * driver's own form has lost the kind: a line and a set of points are the same list. What has no form in GeoJSON is
 * an error: half a geometry is another one.
 */
export function geoJsonOf(bytes: Buffer): unknown {
  const place = new Place(bytes, 4);
  try {
    const geometry = read(place);
    if (place.at !== bytes.length) throw new RangeError('something stands behind it');
    const srid = bytes.readUInt32LE(0);
    if (srid === 0) return geometry;
    // Without its system a pair of numbers is no place. As ST_AsGeoJSON says it, in the short form.
    return { ...geometry, crs: { type: 'name', properties: { name: `EPSG:${srid}` } } };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new WaybillError('SOURCE_INVALID', `a geometry of MySQL cannot be read: ${cause.message}`, {
      hint: 'Select it as a text: `st_astext(column)`.',
      cause,
    });
  }
}

class Place {
  at: number;
  readonly #bytes: Buffer;
  #little = true;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Each geometry says its own order of bytes. */
  kind(): number {
    this.#little = this.#bytes.readUInt8(this.at) === 1;
    this.at += 1;
    return this.count();
  }

  count(): number {
    this.at += 4;
    return this.#little ? this.#bytes.readUInt32LE(this.at - 4) : this.#bytes.readUInt32BE(this.at - 4);
  }

  list<T>(read: () => T): readonly T[] {
    const items: T[] = [];
    for (let left = this.count(); left > 0; left--) items.push(read());
    return items;
  }

  readonly point = (): Point => [this.#double(), this.#double()];
  readonly line = (): readonly Point[] => this.list(this.point);
  readonly rings = (): readonly (readonly Point[])[] => this.list(this.line);

  #double(): number {
    this.at += 8;
    return this.#little ? this.#bytes.readDoubleLE(this.at - 8) : this.#bytes.readDoubleBE(this.at - 8);
  }
}

function read(place: Place): Readonly<Record<string, unknown>> {
  const kind = place.kind();
  const within = (): unknown => (read(place) as { readonly coordinates?: unknown }).coordinates;
  switch (kind) {
    case 1:
      return { type: 'Point', coordinates: place.point() };
    case 2:
      return { type: 'LineString', coordinates: place.line() };
    case 3:
      return { type: 'Polygon', coordinates: place.rings() };
    case 4:
      return { type: 'MultiPoint', coordinates: place.list(within) };
    case 5:
      return { type: 'MultiLineString', coordinates: place.list(within) };
    case 6:
      return { type: 'MultiPolygon', coordinates: place.list(within) };
    case 7:
      return { type: 'GeometryCollection', geometries: place.list(() => read(place)) };
    default:
      throw new RangeError(`it is of the kind ${kind}`);
  }
}
