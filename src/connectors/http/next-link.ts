/** The target of `rel="next"` in a header `Link` (RFC 8288). */
export function nextLink(header: string | undefined): string | undefined {
  const text = header ?? '';
  const target = /[\s,]*<([^<>]*)>/y;
  // Matched in place, one after the other: a header is somebody else's text, and is to be gone through once.
  const parameter = /\s*;\s*([^\s=;,"<>]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]+)))?/y;
  for (let link = target.exec(text); link !== null; link = target.exec(text)) {
    let relations: string | undefined;
    parameter.lastIndex = target.lastIndex;
    for (let found = parameter.exec(text); found !== null; found = parameter.exec(text)) {
      target.lastIndex = parameter.lastIndex;
      // Only the first `rel` of a link counts.
      if (found[1]?.toLowerCase() === 'rel') relations ??= found[2] ?? found[3] ?? '';
    }
    if (relations?.toLowerCase().split(/\s+/).includes('next')) return link[1];
  }
  return undefined;
}
