//! When keys expire: the `EXPIRE` and `TTL` families and `PERSIST`. All times become Unix milliseconds first.

use crate::execute::arguments::integer;
use crate::execute::{Class, Exec};
use crate::protocol::Error;

/// How the command writes times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::execute) enum Unit {
    Seconds,
    Millis,
}

/// What the command counts times from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::execute) enum Since {
    Now,
    Epoch,
}

/// `EXPIRE key seconds [NX | XX | GT | LT]`
pub fn expire(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "expire", Unit::Seconds, Since::Now)
}

/// `PEXPIRE key milliseconds [NX | XX | GT | LT]`
pub fn pexpire(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "pexpire", Unit::Millis, Since::Now)
}

/// `EXPIREAT key unix-time-seconds [NX | XX | GT | LT]`
pub fn expireat(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "expireat", Unit::Seconds, Since::Epoch)
}

/// `PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]`
pub fn pexpireat(cx: &mut Exec<'_>) -> Result<(), Error> {
    set_expiry(cx, "pexpireat", Unit::Millis, Since::Epoch)
}

/// A time that is over removes the key.
fn set_expiry(cx: &mut Exec<'_>, name: &'static str, unit: Unit, since: Since) -> Result<(), Error> {
    let condition = Condition::parse(&cx.args[3..])?;
    let scale = if unit == Unit::Seconds { 1000 } else { 1 };
    let base = if since == Since::Now { cx.shard.now_ms } else { 0 };
    let at = integer(cx.args[2])?.checked_mul(scale).and_then(|time| time.checked_add(base));
    let at = at.ok_or(Error::InvalidExpire(name))?;

    let key = cx.key(1);
    let item = cx.shard.lookup_write(cx.db, &key);
    if !item.is_some_and(|item| condition.allows(item.expire_at_ms(), at)) {
        cx.reply.int(0);
        return Ok(());
    }
    if at <= cx.shard.expiry_clock_ms() {
        cx.shard.delete(cx.db, &key);
        cx.removed(&key);
        cx.deletion_effect(&key);
    } else {
        cx.shard.dbs.of_mut(cx.db, &key).set_expiry(&key, Some(at));
        cx.wrote(Class::GENERIC, "expire", &key);
        cx.effect(&key, &[b"PEXPIREAT", key.bytes, itoa::Buffer::new().format(at).as_bytes()]);
    }
    cx.changes += 1;
    cx.reply.int(1);
    Ok(())
}

/// Under which conditions an expiry is set.
#[derive(Clone, Copy, Default)]
pub(in crate::execute) struct Condition {
    none_before: bool,
    some_before: bool,
    later: bool,
    sooner: bool,
}

impl Condition {
    fn parse(options: &[&[u8]]) -> Result<Condition, Error> {
        let mut condition = Condition::default();
        for option in options {
            *condition.flag(option).ok_or_else(|| unsupported(option))? = true;
        }
        if condition.none_before && (condition.some_before || condition.later || condition.sooner) {
            return Err(Error::text("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.later && condition.sooner {
            return Err(Error::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// The condition that an option by itself makes, if it is one.
    pub(in crate::execute) fn of(option: &[u8]) -> Option<Condition> {
        let mut condition = Condition::default();
        *condition.flag(option)? = true;
        Some(condition)
    }

    fn flag(&mut self, option: &[u8]) -> Option<&mut bool> {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => Some(&mut self.none_before),
            b"xx" => Some(&mut self.some_before),
            b"gt" => Some(&mut self.later),
            b"lt" => Some(&mut self.sooner),
            _ => None,
        }
    }

    /// What has no expiry counts as something that expires after all others.
    pub(in crate::execute) fn allows(&self, before: Option<i64>, after: i64) -> bool {
        match before {
            None => !self.some_before && !self.later,
            Some(before) => {
                !self.none_before && (!self.later || after > before) && (!self.sooner || after < before)
            }
        }
    }
}

/// `TTL key`
pub fn ttl(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Seconds, Since::Now)
}

/// `PTTL key`
pub fn pttl(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Millis, Since::Now)
}

/// `EXPIRETIME key`
pub fn expiretime(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Seconds, Since::Epoch)
}

/// `PEXPIRETIME key`
pub fn pexpiretime(cx: &mut Exec<'_>) -> Result<(), Error> {
    show_expiry(cx, Unit::Millis, Since::Epoch)
}

/// Seconds are rounded to the nearest; -1 stands for no expiry, -2 for no key.
fn show_expiry(cx: &mut Exec<'_>, unit: Unit, since: Since) -> Result<(), Error> {
    let base = if since == Since::Now { cx.shard.now_ms } else { 0 };
    let shown = match cx.shard.lookup_about(cx.db, &cx.key(1)).map(|item| item.expire_at_ms()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => match unit {
            Unit::Millis => at - base,
            // A key that is there has time left; rounding up the end of time takes the 64th bit.
            Unit::Seconds => (((at - base).cast_unsigned() + 500) / 1000).cast_signed(),
        },
    };
    cx.reply.int(shown);
    Ok(())
}

/// `PERSIST key`
pub fn persist(cx: &mut Exec<'_>) -> Result<(), Error> {
    let key = cx.key(1);
    let persists = cx.shard.lookup_write(cx.db, &key).is_some_and(|item| item.has_expiry());
    if persists {
        cx.shard.dbs.of_mut(cx.db, &key).set_expiry(&key, None);
        cx.changes += 1;
        cx.wrote(Class::GENERIC, "persist", &key);
    }
    cx.reply.int(i64::from(persists));
    Ok(())
}

/// Redis prints the option as a C string: up to its first zero byte.
#[cold]
fn unsupported(option: &[u8]) -> Error {
    let shown = option.split(|&byte| byte == 0).next().unwrap_or_default();
    format!("ERR Unsupported option {}", String::from_utf8_lossy(shown)).into()
}
