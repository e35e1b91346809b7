//! What scripts cannot do to each other.

use super::*;

const READONLY: &str = "-ERR user_script:1: Attempt to modify a readonly table";

#[test]
fn nothing_that_scripts_share_can_be_changed() {
    let mut server = Server::new();
    for library in
        ["redis", "string", "math", "table", "os", "coroutine", "cjson", "cmsgpack", "bit", "struct", "_G"]
    {
        for (change, expected) in [
            ("LIB.x = 1", READONLY),
            ("LIB[1] = 1", READONLY),
            ("rawset(LIB, 'x', 1)", "-ERR Attempt to modify a readonly table"),
            ("setmetatable(LIB, {})", "-ERR Attempt to modify a readonly table"),
            ("table.insert(LIB, 1)", "-ERR Attempt to modify a readonly table"),
            ("table.remove(LIB)", "-ERR Attempt to modify a readonly table"),
            ("table.sort(LIB)", "-ERR Attempt to modify a readonly table"),
            ("local next, real = pairs(LIB) real.x = 1", READONLY),
            ("local mt = getmetatable(LIB) if mt then mt.__index = 1 else LIB.x = 1 end", READONLY),
            (
                "local mt = getmetatable(LIB) if mt then rawset(mt, '__newindex', nil) else rawset(LIB, 1, 1) end",
                "-ERR Attempt to modify a readonly table",
            ),
        ] {
            let script = change.replace("LIB", library);
            assert_eq!(server.error(&script), expected, "{script}");
        }
        assert_eq!(
            server.eval(&format!("return {{rawget({library}, 'x'), rawget({library}, 1)}}")),
            "*0\r\n"
        );
    }
    for script in ["getmetatable('').__index = 1", "getmetatable('').x = 1", "getmetatable('').__index.x = 1"]
    {
        assert_eq!(server.error(script), READONLY, "{script}");
    }
    assert_eq!(
        server.error("setmetatable('', {})"),
        "-ERR user_script:1: bad argument #1 to 'setmetatable' (table expected, got string)"
    );
}

#[test]
fn what_is_shared_can_be_read() {
    let mut server = Server::new();
    for (script, expected) in [
        ("local n = 0 for k, v in pairs(redis) do n = n + 1 end return n", ":23\r\n"),
        ("local n = 0 table.foreach(redis, function() n = n + 1 end) return n", ":23\r\n"),
        ("return type(next(string))", "$6\r\nstring\r\n"),
        ("return type(rawget(math, 'pi'))", "$6\r\nnumber\r\n"),
        (
            "return {pairs({}) == pairs({}), rawequal(redis, redis), _G == getfenv(1)}",
            "*3\r\n:1\r\n:1\r\n:1\r\n",
        ),
        ("return ('abc'):upper()", "$3\r\nABC\r\n"),
        (
            "local t = {1, 2} t[3] = 3 table.insert(t, 4) rawset(t, 5, 5) table.remove(t, 1) return t",
            "*4\r\n:2\r\n:3\r\n:4\r\n:5\r\n",
        ),
        (
            "local t = setmetatable({}, {__index = {x = 'y'}}) return {t.x, type(getmetatable(t))}",
            "*2\r\n$1\r\ny\r\n$5\r\ntable\r\n",
        ),
    ] {
        assert_eq!(server.eval(script), expected, "{script}");
    }
}

#[test]
fn a_script_leaves_nothing_to_the_next_one() {
    let mut server = Server::new();
    server.eval_with("KEYS.x = 1 ARGV[5] = 'y' return 1", &[b"k"], &[]);
    assert_eq!(server.eval("return {KEYS.x == nil, ARGV[5] == nil, #KEYS}"), "*3\r\n:1\r\n:1\r\n:0\r\n");
    server.eval("setfenv(0, {}) return 1");
    assert_eq!(server.eval("return type(loadstring('return redis')())"), "$5\r\ntable\r\n");
    let changed = "setfenv(1, {redis = 1, type = type}) return type(redis)";
    assert_eq!(server.eval(changed), "$6\r\nnumber\r\n");
    assert_eq!(server.eval(changed), "$6\r\nnumber\r\n", "it runs in its own environment again");
    server.eval("collectgarbage('stop') collectgarbage('setpause', 1000) return 1");
    server.eval("for i = 1, 200000 do local t = {i} end return 1");
    assert!(server.engine.vm_bytes() < 4 * 1024 * 1024, "garbage is collected: {}", server.engine.vm_bytes());
}

#[test]
fn finalizers_cannot_be_set() {
    let mut server = Server::new();
    for script in [
        "getmetatable(newproxy(true)).__gc = function() while true do end end",
        "getmetatable(newproxy(newproxy(true))).__gc = function() end",
    ] {
        assert_eq!(server.error(script), READONLY, "{script}");
    }
    let raw = "rawset(getmetatable(newproxy(true)), '__gc', function() end)";
    assert_eq!(server.error(raw), "-ERR Attempt to modify a readonly table");
    assert!(
        server
            .error("setmetatable(getmetatable(newproxy(true)), {})")
            .contains("cannot change a protected metatable")
    );
    let fine = "local p = newproxy(true) getmetatable(p).__index = {x = 5} local q = newproxy(p) return q.x";
    assert_eq!(server.eval(fine), ":5\r\n");
    assert!(server.error("newproxy(1)").contains("boolean or proxy expected"));
}

#[test]
fn compiled_code_is_refused() {
    let mut server = Server::new();
    let dumped = "string.dump(function() return 1 end)";
    for script in [
        &format!("return loadstring({dumped})() "),
        &format!(
            "local s = {dumped} local n = 0 return load(function() n = n + 1 return n <= #s and s:sub(n, n) or nil end)()"
        ),
        &format!("local s = {dumped} return load(function() local t = s s = nil return t end)()"),
    ] {
        assert!(server.error(script).contains("attempt to call a nil value"), "{script}");
    }
    assert!(
        server
            .error("\u{1b}Lua")
            .starts_with("-ERR Error compiling script (new function): user_script:1: unexpected symbol near")
    );
    assert_eq!(server.eval("return load(function() return nil end) ~= nil"), ":1\r\n");
}

#[test]
fn coroutines_can_call_commands() {
    let mut server = Server::new();
    let script = "local co = coroutine.create(function(a) local b = coroutine.yield(redis.call('incr', a)) return redis.call('incr', b) end) \
        local _, one = coroutine.resume(co, 'n') local _, two = coroutine.resume(co, 'n') return {one, two, coroutine.status(co)}";
    assert_eq!(server.eval(script), "*3\r\n:1\r\n:2\r\n$4\r\ndead\r\n");
}
