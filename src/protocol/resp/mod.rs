//! RESP2 and RESP3, the Redis serialization protocol (redis.io/docs/reference/protocol-spec).

pub mod reply;
pub mod request;

pub use reply::{Reply, Resp};
pub use request::{Limits, ManyArgs, Parsed, Parser, ProtocolError, whole_array};
