//! Publish and subscribe (redis.io/docs/latest/develop/interact/pubsub).
//!
//! A client's core subscribes it and tells all cores; the confirmation is written at once, and sent when all have answered.
//! So whatever is published after that reaches the client, wherever it is published.

use std::sync::Arc;

use crate::admin::{Cx, Flow};
use crate::command::help;
use crate::command::lookup::Command;
use crate::command::spec::Flags;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::pubsub::{Change, Kind, Name, Topic};
use crate::route::message::{Answer, Message, Query};

/// Declares the handlers of one kind of subscription.
macro_rules! subscriptions {
    ($($(#[doc = $doc:literal])+ $name:ident = $handle:ident($kind:expr);)+) => {
        $(
            $(#[doc = $doc])+
            ///
            /// # Errors
            /// None.
            pub fn $name(cx: &mut Cx<'_>) -> Result<Flow, Error> {
                Ok($handle(cx, $kind))
            }
        )+
    };
}

subscriptions! {
    /// `SUBSCRIBE channel [channel ...]`
    subscribe = begin(Kind::Channel);
    /// `PSUBSCRIBE pattern [pattern ...]`
    psubscribe = begin(Kind::Pattern);
    /// `SSUBSCRIBE shardchannel [shardchannel ...]`
    ssubscribe = begin(Kind::Shard);
    /// `UNSUBSCRIBE [channel [channel ...]]`
    unsubscribe = end(Kind::Channel);
    /// `PUNSUBSCRIBE [pattern [pattern ...]]`
    punsubscribe = end(Kind::Pattern);
    /// `SUNSUBSCRIBE [shardchannel [shardchannel ...]]`
    sunsubscribe = end(Kind::Shard);
    /// `PUBLISH channel message`
    publish = send(false);
    /// `SPUBLISH shardchannel message`
    spublish = send(true);
    /// `PUBSUB NUMSUB [channel [channel ...]]`
    numsub = count(Kind::Channel);
    /// `PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]`
    shardnumsub = count(Kind::Shard);
}

/// Whether a command is one of those that begin and end subscriptions. Their replies have the form of messages: `CLIENT
/// REPLY` does not silence them, and a client that listens in RESP2 may run them.
pub fn is_confirmed(command: &Command) -> bool {
    // The other commands with the first flag may run in scripts.
    command.flags.contains(Flags::PUBSUB | Flags::NOSCRIPT)
}

fn begin(cx: &mut Cx<'_>, kind: Kind) -> Flow {
    let mut begun = Vec::new();
    for &name in &cx.args[1..] {
        begun.extend(cx.core.pubsub.subscribe(cx.conn, kind, name));
        confirm(cx, words(kind).0, kind, Some(name));
    }
    settle(cx, begun)
}

fn end(cx: &mut Cx<'_>, kind: Kind) -> Flow {
    let mut ended = Vec::new();
    let mut end_one = |cx: &mut Cx<'_>, name: &[u8]| {
        ended.extend(cx.core.pubsub.unsubscribe(cx.conn, kind, name));
        confirm(cx, words(kind).1, kind, Some(name));
    };
    if let [_, names @ ..] = cx.args
        && !names.is_empty()
    {
        names.iter().for_each(|name| end_one(cx, name));
    } else {
        let all: Vec<Name> = cx.core.pubsub.names(cx.conn, kind);
        all.iter().for_each(|name| end_one(cx, name));
        if all.is_empty() {
            confirm(cx, words(kind).1, kind, None);
        }
    }
    settle(cx, ended)
}

/// The words of confirmations.
fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Channel => ("subscribe", "unsubscribe"),
        Kind::Pattern => ("psubscribe", "punsubscribe"),
        Kind::Shard => ("ssubscribe", "sunsubscribe"),
    }
}

fn confirm(cx: &mut Cx<'_>, word: &str, kind: Kind, name: Option<&[u8]>) {
    let count = cx.core.pubsub.counts(cx.conn).shown(kind);
    cx.reply.push(3);
    cx.reply.bulk(word);
    match name {
        Some(name) => cx.reply.bulk(name),
        None => cx.reply.null(),
    }
    cx.reply.int(count as i64);
}

/// Takes what a client has changed of its subscriptions into effect. The reply, which is written, is sent when all cores
/// know.
pub fn settle(cx: &mut Cx<'_>, changes: Vec<Change>) -> Flow {
    cx.client().subscriptions = cx.core.pubsub.counts(cx.conn);
    if changes.is_empty() {
        return Flow::Done;
    }
    if cx.core.map.shards() == 1 {
        take_effect(cx);
        return Flow::Done;
    }
    Flow::Ask(Query::Subscriptions(Arc::new(changes)), all_know)
}

fn all_know(cx: &mut Cx<'_>, _: Vec<Answer>) -> Result<(), Error> {
    take_effect(cx);
    Ok(())
}

/// Lets messages come, behind the reply.
fn take_effect(cx: &mut Cx<'_>) {
    cx.core.pubsub.activate(cx.conn);
    cx.core.held_pushes.messages.entry(cx.conn).or_default();
}

/// Tells the other cores what subscriptions have ended with a client, and does not wait for them.
pub fn announce(core: &mut CoreState, ended: Vec<Change>) {
    let (number, ended) = (core.next_number(), Arc::new(ended));
    for target in core.others() {
        let query = Box::new(Query::Subscriptions(ended.clone()));
        core.send(target, Message::Ask { number, query });
    }
}

fn send(cx: &mut Cx<'_>, shard: bool) -> Flow {
    let receivers = cx.core.publish(cx.args[1], cx.args[2], shard);
    cx.reply.int(receivers as i64);
    Flow::Done
}

/// `PUBSUB CHANNELS [pattern]`
///
/// # Errors
/// More than one pattern.
pub fn channels(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    list(cx, false)
}

/// `PUBSUB SHARDCHANNELS [pattern]`
///
/// # Errors
/// More than one pattern.
pub fn shardchannels(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    list(cx, true)
}

fn list(cx: &mut Cx<'_>, shard: bool) -> Result<Flow, Error> {
    if cx.args.len() > 3 {
        return Err(help::subcommand_error(cx.args));
    }
    let names: Vec<&Name> = cx.core.pubsub.channels(shard, cx.args.get(2).copied()).collect();
    cx.reply.array(names.len());
    names.iter().for_each(|name| cx.reply.bulk(name));
    Ok(Flow::Done)
}

fn count(cx: &mut Cx<'_>, kind: Kind) -> Flow {
    let names = &cx.args[2..];
    cx.reply.array(2 * names.len());
    for name in names {
        cx.reply.bulk(name);
        let topic = cx.core.pubsub.topic(kind, name);
        cx.reply.int(topic.map_or(0, Topic::subscribers) as i64);
    }
    Flow::Done
}

/// `PUBSUB NUMPAT`
///
/// # Errors
/// None.
pub fn numpat(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    cx.reply.int(cx.core.pubsub.len(Kind::Pattern) as i64);
    Ok(Flow::Done)
}
