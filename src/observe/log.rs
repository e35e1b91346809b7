//! The server's log, in Redis' form: `pid:M 21 Nov 2026 10:15:00.123 * text`.
//!
//! Lines are written at once; nothing on the path of a command logs.

use std::fmt::Arguments;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::base::time::LocalTime;
use crate::config::LogLevel;

/// Where lines go and which.
#[derive(Debug)]
pub struct Log {
    level: AtomicU8,
    time: LocalTime,
    /// `None` for the standard output.
    file: Mutex<Option<File>>,
}

impl Log {
    /// A log to `path`, or to the standard output if that is empty.
    ///
    /// # Errors
    /// Those of opening the file for appending.
    pub fn open(path: &Path, level: LogLevel) -> io::Result<Log> {
        let file = match path.as_os_str().is_empty() {
            true => None,
            false => Some(OpenOptions::new().create(true).append(true).open(path)?),
        };
        Ok(Log { level: AtomicU8::new(level as u8), time: LocalTime::system(), file: Mutex::new(file) })
    }

    /// A log that keeps nothing, for simulation.
    pub fn silent() -> Log {
        Log { level: AtomicU8::new(u8::MAX), time: LocalTime::system(), file: Mutex::new(None) }
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: LogLevel) {
        self.level.store(level as u8, Ordering::Relaxed);
    }

    /// What only a developer wants to read.
    pub fn debug(&self, text: Arguments<'_>) {
        self.write(LogLevel::Debug, '.', text);
    }

    /// What happens often.
    pub fn verbose(&self, text: Arguments<'_>) {
        self.write(LogLevel::Verbose, '-', text);
    }

    /// What an operator wants to read.
    pub fn notice(&self, text: Arguments<'_>) {
        self.write(LogLevel::Notice, '*', text);
    }

    /// What an operator has to read.
    pub fn warning(&self, text: Arguments<'_>) {
        self.write(LogLevel::Warning, '#', text);
    }

    /// At a level that somebody else has chosen.
    pub fn at(&self, level: LogLevel, text: Arguments<'_>) {
        match level {
            LogLevel::Debug => self.debug(text),
            LogLevel::Verbose => self.verbose(text),
            LogLevel::Notice => self.notice(text),
            LogLevel::Warning | LogLevel::Nothing => self.warning(text),
        }
    }

    fn write(&self, level: LogLevel, mark: char, text: Arguments<'_>) {
        if (level as u8) < self.level.load(Ordering::Relaxed) {
            return;
        }
        let time = self.time.format(SystemTime::now());
        let line = format!("{}:M {time} {mark} {text}\n", std::process::id());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written has nobody left to tell.
        match file.as_mut() {
            Some(file) => file.write_all(line.as_bytes()).ok(),
            None => io::stdout().write_all(line.as_bytes()).ok(),
        };
    }
}
