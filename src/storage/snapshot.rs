//! Writing the file of a snapshot, from pieces that come from all cores in any order.
//!
//! Each piece begins and ends at the border of an entry and says itself which database it is about, so their order does not
//! matter. The file gets its name when it is complete and on stable storage; before, it is `temp-<pid>.rdb` or the like, and
//! it is removed if anything fails.

use std::fs;
use std::path::PathBuf;

use super::file::{self, NewFile, plain};
use crate::rdb::file::{HEAD_LEN, Sum, head, tail};
use crate::runtime::io::CoreId;

/// A part of a snapshot.
#[derive(Debug)]
pub enum Piece {
    /// Some entries, and the version of the format that they take.
    Entries(Vec<u8>, u16),
    /// A core has sent all of its entries.
    End,
}

/// What is to be written.
pub struct SnapshotFile {
    /// Names the snapshot in the event.
    pub number: u64,
    /// Who is told.
    pub asked_by: CoreId,
    /// Where it is written.
    pub temporary: PathBuf,
    /// Its name when it is complete, in the same folder.
    pub path: PathBuf,
    /// What comes before the entries and concerns no key, behind the head.
    pub preamble: (Vec<u8>, Sum),
    /// Whether the file ends with the checksum of the rest; otherwise with zeroes.
    pub checksum: bool,
    /// How many cores send pieces.
    pub cores: usize,
    /// Their pieces. That nobody sends any more before all have sent [`Piece::End`] means that the snapshot has failed.
    pub pieces: flume::Receiver<Piece>,
    /// Called after each piece that was taken: there is room again.
    pub on_room: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SnapshotFile({}, {})", self.number, self.path.display())
    }
}

/// A complete snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
}

impl SnapshotFile {
    /// Writes the file; an error says why there is none.
    pub(super) async fn write(self, with_executor: bool) -> Result<Written, String> {
        let written = self.write_temporary(with_executor).await;
        // Whoever sends has to hear that nobody listens.
        drop(self.pieces);
        let written = written.and_then(|written| {
            file::rename(&self.temporary, &self.path)
                .map_err(|error| {
                    format!(
                        "Error moving temp DB file {} on the final destination {}: {}",
                        self.temporary.display(),
                        self.path.display(),
                        plain(&error)
                    )
                })
                .map(|()| written)
        });
        if written.is_err() {
            // It may not exist.
            fs::remove_file(&self.temporary).ok();
        }
        written
    }

    async fn write_temporary(&self, with_executor: bool) -> Result<Written, String> {
        let failed = |error: std::io::Error| format!("Write error saving DB on disk: {}", plain(&error));
        let mut file = NewFile::create(&self.temporary, with_executor).await.map_err(|error| {
            let name = self.path.file_name().unwrap_or_default().display();
            format!("Failed opening the temp RDB file {name} for saving: {}", plain(&error))
        })?;
        let (preamble, mut sum) = (&self.preamble.0, self.preamble.1);
        file.write(&head(sum.version())).await.map_err(failed)?;
        file.write(preamble).await.map_err(failed)?;
        let mut missing = self.cores;
        while missing > 0 {
            match self.pieces.recv_async().await {
                Ok(Piece::Entries(entries, version)) => {
                    (self.on_room)();
                    sum.append(&Sum::of(&entries, version));
                    file.write(&entries).await.map_err(failed)?;
                }
                Ok(Piece::End) => missing -= 1,
                Err(flume::RecvError::Disconnected) => return Err("the snapshot was given up".to_owned()),
            }
        }
        file.write(&tail(&sum, self.checksum)).await.map_err(failed)?;
        file.close().await.map_err(failed)?;
        // Only now it is known which versions can read it.
        file::overwrite(&self.temporary, &head(sum.version())).map_err(failed)?;
        Ok(Written { bytes: sum.len() + 2 * HEAD_LEN as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::temp_folder::TempFolder;
    use crate::storage::{Event, Job, Storage, start};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    /// Has the thread write what two cores send, of which the second gives up if it is not to `complete`.
    fn written(folder: &Path, path: PathBuf, complete: bool) -> (Result<Written, String>, usize) {
        let storage = Storage::none(1);
        let jobs = storage.open();
        let (tell, told) = mpsc::channel();
        let thread = start(jobs, move |_, event| tell.send(event).unwrap(), |_| ());
        let (sender, pieces) = flume::bounded(2);
        let rooms = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rooms);
        let job = SnapshotFile {
            number: 7,
            asked_by: CoreId(0),
            temporary: folder.join("temp"),
            path,
            preamble: (b"preamble".to_vec(), Sum::of(b"preamble", 0)),
            checksum: true,
            cores: 2,
            pieces,
            on_room: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            }),
        };
        storage.submit(Job::Snapshot(Box::new(job))).unwrap();
        for n in 0..10 {
            sender.send(Piece::Entries(vec![n; 100_000], u16::from(n) + 3)).ok();
        }
        sender.send(Piece::End).ok();
        if complete {
            sender.send(Piece::End).ok();
        }
        drop(sender);
        let Event::Snapshot { number: 7, result } = told.recv().unwrap() else { panic!("another snapshot") };
        assert!(!folder.join("temp").exists());
        storage.close();
        thread.join().unwrap();
        (result, rooms.load(Ordering::Relaxed))
    }

    #[test]
    fn a_file_holds_all_pieces_and_its_checksum() {
        let folder = TempFolder::empty();
        let path = folder.join("dump.rdb");
        assert_eq!(written(&folder, path.clone(), true), (Ok(Written { bytes: 1_000_026 }), 10));
        let bytes = fs::read(&path).unwrap();
        let mut body = b"preamble".to_vec();
        (0..10).for_each(|n| body.resize(body.len() + 100_000, n));
        // The last piece has the newest entries.
        assert!(bytes == [&head(12)[..], &body, &tail(&Sum::of(&body, 12), true)].concat());
    }

    #[test]
    fn what_fails_leaves_no_file() {
        let folder = TempFolder::empty();
        let path = folder.join("dump.rdb");
        assert!(written(&folder, path.clone(), false).0.unwrap_err().contains("given up"));
        assert!(!path.exists());
        // A folder is in the way.
        fs::create_dir_all(path.join("x")).unwrap();
        assert!(written(&folder, path.clone(), true).0.unwrap_err().starts_with("Error moving temp DB file"));
    }
}
