//! How programs run: slices, kills, runs that are dropped, depth, memory, replies of commands.

use super::*;
use crate::script::program::sha_of;

/// Runs until it is interrupted or has called many commands.
fn for_a_while(run: &mut Run) {
    let mut out = Vec::new();
    let mut step = run.resume(Input::Begin, &mut out);
    for _ in 0..100 {
        if step == Step::Slice {
            return;
        }
        assert_eq!(step, Step::Command { resp: Resp::V2 });
        step = run.resume(Input::Reply(b"+PONG\r\n"), &mut out);
    }
}

#[test]
fn a_long_script_is_interrupted_and_goes_on() {
    let mut server = Server::new();
    let count = "local n = 0 for i = 1, 3000000 do n = n + 1 end return n";
    assert_eq!(server.eval(count), ":3000000\r\n");
    assert!(server.slices > 0, "more than a millisecond has passed");
    let within = "local f = coroutine.wrap(function() local n = 0 for i = 1, 3000000 do n = n + 1 end return n end) return f()";
    server.slices = 0;
    assert_eq!(server.eval(within), ":3000000\r\n");
    assert!(server.slices > 0, "coroutines are interrupted, too");
}

#[test]
fn a_killed_script_ends_whatever_it_catches() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do load(function() while true do end end) end",
        "while true do pcall(string.gsub, ('x'):rep(1000), 'x', function() while true do end end) end",
        "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
        "local t = setmetatable({}, {__index = function() while true do end end}) while true do pcall(function() return t.x end) end",
        "local f = function() while 1 do redis.call('ping') end end while 1 do pcall(f) end",
        "local f f = function() while 1 do pcall(f) coroutine.wrap(function() pcall(f) end)() end end f()",
    ] {
        let mut server = Server::new();
        let mut run = server.start(script);
        for_a_while(&mut run);
        let mut out = Vec::new();
        assert_eq!(run.resume(Input::Kill(KILLED), &mut out), Step::Done, "{script}");
        let text = String::from_utf8_lossy(&out);
        assert!(text.starts_with("-ERR Script killed by user with SCRIPT KILL..."), "{script}: {text}");
        assert_eq!(server.eval("return 1"), ":1\r\n", "the VM is fine after {script}");
    }
}

#[test]
fn a_script_is_killed_while_it_waits_for_a_command() {
    let mut server = Server::new();
    let script = "local r = {} for i = 1, 3 do r[i] = {redis.pcall('get', 'x')} end return r";
    let mut run = server.start(script);
    let mut out = Vec::new();
    assert_eq!(run.resume(Input::Begin, &mut out), Step::Command { resp: Resp::V2 });
    run.with_args(|args| assert_eq!(args, [&b"get"[..], b"x"]));
    assert_eq!(run.resume(Input::Kill(KILLED), &mut out), Step::Done);
    let sha = String::from_utf8_lossy(&sha_of(script.as_bytes())).into_owned();
    assert_eq!(
        String::from_utf8_lossy(&out),
        format!("-ERR Script killed by user with SCRIPT KILL... script: {sha}, on @user_script:1.\r\n")
    );
}

#[test]
fn runs_can_be_dropped_at_any_time() {
    let mut server = Server::new();
    for round in 0..50 {
        let mut waiting =
            server.start("local s = ('x'):rep(100) pcall(redis.call, 'get', s) while true do end");
        let mut slicing = server.start("while true do pcall(redis.call, 'get') end");
        let ready = server.start("return 1");
        let mut out = Vec::new();
        assert_eq!(waiting.resume(Input::Begin, &mut out), Step::Command { resp: Resp::V2 }, "{round}");
        for_a_while(&mut slicing);
        drop((waiting, ready, slicing));
    }
    let idle = server.engine.vm_bytes();
    assert!(idle < 3 * 1024 * 1024, "nothing is kept: {idle}");
    assert_eq!(server.eval("return KEYS[1]"), "$-1\r\n");
}

#[test]
fn programs_under_way_have_vms_of_their_own_up_to_a_bound() {
    let mut server = Server::new();
    let mut runs: Vec<Run> =
        (0..8).map(|_| server.start("return {redis.call('incr', 'n'), ARGV[1]}")).collect();
    for run in &mut runs {
        assert_eq!(run.resume(Input::Begin, &mut Vec::new()), Step::Command { resp: Resp::V2 });
    }
    let script = server.engine.script(b"return 1").expect("compiling is always possible");
    let refused = server.engine.start(&Program::Script(script), &[], &[], Resp::V2).map(|_| ());
    assert_eq!(refused, Err(Refusal::Busy));
    // They end in another order than they began.
    for (index, run) in runs.iter_mut().enumerate().rev() {
        let mut out = Vec::new();
        assert_eq!(run.resume(Input::Reply(format!(":{index}\r\n").as_bytes()), &mut out), Step::Done);
        assert_eq!(String::from_utf8_lossy(&out), format!("*1\r\n:{index}\r\n"));
    }
    assert_eq!(server.eval("return 1"), ":1\r\n");
}

#[test]
fn recursion_ends_with_the_error_of_lua() {
    let mut server = Server::new();
    for (script, expected) in [
        ("local function r() return 1 + r() end return r()", "-ERR user_script:1: stack overflow"),
        ("local function r(x) return (string.gsub(x, '.', r)) end return r('x')", "-ERR C stack overflow"),
        (
            "local function r() table.sort({3,2,1}, function(a, b) r() return a < b end) end r()",
            "-ERR C stack overflow",
        ),
        (
            "local t = setmetatable({}, {__tostring = function(t) return (string.gsub('x', '.', function() return tostring(t) end)) end}) return tostring(t)",
            "-ERR C stack overflow",
        ),
        (
            "local t = {} setmetatable(t, {__index = function(t, k) return t[k .. 'x'] end}) return t.x",
            "-ERR user_script:1: C stack overflow",
        ),
        (
            "local function r(n) local ok, e = pcall(string.gsub, 'x', '.', function() table.sort({2, 1}, function() error(r(n + 1), 0) end) end) return e end \
             return string.format('%s', r(1))",
            "$16",
        ),
        ("local function r() return coroutine.wrap(r)() end return r()", "-ERR "),
        ("local function r() return xpcall(r, r) end return r()", ":1"),
        (
            "return loadstring(('('):rep(500) .. '1' .. (')'):rep(500))()",
            "-ERR user_script:1: attempt to call a nil value",
        ),
        ("return loadstring('return ' .. ('{'):rep(190) .. ('}'):rep(190))() ~= nil", ":1"),
    ] {
        let reply = server.error(script);
        assert!(reply.starts_with(expected), "{script}: {reply}");
    }
    let code = format!("return {}1{}", "(".repeat(500), ")".repeat(500));
    assert!(server.error(&code).contains("chunk has too many syntax levels"));
}

#[test]
fn replies_of_any_depth_can_be_written() {
    let mut server = Server::new();
    let reply = server.eval("local a = {} local b = {a} a[1] = b return a");
    let heads = reply.matches("*1\r\n").count();
    assert!(heads > 1000 && reply == "*1\r\n".repeat(heads) + "-ERR reached lua stack limit\r\n", "{heads}");
    let reply = server.eval("local a = {} a.map = {[1] = a} return a");
    assert!(reply.ends_with("-ERR reached lua stack limit\r\n"));
}

#[test]
fn memory_is_bounded() {
    let mut server = Server::new();
    let script = "local t = {} for i = 1, 5000 do t[i] = ('x'):rep(65536) .. i end return #t";
    let reply = server.eval(script);
    let sha = String::from_utf8_lossy(&sha_of(script.as_bytes())).into_owned();
    assert_eq!(reply, format!("-ERR Error running script {sha}, not enough memory\r\n"));
    assert_eq!(server.eval("return 1"), ":1\r\n", "what it had is garbage");
}

#[test]
fn replies_of_commands_become_values() {
    let mut server = Server::new();
    let shown = "local function show(v) \
        if type(v) ~= 'table' then return type(v) .. ':' .. tostring(v) end \
        local names = {} for k in pairs(v) do names[#names + 1] = k end \
        table.sort(names, function(a, b) return tostring(a) < tostring(b) end) \
        for i, k in ipairs(names) do names[i] = tostring(k) .. '=' .. show(v[k]) end \
        return '{' .. table.concat(names, ',') .. '}' end \
        return show(redis.pcall('raw', ARGV[1]))";
    for (encoded, expected) in [
        ("$-1\r\n", "boolean:false"),
        ("*-1\r\n", "boolean:false"),
        ("_\r\n", "nil:nil"),
        (":12\r\n", "number:12"),
        ("$0\r\n\r\n", "string:"),
        ("$4\r\na\r\nb\r\n", "string:a\r\nb"),
        ("+OK\r\n", "{ok=string:OK}"),
        ("-ERR x y\r\n", "{err=string:ERR x y,ignore_error_stats_update=boolean:true}"),
        ("-NOSPACE\r\n", "{err=string:ERR NOSPACE,ignore_error_stats_update=boolean:true}"),
        ("*3\r\n:1\r\n$-1\r\n*1\r\n+x\r\n", "{1=number:1,2=boolean:false,3={1={ok=string:x}}}"),
        ("%1\r\n+a\r\n:1\r\n", "{map={table: =number:1}}"),
        ("%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n_\r\n", "{map={a=number:1}}"),
        ("~2\r\n$1\r\na\r\n:7\r\n", "{set={7=boolean:true,a=boolean:true}}"),
        ("#t\r\n", "boolean:true"),
        ("#f\r\n", "boolean:false"),
        (",3.25\r\n", "{double=number:3.25}"),
        (",inf\r\n", "{double=number:inf}"),
        ("(123456789012345678901234567890\r\n", "{big_number=string:123456789012345678901234567890}"),
        ("=8\r\ntxt:abcd\r\n", "{verbatim_string={format=string:txt,string=string:abcd}}"),
        ("|1\r\n+a\r\n:1\r\n:5\r\n", "number:5"),
    ] {
        let reply = server.eval_with(shown, &[], &[encoded.as_bytes()]);
        let text = reply.split_once("\r\n").map_or("", |(_, text)| text.trim_end_matches("\r\n"));
        // Tables as keys show their addresses.
        let text = match text.split_once("table: 0x") {
            Some((head, tail)) => {
                format!("{head}table: {}", tail.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
            }
            None => text.to_owned(),
        };
        assert_eq!(text, expected, "{encoded:?}");
    }
}

#[test]
fn setresp_is_told_to_the_driver_and_ends_with_the_run() {
    let mut server = Server::new();
    for (script, expected) in [
        ("redis.setresp(3) return redis.call('get', 'none')", Resp::V3),
        ("return redis.call('get', 'none')", Resp::V2),
    ] {
        let mut run = server.start(script);
        assert_eq!(run.resume(Input::Begin, &mut Vec::new()), Step::Command { resp: expected });
    }
}

#[test]
fn aggregates_are_encoded_for_the_client() {
    let mut server = Server::new();
    let map = "redis.setresp(3) return redis.call('raw', '%1\\r\\n$1\\r\\na\\r\\n~1\\r\\n:1\\r\\n')";
    assert_eq!(server.eval(map), "*2\r\n$1\r\na\r\n*1\r\n:1\r\n");
    server.client = Resp::V3;
    assert_eq!(server.eval(map), "%1\r\n$1\r\na\r\n~1\r\n:1\r\n");
    let double = "redis.setresp(3) return redis.call('raw', ',3.141\\r\\n')";
    assert_eq!(server.eval(double), ",3.141\r\n");
}

#[test]
fn logs_go_to_the_logger() {
    let mut server = Server::new();
    assert_eq!(server.eval("redis.log(redis.LOG_WARNING, 'a', 1, {}, 'b')"), "$-1\r\n");
    assert_eq!(*server.log.borrow(), ["Warning a 1 b"]);
}

#[test]
fn scripts_of_eval_are_evicted_and_loaded_ones_stay() {
    let mut server = Server::new();
    for n in 1..=500 {
        assert_eq!(server.eval(&format!("return {n}")), format!(":{n}\r\n"));
    }
    let sha = |n: usize| sha_of(format!("return {n}").as_bytes());
    let scripts = Arc::clone(server.engine.shared());
    assert_eq!(scripts.figures().scripts, 500);
    server.eval("return 1");
    server.engine.script_by_sha(&sha(2)).expect("it is there");
    server.engine.load_script(b"return 4").expect("it compiles");
    server.eval("return 1000");
    let is_there = |engine: &mut Engine, n| engine.script_by_sha(&sha(n)).is_ok();
    assert!(is_there(&mut server.engine, 1) && is_there(&mut server.engine, 2));
    assert!(!is_there(&mut server.engine, 3), "it was not used for the longest time");
    for n in 2000..2600 {
        server.eval(&format!("return {n}"));
    }
    assert!(!is_there(&mut server.engine, 1) && is_there(&mut server.engine, 4));
    let figures = scripts.figures();
    assert_eq!(figures.scripts, 501);
    assert_eq!(figures.evicted, 1 + 599);
    assert_eq!(
        server.engine.script_by_sha(&sha(1)).expect_err("gone").to_string(),
        "NOSCRIPT No matching script. Please use EVAL."
    );
    assert!(scripts.exists(&sha(4).map(|b| b.to_ascii_uppercase())) && !scripts.exists(b"x"));
    scripts.flush_scripts();
    assert!(!is_there(&mut server.engine, 4));
    assert_eq!((scripts.figures().scripts, scripts.figures().scripts_bytes), (0, 0));
}

#[test]
fn a_script_of_one_core_is_known_to_all() {
    let mut first = Server::new();
    let mut second = Server::with(Arc::clone(first.engine.shared()));
    let script = first.engine.load_script(b"return redis.call('incr', KEYS[1])").expect("it compiles");
    for n in 1..=100 {
        let script = second.engine.script_by_sha(script.sha().as_bytes()).expect("it is known");
        assert_eq!(second.call(&Program::Script(script), &[b"n"], &[]), format!(":{n}\r\n"));
    }
    first.engine.shared().flush_scripts();
    assert!(second.engine.script_by_sha(script.sha().as_bytes()).is_err());
}
