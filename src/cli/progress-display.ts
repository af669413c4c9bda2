import type { Progress } from '../app/waybill.ts';
import type { Context } from './context.ts';
import { ProgressMeter, type Reading, renderBars, renderPlain } from './progress.ts';

/** Shows how a run gets on, on stderr. `line` puts a line above whatever is drawn. */
export interface ProgressDisplay {
  progress(progress: Progress): void;
  line(text: string): void;
  /** Takes the drawing away; in a pipe, writes where the run stood at the end. */
  end(): void;
}

/** `lines`: no bars, on a terminal either; where several are shown at once. */
export async function openDisplay(
  context: Context,
  title: string,
  { intervalMs, lines = false }: { intervalMs: number; lines?: boolean },
): Promise<ProgressDisplay> {
  if (context.view.quiet || intervalMs === 0) return { progress() {}, line: (text) => context.talk(text), end() {} };
  if (!context.view.live || lines) return new PlainLines(context, title, intervalMs);
  // Loaded only for a terminal: it takes longer to load than all of the rest.
  const { createLogUpdate } = await import('log-update');
  const screen = createLogUpdate(context.io.stderr as NodeJS.WriteStream, { defaultWidth: context.view.width });
  return new LiveBars(context, title, screen);
}

interface Screen {
  (text: string): void;
  clear(): void;
}

class LiveBars implements ProgressDisplay {
  readonly #context: Context;
  readonly #title: string;
  readonly #screen: Screen;
  readonly #meter = new ProgressMeter();
  #drawn: Reading | undefined;

  constructor(context: Context, title: string, screen: Screen) {
    this.#context = context;
    this.#title = title;
    this.#screen = screen;
  }

  progress(progress: Progress): void {
    this.#drawn = this.#meter.read(progress);
    this.#draw();
  }

  line(text: string): void {
    this.#screen.clear();
    this.#context.talk(text);
    this.#draw();
  }

  end(): void {
    this.#screen.clear();
    this.#drawn = undefined;
  }

  #draw(): void {
    if (this.#drawn === undefined) return;
    const { io, view } = this.#context;
    const style = { width: io.stderr.columns ?? view.width, paint: view.talkPaint };
    this.#screen(this.#context.mask(renderBars(this.#title, this.#drawn, style).join('\n')));
  }
}

class PlainLines implements ProgressDisplay {
  readonly #context: Context;
  readonly #title: string;
  readonly #intervalMs: number;
  readonly #meter = new ProgressMeter();
  #shownAtMs = 0;
  #unshown: Reading | undefined;

  constructor(context: Context, title: string, intervalMs: number) {
    this.#context = context;
    this.#title = title;
    this.#intervalMs = intervalMs;
  }

  progress(progress: Progress): void {
    this.#unshown = this.#meter.read(progress);
    if (progress.elapsedMs - this.#shownAtMs >= this.#intervalMs) this.#write(progress.elapsedMs);
  }

  line(text: string): void {
    this.#context.talk(text);
  }

  end(): void {
    this.#write(this.#unshown?.elapsedMs ?? 0);
  }

  #write(elapsedMs: number): void {
    if (this.#unshown === undefined) return;
    this.#context.talk(renderPlain(this.#title, this.#unshown));
    this.#shownAtMs = elapsedMs;
    this.#unshown = undefined;
  }
}
