//! The wire: parsing requests and encoding replies. Nothing here does I/O.

pub mod error;
pub mod resp;

pub use error::Error;
