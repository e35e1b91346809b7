//! Programs driven by a toy server: a table of strings and a few commands.

mod functions;
mod replies;
mod runs;
mod sandbox;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::protocol::Error;
use crate::protocol::resp::{Reply, Resp};

/// A server of one core.
struct Server {
    engine: Engine,
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
    log: Rc<RefCell<Vec<String>>>,
    client: Resp,
    /// How often programs were interrupted.
    slices: usize,
}

impl Server {
    fn new() -> Server {
        Server::with(Arc::default())
    }

    fn with(scripts: Arc<Scripts>) -> Server {
        let log: Rc<RefCell<Vec<String>>> = Rc::default();
        let lines = Rc::clone(&log);
        let logger: Logger = Rc::new(move |level, text| lines.borrow_mut().push(format!("{level:?} {text}")));
        let engine = Engine::new(scripts, logger);
        Server { engine, keys: BTreeMap::new(), log, client: Resp::V2, slices: 0 }
    }

    fn execute(&mut self, args: &[&[u8]], reply: &mut Reply<'_>) {
        match args {
            [b"SET" | b"set", key, value] => {
                self.keys.insert(key.to_vec(), value.to_vec());
                reply.ok();
            }
            [b"GET" | b"get", key] => match self.keys.get(*key) {
                Some(value) => reply.bulk(value),
                None => reply.null(),
            },
            [b"INCR" | b"incr", key] => {
                let value = self.keys.entry(key.to_vec()).or_insert(b"0".to_vec());
                match crate::base::number::parse_i64(value) {
                    Some(n) => {
                        *value = (n + 1).to_string().into();
                        reply.int(n + 1);
                    }
                    None => reply.error_text("ERR value is not an integer or out of range"),
                }
            }
            [b"ECHO" | b"echo", values @ ..] => {
                reply.array(values.len());
                values.iter().for_each(|value| reply.bulk(value));
            }
            [b"RAW" | b"raw", encoded] => reply.raw(encoded),
            [b"PING" | b"ping"] => reply.status("PONG"),
            [b"set", ..] => reply.error_text("ERR Wrong number of args calling Redis command from script"),
            _ => reply.error_text("ERR Unknown Redis command called from script"),
        }
    }

    /// Drives a program to its end.
    fn drive(&mut self, run: &mut Run) -> Vec<u8> {
        let mut out = b"earlier ".to_vec();
        let mut step = run.resume(Input::Begin, &mut out);
        loop {
            step = match step {
                Step::Command { resp } => {
                    let mut encoded = Vec::new();
                    run.with_args(|args| self.execute(args, &mut Reply::new(&mut encoded, resp)));
                    run.resume(Input::Reply(&encoded), &mut out)
                }
                Step::Slice => {
                    self.slices += 1;
                    run.resume(Input::Go, &mut out)
                }
                Step::Done => return out.split_off(8),
            };
        }
    }

    fn start(&mut self, script: &str) -> Run {
        let script = self.engine.script(script.as_bytes()).expect("the script compiles");
        self.engine.start(&Program::Script(script), &[], &[], self.client).expect("the script starts")
    }

    fn call(&mut self, program: &Program, keys: &[&[u8]], args: &[&[u8]]) -> String {
        let started = self.engine.start(program, keys, args, self.client);
        match started {
            Ok(mut run) => String::from_utf8_lossy(&self.drive(&mut run)).into_owned(),
            Err(Refusal::Error(error)) => format!("-{error}\r\n"),
            Err(Refusal::Busy) => "busy".to_owned(),
        }
    }

    fn eval_with(&mut self, script: &str, keys: &[&[u8]], args: &[&[u8]]) -> String {
        match self.engine.script(script.as_bytes()) {
            Ok(script) => self.call(&Program::Script(script), keys, args),
            Err(error) => format!("-{error}\r\n"),
        }
    }

    fn eval(&mut self, script: &str) -> String {
        self.eval_with(script, &[], &[])
    }

    /// The reply up to where an error names the script.
    fn error(&mut self, script: &str) -> String {
        let reply = self.eval(script);
        reply.split(" script: ").next().unwrap_or_default().trim_end().to_owned()
    }

    fn load(&mut self, library: &str) -> Result<String, Error> {
        let name = self.engine.load_library(library.as_bytes(), true)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    fn load_error(&mut self, library: &str) -> String {
        self.load(library).expect_err("the library is refused").to_string()
    }

    fn fcall(&mut self, name: &str, keys: &[&[u8]], args: &[&[u8]]) -> String {
        match self.engine.function(name.as_bytes()) {
            Ok(function) => self.call(&Program::Function(function), keys, args),
            Err(error) => format!("-{error}\r\n"),
        }
    }
}

#[test]
fn scripts_get_keys_and_arguments_and_call_commands() {
    let mut server = Server::new();
    assert_eq!(
        server.eval_with("return {KEYS[1], ARGV[1], ARGV[2]}", &[b"k"], &[b"a", b"b"]),
        "*3\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\nb\r\n"
    );
    assert_eq!(server.eval("redis.call('set', 'x', 'y'); return redis.call('get', 'x')"), "$1\r\ny\r\n");
    assert_eq!(server.eval("return redis.call('incr', 'n') + redis.call('incr', 'n')"), ":3\r\n");
    assert_eq!(server.eval("return redis.call('set', 'x', 1)"), "+OK\r\n");
    assert_eq!(server.eval("return redis.call('get', 'none')"), "$-1\r\n");
    assert_eq!(
        server.eval("return redis.call('echo', 1, 1.5, 9007199254740991, 1e20, '12039611435714932082')"),
        "*5\r\n$1\r\n1\r\n$3\r\n1.5\r\n$16\r\n9007199254740991\r\n$5\r\n1e+20\r\n$20\r\n12039611435714932082\r\n"
    );
}
