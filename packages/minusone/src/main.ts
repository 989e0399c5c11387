#!/usr/bin/env node
import { main } from './main-command.ts';
import { NodeIo } from './terminal/node-io.ts';

const io = new NodeIo();
const status = await main(process.argv.slice(2), io);
// A terminal that is being read, or a pipe that is still open, would keep the process: it ends here, once all that it said has been taken.
await io.flush();
process.exit(status);
