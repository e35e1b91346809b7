//! The processor: pinning threads, and a clock that costs a few nanoseconds to read.
//!
//! Ticks are the time-stamp counter where the processor keeps it at a constant rate over all cores and sleep
//! states (`constant_tsc` and `nonstop_tsc`); elsewhere they are the kernel's monotonic clock.
#![allow(unsafe_code)]

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::runtime::io::Clock;

/// The processors that this process may run on.
///
/// # Errors
/// A text if the kernel does not tell.
pub fn allowed_cores() -> Result<Vec<usize>, String> {
    affinity::get_thread_affinity().map_err(|error| error.to_string())
}

/// Ties the calling thread to one processor.
///
/// # Errors
/// A text if the processor does not exist or is not allowed.
pub fn pin_to(cpu: usize) -> Result<(), String> {
    affinity::set_thread_affinity([cpu]).map_err(|error| error.to_string())
}

/// Raises the soft limit on open files to what `wanted` needs, as far as the hard limit allows, and returns
/// the limit now in force.
pub fn raise_open_files_limit(wanted: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid, exclusively borrowed rlimit for both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur < wanted {
            let raised = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), ..limit };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
                return raised.rlim_cur;
            }
        }
    }
    limit.rlim_cur
}

/// Keeps the kernel from backing this process' memory by huge pages. To zero one takes milliseconds on a virtual machine, in
/// the middle of whichever command touches it first.
pub fn disable_huge_pages() -> bool {
    // SAFETY: the call takes plain numbers and changes a flag of this process only.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 }
}

/// CPU seconds that this process has used: `(user, system)`.
pub fn process_cpu_seconds() -> (f64, f64) {
    cpu_seconds(libc::RUSAGE_SELF)
}

/// CPU seconds that the calling thread has used: `(user, system)`.
pub fn thread_cpu_seconds() -> (f64, f64) {
    cpu_seconds(libc::RUSAGE_THREAD)
}

/// CPU seconds that ended child processes have used: `(user, system)`.
pub fn children_cpu_seconds() -> (f64, f64) {
    cpu_seconds(libc::RUSAGE_CHILDREN)
}

fn cpu_seconds(whose: libc::c_int) -> (f64, f64) {
    // SAFETY: an all-zero rusage is valid, and the call fills an exclusively borrowed one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(whose, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// What ticks are counted by.
pub fn ticks_name() -> &'static str {
    static IS_TSC: LazyLock<bool> = LazyLock::new(tsc_is_reliable);
    if *IS_TSC { "X86 TSC" } else { "POSIX clock_gettime" }
}

/// The clock of this machine. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
    /// Nanoseconds per tick times 2^32; `None` if ticks are nanoseconds already.
    ns_per_tick_q32: Option<u64>,
}

impl SystemClock {
    /// Calibrates the time-stamp counter against the monotonic clock for some milliseconds.
    pub fn calibrate() -> SystemClock {
        let origin = Instant::now();
        let ns_per_tick_q32 = tsc_is_reliable().then(|| {
            let first = read_tsc();
            while origin.elapsed() < Duration::from_millis(5) {
                std::hint::spin_loop();
            }
            let (elapsed_ns, ticks) = (origin.elapsed().as_nanos(), read_tsc() - first);
            ((elapsed_ns << 32) / u128::from(ticks.max(1))) as u64
        });
        SystemClock { origin, ns_per_tick_q32 }
    }
}

impl Clock for SystemClock {
    fn unix_us(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
    }

    #[inline]
    fn ticks(&self) -> u64 {
        if self.ns_per_tick_q32.is_some() { read_tsc() } else { self.monotonic_ns() }
    }

    #[inline]
    fn ticks_to_ns(&self, ticks: u64) -> u64 {
        self.ns_per_tick_q32.map_or(ticks, |rate| ((u128::from(ticks) * u128::from(rate)) >> 32) as u64)
    }

    fn monotonic_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn read_tsc() -> u64 {
    // SAFETY: every x86-64 processor has RDTSC, and Linux lets user space execute it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn read_tsc() -> u64 {
    unreachable!("only read where tsc_is_reliable() holds")
}

fn tsc_is_reliable() -> bool {
    cfg!(target_arch = "x86_64")
        && std::fs::read_to_string("/proc/cpuinfo")
            .is_ok_and(|info| info.contains("constant_tsc") && info.contains("nonstop_tsc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_the_monotonic_clock_tell_the_same_time() {
        let clock = SystemClock::calibrate();
        let (ticks, ns) = (clock.ticks(), clock.monotonic_ns());
        clock.sleep(Duration::from_millis(50));
        let by_ticks = clock.ticks_to_ns(clock.ticks() - ticks) as f64;
        let by_ns = (clock.monotonic_ns() - ns) as f64;
        assert!((by_ticks / by_ns - 1.0).abs() < 0.2, "{by_ticks} against {by_ns}");
    }
}
