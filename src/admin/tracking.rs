//! `CLIENT TRACKING` and what belongs to it (redis.io/docs/latest/commands/client-tracking). See [`crate::tracking`].
//!
//! What a client has read is remembered wherever that was, so no other core has to know of the client. Prefixes are known to
//! all cores when the reply is sent. So is, to this core, where the client is that is told for another.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::admin::{Cx, Flow};
use crate::base::number;
use crate::core::state::CoreState;
use crate::protocol::Error;
use crate::route::message::{Answer, Message, Query};
use crate::runtime::io::{ConnId, CoreId};
use crate::tracking::{Caching, Choice, Mode, Name, Redirect};

const NOT_TRACKING: Error = Error::text(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
const ONE_REDIRECT: Error = Error::text("ERR A client can only redirect to a single other client");
const NO_SUCH_CLIENT: Error = Error::text("ERR The client ID you want redirect to does not exist");
const PREFIX_ALONE: Error = Error::text("ERR PREFIX option requires BCAST mode to be enabled");
const SWITCH_BROADCAST: Error = Error::text(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
const OPT_AND_BROADCAST: Error = Error::text("ERR OPTIN and OPTOUT are not compatible with BCAST");
const BOTH_OPTS: Error = Error::text("ERR You can't specify both OPTIN mode and OPTOUT mode");
const SWITCH_OPT: Error = Error::text(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);

/// The options of `CLIENT TRACKING`.
#[derive(Default)]
struct Options {
    redirect: Option<u64>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
    prefixes: Vec<Name>,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, Error> {
        let mut options = Options::default();
        let mut args = args.iter();
        while let Some(&word) = args.next() {
            match (word.to_ascii_lowercase().as_slice(), args.len()) {
                (b"redirect", 1..) => {
                    if options.redirect.is_some() {
                        return Err(ONE_REDIRECT);
                    }
                    let id = args.next().and_then(|id| number::parse_i64(id)).ok_or(Error::NotInteger)?;
                    // A negative number is the id of no client.
                    options.redirect = Some(id as u64);
                }
                (b"prefix", 1..) => options.prefixes.extend(args.next().map(|&prefix| Name::from(prefix))),
                (b"bcast", _) => options.broadcast = true,
                (b"optin", _) => options.opt_in = true,
                (b"optout", _) => options.opt_out = true,
                (b"noloop", _) => options.no_loop = true,
                _ => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }

    /// Refuses what does not go together, or not with what the client has chosen before.
    fn check(&self, before: Option<&Choice>) -> Result<(), Error> {
        let mode = before.map(|choice| choice.mode);
        match () {
            () if !self.broadcast && !self.prefixes.is_empty() => Err(PREFIX_ALONE),
            () if mode.is_some_and(|mode| (mode == Mode::Broadcast) != self.broadcast) => {
                Err(SWITCH_BROADCAST)
            }
            () if self.broadcast && (self.opt_in || self.opt_out) => Err(OPT_AND_BROADCAST),
            () if self.opt_in && self.opt_out => Err(BOTH_OPTS),
            () if self.opt_in && mode == Some(Mode::OptOut) => Err(SWITCH_OPT),
            () if self.opt_out && mode == Some(Mode::OptIn) => Err(SWITCH_OPT),
            () => self.check_prefixes(before),
        }
    }

    fn check_prefixes(&self, before: Option<&Choice>) -> Result<(), Error> {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        for (nth, prefix) in self.prefixes.iter().enumerate() {
            let mut old = before.into_iter().flat_map(|choice| &choice.prefixes);
            let mut new = self.prefixes[nth + 1..].iter();
            let (other, which) = match old.find(|other| overlap(prefix, other)) {
                Some(other) => (other, "an existing prefix"),
                None => match new.find(|other| overlap(prefix, other)) {
                    Some(other) => (other, "another provided prefix"),
                    None => continue,
                },
            };
            let text = String::from_utf8_lossy;
            return Err(Error::from(format!(
                "ERR Prefix '{}' overlaps with {which} '{}'. Prefixes for a single client must not overlap.",
                text(prefix),
                text(other)
            )));
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        match (self.broadcast, self.opt_in, self.opt_out) {
            (true, ..) => Mode::Broadcast,
            (_, true, _) => Mode::OptIn,
            (_, _, true) => Mode::OptOut,
            _ => Mode::Reads,
        }
    }
}

/// `CLIENT TRACKING ON|OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`.
///
/// # Errors
/// Options that are unknown or don't go together, overlapping prefixes, an id that no client has.
pub fn tracking(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let options = Options::parse(&cx.args[3..])?;
    let word = cx.args[2];
    if word.eq_ignore_ascii_case(b"off") {
        end(cx.core, cx.conn);
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    if !word.eq_ignore_ascii_case(b"on") {
        return Err(Error::Syntax);
    }
    options.check(cx.client().session.tracking.as_deref())?;
    if !options.broadcast && options.redirect.is_none() {
        begin(cx, &options, None);
        return Ok(Flow::Done);
    }
    let mut changes = Vec::new();
    if options.broadcast {
        let mut names = options.prefixes.clone();
        if names.is_empty() {
            names.push(Name::from(&b""[..]));
        }
        let conn = cx.conn;
        let choice = cx.client().session.tracking.get_or_insert_default();
        choice.mode = Mode::Broadcast;
        choice.joining = names.into_iter().filter(|name| choice.prefixes.insert(name.clone())).collect();
        let joining = choice.joining.clone();
        changes.extend(joining.iter().filter_map(|name| cx.core.tracking.prefixes.add(name, conn)));
        cx.core.listen();
    }
    let query = Query::Track { prefixes: Arc::new(changes), redirect: options.redirect };
    Ok(Flow::Ask(query, all_know))
}

/// All cores know of the prefixes, and one has found the client that is told for this one.
fn all_know(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let options = Options::parse(&cx.args[3..])?;
    let joining = match &mut cx.client().session.tracking {
        Some(choice) => std::mem::take(&mut choice.joining),
        None => Vec::new(),
    };
    let found = answers.into_iter().zip(0..).find_map(|(answer, core)| match answer {
        Answer::Found(Some(conn)) => Some((CoreId(core), conn)),
        _ => None,
    });
    let redirect = match (options.redirect, found) {
        (Some(client), Some((core, conn))) => Some(Redirect { client, core, conn }),
        (None, _) => None,
        (Some(_), None) => {
            give_up(cx, joining.into_iter().collect());
            return Err(NO_SUCH_CLIENT);
        }
    };
    begin(cx, &options, redirect);
    Ok(())
}

fn begin(cx: &mut Cx<'_>, options: &Options, redirect: Option<Redirect>) {
    let client = cx.client();
    client.remembered |= !options.broadcast;
    let choice = client.session.tracking.get_or_insert_default();
    (choice.mode, choice.no_loop) = (options.mode(), options.no_loop);
    (choice.redirect, choice.broken) = (redirect, false);
    cx.reply.ok();
}

/// Takes back what was begun.
fn give_up(cx: &mut Cx<'_>, joining: BTreeSet<Name>) {
    let tracking = &mut cx.client().session.tracking;
    if let Some(choice) = tracking {
        choice.prefixes.retain(|name| !joining.contains(name));
        if choice.mode == Mode::Broadcast && choice.prefixes.is_empty() {
            *tracking = None;
        }
    }
    end_prefixes(cx.core, cx.conn, &joining);
}

/// Ends what a client has asked for. What shards remember of it is found to be useless when it is to be told.
pub fn end(core: &mut CoreState, conn: ConnId) {
    if let Some(choice) = core.clients.get_mut(conn).and_then(|client| client.session.tracking.take()) {
        end_prefixes(core, conn, &choice.prefixes);
    }
}

/// A client listens to these prefixes no more. The other cores are told, and nobody waits for them.
pub fn end_prefixes(core: &mut CoreState, conn: ConnId, names: &BTreeSet<Name>) {
    let ended: Vec<_> = names.iter().filter_map(|name| core.tracking.prefixes.remove(name, conn)).collect();
    if !ended.is_empty() {
        let (number, ended) = (core.next_number(), Arc::new(ended));
        for target in core.others() {
            let query = Box::new(Query::Track { prefixes: ended.clone(), redirect: None });
            core.send(target, Message::Ask { number, query });
        }
        core.listen();
    }
}

/// `CLIENT CACHING YES|NO`.
///
/// # Errors
/// Another word, or one that does not fit the mode.
pub fn caching(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let word = cx.args[2];
    let choice = cx.client().session.tracking.as_deref_mut().ok_or(NOT_TRACKING)?;
    let (mode, otherwise) = if word.eq_ignore_ascii_case(b"yes") {
        (Mode::OptIn, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if word.eq_ignore_ascii_case(b"no") {
        (Mode::OptOut, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return Err(Error::Syntax);
    };
    if choice.mode != mode {
        return Err(Error::text(otherwise));
    }
    choice.caching = Caching::Given;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// The client that another one's invalidations go to, as the protocol shows it: 0 for none, -1 without tracking.
pub fn redirect(choice: Option<&Choice>) -> i64 {
    choice.map_or(-1, |choice| choice.redirect.map_or(0, |redirect| redirect.client as i64))
}

/// `CLIENT TRACKINGINFO`.
///
/// # Errors
/// None.
pub fn tracking_info(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let choice = cx.client().session.tracking.clone();
    let mut flags = vec![if choice.is_some() { "on" } else { "off" }];
    if let Some(choice) = choice.as_deref() {
        let caching = choice.caching != Caching::No;
        match choice.mode {
            Mode::Reads => {}
            Mode::Broadcast => flags.push("bcast"),
            Mode::OptIn => flags.extend(["optin"].into_iter().chain(caching.then_some("caching-yes"))),
            Mode::OptOut => flags.extend(["optout"].into_iter().chain(caching.then_some("caching-no"))),
        }
        flags.extend(choice.no_loop.then_some("noloop"));
        flags.extend(choice.broken.then_some("broken_redirect"));
    }
    cx.reply.map(3);
    cx.reply.bulk("flags");
    cx.reply.set(flags.len());
    flags.iter().for_each(|flag| cx.reply.bulk(flag));
    cx.reply.bulk("redirect");
    cx.reply.int(redirect(choice.as_deref()));
    cx.reply.bulk("prefixes");
    let prefixes = choice.map(|choice| choice.prefixes).unwrap_or_default();
    cx.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| cx.reply.bulk(prefix));
    Ok(Flow::Done)
}

/// `CLIENT GETREDIR`.
///
/// # Errors
/// None.
pub fn get_redir(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let shown = redirect(cx.client().session.tracking.as_deref());
    cx.reply.int(shown);
    Ok(Flow::Done)
}
