import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Answer, ShapeName } from './behaviour.ts';
import { lieOf, type Outcome, type Replied, replyOf } from './shapes.ts';

const HUGE_BYTES = 20 * 1024 * 1024;

/**
 * Gives one answer, good or bad. Returns the status that was announced, or undefined when there was none. The
 * connection of a broken answer is always closed: what follows on it could not be told apart.
 */
export function give(response: ServerResponse, answer: Answer, shape: ShapeName, outcome: Outcome): number | undefined {
  if (typeof answer === 'object') return send(response, { status: answer.status, body: answer.body }, answer.headers);
  const honest = replyOf(shape, outcome);
  const text = JSON.stringify(honest.body ?? {});
  switch (answer) {
    case 'normal':
      return send(response, honest);
    case 'lie':
      return send(response, lieOf(shape, outcome));
    case 'not-json':
      return sendText(response, 200, '<html>all is well</html>', { 'content-type': 'text/html' });
    case 'cut-json':
      return sendText(response, 200, text.slice(0, Math.max(1, Math.floor(text.length / 2))));
    case 'packed':
      return sendText(response, 200, gzipSync(text), { 'content-encoding': 'gzip' });
    case 'huge':
      return sendText(response, 200, Buffer.alloc(HUGE_BYTES, 32));
    case 'truncated':
      raw(
        response,
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length + 100}\r\n\r\n${text}`,
      );
      return 200;
    case 'garbage':
      raw(response, '\u0016\u0003\u0001 this is no answer\r\n\r\n');
      return undefined;
    case 'reset':
      response.socket?.resetAndDestroy();
      return undefined;
    case 'close':
    case 'close-before-reading':
      response.socket?.destroy();
      return undefined;
    case 'hang':
      return undefined;
  }
}

export function send(
  response: ServerResponse,
  replied: Replied,
  headers: Readonly<Record<string, string>> = {},
): number {
  const text =
    replied.body === undefined ? '' : typeof replied.body === 'string' ? replied.body : JSON.stringify(replied.body);
  return sendText(response, replied.status, text, headers);
}

function sendText(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): number {
  const hasBody = status !== 204 && status !== 304;
  response.writeHead(status, {
    ...(hasBody ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}),
    ...headers,
  });
  response.end(hasBody ? body : undefined);
  return status;
}

function raw(response: ServerResponse, text: string): void {
  response.socket?.end(text);
}
