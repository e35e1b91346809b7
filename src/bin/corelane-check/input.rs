//! Files that are read, with a bar that shows how far, and copied before they are changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use corelane::aof::recover::Source;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;

/// An open file. The bar is drawn on stderr if that is a terminal.
pub(crate) struct Input {
    file: File,
    bar: ProgressBar,
}

impl Input {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Input, Failure> {
        Input::try_open(path)
            .map_err(|error| Failure(format!("Cannot open file {}: {error}, aborting...", path.display())))
    }

    /// The same, with the error as it is.
    pub(crate) fn try_open(path: &Path) -> io::Result<Input> {
        let file = File::open(path)?;
        let bar = ProgressBar::new(file.metadata()?.len());
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(path.display().to_string());
        Ok(Input { file, bar })
    }
}

impl Source for Input {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = Source::read_at(&self.file, room, offset)?;
        self.bar.set_position(offset + len as u64);
        Ok(len)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Asks on the terminal.
pub(crate) fn confirm(yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    print!("Continue? [y/N]: ");
    let mut answer = String::new();
    let asked = io::stdout().flush().and_then(|()| io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if answer.starts_with(['y', 'Y']) => Ok(()),
        _ => Err(Failure("Aborting...".into())),
    }
}

/// Copies a file to the first name `<file>.bak-<n>` that is not taken.
pub(crate) fn back_up(path: &Path) -> io::Result<PathBuf> {
    for number in 1.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".bak-{number}"));
        let copy = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&copy) {
            Ok(mut file) => {
                io::copy(&mut File::open(path)?, &mut file)?;
                file.sync_all()?;
                return Ok(copy);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("numbers do not end")
}

/// Copies a file, then cuts it.
pub(crate) fn cut(path: &Path, make: impl FnOnce(&File) -> io::Result<()>) -> Result<(), Failure> {
    let cut = || -> io::Result<()> {
        let copy = back_up(path)?;
        println!("Kept a copy as {}", copy.display());
        let file = OpenOptions::new().write(true).open(path)?;
        make(&file)?;
        file.sync_all()
    };
    cut().map_err(|error| Failure(format!("Failed to truncate AOF {}: {error}", path.display())))
}

/// The manifest that a path means: itself, or the one in the folder. `None` if it is no manifest.
pub(crate) fn manifest(path: &Path) -> Result<Option<PathBuf>, Failure> {
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| Failure(format!("Cannot read folder: {error}")))?;
        let mut found = entries.flatten().map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".manifest") && !name.starts_with("temp-")
        });
        return match (found.next(), found.next()) {
            (Some(manifest), None) => Ok(Some(manifest)),
            (None, _) => Err(Failure(format!("No manifest in {}", path.display()))),
            (Some(_), Some(_)) => Err(Failure(format!("More than one manifest in {}", path.display()))),
        };
    }
    let file =
        File::open(path).map_err(|error| Failure(format!("Cannot open file {}: {error}", path.display())))?;
    let mut lines = io::BufReader::new(file);
    loop {
        // Like Redis, by the first line that is no comment. An append-only file may have very long lines.
        let mut line = Vec::new();
        let read = io::Read::take(&mut lines, 1024).read_until(b'\n', &mut line);
        match read {
            Ok(0) => return Ok(None),
            Ok(_) if line[0] == b'#' => {}
            Ok(_) => return Ok(line.starts_with(b"file").then(|| path.to_owned())),
            Err(error) => return Err(Failure(format!("Cannot read file: {}: {error}", path.display()))),
        }
    }
}
