import type * as Hyparquet from 'hyparquet';
import type * as Compressors from 'hyparquet-compressors';
import type * as Writer from 'hyparquet-writer';
import type * as DataPage from 'hyparquet-writer/src/datapage.js';
import { WaybillError } from '../../model/errors.ts';

/** The packages that know the format, loaded when the first file is read or written. Throw DRIVER_MISSING. */
export async function loadReader(): Promise<typeof Hyparquet & Pick<typeof Compressors, 'compressors'>> {
  const [reader, { compressors }] = await Promise.all([
    import('hyparquet').catch(missing('hyparquet')),
    import('hyparquet-compressors').catch(missing('hyparquet-compressors')),
  ]);
  return { ...reader, compressors: sparingNothing(compressors) };
}

/** Nothing is packed into something, for columns that hold only null; LZ4 is not unpacked from that everywhere. */
function sparingNothing(compressors: Hyparquet.Compressors): Hyparquet.Compressors {
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, unpack]) => [
      codec,
      (input: Uint8Array, length: number) => (length === 0 ? new Uint8Array(0) : unpack(input, length)),
    ]),
  );
}

export type WriterPackage = typeof Writer & Pick<typeof DataPage, 'writePageHeader'>;

export async function loadWriter(): Promise<WriterPackage> {
  const [writer, { writePageHeader }] = await Promise.all([
    import('hyparquet-writer').catch(missing('hyparquet-writer')),
    import('hyparquet-writer/src/datapage.js').catch(missing('hyparquet-writer')),
  ]);
  return { ...writer, writePageHeader };
}

function missing(name: string): (error: unknown) => never {
  return (error) => {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new WaybillError('DRIVER_MISSING', `Parquet files need the package ${name}`, {
      hint: 'Install them beside Waybill: npm install hyparquet hyparquet-compressors hyparquet-writer',
      cause: error,
    });
  };
}
