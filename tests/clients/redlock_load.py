"""pottery's Redlock and redlock-py over five servers: threads increment a counter under a lock; none may get lost.

usage: redlock_load.py PORT PORT PORT PORT PORT
"""

import sys
import threading
import time

import redis
from pottery import Redlock
from redlock import Redlock as OldRedlock

THREADS, ROUNDS = 6, 10


def run(name, critical):
    """Runs `critical(increment)` in all threads and tells whether all increments were seen."""
    state = {"counter": 0, "inside": 0, "wrong": 0}

    def increment():
        state["inside"] += 1
        state["wrong"] += state["inside"] != 1
        seen = state["counter"]
        time.sleep(0.001)
        state["counter"] = seen + 1
        state["inside"] -= 1

    def work():
        for _ in range(ROUNDS):
            critical(increment)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{name}: {state['counter']} of {THREADS * ROUNDS} increments, {state['wrong']} not alone")
    return state["counter"] == THREADS * ROUNDS and state["wrong"] == 0


def main():
    ports = [int(port) for port in sys.argv[1:]]
    masters = {redis.Redis(port=port) for port in ports}

    def with_pottery(increment):
        with Redlock(key="counter", masters=masters, auto_release_time=10):
            increment()

    old = OldRedlock([{"host": "127.0.0.1", "port": port, "db": 0} for port in ports], retry_count=2000, retry_delay=0.01)

    def with_old(increment):
        lock = old.lock("locks:counter", 10_000)
        assert lock, "no lock in time"
        increment()
        old.unlock(lock)

    good = [run("pottery", with_pottery), run("redlock-py", with_old)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
