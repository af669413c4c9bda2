// AssemblyScript. What the module for pages of Parquet offers to `formats/parquet/column-kernel.ts`.
export { boundsFixed, boundsTexts } from './bounds';
export { splitRows } from './cells';
export { clearDictionary, indexValues, packIndexes } from './dictionary';
export { packBits, packLevels } from './pages';
export { pack } from './snappy';
export { readFixed, readTexts } from './values';
