//! Clients as `CLIENT LIST` and `CLIENT KILL` see them.

use crate::command::lookup::Lookup;
use crate::core::state::CoreState;
use crate::net::client::Client;
use crate::route::message::ClientFilter;
use crate::runtime::io::ConnId;

/// One line of `CLIENT LIST`, without the line feed.
pub fn line(client: &Client, now_ms: i64, lookup: &Lookup) -> String {
    let session = &client.session;
    let command = client.last_command.map_or("NULL", |id| lookup.get(id).full_name);
    let input = client.input.as_ref().map_or(0, |input| input.bytes.len());
    format!(
        "id={} addr={} laddr={} name={} age={} idle={} db={} qbuf={input} cmd={command}",
        client.id,
        client.peer,
        client.local,
        String::from_utf8_lossy(&session.name),
        (now_ms - client.created_ms) / 1000,
        (now_ms - client.active_ms) / 1000,
        session.db,
    )
}

/// Whether a filter means this client.
pub fn matches(filter: &ClientFilter, client: &Client, now_ms: i64) -> bool {
    (filter.ids.is_empty() || filter.ids.contains(&client.id))
        && filter.address.as_ref().is_none_or(|address| address == client.peer.as_bytes())
        && filter.local_address.as_ref().is_none_or(|address| address == client.local.as_bytes())
        && filter.normal.is_none_or(|normal| normal)
        && filter.user.as_ref().is_none_or(|user| user == b"default")
        && filter.min_age_s.is_none_or(|age| (now_ms - client.created_ms) / 1000 >= age)
        && filter.except != Some(client.id)
}

/// Ends the clients that a filter means and returns how many they are. One that asked for its own end still gets the
/// reply.
pub fn kill(core: &mut CoreState, filter: &ClientFilter) -> usize {
    let now_ms = core.now_ms();
    let doomed: Vec<ConnId> = core
        .clients
        .iter()
        .filter(|client| matches(filter, client, now_ms))
        .map(|client| client.conn)
        .collect();
    doomed.iter().for_each(|&conn| core.close_client(conn));
    doomed.len()
}
