//! Work on files that may take long: one thread, on which an executor (glommio) with a ring of its own runs *jobs* for all
//! cores.
//!
//! A core hands a [`Job`] in by [`Storage::submit`], which never waits, and hears of it by an [`Event`] in its [`Inbox`];
//! a [`Waker`] ends its sleep. A snapshot's job runs while others do; all others run in the order in which they came, so
//! that a file is known to be there before the next job names it.
//!
//! Where the executor cannot be set up (it wants 512 KiB of lockable memory), the same jobs run with the standard library's
//! blocking files. Nothing of a job depends on which it is but [`file::NewFile`].
//!
//! In a simulated server nobody takes the jobs: [`Storage::submit`] refuses them.

mod file;
mod snapshot;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use futures_lite::future::block_on;
use glommio::{LocalExecutorBuilder, Placement};

use crate::aof::store::Prepared;
use crate::runtime::io::CoreId;
use crate::runtime::waker::Waker;

pub use file::plain;
pub use snapshot::{Piece, SnapshotFile, Written};

/// Jobs that wait at most; beyond that they are refused.
const JOBS_MAX: usize = 1024;
/// Memory of the executor for aligned buffers, in bytes; what does not fit comes from the allocator.
const IO_MEMORY: usize = 2 << 20;

/// Something to be done. What a job needs to answer is a part of it.
#[derive(Debug)]
pub enum Job {
    /// Write a snapshot.
    Snapshot(Box<SnapshotFile>),
    /// Do this, and tell the core what it returns, if anything.
    Work(CoreId, Work),
}

/// Something to be done with blocking calls.
pub struct Work(Box<dyn FnOnce() -> Option<Event> + Send>);

impl Work {
    /// Whatever it is.
    pub fn new(work: impl FnOnce() -> Option<Event> + Send + 'static) -> Work {
        Work(Box::new(work))
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

/// What has become of a job.
#[derive(Debug)]
pub enum Event {
    /// A snapshot is written or has failed.
    Snapshot {
        /// The number that the job bears.
        number: u64,
        /// What was written, or what went wrong.
        result: Result<Written, String>,
    },
    /// A segment for the log is there, or why it is not.
    Segment(Result<Prepared, String>),
    /// Segments for a rewrite are there for all cores, or why they are not.
    SegmentsForRewrite(Result<(), String>),
    /// A base has taken its place, or why not.
    Rewritten(Result<(), String>),
}

/// Events for one core.
#[derive(Debug, Default)]
pub struct Inbox {
    events: Mutex<VecDeque<Event>>,
    /// There are some, or the core is to look round.
    rung: AtomicBool,
    waker: OnceLock<Waker>,
}

impl Inbox {
    /// The waker of the core, to be given to its ring. Without one the core is not woken.
    ///
    /// # Errors
    /// Those of making one.
    pub fn waker(&self) -> std::io::Result<Waker> {
        let waker = Waker::new()?;
        Ok(self.waker.get_or_init(|| waker).clone())
    }

    /// Wakes the core, for something that it looks at in every turn.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.ring();
        }
    }

    /// Tells the core.
    pub fn put(&self, event: Event) {
        lock(&self.events).push_back(event);
        self.rung.store(true, Ordering::Release);
        self.wake();
    }

    /// The oldest event; `None` costs one load.
    #[inline]
    pub fn take(&self) -> Option<Event> {
        if !self.rung.load(Ordering::Relaxed) {
            return None;
        }
        self.take_rung()
    }

    #[cold]
    fn take_rung(&self) -> Option<Event> {
        let mut events = lock(&self.events);
        let event = events.pop_front();
        self.rung.store(!events.is_empty(), Ordering::Relaxed);
        event
    }
}

/// The way to the storage thread, shared by all cores.
#[derive(Debug)]
pub struct Storage {
    /// Until it is closed.
    jobs: Mutex<Option<flume::Sender<Job>>>,
    inboxes: Box<[Inbox]>,
}

impl Storage {
    /// Of so many cores, and without a thread: jobs are refused.
    pub fn none(cores: usize) -> Storage {
        Storage { jobs: Mutex::new(None), inboxes: (0..cores).map(|_| Inbox::default()).collect() }
    }

    /// From now on jobs are taken, by whoever has what is returned, for [`start`].
    pub fn open(&self) -> flume::Receiver<Job> {
        let (sender, receiver) = flume::bounded(JOBS_MAX);
        *lock(&self.jobs) = Some(sender);
        receiver
    }

    /// No further jobs: the thread ends when those that it has are done.
    pub fn close(&self) {
        *lock(&self.jobs) = None;
    }

    /// Hands a job in.
    ///
    /// # Errors
    /// The job, if there is no thread or if it has too many jobs.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        match &*lock(&self.jobs) {
            Some(jobs) => jobs.try_send(job).map_err(flume::TrySendError::into_inner),
            None => Err(job),
        }
    }

    /// Wakes all cores, for something that they look at in every turn.
    pub fn wake_all(&self) {
        self.inboxes.iter().for_each(Inbox::wake);
    }

    /// The events for a core.
    pub fn inbox(&self, core: CoreId) -> &Inbox {
        &self.inboxes[core.index()]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, which does jobs until [`Storage::close`]; `tell` gets the answers. The executor is set up with the
/// first job; `warn` is told if that fails.
pub fn start<T>(
    jobs: flume::Receiver<Job>,
    tell: T,
    warn: impl FnOnce(&str) + Send + 'static,
) -> JoinHandle<()>
where
    T: Fn(CoreId, Event) + Clone + Send + 'static,
{
    let work = move || run(&jobs, tell, warn);
    let thread = std::thread::Builder::new().name("storage".into());
    thread.spawn(work).expect("the system lets us start a thread")
}

fn run<T>(jobs: &flume::Receiver<Job>, tell: T, warn: impl FnOnce(&str))
where
    T: Fn(CoreId, Event) + Clone + Send + 'static,
{
    let Ok(first) = jobs.recv() else { return };
    let executor = LocalExecutorBuilder::new(Placement::Unbound).name("storage").io_memory(IO_MEMORY).make();
    match executor {
        Ok(executor) => executor.run(serve(first, jobs, &tell, |file| {
            glommio::spawn_local(write(file, tell.clone(), true)).detach();
        })),
        Err(error) => {
            warn(&format!("the storage thread works without io_uring: {error}"));
            block_on(serve(first, jobs, &tell, |file| {
                let tell = tell.clone();
                let write = move || block_on(write(file, tell, false));
                std::thread::Builder::new()
                    .name("snapshot".into())
                    .spawn(write)
                    .expect("a thread can be started");
            }));
        }
    }
}

/// Does the jobs, one after the other, but for snapshots, which `begin` has done beside them.
async fn serve(
    first: Job,
    jobs: &flume::Receiver<Job>,
    tell: &impl Fn(CoreId, Event),
    begin: impl Fn(Box<SnapshotFile>),
) {
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Snapshot(file) => begin(file),
            Job::Work(core, Work(work)) => {
                if let Some(event) = work() {
                    tell(core, event);
                }
            }
        }
        next = jobs.recv_async().await.ok();
    }
}

async fn write(file: Box<SnapshotFile>, tell: impl Fn(CoreId, Event), with_executor: bool) {
    let (core, number) = (file.asked_by, file.number);
    let result = file.write(with_executor).await;
    tell(core, Event::Snapshot { number, result });
}
