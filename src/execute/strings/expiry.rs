//! The options of `SET` and `GETEX` that say when a key expires.

use super::choice;
use crate::execute::arguments::integer;
use crate::protocol::Error;

/// How a time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Unix seconds.
    ExAt,
    /// Unix milliseconds.
    PxAt,
}

impl Form {
    /// The form that an option's name stands for.
    pub(super) fn named(option: &[u8]) -> Option<Form> {
        choice(option, &[("ex", Form::Ex), ("px", Form::Px), ("exat", Form::ExAt), ("pxat", Form::PxAt)])
    }

    /// Whether it counts from now.
    pub(super) fn is_relative(self) -> bool {
        matches!(self, Form::Ex | Form::Px)
    }

    /// The time that `text` gives in this form, in Unix milliseconds. `command` is named in the error.
    pub(super) fn time_ms(self, text: &[u8], now_ms: i64, command: &'static str) -> Result<i64, Error> {
        let given = integer(text)?;
        let unit_ms = if matches!(self, Form::Ex | Form::ExAt) { 1000 } else { 1 };
        let base_ms = if self.is_relative() { now_ms } else { 0 };
        let time_ms = given.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
        time_ms.filter(|_| given > 0).ok_or(Error::InvalidExpire(command))
    }
}

/// What the options ask for. There can be one kind of it only; if it is repeated, the last time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// `KEEPTTL` of `SET`.
    Keep,
    /// `PERSIST` of `GETEX`.
    Persist,
    /// A time, to be read when it is its turn.
    Time(Form, &'a [u8]),
}

impl<'a> Request<'a> {
    /// The request of an option that takes a time, which is the next argument.
    pub(super) fn timed(
        option: &[u8],
        rest: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Request<'a>, Error> {
        let form = Form::named(option).ok_or(Error::Syntax)?;
        Ok(Request::Time(form, rest.next().ok_or(Error::Syntax)?))
    }

    /// Adds this to what earlier options have asked for.
    pub(super) fn join(self, earlier: &mut Option<Request<'a>>) -> Result<(), Error> {
        let agrees = match (self, *earlier) {
            (_, None) => true,
            (Request::Time(form, _), Some(Request::Time(before, _))) => form == before,
            (request, Some(before)) => request == before,
        };
        *earlier = Some(self);
        if agrees { Ok(()) } else { Err(Error::Syntax) }
    }
}
