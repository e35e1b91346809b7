//! The append-only files: the form of a shard's log on disk, the manifest that names the files of a folder, and what has
//! to be cut off after a crash. Nothing here knows commands or cores; files are read and written with plain blocking
//! calls, by whoever has the time to wait for them.

pub mod device;
pub mod frame;
pub mod log;
pub mod manifest;
pub mod recover;
pub mod settle;
pub mod store;
