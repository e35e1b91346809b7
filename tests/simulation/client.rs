//! A random client that records what it sends and what it is answered.

use std::collections::VecDeque;

use corelane::runtime::io::CoreId;
use corelane::runtime::sim::LinkId;

use crate::cluster::Cluster;
use crate::support::bundles::{is_acknowledged, wire};
use crate::support::history::Operation;
use crate::support::resp::{Decoder, Value, encode};
use crate::support::rng::Rng;
use crate::support::workload::Workload;
use crate::support::{Request, request};

/// What all clients of a run have seen.
#[derive(Default)]
pub(crate) struct Recorder {
    records: Vec<Record>,
    connections: usize,
    lost: usize,
    refused: usize,
}

struct Record {
    client: usize,
    link: LinkId,
    db: usize,
    request: Request,
    /// Bytes that the client had sent when what takes effect was complete.
    sent: u64,
    /// The reply, and the bytes that had arrived when it was complete.
    reply: Option<(Value, u64)>,
}

impl Recorder {
    /// How many replies got lost.
    pub(crate) fn lost(&self) -> usize {
        self.lost
    }

    /// How many operations the server has refused because it cannot log.
    pub(crate) fn refused(&self) -> usize {
        self.refused
    }

    /// The history. Its times are those at which the server received requests and sent replies: closer together than
    /// what clients see, and still every effect must lie between them. What never reached the server is left out.
    pub(crate) fn history(self, cluster: &Cluster) -> Vec<Operation> {
        let operation = |record: Record| {
            // What was refused has changed nothing.
            if record.reply.as_ref().is_some_and(|(reply, _)| is_refused(reply)) {
                return None;
            }
            let invoked_at = cluster.world.received_at(record.link, record.sent)?;
            let (reply, completed_at) = match record.reply {
                Some((reply, arrived)) => (reply, cluster.world.sent_at(record.link, arrived)),
                None => (Value::Null, None),
            };
            let Record { client, db, request, .. } = record;
            Some(Operation { client, db, invoked_at, completed_at, request, reply })
        };
        self.records.into_iter().filter_map(operation).collect()
    }
}

/// Whether a reply says, in any place, that nothing is written because the log cannot be.
pub(crate) fn is_refused(reply: &Value) -> bool {
    match reply {
        Value::Error(text) => text.starts_with(b"MISCONF") || text.starts_with(b"EXECABORT"),
        Value::Array(items) => items.iter().any(is_refused),
        _ => false,
    }
}

/// A reply that is still to come.
enum Due {
    /// To the operation with this place in the record.
    Operation(usize),
    /// A reply that says only that all is well.
    Acknowledgement,
}

/// A random client.
pub(crate) struct Client {
    rng: Rng,
    workload: Workload,
    /// Operations still to be sent.
    left: usize,
    /// Requests it has under way at a time.
    depth: usize,
    connection: Option<Connection>,
}

struct Connection {
    number: usize,
    link: LinkId,
    decoder: Decoder,
    db: usize,
    sent: u64,
    arrived: u64,
    due: VecDeque<Due>,
    /// A `WATCH` whose transaction is to follow: its place in the record.
    watching: Option<usize>,
}

impl Record {
    /// The transaction that follows a `WATCH`.
    fn swap(&self, workload: &mut Workload) -> (usize, Request) {
        let Some((Value::Array(seen), _)) = &self.reply else { panic!("{:?} to MGET", self.reply) };
        (self.db, workload.swap(self.db, &self.request, seen))
    }
}

impl Connection {
    /// Whether another operation may be sent while no more than `depth` are under way.
    fn may_send(&self, depth: usize) -> bool {
        self.under_way() < if self.watching.is_some() { 1 } else { depth }
    }

    /// Operations whose replies are still to come.
    fn under_way(&self) -> usize {
        self.due.iter().filter(|due| matches!(due, Due::Operation(_))).count()
    }
}

impl Client {
    /// A client that will send so many operations, at most `depth` at a time.
    pub(crate) fn new(seed: u64, workload: Workload, operations: usize, depth: usize) -> Client {
        Client { rng: Rng::new(seed), workload, left: operations, depth, connection: None }
    }

    /// Whether it has sent everything and has every reply that it can have.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && !self.is_waiting()
    }

    /// Whether it waits for replies.
    pub(crate) fn is_waiting(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !connection.due.is_empty())
    }

    /// Takes what has arrived and sends what it may; false if it sent nothing.
    pub(crate) fn act(&mut self, cluster: &mut Cluster, recorder: &mut Recorder) -> bool {
        self.hear(cluster, recorder);
        let may_send = self.left > 0 && self.connection.as_ref().is_none_or(|c| c.may_send(self.depth));
        if may_send {
            self.say(cluster, recorder);
        }
        may_send
    }

    /// Takes what has arrived.
    pub(crate) fn listen(&mut self, cluster: &mut Cluster, recorder: &mut Recorder) {
        self.hear(cluster, recorder);
    }

    /// Closes the connection without waiting for replies.
    pub(crate) fn leave(&mut self, cluster: &mut Cluster, recorder: &mut Recorder) {
        if let Some(connection) = self.connection.take() {
            cluster.world.close(connection.link);
            recorder.lost += connection.under_way();
        }
    }

    fn say(&mut self, cluster: &mut Cluster, recorder: &mut Recorder) {
        let cores = cluster.cores.len();
        let connection = self.connection.get_or_insert_with(|| {
            recorder.connections += 1;
            Connection {
                number: recorder.connections,
                link: cluster.world.connect(CoreId(self.rng.below(cores) as u16)),
                decoder: Decoder::new(),
                db: 0,
                sent: 0,
                arrived: 0,
                due: VecDeque::new(),
                watching: None,
            }
        });
        self.left -= 1;
        let (db, words) = match connection.watching.take() {
            Some(at) => recorder.records[at].swap(&mut self.workload),
            None => self.workload.next(),
        };
        let mut bytes = Vec::new();
        if db != connection.db {
            encode(&mut bytes, &request(&["SELECT", &db.to_string()]));
            connection.db = db;
            connection.due.push_back(Due::Acknowledgement);
        }
        let requests = wire(&words);
        let mut ends = Vec::new();
        for request in &requests {
            encode(&mut bytes, request);
            ends.push(connection.sent + bytes.len() as u64);
            connection.due.push_back(Due::Acknowledgement);
        }
        connection.due.pop_back();
        connection.due.push_back(Due::Operation(recorder.records.len()));
        cluster.world.send(connection.link, &bytes);
        connection.sent += bytes.len() as u64;
        // A transaction takes effect by its last request; changes of a watched key count from the first.
        let mut sent = connection.sent;
        if words[0] == b"WATCH" {
            sent = ends[0];
            connection.watching = Some(recorder.records.len());
        }
        let (client, link) = (connection.number, connection.link);
        recorder.records.push(Record { client, link, db, request: words, sent, reply: None });
    }

    fn hear(&mut self, cluster: &mut Cluster, recorder: &mut Recorder) {
        let Some(connection) = &mut self.connection else { return };
        let bytes = cluster.world.receive(connection.link);
        connection.arrived += bytes.len() as u64;
        connection.decoder.feed(&bytes);
        while let Some(reply) = connection.decoder.next().expect("replies are well-formed") {
            match connection.due.pop_front().expect("there are no more replies than requests") {
                Due::Acknowledgement => assert!(is_acknowledged(&reply) || is_refused(&reply), "{reply}"),
                Due::Operation(at) => {
                    let end = connection.arrived - connection.decoder.pending().len() as u64;
                    recorder.refused += usize::from(is_refused(&reply));
                    recorder.records[at].reply = Some((reply, end));
                }
            }
        }
        if cluster.world.is_over(connection.link) {
            recorder.lost += connection.under_way();
            self.connection = None;
        }
    }
}
