//! The commands on places.

use super::words::*;
use crate::command::spec::BeginSearch;
use crate::execute::geo;

const fn command(name: &'static str, arity: i32) -> Spec {
    Spec::new(name, arity, Group::Geo).categories(Categories::GEO).spread(Keys)
}

/// The key behind a keyword, looked for from an argument on.
const fn stored(keyword: &'static str, from: isize) -> KeySpec {
    KeySpec { begin: BeginSearch::Keyword { keyword, from }, ..KeySpec::at(0, &[OW, UPDATE]) }
}

pub(super) static ROWS: &[Entry] = &[
    Entry::new(
        command("geoadd", -5)
            .flags(&[WRITE, DENYOOM])
            .keys(KEY_UPDATE)
            .docs(
                "Adds members with places.",
                "3.2.0",
                "O(log(N)) for each member, N being the size of the sorted set",
            )
            .syntax(
                "key condition: [NX | XX]@6.2.0 [change: CH@6.2.0] longitude/double latitude/double \
                 member data: [longitude/double latitude/double member ...]",
            )
            .history(&[("6.2.0", "Added the `CH`, `NX` and `XX` options.")]),
    )
    .keys(geo::geoadd),
    Entry::new(
        command("geodist", -4)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the distance between two members.", "3.2.0", "O(1)")
            .syntax("key member1 member2 unit: [M | KM | FT | MI]"),
    )
    .keys(geo::geodist),
    Entry::new(
        command("geohash", -2)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the standard geohashes of members.", "3.2.0", "O(1) for each member")
            .syntax("key [member [member ...]]"),
    )
    .keys(geo::geohash),
    Entry::new(
        command("geopos", -2)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Returns the places of members.", "3.2.0", "O(1) for each member")
            .syntax("key [member [member ...]]"),
    )
    .keys(geo::geopos),
    Entry::new(
        command("georadius", -6)
            .flags(&[WRITE, DENYOOM])
            .keys(RADIUS)
            .docs("Finds the members within a circle around a place, and may store them.", "3.2.0", SEARCH)
            .syntax(
                "key longitude/double latitude/double radius/double unit: <M | KM | FT | MI> [WITHCOORD] \
                 [WITHDIST] [WITHHASH] count-block: [COUNT count [ANY@6.2.0]] order: [ASC | DESC] store: \
                 [STORE storekey | STOREDIST storedistkey]",
            )
            .history(RADIUS_HISTORY)
            .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"),
    )
    .keys(geo::georadius),
    Entry::new(
        command("georadius_ro", -6)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Finds the members within a circle around a place.", "3.2.10", SEARCH)
            .syntax(
                "key longitude/double latitude/double radius/double unit: <M | KM | FT | MI> [WITHCOORD] \
                 [WITHDIST] [WITHHASH] count-block: [COUNT count [ANY@6.2.0]] order: [ASC | DESC]",
            )
            .history(RADIUS_HISTORY)
            .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument"),
    )
    .keys(geo::georadius_ro),
    Entry::new(
        command("georadiusbymember", -5)
            .flags(&[WRITE, DENYOOM])
            .keys(RADIUS_BY_MEMBER)
            .docs("Finds the members within a circle around a member, and may store them.", "3.2.0", SEARCH)
            .syntax(
                "key member radius/double unit: <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 count-block: [COUNT count [ANY]] order: [ASC | DESC] store: [STORE storekey | STOREDIST \
                 storedistkey]",
            )
            .history(RADIUS_HISTORY)
            .deprecated(
                "6.2.0",
                "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
            ),
    )
    .keys(geo::georadiusbymember),
    Entry::new(
        command("georadiusbymember_ro", -5)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Finds the members within a circle around a member.", "3.2.10", SEARCH)
            .syntax(
                "key member radius/double unit: <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
                 count-block: [COUNT count [ANY]] order: [ASC | DESC]",
            )
            .history(RADIUS_HISTORY)
            .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"),
    )
    .keys(geo::georadiusbymember_ro),
    Entry::new(
        command("geosearch", -7)
            .flags(&[READONLY])
            .keys(KEY_READ)
            .docs("Finds the members within a circle or a rectangle.", "6.2.0", SEARCH)
            .syntax(
                "key from: <FROMMEMBER member | fromlonlat: FROMLONLAT longitude/double latitude/double> \
                 by: <circle: BYRADIUS radius/double unit: <M | KM | FT | MI> | box: BYBOX width/double \
                 height/double unit: <M | KM | FT | MI>> order: [ASC | DESC] count-block: [COUNT count \
                 [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
            )
            .history(&[("7.0.0", "Added support for uppercase unit names.")]),
    )
    .keys(geo::geosearch),
    Entry::new(
        command("geosearchstore", -8)
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::at(1, &[OW, UPDATE]), KeySpec::at(2, &[RO, ACCESS])])
            .docs("Stores the members within a circle or a rectangle.", "6.2.0", SEARCH)
            .syntax(
                "destination/key source/key from: <FROMMEMBER member | fromlonlat: FROMLONLAT \
                 longitude/double latitude/double> by: <circle: BYRADIUS radius/double unit: <M | KM | FT \
                 | MI> | box: BYBOX width/double height/double unit: <M | KM | FT | MI>> order: [ASC | \
                 DESC] count-block: [COUNT count [ANY]] [STOREDIST]",
            )
            .history(&[("7.0.0", "Added support for uppercase unit names.")]),
    )
    .keys(geo::geosearchstore),
];

const RADIUS: &[KeySpec] = &[KeySpec::at(1, &[RO, ACCESS]), stored("STORE", 6), stored("STOREDIST", 6)];
const RADIUS_BY_MEMBER: &[KeySpec] =
    &[KeySpec::at(1, &[RO, ACCESS]), stored("STORE", 5), stored("STOREDIST", 5)];

const SEARCH: &str = "O(N+log(M)) for N members in the cells that cover the area and M members in all";

const RADIUS_HISTORY: &[(&str, &str)] =
    &[("6.2.0", "Added the `ANY` option for `COUNT`."), ("7.0.0", "Added support for uppercase unit names.")];
