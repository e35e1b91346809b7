//! Functions of Rust that raise any Lua value as an error.
//!
//! What a callback of `mlua` returns as `Err` reaches Lua as an opaque userdata, but scripts compare and search the texts
//! of errors that `pcall` gives them, and expect the line of their call in them. So a callback answers what it wants to be
//! raised as an ordinary result, behind a mark, and a native function around it does raise it: between the mark and the
//! script stands no Rust frame with anything to drop.
//!
//! A wrapper in Lua would not do: in `return f(x)` it would take the place of its caller, whose line would be lost.
#![allow(unsafe_code)]

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Value};
use std::ffi::{c_int, c_void};

/// Its address is the mark: no script can make a light userdata of it.
static MARK: u8 = 0;

/// The first result of a callback whose second result is to be raised.
pub(super) fn mark() -> Value {
    Value::LightUserData(mlua::LightUserData(address()))
}

fn address() -> *mut c_void {
    (&raw const MARK).cast_mut().cast()
}

/// A function that calls `callback` and raises what stands behind a [`mark`] in its results.
pub(super) fn raising(lua: &Lua, callback: Function) -> mlua::Result<Function> {
    // SAFETY: the stack holds just `callback`, and the new closure takes it in as its upvalue and stands in its place.
    // The Rust closure owns nothing, so an error of Lua (no memory) may jump over it.
    unsafe { lua.exec_raw(callback, |state| ffi::lua_pushcclosure(state, call, 1)) }
}

/// The native function: calls the upvalue with all arguments.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with a valid state, at least LUA_MINSTACK free slots (one is used) and the upvalue of
    // `raising`. The frame owns nothing, so errors may jump over it, those of `lua_call` and its own.
    unsafe {
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, ffi::lua_gettop(state) - 1, ffi::LUA_MULTRET);
        if ffi::lua_touserdata(state, 1) == address() {
            ffi::lua_error(state);
        }
        ffi::lua_gettop(state)
    }
}
