// BullMQ: so many jobs are added and worked on by several workers; each must be done exactly once.
// usage: node bullmq.mjs PORT JOBS
import { Queue, QueueEvents, Worker } from 'bullmq';

const [port, jobs] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const name = `load-${process.pid}`;
const queue = new Queue(name, { connection });
const done = new Map();
let finished;
const all = new Promise((resolve) => (finished = resolve));

const workers = [0, 1, 2, 3].map(
  () =>
    new Worker(
      name,
      async (job) => {
        done.set(job.data.number, (done.get(job.data.number) ?? 0) + 1);
        if (done.size === jobs) finished();
        return job.data.number;
      },
      { connection, concurrency: 25 },
    ),
);
for (const worker of workers) worker.on('error', (error) => console.error(error.message));
const events = new QueueEvents(name, { connection });
await events.waitUntilReady();

const started = Date.now();
for (let first = 0; first < jobs; first += 500) {
  const count = Math.min(500, jobs - first);
  await queue.addBulk(
    Array.from({ length: count }, (_, at) => ({
      name: 'job',
      data: { number: first + at },
      // Some of them wait, have a priority or remove themselves.
      opts: [{}, { delay: 50 }, { priority: 1 + (at % 5) }, { removeOnComplete: true }][at % 4],
    })),
  );
}
const timeout = setTimeout(() => {
  console.error(`${done.size} of ${jobs} jobs were done in time`);
  process.exit(1);
}, 300_000);
await all;
clearTimeout(timeout);
// One that runs twice would do so about now.
await new Promise((resolve) => setTimeout(resolve, 500));
const twice = [...done.values()].filter((count) => count !== 1).length;
const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'failed');
const seconds = (Date.now() - started) / 1000;
console.log(`bullmq: ${done.size} jobs done, ${twice} more than once, left: ${JSON.stringify(counts)}, ${seconds.toFixed(1)} s`);
await Promise.all([...workers, events, queue].map((part) => part.close()));
process.exit(done.size === jobs && twice === 0 && Object.values(counts).every((count) => count === 0) ? 0 : 1);
