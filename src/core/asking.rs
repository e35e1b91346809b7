//! Questions of this core to all cores: asking, and what follows from the answers.
//!
//! A client's command (or its program) goes on when all have answered. An [`Await`] may take long: its client counts as blocked,
//! can be unblocked, and goes on at the latest when its time is over, with the answers that are there.

use crate::admin::{Await, Cx, Then};
use crate::core::dispatch::Whose;
use crate::core::state::{Asking, CoreState};
use crate::net::client::Waiting;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::route::message::{Answer, Message, OwnedArgs, Query};
use crate::runtime::io::{ConnId, CoreId};

impl CoreState {
    /// Asks all cores, for a client or for a program of its; `then` is called with their answers if the client is still there,
    /// to complete the reply.
    pub(super) fn ask(
        &mut self,
        conn: ConnId,
        program: Option<u64>,
        args: &[&[u8]],
        query: &Query,
        reply: Vec<u8>,
        then: Then,
    ) {
        let Some(number) = self.expect_answers(conn, program, args, reply, then) else { return };
        self.put_question(number, query);
    }

    /// A client waits for answers that may take long.
    pub(super) fn begin_await(&mut self, conn: ConnId, args: &[&[u8]], awaits: Await, reply: Vec<u8>) {
        let Await { query, until_ms, in_vain, then } = awaits;
        let Some(number) = self.expect_answers(conn, None, args, reply, then) else { return };
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.waiting = Waiting::Blocked;
        CoreState::mark_dirty(&mut self.dirty, client);
        let (id, gone) = (client.id, client.half_closed);
        self.blocking.begin_await(id, number, until_ms);
        if gone {
            return self.close_client(conn);
        }
        if let Some(asking) = self.asks.get_mut(&number) {
            asking.in_vain = in_vain;
            if query.is_none() {
                asking.answers.clear();
            }
        }
        match query {
            Some(query) => self.put_question(number, &query),
            None => self.end_asking_if_answered(number),
        }
    }

    fn expect_answers(
        &mut self,
        conn: ConnId,
        program: Option<u64>,
        args: &[&[u8]],
        reply: Vec<u8>,
        then: Then,
    ) -> Option<u64> {
        let number = self.next_number();
        let asking = Asking {
            conn,
            client: self.clients.get(conn)?.id,
            args: OwnedArgs::new(args),
            answers: self.map.all().map(|_| None).collect(),
            in_vain: false,
            started_ticks: self.last_ticks,
            program,
            reply,
            then,
        };
        self.asks.insert(number, asking);
        Some(number)
    }

    fn put_question(&mut self, number: u64, query: &Query) {
        for core in self.map.all() {
            let message = Message::Ask { number, query: Box::new(query.clone()) };
            // What may take long here waits until the others, who shall work at the same time, have the question.
            // A program that does nothing but ask must not keep this core to itself.
            let by_program = self.asks.get(&number).is_some_and(|asking| asking.program.is_some());
            let takes_long = by_program || matches!(query, Query::Debug { .. });
            if core == self.core && takes_long {
                self.next_turn.push(message);
            } else {
                self.send(core, message);
            }
        }
    }

    pub(super) fn on_answer(&mut self, from: CoreId, number: u64, answer: Answer) {
        // Whoever has asked may be gone.
        let Some(asking) = self.asks.get_mut(&number) else { return };
        asking.answers[from.index()] = Some(answer);
        self.end_asking_if_answered(number);
    }

    fn end_asking_if_answered(&mut self, number: u64) {
        let is_answered = |asking: &Asking| !asking.in_vain && asking.answers.iter().all(Option::is_some);
        if self.asks.get(&number).is_some_and(is_answered) {
            self.end_asking(number, None);
        }
    }

    /// Goes on with the answers that are there, or with an error.
    pub(super) fn end_asking(&mut self, number: u64, error: Option<Error>) {
        let Some(asking) = self.asks.remove(&number) else { return };
        let args = asking.args.slices();
        let command = self.lookup.find(&args).expect("it was found when the question was asked");
        let answers = asking.answers.into_iter().flatten().collect();
        if let Some(program) = asking.program {
            let then = |cx: &mut Cx<'_>| (asking.then)(cx, answers);
            let asked = (asking.started_ticks, command, &*args);
            return self.on_program_answered(program, asked, asking.reply, then);
        }
        let waited = self.blocking.end_await(asking.client);
        let Some(client) = self.clients.get_same(asking.conn, asking.client) else { return };
        client.waiting = Waiting::No;
        let resp = client.session.resp;
        let mut out = asking.reply;
        self.held_pushes.running = Some(asking.conn);
        let reply = Reply::new(&mut out, resp);
        let mut cx = Cx { core: self, conn: asking.conn, command, args: &args, reply, in_program: false };
        let result = error.map_or_else(|| (asking.then)(&mut cx, answers), Err);
        self.finish_session(asking.conn, command, out, result.as_ref().err());
        let whose = Whose::new(self.core, asking.conn, asking.client);
        match waited {
            // To wait is no work.
            true => self.account(command, &args, whose, result.as_ref().err()),
            false => {
                self.account_since(asking.started_ticks, command, &args, whose, result.as_ref().err());
            }
        }
        self.runnable.push_back(asking.conn);
    }
}
