"""What `scripts/compare` and the programs in `perf/` share: settings, servers, RESP, /proc, BENCHMARKS.md.

Servers listen on free ports of 127.0.0.1, are pinned with taskset, and are ended by process id. Figures about
a server come from the kernel's accounting of its process, not from the client: the client saturates first.
"""

import contextlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "BENCHMARKS.md"
README = ROOT / "README.md"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
CLOCK_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

REDIS_CMD = os.environ.get("REDIS_CMD", 'redis-server --port {port} --save "" --appendonly no')
CORELANE_CMD = os.environ.get(
    "CORELANE_CMD",
    shlex.quote(str(TARGET / "release/corelane"))
    + ' --port {port} --shards {shards} --core-list {core_list} --busy-poll-us {busy_poll} --save ""',
)
FLOOR_CMD = os.environ.get("FLOOR_CMD", shlex.quote(str(TARGET / "release/examples/floor")) + " --port {port}")
BENCH_CMD = os.environ.get("BENCH_CMD", shlex.quote(str(TARGET / "release/corelane-bench")))


def fail(message):
    """Ends the program with a message on standard error."""
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def setting(name, default, low, high):
    """The number in environment variable `name`, held to its bounds; of the type of `default`."""
    text = os.environ.get(name, "")
    try:
        value = type(default)(text) if text else default
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        fail(f"{name} must be a number from {low} to {high}")
    return value


def cores():
    """The cores of server and load: SERVER_CORE and LOAD_CORE, else the first two this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        fail("needs two cores, one for the server and one for the load")
    highest = max(allowed)
    server = setting("SERVER_CORE", allowed[0], 0, highest)
    load = setting("LOAD_CORE", allowed[1], 0, highest)
    if server == load or not {server, load} <= set(allowed):
        fail(f"SERVER_CORE and LOAD_CORE must be two different cores out of {allowed}")
    return server, load


def need_redis():
    """Installs Debian's redis packages if this machine lacks them and we may."""
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        fail("install redis-server and redis-benchmark first (Debian: apt-get install redis-server redis-tools)")
    subprocess.run(["apt-get", "install", "-y", "-q", "redis-server", "redis-tools"], check=True,
                   stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


def build(*targets):
    """Builds release programs, e.g. `build("--bin", "corelane")`."""
    subprocess.run(["cargo", "build", "--quiet", "--release", *targets], cwd=ROOT, check=True)


def build_corelane():
    """Builds the server unless the environment names another one."""
    if "CORELANE_CMD" not in os.environ:
        build("--bin", "corelane")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A running server process pinned to `core_list` (text such as "0" or "0,1")."""

    def __init__(self, name, template, core_list, shards=1, busy_poll="auto"):
        self.name = name
        self.core_list = str(core_list)
        self.port = free_port()
        command = template.format(port=self.port, shards=shards, core_list=core_list, busy_poll=busy_poll)
        self.directory = tempfile.TemporaryDirectory(prefix="corelane-bench-")
        self.log = open(os.path.join(self.directory.name, "log"), "w+")
        self.process = subprocess.Popen(["taskset", "-c", self.core_list, *shlex.split(command)],
                                        stdout=self.log, stderr=self.log, cwd=self.directory.name)
        self.wait_until_it_answers()

    def wait_until_it_answers(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        self.log.seek(0)
        last_lines = self.log.read()[-500:]
        self.stop()
        fail(f"{self.name} did not start: {last_lines}")

    def cpu_ns(self):
        """User and system time that all threads of the process have used so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * CLOCK_TICK_NS

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def connect(self):
        return Client(self.port)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Client:
    """One blocking RESP2 connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 120)
        self.reader = self.socket.makefile("rb", 1 << 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def call(self, *words):
        """Sends one command; returns its reply. Error replies become exceptions."""
        self.socket.sendall(encode(*words))
        return self.read()

    def read(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        raise RuntimeError(f"unexpected reply {line!r}")

    def info(self, section):
        """The fields of an INFO section."""
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def fill(self, keys, value_bytes, extra=(), prefix="key:", batch=10_000):
        """Sets key:000000000000 .. with values of `value_bytes`; `extra` words follow each value."""
        assert len(prefix) == 4, "keys have 16 bytes"
        value = b"x" * value_bytes
        tail = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in map(encode_word, extra))
        form = b"*%d\r\n$3\r\nSET\r\n$16\r\n%s%%012d\r\n$%d\r\n%s\r\n" % (
            3 + len(extra), prefix.encode(), len(value), value) + tail
        for first in range(0, keys, batch):
            count = min(batch, keys - first)
            self.socket.sendall(b"".join(form % key for key in range(first, first + count)))
            replies = self.reader.read(5 * count)
            if replies != b"+OK\r\n" * count:
                raise RuntimeError(f"a SET was refused: {replies[:100]!r}")


def encode_word(word):
    return word if isinstance(word, bytes) else str(word).encode()


def encode(*words):
    words = list(map(encode_word, words))
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def machine():
    """One line on where figures were taken."""
    model = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    virtual = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"v=(\S+)", redis)
    return (f"{os.cpu_count()} cores {model.group(1) if model else platform.machine()}"
            f"{' (virtual machine)' if virtual else ''}, {memory_kib / 2**20:.0f} GiB, "
            f"Linux {platform.release()}, TCP {congestion}, "
            f"redis-server {version.group(1) if version else 'missing'}, "
            f"commit {commit.stdout.strip() or 'unknown'}, {time.strftime('%Y-%m-%d')}")


def table(head, rows):
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def publish(section, text, page=BENCHMARKS):
    """Prints `text` and, unless DRY_RUN is set, puts it into its marked section of a page."""
    print(text, flush=True)
    if os.environ.get("DRY_RUN"):
        return
    begin, end = f"<!-- {section}:begin -->", f"<!-- {section}:end -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        fail(f"{page} has no section between {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def progress(text):
    """A line for whoever waits, on standard error."""
    print(text, file=sys.stderr, flush=True)
