import { Buffer } from 'node:buffer';
import { setFlagsFromString } from 'node:v8';

/** Node's types have no WebAssembly of their own; the DOM's would bring a browser's globals along. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

const policy = { onlyKernels: false };

/**
 * Has V8 optimize no WebAssembly but what is compiled here: of the parser in the client for HTTP, which is fast enough
 * as it is, that takes 40 MB, once. Our own inner loops are slower by half without. For the whole process, for good.
 */
export function optimizeKernelsOnly(): void {
  policy.onlyKernels = true;
  optimize(false);
}

/** `base64`: a module that needs nothing from outside. Each call of the answer makes an instance: its exports. */
export function compiled(base64: string): () => unknown {
  if (policy.onlyKernels) optimize(true);
  try {
    const module = new WebAssembly.Module(Buffer.from(base64, 'base64'));
    return () => new WebAssembly.Instance(module, {}).exports;
  } finally {
    if (policy.onlyKernels) optimize(false);
  }
}

/** Whether a function is ever optimized is decided when it is compiled, so now, and not when it is called first. */
function optimize(whether: boolean): void {
  const [no, lazy] = whether ? ['', 'no-'] : ['no-', ''];
  setFlagsFromString(`--${no}wasm-tier-up`);
  setFlagsFromString(`--${no}wasm-dynamic-tiering`);
  setFlagsFromString(`--${lazy}wasm-lazy-compilation`);
}
