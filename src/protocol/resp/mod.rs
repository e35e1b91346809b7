//! RESP2 and RESP3, the Redis serialization protocol (redis.io/docs/reference/protocol-spec).

pub mod reply;

pub use reply::{Reply, Resp};
