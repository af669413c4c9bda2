/**
 * The same promise. Whoever calls this waits for it later, when other work is done; that it may fail before then is
 * known here, because a failure that nobody has asked for yet ends the process.
 */
export function awaitedLater<T>(promise: Promise<T>): Promise<T> {
  void Promise.allSettled([promise]);
  return promise;
}
