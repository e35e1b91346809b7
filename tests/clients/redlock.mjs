// redlock (npm) over five servers: clients increment a counter under a lock; no increment may get lost.
// usage: node redlock.mjs PORT PORT PORT PORT PORT
import Client from 'ioredis';
import Redlock from 'redlock';

const servers = process.argv.slice(2).map((port) => new Client(Number(port), '127.0.0.1'));
const redlock = new Redlock(servers, { retryCount: 1000, retryDelay: 5, retryJitter: 20 });
let inside = 0;
let counter = 0;
const CLIENTS = 10;
const ROUNDS = 20;

async function increment() {
  for (let round = 0; round < ROUNDS; round += 1) {
    const lock = await redlock.lock('locks:counter', 10_000);
    inside += 1;
    if (inside !== 1) throw new Error('two clients hold the lock');
    const seen = counter;
    await new Promise((resolve) => setTimeout(resolve, 1));
    counter = seen + 1;
    inside -= 1;
    await lock.unlock();
  }
}

await Promise.all(Array.from({ length: CLIENTS }, increment));
// One that is held can neither be taken nor given up by others, and can be kept longer.
const held = await redlock.lock('locks:other', 2_000);
const hasty = new Redlock(servers, { retryCount: 0 });
let refused = false;
await hasty.lock('locks:other', 1_000).catch(() => (refused = true));
await held.extend(5_000);
await held.unlock();
console.log(`redlock (npm): ${counter} of ${CLIENTS * ROUNDS} increments, a held lock is refused: ${refused}`);
servers.forEach((server) => server.disconnect());
process.exit(counter === CLIENTS * ROUNDS && refused ? 0 : 1);
