//! The server's life: configuration, sockets, one thread per core, the end.

mod data;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::base::crc::SLOTS;
use crate::command::lookup;
use crate::config::{Config, Supervised};
use crate::core::Core;
use crate::core::state::CoreState;
use crate::net::listener::{self, BindAddress};
use crate::observe::log::Log;
use crate::route::ShardMap;
use crate::route::message::Batch;
use crate::runtime::cpu::{self, SystemClock};
use crate::runtime::io::{Clock, CoreId};
use crate::runtime::mailbox::ThreadMailbox;
use crate::runtime::ring::{Doorbells, RingIo};
use crate::shard::Hasher;
use crate::shared::Shared;
use crate::storage;

/// Runs a server with this configuration until it is told to stop. `warnings` are logged at the start.
pub fn run(mut config: Config, warnings: &[String]) -> ExitCode {
    let log = match Log::open(&config.logfile, config.loglevel) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("Can't open the log file: {error}");
            return ExitCode::FAILURE;
        }
    };
    log.notice(format_args!("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo"));
    log.notice(format_args!(
        "Redis version={}, bits=64, commit=00000000, modified=0, pid={}, just started (Corelane {})",
        crate::config::REDIS_VERSION,
        std::process::id(),
        env!("CARGO_PKG_VERSION")
    ));
    for warning in warnings {
        log.warning(format_args!("{warning}"));
    }
    if let Err(reason) = lookup::rename(&config.renamed_commands) {
        log.warning(format_args!("Cannot rename commands: {reason}"));
        return ExitCode::FAILURE;
    }
    let cpus = match choose_cpus(&mut config, &log) {
        Ok(cpus) => cpus,
        Err(error) => {
            log.warning(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    bound_maxclients(&mut config, &log);
    if config.disable_thp && !cpu::disable_huge_pages() {
        log.warning(format_args!("WARNING cannot disable transparent huge pages: latencies may suffer"));
    }
    serve(config, log, &cpus)
}

/// The processor of each shard; more shards than processors share them.
fn choose_cpus(config: &mut Config, log: &Log) -> Result<Vec<usize>, String> {
    let mut cpus = cpu::allowed_cores()?;
    if !config.core_list.0.is_empty() {
        let allowed = std::mem::take(&mut cpus);
        cpus = config.core_list.0.iter().map(|&core| usize::from(core)).collect();
        if let Some(core) = cpus.iter().find(|core| !allowed.contains(core)) {
            return Err(format!("core-list names core {core}, but this process may run on {allowed:?} only"));
        }
    }
    if config.shards == 0 {
        config.shards = cpus.len().min(SLOTS) as u16;
    }
    let shards = usize::from(config.shards);
    if shards > cpus.len() {
        log.warning(format_args!(
            "WARNING {shards} shards on {} cores: some cores serve several shards",
            cpus.len()
        ));
    }
    Ok((0..shards).map(|shard| cpus[shard % cpus.len()]).collect())
}

/// Lowers `maxclients` to what the limit on open files allows.
fn bound_maxclients(config: &mut Config, log: &Log) {
    let limit = cpu::raise_open_files_limit(config.open_files_needed());
    let possible = config.maxclients_within(limit);
    if possible < config.maxclients {
        log.warning(format_args!(
            "Current maximum open files is {limit}. maxclients has been reduced to {possible} to compensate for low ulimit. \
             If you need higher maxclients increase 'ulimit -n'."
        ));
        config.maxclients = possible;
    }
}

/// The listening sockets of each core.
fn listen(config: &Config, cores: usize) -> Result<Vec<Vec<OwnedFd>>, String> {
    let mut listeners: Vec<Vec<OwnedFd>> = (0..cores).map(|_| Vec::new()).collect();
    let backlog = config.tcp_backlog as i32;
    let mut bound = 0;
    for text in config.bind.iter().filter(|_| config.port > 0) {
        let address = BindAddress::parse(text)?;
        match listener::tcp(SocketAddr::new(address.ip, config.port), backlog, cores) {
            Ok(sockets) => {
                bound += 1;
                listeners.iter_mut().zip(sockets).for_each(|(mine, socket)| mine.push(socket));
            }
            Err(error) if address.optional && is_unavailable(&error) => {}
            Err(error) => {
                return Err(format!(
                    "Warning: Could not create server TCP listening socket {text}:{}: bind: {}\nFailed listening on port \
                     {} (tcp), aborting.",
                    config.port,
                    plain(&error),
                    config.port
                ));
            }
        }
    }
    if !config.unixsocket.as_os_str().is_empty() {
        let mode = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        let socket = listener::unix(&config.unixsocket, mode, backlog)
            .map_err(|error| format!("Failed opening Unix socket: bind: {}", plain(&error)))?;
        listeners[0].push(socket);
        bound += 1;
    }
    if bound == 0 {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    Ok(listeners)
}

fn is_unavailable(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

/// An error's text without the number that Rust appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn serve(config: Config, log: Log, cpus: &[usize]) -> ExitCode {
    let listeners = match listen(&config, cpus.len()) {
        Ok(listeners) => listeners,
        Err(error) => {
            log.warning(format_args!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let clock = SystemClock::calibrate();
    let map = ShardMap::new(cpus.len() as u16);
    let hasher = Hasher::random();
    let seed = hasher.hash(b"seed");
    let run_id = (0..5).map(|part: u8| format!("{:08x}", hasher.hash(&[part]) as u32)).collect();
    let shared = Arc::new(Shared::new(map, config, log, run_id, clock.unix_us()));
    if let Err(error) = stop_on_signals(&shared) {
        shared.log.warning(format_args!("cannot handle signals: {error}"));
        return ExitCode::FAILURE;
    }
    write_pidfile(&shared);
    shared.startup_bytes.store(shared.note_memory().0, Ordering::Relaxed);
    let (config, _) = shared.config.current();
    shared.log.notice(format_args!("Running mode=standalone, port={}, shards={}.", config.port, cpus.len()));
    shared.log.notice(format_args!("Server initialized"));
    if let Err(error) = data::begin(&shared, clock.unix_us() / 1000) {
        shared.log.warning(format_args!("{error}"));
        return ExitCode::FAILURE;
    }
    let storage = start_storage(&shared);
    let doorbells = Doorbells::new(cpus.len());
    let (ready, readiness) = mpsc::channel();
    let mut threads = Vec::new();
    for (((core, mailbox), listeners), &cpu) in
        map.all().zip(ThreadMailbox::mesh(cpus.len())).zip(listeners).zip(cpus)
    {
        let place = Place {
            core,
            cpu,
            listeners,
            mailbox,
            doorbells: doorbells.clone(),
            clock,
            hasher: hasher.clone(),
            seed,
        };
        threads.push(start(place, Arc::clone(&shared), ready.clone()));
    }
    drop(ready);
    let failures: Vec<String> = readiness.iter().filter_map(Result::err).collect();
    if failures.is_empty() {
        let stops = || shared.stopping.load(Ordering::Relaxed);
        if shared.load().is_none_or(|load| load.wait(stops)) {
            announce(&shared);
        }
    } else {
        shared.stopping.store(true, Ordering::Relaxed);
        shared.log.warning(format_args!("{}", failures[0]));
    }
    for thread in threads {
        thread.join().expect("panics abort the process");
    }
    shared.storage.close();
    storage.join().expect("panics abort the process");
    if let Err(error) = shared.append_only.finish() {
        shared.log.warning(format_args!("Can't cut the append only files at their ends: {}", plain(&error)));
    }
    withdraw(&shared);
    let is_loaded = shared.load().is_none_or(|load| load.failure().is_none());
    if failures.is_empty() && is_loaded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one core's thread starts with.
struct Place {
    core: CoreId,
    cpu: usize,
    listeners: Vec<OwnedFd>,
    mailbox: ThreadMailbox<Batch>,
    doorbells: Doorbells,
    clock: SystemClock,
    hasher: Hasher,
    seed: u64,
}

fn start(place: Place, shared: Arc<Shared>, ready: mpsc::Sender<Result<(), String>>) -> JoinHandle<()> {
    let name = format!("core-{}", place.core);
    let serve = move || {
        if let Err(error) = cpu::pin_to(place.cpu) {
            shared.log.warning(format_args!(
                "WARNING cannot pin core {} to processor {}: {error}",
                place.core, place.cpu
            ));
        }
        let waker = match shared.storage.inbox(place.core).waker() {
            Ok(waker) => waker,
            Err(error) => {
                ready.send(Err(format!("cannot make a pair of sockets: {error}"))).ok();
                return;
            }
        };
        let io = match RingIo::new(place.core, place.listeners, place.doorbells, waker) {
            Ok(io) => io,
            Err(error) => {
                ready.send(Err(error.to_string())).ok();
                return;
            }
        };
        let seed = place.seed.wrapping_add(u64::from(place.core.0));
        let mut state = CoreState::new(place.core, shared, &place.hasher, seed, Box::new(place.clock));
        state.journal.exits = true;
        if state.loading.is_none() {
            state.begin_log_if_made();
        }
        ready.send(Ok(())).ok();
        drop(ready);
        Core::new(state, io, place.mailbox).run();
    };
    std::thread::Builder::new().name(name).spawn(serve).expect("the system lets us start a thread")
}

/// Starts the thread that works on files for all cores.
fn start_storage(shared: &Arc<Shared>) -> JoinHandle<()> {
    let (jobs, shared) = (shared.storage.open(), Arc::clone(shared));
    let events = Arc::clone(&shared);
    let tell = move |core, event| events.storage.inbox(core).put(event);
    storage::start(jobs, tell, move |warning| shared.log.warning(format_args!("{warning}")))
}

/// Before the first client is served, and after the listening sockets have shown that no other server runs here.
fn write_pidfile(shared: &Shared) {
    let (config, _) = shared.config.current();
    if !config.pidfile.as_os_str().is_empty()
        && let Err(error) = std::fs::write(&config.pidfile, format!("{}\n", std::process::id()))
    {
        shared.log.warning(format_args!("Failed to write PID file: {}", plain(&error)));
    }
}

/// Tells everybody who wants to know that the server is ready.
fn announce(shared: &Shared) {
    let (config, _) = shared.config.current();
    if config.port > 0 {
        shared.log.notice(format_args!("Ready to accept connections tcp"));
    }
    if !config.unixsocket.as_os_str().is_empty() {
        shared.log.notice(format_args!("Ready to accept connections unix"));
    }
    if matches!(config.supervised, Supervised::Systemd | Supervised::Auto) {
        let ready =
            [sd_notify::NotifyState::Status("Ready to accept connections"), sd_notify::NotifyState::Ready];
        if let Err(error) = sd_notify::notify(false, &ready) {
            shared.log.warning(format_args!("cannot notify systemd: {error}"));
        }
    }
}

/// Says that the server stops, and removes what it has left in the file system for its lifetime.
fn withdraw(shared: &Shared) {
    let (config, _) = shared.config.current();
    remove(&config.pidfile, shared);
    remove(&config.unixsocket, shared);
    if matches!(config.supervised, Supervised::Systemd | Supervised::Auto) {
        sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]).ok();
    }
    shared.log.warning(format_args!("Redis is now ready to exit, bye bye..."));
}

/// Removes a file that the server has made for its lifetime; an empty path is none.
fn remove(path: &Path, shared: &Shared) {
    if path.as_os_str().is_empty() {
        return;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            shared.log.warning(format_args!("cannot remove {}: {}", path.display(), plain(&error)));
        }
        _ => {}
    }
}

/// Lets SIGTERM and SIGINT stop the server. A second one ends the process at once.
fn stop_on_signals(shared: &Arc<Shared>) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGXFSZ};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ])?;
    let shared = Arc::clone(shared);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let name = match signal {
                SIGTERM => "SIGTERM",
                SIGINT => "SIGINT",
                // As in Redis: a lost terminal or reader is no reason to stop. Nor is a limit of the size of files: the write
                // that meets it fails.
                _ => continue,
            };
            if !shared.ask_to_stop() {
                shared.log.warning(format_args!("You insist... exiting now."));
                if let Some(run) = shared.snapshots.current() {
                    // Nobody needs a part of a snapshot.
                    std::fs::remove_file(&run.plan.temporary).ok();
                }
                std::process::exit(1);
            }
            shared.log.warning(format_args!("Received {name} scheduling shutdown..."));
        }
    })?;
    Ok(())
}
