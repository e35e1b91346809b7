//! Ground that knows nothing of servers: bytes, numbers, checksums, patterns.
