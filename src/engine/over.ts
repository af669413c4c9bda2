/**
 * Why something that only waits is told to end. A signal that is given no reason makes an error of its own, with its
 * stack, which costs more than the waiting did and which nobody reads.
 */
export const OVER = 'over';
