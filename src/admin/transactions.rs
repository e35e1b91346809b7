//! `MULTI`, `DISCARD`, `WATCH` and `UNWATCH` (redis.io/docs/latest/develop/interact/transactions). `EXEC` is in
//! `core::programs`.

use crate::admin::{Cx, Flow};
use crate::protocol::Error;
use crate::route::message::{Answer, OwnedArgs, Query};

/// `MULTI`: commands are queued from now on.
///
/// # Errors
/// Within another one.
pub fn multi(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    if cx.client().session.multi.is_some() {
        return Err(Error::text("ERR MULTI calls can not be nested"));
    }
    let queue = cx.core.spare_multi.take().unwrap_or_default();
    cx.client().session.multi = Some(queue);
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `DISCARD`: forgets what is queued, and which keys are watched.
///
/// # Errors
/// Without `MULTI`.
pub fn discard(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let mut queue = cx.client().session.multi.take().ok_or(Error::text("ERR DISCARD without MULTI"))?;
    queue.clear();
    cx.core.spare_multi = Some(queue);
    cx.core.unwatch(cx.conn);
    cx.reply.ok();
    Ok(Flow::Done)
}

/// `WATCH key [key ...]`. The reply comes when all shards know.
///
/// # Errors
/// Within `MULTI`.
pub fn watch(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let keys = &cx.args[1..];
    let session = &mut cx.client().session;
    if session.multi.is_some() {
        return Err(Error::text("ERR WATCH inside MULTI is not allowed"));
    }
    let db = session.db;
    for key in keys {
        if !session.watched.iter().any(|(watched_db, watched)| *watched_db == db && **watched == **key) {
            session.watched.push((db, (*key).into()));
        }
    }
    let (core, client) = (cx.core.core, cx.client().id);
    let is_here = cx.core.locks.is_empty() && keys.iter().all(|key| cx.core.is_own_key(key));
    if is_here && cx.core.watch(core, client, db, keys).is_ok() {
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    Ok(Flow::Ask(Query::Watch { client, db, keys: OwnedArgs::new(keys) }, all_know))
}

fn all_know(cx: &mut Cx<'_>, _: Vec<Answer>) -> Result<(), Error> {
    cx.reply.ok();
    Ok(())
}

/// `UNWATCH`: no key is watched any more.
///
/// # Errors
/// None.
pub fn unwatch(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.core.unwatch(cx.conn);
    cx.reply.ok();
    Ok(Flow::Done)
}
