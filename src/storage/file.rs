//! A file that is written once from its beginning to its end.
//!
//! With the executor it is written past the page cache, because what it holds is read again after a restart only, and would
//! push out what others need; a file system that cannot do that gets an ordinary file. Without it, the file is the
//! standard library's, and its calls block.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use futures_lite::AsyncWriteExt;
use glommio::io::{
    BufferedFile, DmaFile, DmaStreamWriter, DmaStreamWriterBuilder, StreamWriter, StreamWriterBuilder,
};

/// Size of a write.
const WRITE_BYTES: usize = 256 * 1024;
/// Writes under way at a time.
const WRITE_BEHIND: usize = 4;

/// See the module.
pub(super) enum NewFile {
    Direct(DmaStreamWriter),
    Buffered(StreamWriter),
    Blocking(File),
}

impl NewFile {
    /// Makes a file, or empties one.
    pub(super) async fn create(path: &Path, with_executor: bool) -> io::Result<NewFile> {
        if !with_executor {
            return Ok(NewFile::Blocking(File::create(path)?));
        }
        if let Ok(file) = DmaFile::create(path).await {
            let writer = DmaStreamWriterBuilder::new(file);
            return Ok(NewFile::Direct(
                writer.with_buffer_size(WRITE_BYTES).with_write_behind(WRITE_BEHIND).build(),
            ));
        }
        let file = BufferedFile::create(path).await?;
        Ok(NewFile::Buffered(StreamWriterBuilder::new(file).with_buffer_size(WRITE_BYTES).build()))
    }

    /// Appends.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            NewFile::Direct(writer) => writer.write_all(bytes).await,
            NewFile::Buffered(writer) => writer.write_all(bytes).await,
            NewFile::Blocking(file) => file.write_all(bytes),
        }
    }

    /// Ends the file.
    pub(super) async fn close(self) -> io::Result<()> {
        match self {
            NewFile::Direct(mut writer) => writer.close().await,
            NewFile::Buffered(mut writer) => writer.close().await,
            NewFile::Blocking(_) => Ok(()),
        }
    }
}

/// Overwrites the beginning of a file, and brings all of it on stable storage.
pub(super) fn overwrite(path: &Path, head: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    file.write_all(head)?;
    file.sync_all()
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Gives a file a name in the same folder, in the place of whatever has it, so that this survives a crash.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => sync(folder),
        None => sync(Path::new(".")),
    }
}

/// What went wrong, as the C library's `strerror` says it.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
