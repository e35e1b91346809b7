//! Folders for the files of a test, which go away with the value that names them, also when the test fails.
//!
//! Invariant: no other test of this or another process has the same folder.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module.
#[derive(Debug)]
pub struct TempFolder(PathBuf);

impl TempFolder {
    /// A new folder in the system's temporary one.
    pub fn empty() -> TempFolder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corelane-test-{}-{number}", process::id()));
        // A process of the same number may have left one when it was killed.
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).expect("a folder for a test");
        TempFolder(path)
    }

    /// Writes a file into it. Returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder for a file");
        fs::write(&path, content).expect("a file for a test");
        path
    }
}

impl Deref for TempFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
