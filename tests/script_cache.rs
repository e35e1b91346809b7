//! `SCRIPT` and `FUNCTION` over the socket, on 1 and 2 shards: what one client loads, all cores know.

mod support;

use support::client::Client;
use support::resp::Value;
use support::server::Server;

const LIBRARY: &str = "#!lua name=lib\nredis.register_function{function_name='f', description='about', \
    callback=function() return 1 end, flags={'no-writes'}}";

/// Runs a test on servers of every number of shards, with clients on all cores.
fn everywhere(test: impl Fn(&mut [Client])) {
    for shards in ["1", "2"] {
        let server = Server::start(&["--save", "", "--shards", shards]);
        let mut clients: Vec<Client> = (0..2).map(|_| server.client()).collect();
        // From its first reply on a connection is one of its core's.
        clients.iter_mut().for_each(|client| drop(client.call(&["PING"])));
        test(&mut clients);
    }
}

fn error(reply: &Value) -> String {
    let Value::Error(text) = reply else { panic!("{reply} is no error") };
    String::from_utf8_lossy(text).into_owned()
}

#[test]
fn scripts_are_kept_until_they_are_flushed() {
    everywhere(|clients| {
        let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(clients[0].call(&["SCRIPT", "LOAD", "return 1"]), Value::bulk(sha));
        for client in &mut *clients {
            let upper = sha.to_uppercase();
            let exist = client.call(&["SCRIPT", "EXISTS", sha, "x", &upper]);
            assert_eq!(exist, Value::Array(vec![Value::Int(1), Value::Int(0), Value::Int(1)]));
        }
        assert_eq!(
            error(&clients[0].call(&["SCRIPT", "LOAD", "return 1 1"])),
            "ERR Error compiling script (new function): user_script:1: '<eof>' expected near '1'"
        );
        assert_eq!(
            error(&clients[0].call(&["SCRIPT", "FLUSH", "NOW"])),
            "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
        );
        assert_eq!(clients[1].call(&["SCRIPT", "FLUSH", "ASYNC"]), Value::ok());
        assert_eq!(clients[0].call(&["SCRIPT", "EXISTS", sha]), Value::Array(vec![Value::Int(0)]));
    });
}

#[test]
fn libraries_are_listed_dumped_and_restored() {
    everywhere(|clients| {
        let list = |client: &mut Client, options: &[&str]| {
            format!("{}", client.call(&[&["FUNCTION", "LIST"], options].concat()))
        };
        assert_eq!(clients[0].call(&["FUNCTION", "LOAD", LIBRARY]), Value::bulk("lib"));
        let all = list(&mut clients[1], &[]);
        assert!(
            ["library_name", "lib", "LUA", "about", "no-writes"].iter().all(|word| all.contains(word)),
            "{all}"
        );
        assert!(list(&mut clients[1], &["WITHCODE"]).contains("register_function"));
        assert_eq!(list(&mut clients[1], &["LIBRARYNAME", "LI?"]), all);
        assert_ne!(list(&mut clients[1], &["LIBRARYNAME", "x*"]), all);
        for (request, expected) in [
            (&["FUNCTION", "LOAD", LIBRARY][..], "ERR Library 'lib' already exists"),
            (&["FUNCTION", "LOAD", "x", LIBRARY], "ERR Unknown option given: x"),
            (&["FUNCTION", "LIST", "x"], "ERR Unknown argument x"),
            (&["FUNCTION", "LIST", "LIBRARYNAME"], "ERR library name argument was not given"),
            (&["FUNCTION", "DELETE", "x"], "ERR Library not found"),
            (&["FUNCTION", "FLUSH", "x"], "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
            (&["FUNCTION", "RESTORE", "x"], "ERR DUMP payload version or checksum are wrong"),
            (
                &["FUNCTION", "RESTORE", "x", "y"],
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ),
            (
                &["FUNCTION", "RESTORE", "x", "y", "z"],
                "ERR unknown subcommand or wrong number of arguments for 'RESTORE'. Try FUNCTION HELP.",
            ),
        ] {
            assert_eq!(error(&clients[1].call(request)), expected, "{request:?}");
        }
        let Value::Bulk(payload) = clients[1].call(&["FUNCTION", "DUMP"]) else { panic!("no payload") };
        assert_eq!(clients[0].call(&["FUNCTION", "DELETE", "lib"]), Value::ok());
        assert_eq!(clients[1].call(&["FUNCTION", "LIST"]), Value::Array(vec![]));
        assert_eq!(clients[1].call(&[&b"FUNCTION"[..], b"RESTORE", &payload, b"REPLACE"]), Value::ok());
        assert_eq!(list(&mut clients[0], &[]), all);
        assert_eq!(clients[0].call(&["FUNCTION", "LOAD", "REPLACE", LIBRARY]), Value::bulk("lib"));
        assert_eq!(clients[1].call(&["FUNCTION", "FLUSH"]), Value::ok());
        assert_eq!(clients[0].call(&["FUNCTION", "LIST"]), Value::Array(vec![]));
    });
}
