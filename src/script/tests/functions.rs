//! Function libraries.

use super::*;

const LIBRARY: &str = "#!lua name=lib\n\
    local calls = 0\n\
    local function twice(x) calls = calls + 1 return x * 2 end\n\
    redis.register_function('f1', function(keys, args) return {keys[1], args[1], twice(4), calls} end)\n\
    redis.register_function{function_name='f2', description='reads', flags={'no-writes', 'allow-stale'}, \
    callback=function(keys) return redis.call('get', keys[1]) end}\n\
    redis.register_function('fails', function() error('x') end)\n\
    redis.register_function('cmd', function() return redis.call('nosuch') end)";

#[test]
fn functions_run_with_their_library() {
    let mut server = Server::new();
    assert_eq!(server.load(LIBRARY), Ok("lib".to_owned()));
    assert_eq!(server.fcall("f1", &[b"k"], &[b"a"]), "*4\r\n$1\r\nk\r\n$1\r\na\r\n:8\r\n:1\r\n");
    assert_eq!(server.fcall("F1", &[b"k"], &[b"a"]), "*4\r\n$1\r\nk\r\n$1\r\na\r\n:8\r\n:2\r\n");
    server.eval("return redis.call('set', 'x', 'y')");
    assert_eq!(server.fcall("f2", &[b"x"], &[]), "$1\r\ny\r\n");
    assert_eq!(
        server.fcall("fails", &[], &[]),
        "-ERR user_function:6: x script: fails, on @user_function:6.\r\n"
    );
    assert_eq!(
        server.fcall("cmd", &[], &[]),
        "-ERR Unknown Redis command called from script script: cmd, on @user_function:7.\r\n"
    );
    assert_eq!(server.fcall("none", &[], &[]), "-ERR Function not found\r\n");
    let function = server.engine.function(b"f2").expect("it exists");
    assert_eq!(function.registered().flags, Flags::NO_WRITES | Flags::ALLOW_STALE);
    assert_eq!(function.registered().description.as_deref(), Some(&b"reads"[..]));
    let figures = server.engine.shared().figures();
    assert_eq!((figures.libraries, figures.functions), (1, 4));
}

#[test]
fn every_core_and_every_vm_loads_a_library_by_itself() {
    let mut first = Server::new();
    let mut second = Server::with(Arc::clone(first.engine.shared()));
    first.load(LIBRARY).expect("a library");
    assert_eq!(second.fcall("f1", &[], &[]), "*0\r\n");
    let function = second.engine.function(b"cmd").expect("it exists");
    let mut waiting = second.engine.start(&Program::Function(function), &[], &[], Resp::V2).expect("a VM");
    waiting.resume(Input::Begin, &mut Vec::new());
    assert_eq!(
        second.fcall("f1", &[b"a"], &[b"b"]),
        "*4\r\n$1\r\na\r\n$1\r\nb\r\n:8\r\n:1\r\n",
        "in another VM"
    );
    drop(waiting);
    let other = LIBRARY.replace("x * 2", "x * 3");
    second.load(&other).expect("it is replaced");
    assert_eq!(first.fcall("f1", &[b"a"], &[b"b"]), "*4\r\n$1\r\na\r\n$1\r\nb\r\n:12\r\n:1\r\n");
    first.engine.shared().delete_library(b"lib").expect("it exists");
    assert_eq!(second.fcall("f1", &[], &[]), "-ERR Function not found\r\n");
    assert_eq!(first.engine.shared().delete_library(b"lib"), Err(Error::text("ERR Library not found")));
}

#[test]
fn libraries_that_are_wrong_are_refused() {
    let mut server = Server::new();
    let code = |body: &str| format!("#!lua name=l2\n{body}");
    for (body, expected) in [
        ("return 1", "ERR No functions registered"),
        ("bad script", "ERR Error compiling function: user_function:2: '=' expected near 'script'"),
        (
            "local x x()",
            "ERR Error registering functions: ERR user_function:2: attempt to call local 'x' (a nil value)",
        ),
        ("a = 1", "ERR Error registering functions: ERR user_function:2: Attempt to modify a readonly table"),
        (
            "redis.a = 1",
            "ERR Error registering functions: ERR user_function:2: Attempt to modify a readonly table",
        ),
        (
            "return math.random()",
            "ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'math'",
        ),
        (
            "return redis.call('ping')",
            "ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
        ),
        (
            "return getmetatable(_G)",
            "ERR Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'getmetatable'",
        ),
        (
            "redis.register_function()",
            "ERR Error registering functions: ERR wrong number of arguments to redis.register_function",
        ),
        (
            "redis.register_function('f')",
            "ERR Error registering functions: ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        ),
        (
            "redis.register_function(nil, function() end)",
            "ERR Error registering functions: ERR first argument to redis.register_function must be a string",
        ),
        (
            "redis.register_function('f', 'x')",
            "ERR Error registering functions: ERR second argument to redis.register_function must be a function",
        ),
        (
            "redis.register_function('', function() end)",
            "ERR Error registering functions: ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        ),
        (
            "for i = 1, 2 do redis.register_function('f', function() end) end",
            "ERR Error registering functions: ERR Function already exists in the library",
        ),
        (
            "redis.register_function{callback=function() end}",
            "ERR Error registering functions: ERR redis.register_function must get a function name argument",
        ),
        (
            "redis.register_function{function_name='f'}",
            "ERR Error registering functions: ERR redis.register_function must get a callback argument",
        ),
        (
            "redis.register_function{function_name={}, callback=function() end}",
            "ERR Error registering functions: ERR function_name argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{function_name='f', callback=1}",
            "ERR Error registering functions: ERR callback argument given to redis.register_function must be a function",
        ),
        (
            "redis.register_function{function_name='f', callback=function() end, description={}}",
            "ERR Error registering functions: ERR description argument given to redis.register_function must be a string",
        ),
        (
            "redis.register_function{function_name='f', callback=function() end, flags='x'}",
            "ERR Error registering functions: ERR flags argument to redis.register_function must be a table representing function flags",
        ),
        (
            "redis.register_function{function_name='f', callback=function() end, flags={'x'}}",
            "ERR Error registering functions: ERR unknown flag given",
        ),
        (
            "redis.register_function{function_name='f', callback=function() end, flags={{}}}",
            "ERR Error registering functions: ERR unknown flag given",
        ),
        (
            "redis.register_function{function_name='f', callback=function() end, other=1}",
            "ERR Error registering functions: ERR unknown argument given to redis.register_function",
        ),
        (
            "redis.register_function{[1]='f'}",
            "ERR Error registering functions: ERR unknown argument given to redis.register_function",
        ),
        (
            "redis.register_function{[{}]='f'}",
            "ERR Error registering functions: ERR named argument key given to redis.register_function is not a string",
        ),
        ("while true do end", "ERR Error registering functions: ERR FUNCTION LOAD timeout"),
    ] {
        assert_eq!(server.load_error(&code(body)), expected, "{body}");
    }
    server.load(LIBRARY).expect("a library");
    assert_eq!(
        server.load_error(&code("redis.register_function('F1', function() end)")),
        "ERR Function F1 already exists"
    );
    let again = server.engine.load_library(LIBRARY.as_bytes(), false);
    assert_eq!(again, Err(Error::text("ERR Library 'lib' already exists")));
    assert_eq!(server.fcall("f1", &[], &[]), "*0\r\n", "the old library is there");
}

#[test]
fn what_a_library_keeps_does_not_widen_its_rights() {
    let mut server = Server::new();
    server
        .load(
            "#!lua name=lib\nlocal lib = redis\n\
             lib.register_function('f1', function() lib.redis = redis end)\n\
             lib.register_function('f2', function() lib.register_function('f3', function() end) end)\n\
             lib.register_function('f4', function() redis.register_function('f3', function() end) end)\n\
             lib.register_function('f5', function() return KEYS end)\n\
             lib.register_function('f6', function() return math.max(1, 2) end)\n\
             lib.register_function('f7', function() mt = getmetatable(_G) end)",
        )
        .expect("a library");
    server.eval_with("return 1", &[b"secret"], &[]);
    for (name, expected) in [
        ("f1", "Attempt to modify a readonly table"),
        ("f2", "can only be called on FUNCTION LOAD command"),
        ("f4", "attempt to call field 'register_function' (a nil value)"),
        ("f5", "Script attempted to access nonexistent global variable 'KEYS'"),
        ("f6", ":2\r\n"),
        ("f7", "Attempt to modify a readonly table"),
    ] {
        let reply = server.fcall(name, &[], &[]);
        assert!(reply.contains(expected), "{name}: {reply}");
    }
}

#[test]
fn libraries_are_dumped_and_restored() {
    let mut server = Server::new();
    server
        .load("#!lua name=lib1\nredis.register_function('f1', function() return 1 end)")
        .expect("a library");
    let dumped = server.engine.shared().dump_libraries();
    server.engine.shared().flush_libraries();
    assert_eq!(server.fcall("f1", &[], &[]), "-ERR Function not found\r\n");
    server.engine.restore_libraries(&dumped, Policy::Append).expect("nothing is in the way");
    assert_eq!(server.fcall("f1", &[], &[]), ":1\r\n");
    let refused = |server: &mut Server, policy| {
        server.engine.restore_libraries(&dumped, policy).expect_err("refused").to_string()
    };
    assert_eq!(refused(&mut server, Policy::Append), "ERR Library lib1 already exists");
    server
        .load("#!lua name=lib1\nredis.register_function('f2', function() return 2 end)")
        .expect("a library");
    server
        .load("#!lua name=lib2\nredis.register_function('f1', function() return 3 end)")
        .expect("a library");
    assert_eq!(refused(&mut server, Policy::Replace), "ERR Function f1 already exists");
    assert_eq!([server.fcall("f1", &[], &[]), server.fcall("f2", &[], &[])], [":3\r\n", ":2\r\n"]);
    server.engine.restore_libraries(&dumped, Policy::Flush).expect("nothing is in the way");
    assert_eq!(server.fcall("f1", &[], &[]), ":1\r\n");
    assert_eq!(server.fcall("f2", &[], &[]), "-ERR Function not found\r\n");
    let broken = server.engine.restore_libraries(b"bad_payload", Policy::Append);
    assert_eq!(broken, Err(Error::text("ERR DUMP payload version or checksum are wrong")));
}

#[test]
fn payloads_are_those_of_redis() {
    let code = "#!lua name=lib1\nredis.register_function('f1', function() return 1 end)";
    let payload = |footer: &[u8]| [b"\xf5\x40\x46", code.as_bytes(), footer].concat();
    let of_7_0 = payload(b"\x0a\x00\x98\xfa\x43\x9b\xf0\xa7\xa5\xa2");
    let of_7_4 = payload(b"\x0c\x00\x53\x8c\x77\x5b\x0a\x8d\x3b\xeb");
    let mut server = Server::new();
    server.load(code).expect("a library");
    assert_eq!(server.engine.shared().dump_libraries(), of_7_0);
    for payload in [of_7_0, of_7_4] {
        server.engine.shared().flush_libraries();
        server.engine.restore_libraries(&payload, Policy::Append).expect("a payload of Redis");
        assert_eq!(server.fcall("f1", &[], &[]), ":1\r\n");
    }
}
