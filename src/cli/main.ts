#!/usr/bin/env node
import { commandWords, realProcess } from '../app/process.ts';
import { run } from './cli.ts';

// The entry of the program, and the one module that does something when it is imported.
const code = await run(commandWords(), realProcess());
// Not left to an empty event loop: a connection that a driver keeps warm must not hold up whoever waits for the code.
process.exit(code);
