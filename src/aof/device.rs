//! What the device under a folder can do, as Linux tells it (`Documentation/ABI/stable/sysfs-block`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether a write to this folder's device can be made durable as a part of the write itself: the device has no volatile cache,
/// or takes writes past it (*forced unit access*). Otherwise the kernel follows each such write (`RWF_DSYNC`) by a flush, from a
/// work queue of the processor that took the device's interrupt: milliseconds late if something spins there. No, if nobody knows.
pub fn writes_through(folder: &Path) -> bool {
    let Some(queue) = queue_of(folder) else { return false };
    let is =
        |name: &str, value: &str| fs::read_to_string(queue.join(name)).is_ok_and(|text| text.trim() == value);
    is("fua", "1") || is("write_cache", "write through")
}

/// Where Linux tells of the queue of a folder's device. A partition's is that of the whole device.
fn queue_of(folder: &Path) -> Option<PathBuf> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let device = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    [device.join("queue"), device.parent()?.join("queue")].into_iter().find(|queue| queue.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_does_not_write_through() {
        assert!(!writes_through(Path::new("/proc")));
        assert!(!writes_through(Path::new("/nowhere")));
    }
}
