//! What handlers of all families read from arguments in the same way, with Redis's errors.

use std::borrow::Cow;

use crate::base::number::parse_i64;
use crate::protocol::Error;

/// An argument that has to be an integer.
///
/// # Errors
/// If it is none, or has more than 64 bits.
pub(super) fn integer(arg: &[u8]) -> Result<i64, Error> {
    parse_i64(arg).ok_or(Error::NotInteger)
}

/// An argument that has to be a number of things, 0 included.
///
/// # Errors
/// If it is no integer or negative; Redis has one text for both.
pub(super) fn count(arg: &[u8]) -> Result<usize, Error> {
    let count = parse_i64(arg).and_then(|count| usize::try_from(count).ok());
    count.ok_or(Error::text("ERR value is out of range, must be positive"))
}

/// An argument as an error quotes it: up to its first zero byte.
pub(super) fn shown(arg: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(arg.split(|&byte| byte == 0).next().unwrap_or_default())
}
