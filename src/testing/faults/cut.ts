export type Side = 'request' | 'answer';

/**
 * Where in a message a cut falls: after so many of its bytes (0: the message has begun to arrive, and nothing of it is
 * handed on), after a text in it, or after the whole of it, which only a framing can tell.
 */
export type Place = number | 'end' | { readonly after: string };

/**
 * What happens at the place. What came before it has been handed on.
 * - `close`: both connections end. The server still gets to read what it was sent; what it answers goes nowhere.
 * - `reset`: the same, but the client is told by a reset instead of an orderly end.
 * - `hold`: nothing passes any more, in either direction, until `release()`.
 * - `late`: for a request from its first byte: it is taken to its end, the client's connection is closed, and the
 *   server gets it only at `release()`. So does a request that a gateway still had in its hands.
 */
export type Act = 'close' | 'reset' | 'hold' | 'late';

export interface Cut {
  /** All that is given must hold; absent: every request. */
  readonly when?: {
    /** 1-based numbers of connections, in the order of being accepted. */
    readonly connection?: readonly number[];
    /** 1-based numbers of requests, over all connections, in the order in which their first byte arrived. */
    readonly request?: readonly number[];
    /** Every so many of the requests that fit the rest. */
    readonly every?: number;
    /** Which of them is the first one, 1-based; `every` when absent. */
    readonly first?: number;
    /** Texts in the first bytes of the request that arrive together: in its head, or its query. */
    readonly holds?: string | readonly string[];
  };
  readonly side: Side;
  readonly at: Place;
  readonly act: Act;
  /** Fires at most this often. */
  readonly times?: number;
}

/** A cut that was made. */
export interface Made {
  readonly cut: Cut;
  readonly connection: number;
  readonly request: number;
}
