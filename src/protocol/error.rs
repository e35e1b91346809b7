//! Error replies. Every text is the one that Redis 7.4 sends, code first, because clients match on it.

use std::borrow::Cow;

/// What a command can answer instead of a result. `Display` is the wire text without the leading `-`
/// and the trailing CRLF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The arguments do not follow the command's grammar.
    #[error("ERR syntax error")]
    Syntax,
    /// The key holds a value of another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// Not a canonical signed 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// Not a finite floating-point number.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// An offset or index beyond what the command takes.
    #[error("ERR index out of range")]
    IndexRange,
    /// The source key of a command that needs one is missing.
    #[error("ERR no such key")]
    NoSuchKey,
    /// `SELECT`, `MOVE`, `COPY ... DB` with an index outside `databases`.
    #[error("ERR DB index is out of range")]
    DbIndex,
    /// A wrong number of arguments; the field is the full lower-case name (`set`, `client|kill`).
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(Cow<'static, str>),
    /// An expiry that is zero, negative where it must not be, or overflows; the field is the command's name.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// A string that would outgrow `proto-max-bulk-len`.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// Any other text, code included.
    #[error("{0}")]
    Text(Cow<'static, str>),
}

impl Error {
    /// An error with a fixed text, code included: `Error::text("ERR ...")`.
    pub const fn text(text: &'static str) -> Error {
        Error::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::Text(Cow::Owned(text))
    }
}
