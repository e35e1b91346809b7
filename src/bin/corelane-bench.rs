//! `corelane-bench`: a load generator for Redis-compatible servers that reports latency percentiles.
//!
//! Two ways of loading:
//! - **paced** (`--rate N`): N requests per second leave on a fixed schedule, whatever the server does.
//!   Latency counts from the *scheduled* time, so a stall is charged to every request it delays.
//! - **closed loop** (no `--rate`): every connection keeps `--pipeline` requests under way. Latency counts
//!   from the time a request was written.
//!
//! One thread asks for sockets with replies without ever sleeping, which makes its own clock error a few microseconds; it
//! therefore needs a core that the server does not use (`taskset`).
//!
//! Representation: each [`Lane`] is one non-blocking connection with the start times of its requests under
//! way, oldest first. Invariant: a lane holds exactly one start time per request whose reply has not been
//! read, and replies are matched to them in order, as RESP guarantees.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

const USAGE: &str = "\
usage: corelane-bench [--host H] [--port N] [--rate OPS] [--connections N] [--pipeline N] [--seconds S]
                      [--warmup S] [--keys N] [--value-bytes N] [--set-percent N] [--unit TEXT] [--json]

  --rate         requests per second over all connections; left out: closed loop
  --pipeline     requests under way per connection (closed loop), or their bound (paced)
  --keys         keys key:000000000000 .. key:N-1, picked uniformly
  --set-percent  share of SET among the requests, the rest is GET
  --unit         what a request is instead: commands separated by ';', words by blanks, with %k for a key and %v for a
                 value, such as 'MULTI; SET %k %v; EXEC'; its latency is that of its last reply";

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;
/// The intervals of which `--json` tells the largest latency.
const WINDOW: Duration = Duration::from_millis(100);
/// Nanoseconds that the histogram can hold: one minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// How long replies may take to arrive once the measurement is over.
const DRAIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Options::parse(&args).and_then(|options| run(&options).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("corelane-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    host: String,
    port: u16,
    /// Requests per second over all connections; `None` is a closed loop.
    rate: Option<f64>,
    connections: usize,
    pipeline: usize,
    seconds: f64,
    warmup_seconds: f64,
    keys: u64,
    value_bytes: usize,
    set_percent: u64,
    unit: Option<String>,
    json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            host: "127.0.0.1".to_owned(),
            port: 6379,
            rate: None,
            connections: 20,
            pipeline: 1,
            seconds: 5.0,
            warmup_seconds: 0.5,
            keys: 100_000,
            value_bytes: 64,
            set_percent: 50,
            unit: None,
            json: false,
        }
    }
}

impl Options {
    /// Reads `--name value` pairs. Every number has bounds; the message names the option at fault.
    fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut pipeline = None;
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name == "--json" {
                options.json = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            match name.as_str() {
                "--host" => options.host = value.clone(),
                "--port" => options.port = bounded(name, value, 1, u16::MAX)?,
                "--rate" => options.rate = Some(bounded(name, value, 1.0, 10e6)?),
                "--connections" => options.connections = bounded(name, value, 1, 10_000)?,
                "--pipeline" => pipeline = Some(bounded(name, value, 1, 10_000)?),
                "--seconds" => options.seconds = bounded(name, value, 0.1, 3600.0)?,
                "--warmup" => options.warmup_seconds = bounded(name, value, 0.0, 60.0)?,
                "--keys" => options.keys = bounded(name, value, 1, 1_000_000_000)?,
                "--value-bytes" => options.value_bytes = bounded(name, value, 0, 1 << 20)?,
                "--unit" => options.unit = Some(value.clone()),
                "--set-percent" => options.set_percent = bounded(name, value, 0, 100)?,
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        // A paced lane must be able to run behind by a long stall before its bound delays the schedule.
        options.pipeline = pipeline.unwrap_or(if options.rate.is_some() { 10_000 } else { 1 });
        Ok(options)
    }
}

fn bounded<T>(name: &str, text: &str, min: T, max: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(value) if value >= min && value <= max => Ok(value),
        _ => Err(format!("{name} must be a number from {min} to {max}")),
    }
}

/// What the measured part of a run saw.
struct Tally {
    latency_ns: Histogram<u64>,
    errors: u64,
    /// The largest lag of the generator behind its own schedule: if it is large, so is the measuring error.
    behind_ns_max: u64,
    /// The largest latency of requests whose reply came in each [`WINDOW`].
    window_max_ns: Vec<u64>,
}

impl Tally {
    fn note_window(&mut self, at: Duration, latency: Duration) {
        let window = (at.as_nanos() / WINDOW.as_nanos()) as usize;
        if self.window_max_ns.len() <= window {
            self.window_max_ns.resize(window + 1, 0);
        }
        let max = &mut self.window_max_ns[window];
        *max = (*max).max(latency.as_nanos() as u64);
    }
}

fn run(options: &Options) -> io::Result<()> {
    let mut lanes =
        (0..options.connections).map(|_| Lane::connect(options)).collect::<io::Result<Vec<_>>>()?;
    let mut mix = Mix::new(options);
    let replies = mix.replies();
    let mut tally = Tally {
        latency_ns: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(io::Error::other)?,
        errors: 0,
        behind_ns_max: 0,
        window_max_ns: Vec::new(),
    };
    let start = Instant::now();
    let measure_from = start + Duration::from_secs_f64(options.warmup_seconds);
    let end = measure_from + Duration::from_secs_f64(options.seconds);
    let mut schedule = options.rate.map(|rate| Schedule::new(start, rate));
    let mut ears = Ears::new(&lanes)?;
    let mut chunk = vec![0; READ_BYTES];

    loop {
        let now = Instant::now();
        if now < end {
            match &mut schedule {
                Some(schedule) => {
                    let behind = schedule.send_due(now, end, &mut lanes, &mut mix, options.pipeline);
                    if now >= measure_from {
                        tally.behind_ns_max = tally.behind_ns_max.max(behind.as_nanos() as u64);
                    }
                }
                None => lanes.iter_mut().for_each(|lane| lane.top_up(now, options.pipeline, &mut mix)),
            }
        } else if now > end + DRAIN {
            return Err(io::Error::new(ErrorKind::TimedOut, "replies are missing after the end of the run"));
        } else if lanes.iter().all(|lane| lane.started.is_empty()) {
            break;
        }
        for lane in &mut lanes {
            lane.write()?;
        }
        for event in ears.ready()? {
            lanes[event.data.u64() as usize].read(&mut chunk, measure_from, replies, &mut tally)?;
        }
    }
    report(options, &tally);
    Ok(())
}

/// Knows which lanes have something to read: asking each of hundreds would cost more than the load itself.
struct Ears {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Ears {
    fn new(lanes: &[Lane]) -> io::Result<Ears> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, lane) in lanes.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &lane.stream, data, epoll::EventFlags::IN)?;
        }
        Ok(Ears { epoll, events: Vec::with_capacity(lanes.len()) })
    }

    /// The lanes that can be read now, by index, without waiting.
    fn ready(&mut self) -> io::Result<&[epoll::Event]> {
        self.events.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&at_once)) {
            Err(Errno::INTR) => {}
            other => drop(other?),
        }
        Ok(&self.events)
    }
}

/// The times at which a paced load sends, and which lane is next.
struct Schedule {
    start: Instant,
    interval_ns: f64,
    sent: u64,
}

impl Schedule {
    fn new(start: Instant, rate: f64) -> Schedule {
        Schedule { start, interval_ns: 1e9 / rate, sent: 0 }
    }

    /// Queues every request that is due before `end`; returns how late the most overdue one was.
    fn send_due(
        &mut self,
        now: Instant,
        end: Instant,
        lanes: &mut [Lane],
        mix: &mut Mix,
        bound: usize,
    ) -> Duration {
        let mut behind = Duration::ZERO;
        loop {
            let due = self.start + Duration::from_nanos((self.sent as f64 * self.interval_ns) as u64);
            let lane_count = lanes.len() as u64;
            let lane = &mut lanes[(self.sent % lane_count) as usize];
            if due > now || due >= end || lane.started.len() >= bound {
                return behind;
            }
            behind = behind.max(now - due);
            lane.push(due, mix);
            self.sent += 1;
        }
    }
}

/// Picks the next request.
struct Mix {
    state: u64,
    keys: u64,
    set_percent: u64,
    value: Vec<u8>,
    /// The commands of a unit, by word.
    unit: Option<Vec<Vec<String>>>,
}

impl Mix {
    fn new(options: &Options) -> Mix {
        Mix {
            state: 0x9e37_79b9_7f4a_7c15,
            keys: options.keys,
            set_percent: options.set_percent,
            value: vec![b'x'; options.value_bytes],
            unit: options.unit.as_ref().map(|text| {
                let words = |command: &str| command.split_whitespace().map(str::to_owned).collect();
                text.split(';').map(words).filter(|words: &Vec<String>| !words.is_empty()).collect()
            }),
        }
    }

    /// How many replies a request has.
    fn replies(&self) -> usize {
        self.unit.as_ref().map_or(1, |unit| unit.len().max(1))
    }

    fn append_unit(&mut self, unit: &[Vec<String>], out: &mut Vec<u8>) {
        let value = String::from_utf8_lossy(&self.value).into_owned();
        // Writing to a Vec cannot fail.
        for words in unit {
            let _ = write!(out, "*{}\r\n", words.len());
            for word in words {
                let key = self.random() % self.keys;
                let word = word.replace("%k", &format!("key:{key:012}")).replace("%v", &value);
                let _ = write!(out, "${}\r\n{word}\r\n", word.len());
            }
        }
    }

    /// The next number of a xorshift64* sequence (Vigna 2016).
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn append(&mut self, out: &mut Vec<u8>) {
        if let Some(unit) = self.unit.take() {
            self.append_unit(&unit, out);
            self.unit = Some(unit);
            return;
        }
        let key = self.random() % self.keys;
        // Writing to a Vec cannot fail.
        let _ = if self.random() % 100 < self.set_percent {
            let head = write!(out, "*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n${}\r\n", self.value.len());
            out.extend_from_slice(&self.value);
            out.extend_from_slice(b"\r\n");
            head
        } else {
            write!(out, "*2\r\n$3\r\nGET\r\n$16\r\nkey:{key:012}\r\n")
        };
    }
}

/// One connection.
struct Lane {
    stream: TcpStream,
    unsent: Vec<u8>,
    unread: Vec<u8>,
    started: VecDeque<Instant>,
    /// Replies of the first request that have been read, and whether one of them is an error.
    heard: (usize, bool),
}

impl Lane {
    fn connect(options: &Options) -> io::Result<Lane> {
        let stream = TcpStream::connect((options.host.as_str(), options.port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Lane {
            stream,
            unsent: Vec::new(),
            unread: Vec::new(),
            started: VecDeque::new(),
            heard: (0, false),
        })
    }

    fn push(&mut self, started: Instant, mix: &mut Mix) {
        mix.append(&mut self.unsent);
        self.started.push_back(started);
    }

    /// Sends a whole pipeline once the previous one has been answered.
    fn top_up(&mut self, now: Instant, pipeline: usize, mix: &mut Mix) {
        if self.started.is_empty() {
            (0..pipeline).for_each(|_| self.push(now, mix));
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.unsent) {
            Ok(len) => drop(self.unsent.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads what has come, by way of `chunk`.
    fn read(
        &mut self,
        chunk: &mut [u8],
        measure_from: Instant,
        replies: usize,
        tally: &mut Tally,
    ) -> io::Result<()> {
        match self.stream.read(chunk) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection")),
            Ok(len) => self.unread.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let now = Instant::now();
        let mut at = 0;
        while let Some(len) = reply_len(&self.unread[at..])? {
            self.heard = (self.heard.0 + 1, self.heard.1 || self.unread[at] == b'-');
            at += len;
            if self.heard.0 < replies {
                continue;
            }
            let (_, is_error) = std::mem::take(&mut self.heard);
            let started = self
                .started
                .pop_front()
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a reply without a request"))?;
            if started >= measure_from {
                tally.errors += u64::from(is_error);
                tally.note_window(now - measure_from, now - started);
                tally.latency_ns.saturating_record((now - started).as_nanos() as u64);
            }
        }
        self.unread.drain(..at);
        Ok(())
    }
}

/// Length of the first whole reply in `bytes`.
fn reply_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let malformed = || io::Error::new(ErrorKind::InvalidData, "not a reply of RESP2");
    let (mut at, mut missing) = (0, 1);
    while missing > 0 {
        let Some(line_len) = bytes[at..].iter().position(|&byte| byte == b'\n').map(|end| end + 1) else {
            return Ok(None);
        };
        let number = || -> io::Result<i64> {
            let text = std::str::from_utf8(&bytes[at + 1..at + line_len]).map_err(|_| malformed())?;
            text.trim_end().parse().map_err(|_| malformed())
        };
        let (body_len, elements) = match bytes[at] {
            b'+' | b'-' | b':' | b'_' => (0, 0),
            b'$' => (number()?.max(-2) + 2, 0),
            b'*' => (0, number()?.max(0)),
            _ => return Err(malformed()),
        };
        // A null has no body.
        at += line_len + if body_len > 1 { body_len as usize } else { 0 };
        missing = missing - 1 + elements as usize;
        if at > bytes.len() {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

fn report(options: &Options, tally: &Tally) {
    let latency = &tally.latency_ns;
    let us = |percentile: f64| latency.value_at_percentile(percentile) as f64 / 1e3;
    let rate = latency.len() as f64 / options.seconds;
    let behind_us = tally.behind_ns_max as f64 / 1e3;
    let windows: Vec<String> =
        tally.window_max_ns.iter().map(|ns| format!("{:.0}", *ns as f64 / 1e3)).collect();
    let windows = windows.join(",");
    let (p50, p99, p999, p9999) = (us(50.0), us(99.0), us(99.9), us(99.99));
    let max = latency.max() as f64 / 1e3;
    if options.json {
        println!(
            "{{\"ops\":{},\"rate\":{rate:.1},\"errors\":{},\"p50_us\":{p50:.1},\"p99_us\":{p99:.1},\
             \"p999_us\":{p999:.1},\"p9999_us\":{p9999:.1},\"max_us\":{max:.1},\"behind_us\":{behind_us:.1},\
             \"window_max_us\":[{windows}]}}",
            latency.len(),
            tally.errors
        );
    } else {
        println!("{} requests, {rate:.0} per second, {} error replies", latency.len(), tally.errors);
        println!("latency us: p50 {p50:.1}  p99 {p99:.1}  p99.9 {p999:.1}  p99.99 {p9999:.1}  max {max:.1}");
        println!("generator behind its schedule by at most {behind_us:.1} us");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_have_bounds_and_name_the_one_at_fault() {
        assert_eq!(parse("--port 7000 --json").unwrap().port, 7000);
        assert!(parse("--connections 0").unwrap_err().starts_with("--connections must be"));
        assert!(parse("--rate").unwrap_err().starts_with("--rate needs a value"));
        assert!(parse("--what 1").unwrap_err().starts_with("unknown option --what"));
    }

    #[test]
    fn only_a_closed_loop_defaults_to_one_request_under_way() {
        assert_eq!(parse("").unwrap().pipeline, 1);
        assert_eq!(parse("--rate 1000").unwrap().pipeline, 10_000);
        assert_eq!(parse("--pipeline 3 --rate 1000").unwrap().pipeline, 3);
    }

    #[test]
    fn a_reply_is_whole_only_with_its_last_byte() {
        let nested = b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*-1\r\n$0\r\n\r\n";
        for reply in
            [&b"+OK\r\n"[..], b"$-1\r\n", b"_\r\n", b"$3\r\nabc\r\n", b"-ERR no\r\n", b"*0\r\n", nested]
        {
            for cut in 0..reply.len() {
                assert_eq!(reply_len(&reply[..cut]).unwrap(), None);
            }
            assert_eq!(reply_len(&[reply, b"+next"].concat()).unwrap(), Some(reply.len()));
        }
        assert!(reply_len(b">1\r\n").is_err());
        assert!(reply_len(b"$x\r\n").is_err());
    }

    #[test]
    fn a_unit_is_several_commands() {
        let options = Options { unit: Some("MULTI; SET a%k %v ;EXEC".into()), keys: 1, ..Options::default() };
        let mut mix = Mix::new(&Options { value_bytes: 2, ..options });
        let mut out = Vec::new();
        mix.append(&mut out);
        let set = "*3\r\n$3\r\nSET\r\n$17\r\nakey:000000000000\r\n$2\r\nxx\r\n";
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("*1\r\n$5\r\nMULTI\r\n{set}*1\r\n$4\r\nEXEC\r\n")
        );
        assert_eq!(mix.replies(), 3);
    }

    #[test]
    fn a_schedule_sends_what_is_due_and_counts_lateness_from_the_plan() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = Options { port, ..Options::default() };
        let mut lanes = vec![Lane::connect(&options).unwrap(), Lane::connect(&options).unwrap()];
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000.0);
        let end = start + Duration::from_secs(1);
        let now = start + Duration::from_micros(4500);
        let behind = schedule.send_due(now, end, &mut lanes, &mut Mix::new(&options), 100);
        assert_eq!((lanes[0].started.len(), lanes[1].started.len()), (3, 2));
        assert_eq!(behind, Duration::from_micros(4500));
        assert_eq!(lanes[1].started[0], start + Duration::from_millis(1));
    }
}
