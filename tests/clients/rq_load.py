"""RQ: so many jobs are enqueued and worked on by several workers; each must be done exactly once.

usage: rq_load.py PORT JOBS
"""

import multiprocessing
import sys
import time

import redis
from rq import Queue, SimpleWorker

WORKERS = 4


def job(port, number):
    """What a worker does: it counts itself."""
    redis.Redis(port=port).hincrby("rq:done", number, 1)


def work(port):
    SimpleWorker(["load"], connection=redis.Redis(port=port)).work(burst=True, logging_level="ERROR")


def main():
    port, jobs = int(sys.argv[1]), int(sys.argv[2])
    connection = redis.Redis(port=port)
    connection.delete("rq:done")
    queue = Queue("load", connection=connection)
    started = time.time()
    for first in range(0, jobs, 500):
        numbers = range(first, min(first + 500, jobs))
        queue.enqueue_many([Queue.prepare_data(job, (port, number), result_ttl=60) for number in numbers])
    workers = [multiprocessing.Process(target=work, args=(port,)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)
    done = {int(number): int(count) for number, count in connection.hgetall("rq:done").items()}
    twice = sum(count != 1 for count in done.values())
    left = len(queue)
    print(f"rq: {len(done)} jobs done, {twice} more than once, {left} left, {time.time() - started:.1f} s")
    sys.exit(0 if (len(done), twice, left) == (jobs, 0, 0) else 1)


if __name__ == "__main__":
    main()
