import type * as Hyparquet from 'hyparquet';
import type * as Compressors from 'hyparquet-compressors';
import type * as Writer from 'hyparquet-writer';
import { WaybillError } from '../../model/errors.ts';

/** The packages that know the format, loaded when the first file is read or written. Throw DRIVER_MISSING. */
export async function loadReader(): Promise<typeof Hyparquet & Pick<typeof Compressors, 'compressors'>> {
  const [reader, { compressors }] = await Promise.all([
    import('hyparquet').catch(missing('hyparquet')),
    import('hyparquet-compressors').catch(missing('hyparquet-compressors')),
  ]);
  return { ...reader, compressors };
}

export async function loadWriter(): Promise<typeof Writer> {
  return import('hyparquet-writer').catch(missing('hyparquet-writer'));
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
