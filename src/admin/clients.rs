//! `CLIENT LIST`, `INFO` and `KILL`: clients as others see them. Every core answers for its own
//! (redis.io/docs/latest/commands/client-list, client-kill).

use crate::admin::{Cx, Flow, connection, tracking};
use crate::base::number;
use crate::command::help;
use crate::command::lookup::Lookup;
use crate::core::state::CoreState;
use crate::net::client::{Client, Waiting};
use crate::protocol::Error;
use crate::protocol::resp::Resp;
use crate::pubsub::Kind;
use crate::route::message::{Answer, ClientClass, ClientFilter, Query};
use crate::runtime::io::ConnId;
use crate::tracking::Mode;

/// Whether a text can stand in a field of `CLIENT LIST`: printable ASCII without blanks.
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// A name that a client may take; the empty one takes the name away.
///
/// # Errors
/// Characters that would break the format of `CLIENT LIST`.
pub fn checked_name(name: &[u8]) -> Result<&[u8], Error> {
    const INVALID: Error =
        Error::text("ERR Client names cannot contain spaces, newlines or special characters.");
    if is_plain(name) { Ok(name) } else { Err(INVALID) }
}

/// One line of `CLIENT LIST`, without the line feed.
pub fn line(client: &Client, now_ms: i64, lookup: &Lookup) -> String {
    let session = &client.session;
    let command = client.last_command.map_or("NULL", |id| lookup.get(id).full_name);
    let (input, input_free) =
        client.input.as_ref().map_or((0, 0), |input| (input.bytes().len(), input.memory_bytes().1));
    let output = &client.row;
    let text = String::from_utf8_lossy;
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} watch={} qbuf={} \
         qbuf-free={input_free} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} \
         cmd={command} user=default redir={} resp={} lib-name={} lib-ver={}",
        client.id,
        client.peer,
        client.local,
        client.fd,
        text(&session.name),
        seconds(now_ms - client.created_ms),
        seconds(now_ms - client.active_ms),
        flags(client),
        session.db,
        client.subscriptions.of(Kind::Channel),
        client.subscriptions.of(Kind::Pattern),
        client.subscriptions.of(Kind::Shard),
        session.multi.as_ref().map_or(-1, |multi| multi.len() as i64),
        session.watched.len(),
        input + client.running.frame_bytes,
        client.running.args_bytes,
        session.multi_bytes(),
        output.ready_capacity(),
        client.output_peak_bytes,
        output.ready_len(),
        output.places_behind() + usize::from(client.sending),
        output.len() - output.ready_len() + client.sending_bytes,
        client.memory_bytes() + client.running.frame_bytes,
        events(client),
        tracking::redirect(session.tracking.as_deref()),
        if session.resp == Resp::V3 { 3 } else { 2 },
        text(&session.lib_name),
        text(&session.lib_ver),
    )
}

/// Whole seconds; a clock that was set back counts as none.
fn seconds(ms: i64) -> i64 {
    ms.max(0) / 1000
}

fn flags(client: &Client) -> String {
    let session = &client.session;
    let tracking = session.tracking.as_ref();
    let letters: String = [
        ('O', session.monitor),
        ('x', session.multi.is_some()),
        ('P', client.is_subscribed()),
        ('b', matches!(client.waiting, Waiting::Paused | Waiting::Blocked)),
        ('t', tracking.is_some()),
        ('R', tracking.is_some_and(|choice| choice.broken)),
        ('B', tracking.is_some_and(|choice| choice.mode == Mode::Broadcast)),
        ('c', client.close_after_reply),
        ('U', client.is_unix),
        ('e', session.no_evict),
        ('T', session.no_touch),
    ]
    .into_iter()
    .filter_map(|(letter, set)| set.then_some(letter))
    .collect();
    if letters.is_empty() { "N".into() } else { letters }
}

fn events(client: &Client) -> &'static str {
    match (client.receive_paused, client.sending) {
        (false, false) => "r",
        (false, true) => "rw",
        (true, false) => "",
        (true, true) => "w",
    }
}

/// Whether a filter means this client.
pub fn matches(filter: &ClientFilter, client: &Client, now_ms: i64) -> bool {
    !client.refused
        && (filter.ids.is_empty() || filter.ids.contains(&client.id))
        && filter.address.as_ref().is_none_or(|address| address == client.peer.as_bytes())
        && filter.local_address.as_ref().is_none_or(|address| address == client.local.as_bytes())
        && filter.class.is_none_or(|class| class == class_of(client))
        && filter.min_age_s.is_none_or(|age| seconds(now_ms - client.created_ms) >= age)
        && filter.except != Some(client.id)
}

fn class_of(client: &Client) -> ClientClass {
    if client.is_subscribed() { ClientClass::PubSub } else { ClientClass::Normal }
}

/// The class that `TYPE` names.
fn class_named(name: &[u8]) -> Result<ClientClass, Error> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(ClientClass::Normal),
        b"pubsub" => Ok(ClientClass::PubSub),
        b"slave" | b"replica" | b"master" => Ok(ClientClass::Replication),
        _ => Err(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name)).into()),
    }
}

/// `CLIENT INFO`.
///
/// # Errors
/// None.
pub fn info(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let (now_ms, lookup) = (cx.core.now_ms(), cx.core.lookup);
    let mut text = line(cx.client(), now_ms, lookup);
    text.push('\n');
    cx.reply.verbatim("txt", text);
    Ok(Flow::Done)
}

/// `CLIENT LIST [TYPE type | ID id ...]`.
///
/// # Errors
/// An unknown type or option, or an id that is no number.
pub fn list(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let filter = match *cx.args {
        [_, _] => ClientFilter::default(),
        [_, _, word, name] if word.eq_ignore_ascii_case(b"type") => {
            ClientFilter { class: Some(class_named(name)?), ..ClientFilter::default() }
        }
        [_, _, word, ref ids @ ..] if word.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            ClientFilter { ids: parse_ids(ids)?, ..ClientFilter::default() }
        }
        _ => return Err(Error::Syntax),
    };
    Ok(Flow::Ask(Query::ListClients(filter), listed))
}

fn parse_ids(ids: &[&[u8]]) -> Result<Vec<u64>, Error> {
    // A negative number is no error: it is the id of no client.
    let parse = |id: &&[u8]| number::parse_i64(id).map(|id| id as u64);
    ids.iter().map(parse).collect::<Option<_>>().ok_or(Error::text("ERR Invalid client ID"))
}

fn listed(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    let mut lines = Vec::new();
    for answer in answers {
        let Answer::Lines(of_core) = answer else { unreachable!("clients were asked for") };
        lines.extend(of_core);
    }
    lines.sort_unstable_by_key(|(id, _)| *id);
    let mut text = String::new();
    let mut append = |(_, line): &(u64, String)| {
        text.push_str(line);
        text.push('\n');
    };
    match cx.args.get(3..).filter(|_| cx.args[2].eq_ignore_ascii_case(b"id")) {
        // In the order of the request, and as often as asked for.
        Some(ids) => parse_ids(ids)?
            .iter()
            .filter_map(|id| lines.binary_search_by_key(id, |(id, _)| *id).ok())
            .for_each(|at| append(&lines[at])),
        None => lines.iter().for_each(append),
    }
    cx.reply.verbatim("txt", text);
    Ok(())
}

/// `CLIENT KILL address`, or `CLIENT KILL option value ...`.
///
/// # Errors
/// An unknown option, or a value that does not fit.
pub fn kill(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let caller = cx.client().id;
    match *cx.args {
        [_, _, address] => {
            let filter = ClientFilter { address: Some(address.to_vec()), ..ClientFilter::default() };
            Ok(Flow::Ask(Query::KillClients { filter, caller }, killed_by_address))
        }
        [_, _, ref options @ ..] => {
            let filter = kill_filter(options, caller)?;
            Ok(Flow::Ask(Query::KillClients { filter, caller }, killed))
        }
        _ => Err(Error::Syntax),
    }
}

fn kill_filter(options: &[&[u8]], caller: u64) -> Result<ClientFilter, Error> {
    let mut filter = ClientFilter { except: Some(caller), ..ClientFilter::default() };
    for pair in options.chunks(2) {
        let &[option, value] = pair else { return Err(Error::Syntax) };
        let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
        if is("id") {
            filter.ids = vec![positive(value, "ERR client-id should be greater than 0")?];
        } else if is("maxage") {
            const NO_NUMBER: Error = Error::text("ERR maxage is not an integer or out of range");
            number::parse_i64(value).ok_or(NO_NUMBER)?;
            filter.min_age_s = Some(positive(value, "ERR maxage should be greater than 0")? as i64);
        } else if is("type") {
            filter.class = Some(class_named(value)?);
        } else if is("addr") {
            filter.address = Some(value.to_vec());
        } else if is("laddr") {
            filter.local_address = Some(value.to_vec());
        } else if is("user") {
            if value != connection::DEFAULT_USER {
                return Err(format!("ERR No such user '{}'", String::from_utf8_lossy(value)).into());
            }
        } else if is("skipme") && value.eq_ignore_ascii_case(b"yes") {
            filter.except = Some(caller);
        } else if is("skipme") && value.eq_ignore_ascii_case(b"no") {
            filter.except = None;
        } else {
            return Err(Error::Syntax);
        }
    }
    Ok(filter)
}

fn positive(text: &[u8], otherwise: &'static str) -> Result<u64, Error> {
    let number = number::parse_i64(text).filter(|&number| number > 0);
    number.map(|number| number as u64).ok_or(Error::text(otherwise))
}

fn sum(answers: &[Answer]) -> usize {
    answers
        .iter()
        .map(|answer| match answer {
            Answer::Count(count) => *count,
            other => unreachable!("a number was asked for, and not {other:?}"),
        })
        .sum()
}

fn killed_by_address(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    if sum(&answers) == 0 {
        return Err(Error::text("ERR No such client"));
    }
    cx.reply.ok();
    Ok(())
}

fn killed(cx: &mut Cx<'_>, answers: Vec<Answer>) -> Result<(), Error> {
    cx.reply.int(sum(&answers) as i64);
    Ok(())
}

/// Ends the clients that a filter means and returns how many they are. The one that asked for its own end still gets the
/// reply.
pub fn end_matching(core: &mut CoreState, filter: &ClientFilter, caller: u64) -> usize {
    let now_ms = core.now_ms();
    let mut doomed: Vec<ConnId> = Vec::new();
    let mut count = 0;
    for client in core.clients.iter_mut().filter(|client| matches(filter, client, now_ms)) {
        count += 1;
        if client.id == caller {
            client.close_after_reply = true;
        } else {
            doomed.push(client.conn);
        }
    }
    doomed.into_iter().for_each(|conn| core.close_client(conn));
    count
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`.
///
/// # Errors
/// An id that is no number, or another reason.
pub fn unblock(cx: &mut Cx<'_>) -> Result<Flow, Error> {
    let error = match *cx.args {
        [_, _, _] => false,
        [_, _, _, reason] if reason.eq_ignore_ascii_case(b"timeout") => false,
        [_, _, _, reason] if reason.eq_ignore_ascii_case(b"error") => true,
        [_, _, _, _] => return Err(Error::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(help::subcommand_error(cx.args)),
    };
    let client = number::parse_i64(cx.args[2]).ok_or(Error::NotInteger)? as u64;
    Ok(Flow::Ask(Query::Unblock { client, error }, killed))
}
