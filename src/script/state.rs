//! A thin cover over Lua's C interface: [`State`] for what functions called by Lua do with its stack, [`native`] functions in
//! the place of C functions.
//!
//! Lua raises errors by jumping over the frames between the raise and the nearest protected call. Functions of this crate
//! raise by returning [`Raise`], so that their frames are gone by then; but nearly every operation can raise "not enough
//! memory". Hence the invariants on which the blocks below rest:
//!
//! - a `State` is made only for a live Lua state, and everything but reading happens below a protected call:
//!   [`Anchor::protected`] is the outermost one;
//! - frames between the two own nothing: what has a destructor is borrowed from further out or lives in cells elsewhere;
//! - a function keeps to Lua's discipline: it takes off the stack no more than it was given or has put there, and asks
//!   [`State::check_stack`] for room beyond the 20 slots that Lua guarantees;
//! - bytes of a Lua string stay where they are as long as the string is on the stack or in a table.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::slice;

use mlua::ffi;

/// Lua's registry in the place of a stack index.
pub(super) const REGISTRY: i32 = ffi::LUA_REGISTRYINDEX;
/// The globals of the running Lua thread in the place of a stack index.
pub(super) const GLOBALS: i32 = ffi::LUA_GLOBALSINDEX;
/// A number of results that is not fixed.
pub(super) const ALL: i32 = ffi::LUA_MULTRET;

/// The index of a native function's upvalue.
pub(super) const fn upvalue(n: i32) -> i32 {
    ffi::lua_upvalueindex(n)
}

/// The value on top of the stack is to be raised as an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raise;

/// How a native function ends: with that many results on top of the stack, or an error.
pub(super) type Outcome = Result<i32, Raise>;

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    None,
    Nil,
    Boolean,
    LightUserdata,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// Where a function on the call stack stands.
pub(super) struct Place {
    /// It is not written in Lua.
    pub(super) native: bool,
    /// Its chunk.
    pub(super) source: &'static [u8],
    /// The line that runs.
    pub(super) line: i32,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct State(*mut ffi::lua_State);

/// Slices of Lua strings on the stack of a script that is suspended.
#[derive(Debug, Default)]
pub(super) struct Arguments(Vec<&'static [u8]>);

impl Arguments {
    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The bytes.
    pub(super) fn get(&self) -> &[&[u8]] {
        &self.0
    }
}

/// Wraps the calls of the C interface, whose safety follows from the invariants of the module.
macro_rules! lua {
    ($call:expr) => {
        // SAFETY: the state is live, the caller keeps to the stack's discipline and runs protected: see the module.
        unsafe { $call }
    };
}

impl State {
    /// The number of values on the stack of the running function.
    pub(super) fn top(self) -> i32 {
        lua!(ffi::lua_gettop(self.0))
    }

    /// Cuts or fills up the stack to `n` values.
    pub(super) fn set_top(self, n: i32) {
        lua!(ffi::lua_settop(self.0, n));
    }

    /// Takes values off.
    pub(super) fn pop(self, n: i32) {
        debug_assert!(self.top() >= n);
        lua!(ffi::lua_settop(self.0, -n - 1));
    }

    /// Makes room for `n` more values; false if that is too many.
    pub(super) fn check_stack(self, n: i32) -> bool {
        lua!(ffi::lua_checkstack(self.0, n) != 0)
    }

    /// Pushes a copy of a value.
    pub(super) fn push_value(self, index: i32) {
        lua!(ffi::lua_pushvalue(self.0, index));
    }

    /// Moves the top value to an index.
    pub(super) fn insert(self, index: i32) {
        lua!(ffi::lua_insert(self.0, index));
    }

    /// Removes the value at an index.
    pub(super) fn remove(self, index: i32) {
        lua!(ffi::lua_remove(self.0, index));
    }

    /// Pops a value into an index.
    pub(super) fn replace(self, index: i32) {
        lua!(ffi::lua_replace(self.0, index));
    }

    /// The type of a value.
    pub(super) fn kind(self, index: i32) -> Kind {
        match lua!(ffi::lua_type(self.0, index)) {
            ffi::LUA_TNIL => Kind::Nil,
            ffi::LUA_TBOOLEAN => Kind::Boolean,
            ffi::LUA_TLIGHTUSERDATA => Kind::LightUserdata,
            ffi::LUA_TNUMBER => Kind::Number,
            ffi::LUA_TSTRING => Kind::String,
            ffi::LUA_TTABLE => Kind::Table,
            ffi::LUA_TFUNCTION => Kind::Function,
            ffi::LUA_TUSERDATA => Kind::Userdata,
            ffi::LUA_TTHREAD => Kind::Thread,
            _ => Kind::None,
        }
    }

    /// A number, or a string that reads as one.
    pub(super) fn number(self, index: i32) -> Option<f64> {
        lua!((ffi::lua_isnumber(self.0, index) != 0).then(|| ffi::lua_tonumber(self.0, index)))
    }

    /// Whether a value counts as true.
    pub(super) fn truth(self, index: i32) -> bool {
        lua!(ffi::lua_toboolean(self.0, index) != 0)
    }

    /// The bytes of a string. A number is turned into a string in its place.
    pub(super) fn bytes(&self, index: i32) -> Option<&[u8]> {
        self.unbounded_bytes(index)
    }

    fn unbounded_bytes(self, index: i32) -> Option<&'static [u8]> {
        let mut len = 0;
        let at = lua!(ffi::lua_tolstring(self.0, index, &raw mut len));
        // SAFETY: Lua says that so many bytes are there, and they stay: see the module.
        (!at.is_null()).then(|| unsafe { slice::from_raw_parts(at.cast(), len) })
    }

    /// Lends the first `n` values, all of them strings, to `args`; until those are cleared, nothing takes the strings off
    /// the stack.
    pub(super) fn lend(self, n: i32, args: &mut Arguments) {
        args.0.clear();
        args.0.extend((1..=n).filter_map(|index| self.unbounded_bytes(index)));
    }

    /// The address that tells tables, functions and userdata apart.
    pub(super) fn address(self, index: i32) -> *const c_void {
        lua!(ffi::lua_topointer(self.0, index))
    }

    pub(super) fn push_nil(self) {
        lua!(ffi::lua_pushnil(self.0));
    }

    pub(super) fn push_bool(self, value: bool) {
        lua!(ffi::lua_pushboolean(self.0, c_int::from(value)));
    }

    pub(super) fn push_number(self, value: f64) {
        lua!(ffi::lua_pushnumber(self.0, value));
    }

    pub(super) fn push_bytes(self, bytes: &[u8]) {
        lua!(ffi::lua_pushlstring_(self.0, bytes.as_ptr().cast(), bytes.len()));
    }

    /// Pushes an address; it is never followed.
    pub(super) fn push_address<T>(self, address: *const T) {
        lua!(ffi::lua_pushlightuserdata(self.0, address.cast_mut().cast()));
    }

    /// Pushes a function that closes over the topmost `upvalues` values, which it pops.
    pub(super) fn push_native<F: Fn(State) -> Outcome + Copy + 'static>(self, f: F, upvalues: i32) {
        let _ = f;
        lua!(ffi::lua_pushcclosure(self.0, native::<F>, upvalues));
    }

    pub(super) fn new_table(self, array: usize, other: usize) {
        let size = |n: usize| c_int::try_from(n).unwrap_or(c_int::MAX);
        lua!(ffi::lua_createtable(self.0, size(array), size(other)));
    }

    /// Replaces the key on top by what the table holds under it, without metamethods.
    pub(super) fn raw_get(self, table: i32) {
        lua!(ffi::lua_rawget_(self.0, table));
    }

    /// Pushes element `n` of the table, without metamethods.
    pub(super) fn raw_get_index(self, table: i32, n: i32) {
        lua!(ffi::lua_rawgeti_(self.0, table, n));
    }

    /// Pushes a field of the table, without metamethods.
    pub(super) fn raw_get_field(self, table: i32, name: &[u8]) {
        let table = self.absolute(table);
        self.push_bytes(name);
        self.raw_get(table);
    }

    /// Pops a value and then a key, and puts them into the table, without metamethods.
    pub(super) fn raw_set(self, table: i32) {
        lua!(ffi::lua_rawset(self.0, table));
    }

    /// Pops a value into element `n` of the table, without metamethods.
    pub(super) fn raw_set_index(self, table: i32, n: i32) {
        lua!(ffi::lua_rawseti_(self.0, table, n));
    }

    /// Pops a value into a field of the table, without metamethods.
    pub(super) fn raw_set_field(self, table: i32, name: &[u8]) {
        let table = self.absolute(table);
        self.push_bytes(name);
        self.insert(-2);
        self.raw_set(table);
    }

    /// Replaces the key on top by the following key and its value; false, and no key, at the end.
    pub(super) fn next(self, table: i32) -> bool {
        lua!(ffi::lua_next(self.0, table) != 0)
    }

    /// Pushes the metatable of a value if it has one.
    pub(super) fn metatable(self, index: i32) -> bool {
        lua!(ffi::lua_getmetatable(self.0, index) != 0)
    }

    /// Pops a table and makes it the metatable of a value.
    pub(super) fn set_metatable(self, index: i32) {
        lua!(ffi::lua_setmetatable(self.0, index));
    }

    /// Pops a table and makes it the environment of a function.
    pub(super) fn set_environment(self, index: i32) {
        lua!(ffi::lua_setfenv(self.0, index));
    }

    /// Pushes userdata without content.
    pub(super) fn new_userdata(self) {
        lua!(ffi::lua_newuserdata(self.0, 0));
    }

    /// Calls the function below its `args` arguments.
    pub(super) fn call(self, args: i32, results: i32) {
        lua!(ffi::lua_call(self.0, args, results));
    }

    /// Calls the function below its `args` arguments; on an error there is one value in their place, what the function at
    /// index `handler` (0 for none) makes of it.
    pub(super) fn call_protected(self, args: i32, results: i32, handler: i32) -> Result<(), Raise> {
        lua!(ffi::lua_pcall(self.0, args, results, handler) == ffi::LUA_OK).then_some(()).ok_or(Raise)
    }

    /// Runs a C function of Lua's libraries, one without upvalues, in the place of the running function.
    pub(super) fn become_function(self, index: i32) -> Outcome {
        let function = lua!(ffi::lua_tocfunction(self.0, index)).expect("a C function");
        Ok(lua!(function(self.0)))
    }

    /// Compiles a text and pushes the function, or the error.
    pub(super) fn load(self, code: &[u8], chunk: &CStr) -> Result<(), Raise> {
        let status = lua!(ffi::luaL_loadbuffer(self.0, code.as_ptr().cast(), code.len(), chunk.as_ptr()));
        (status == ffi::LUA_OK).then_some(()).ok_or(Raise)
    }

    /// Pushes "chunk:line:" of the function `level` calls up, or an empty string.
    pub(super) fn push_position(self, level: i32) {
        lua!(ffi::luaL_where(self.0, level));
    }

    /// Joins the topmost `n` strings.
    pub(super) fn concat(self, n: i32) {
        lua!(ffi::lua_concat(self.0, n));
    }

    /// An argument that must be an integer.
    pub(super) fn check_integer(self, argument: i32) -> i32 {
        // Lua's own integers have 64 bits here; `int` is what its library functions take.
        lua!(ffi::luaL_checkinteger(self.0, argument)) as i32
    }

    /// Raises Lua's error for an argument that must be of another type.
    pub(super) fn check_table(self, argument: i32) {
        lua!(ffi::luaL_checktype(self.0, argument, ffi::LUA_TTABLE));
    }

    /// Raises Lua's error for a missing argument.
    pub(super) fn check_any(self, argument: i32) {
        lua!(ffi::luaL_checkany(self.0, argument));
    }

    /// Raises Lua's error for an argument.
    pub(super) fn argument_error(self, argument: i32, message: &CStr) {
        lua!(ffi::luaL_argerror(self.0, argument, message.as_ptr()));
    }

    /// The function `level` calls up from the running one.
    pub(super) fn place(self, level: i32) -> Option<Place> {
        // SAFETY: plain data, for which zeros are valid; the calls below fill in what is read.
        let mut debug: ffi::lua_Debug = unsafe { std::mem::zeroed() };
        let found = lua!(
            ffi::lua_getstack(self.0, level, &raw mut debug) != 0
                && ffi::lua_getinfo(self.0, c"Sl".as_ptr(), &raw mut debug) != 0
        );
        found.then(|| Place {
            // SAFETY: Lua gives strings that end with a zero; sources live as long as their functions, which are on the
            // call stack, and whoever asks does not keep them beyond that.
            native: unsafe { CStr::from_ptr(debug.what) } == c"C",
            // SAFETY: as above.
            source: unsafe { CStr::from_ptr(debug.source) }.to_bytes(),
            line: debug.currentline,
        })
    }

    /// Has `f` called whenever so many instructions have run, in this Lua thread and those that it makes.
    pub(super) fn every<F: Fn(State) -> Result<(), Raise> + Copy + 'static>(self, instructions: i32, f: F) {
        let _ = f;
        lua!(ffi::lua_sethook(self.0, Some(on_count::<F>), ffi::LUA_MASKCOUNT, instructions));
    }

    /// The index counted from the bottom, so that it stays the same when values are pushed.
    pub(super) fn absolute(self, index: i32) -> i32 {
        if index < 0 && index > REGISTRY { self.top() + index + 1 } else { index }
    }
}

/// A Lua state as its owner sees it, with the function that protects everything else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    main: State,
    /// Where the registry holds `apply`.
    apply: c_int,
}

impl Anchor {
    /// Prepares the state: `first` runs protected, with `args` on the stack, and leaves the upvalues that all functions given to
    /// [`Anchor::protected`] will have. The anchor must not outlive `lua`.
    pub(super) fn new(
        lua: &mlua::Lua,
        args: impl mlua::IntoLuaMulti,
        first: fn(State) -> Outcome,
    ) -> mlua::Result<Anchor> {
        let mut anchor = None;
        // SAFETY: the function is called with the main state, as no callback runs, and protected.
        unsafe {
            lua.exec_raw::<()>(args, |state| {
                let main = State(state);
                if let Ok(upvalues) = first(main) {
                    ffi::lua_pushcclosure(state, apply, upvalues);
                    let reference = ffi::luaL_ref(state, REGISTRY);
                    anchor = Some(Anchor { main, apply: reference });
                }
                main.set_top(0);
            })?;
        }
        anchor.ok_or_else(|| mlua::Error::runtime("the sandbox cannot be built"))
    }

    /// Calls `f` with the topmost `args` values, and with the upvalues of all such functions, and leaves `results` values;
    /// on an error there is one value, the error.
    pub(super) fn protected(
        &self,
        args: i32,
        results: i32,
        mut f: &mut dyn FnMut(State) -> Outcome,
    ) -> Result<(), Raise> {
        let state = self.main.0;
        // SAFETY: nobody else uses the state meanwhile; pushing an element of the registry and an address allocates
        // nothing, so that it cannot raise, and the stack has room: between runs it is empty.
        unsafe {
            ffi::lua_rawgeti_(state, REGISTRY, self.apply);
            ffi::lua_pushlightuserdata(state, (&raw mut f).cast());
            ffi::lua_insert(state, -2 - args);
            ffi::lua_insert(state, -2 - args);
        }
        self.main.call_protected(args + 1, results, 0)
    }

    /// The state, for what needs no protection: taking values off its stack and looking at them.
    pub(super) fn main(&self) -> State {
        self.main
    }
}

/// The C function behind [`Anchor::protected`]: its first argument is the address of the function to call.
unsafe extern "C-unwind" fn apply(state: *mut ffi::lua_State) -> c_int {
    // SAFETY: `protected` has pushed the address, and the function lives until it returns.
    let f = unsafe { &mut *ffi::lua_touserdata(state, 1).cast::<&mut dyn FnMut(State) -> Outcome>() };
    let state = State(state);
    state.remove(1);
    finish(state, f(state))
}

/// The C function behind each function that [`State::push_native`] pushes.
unsafe extern "C-unwind" fn native<F: Fn(State) -> Outcome + Copy + 'static>(
    state: *mut ffi::lua_State,
) -> c_int {
    let state = State(state);
    finish(state, instance::<F>()(state))
}

/// The C function behind [`State::every`].
unsafe extern "C-unwind" fn on_count<F: Fn(State) -> Result<(), Raise> + Copy + 'static>(
    state: *mut ffi::lua_State,
    _: *mut ffi::lua_Debug,
) {
    let state = State(state);
    finish(state, instance::<F>()(state).map(|()| 0));
}

/// The function of a type that has only one: functions and closures that capture nothing.
fn instance<F: Copy + 'static>() -> F {
    const { assert!(size_of::<F>() == 0, "only functions that capture nothing can be native") };
    // SAFETY: a value without bytes can be read from any aligned address; a value of the type existed, as it was given to
    // `push_native` or `every`, and it is `Copy`.
    unsafe { std::ptr::NonNull::<F>::dangling().as_ptr().read() }
}

fn finish(state: State, outcome: Outcome) -> c_int {
    match outcome {
        Ok(results) => results,
        Err(Raise) => lua!(ffi::lua_error(state.0)),
    }
}
