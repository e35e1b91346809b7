//! Places as members of sorted sets (redis.io/docs/latest/commands/?group=geo). A member's score stands for its place
//! ([`crate::types::geo`]).

use super::sorted_sets::add::{self, AddOptions};
use super::sorted_sets::{reply_member, rules, sort_entries, store};
use crate::base::number::parse_f64;
use crate::execute::Exec;
use crate::execute::arguments::integer;
use crate::protocol::Error;
use crate::protocol::resp::Reply;
use crate::shard::Str;
use crate::shard::values::Zset;
use crate::types::geo::{Area, Place, Shape};

/// `GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]`
pub fn geoadd(cx: &mut Exec<'_>) -> Result<(), Error> {
    let mut options = AddOptions::default();
    let mut args = &cx.args[2..];
    while let Some((option, rest)) = args.split_first() {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => options.only_new = true,
            b"xx" => options.only_known = true,
            b"ch" => options.changed = true,
            _ => break,
        }
        args = rest;
    }
    let (members, []) = args.as_chunks::<3>() else { return Err(Error::Syntax) };
    if members.is_empty() || (options.only_new && options.only_known) {
        return Err(Error::Syntax);
    }
    let members = members
        .iter()
        .map(|[longitude, latitude, member]| Ok((place(longitude, latitude)?.score(), *member)))
        .collect::<Result<Vec<_>, Error>>()?;
    add::add(cx, &members, options)
}

fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Error> {
    let number = |arg| parse_f64(arg).ok_or(Error::NotFloat);
    let (longitude, latitude) = (number(longitude)?, number(latitude)?);
    Place::new(longitude, latitude)
        .ok_or_else(|| format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}").into())
}

/// Metres in a unit.
fn unit_m(arg: &[u8]) -> Result<f64, Error> {
    match arg.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err(Error::text("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

fn member_place(zset: &Zset, member: &[u8]) -> Option<Place> {
    zset.score(member).map(Place::of_score)
}

/// Writes a distance: four decimals, always as a bulk string.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    const SCALE: f64 = 10_000.0;
    let scaled = (distance * SCALE).round_ties_even() as i64;
    let (sign, scaled) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs());
    let scale = SCALE as u64;
    reply.bulk(format!("{sign}{}.{:04}", scaled / scale, scaled % scale));
}

/// Writes longitude and latitude with 17 decimals, zeros at the end left out.
fn reply_place(reply: &mut Reply<'_>, place: Place) {
    reply.array(2);
    for degrees in [place.longitude, place.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { "0" } else { text });
    }
}

/// `GEODIST key member1 member2 [M | KM | FT | MI]`
pub fn geodist(cx: &mut Exec<'_>) -> Result<(), Error> {
    let unit_m = match &cx.args[4..] {
        [] => 1.0,
        [unit] => unit_m(unit)?,
        _ => return Err(Error::Syntax),
    };
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    let places =
        zset.and_then(|zset| Some((member_place(zset, cx.args[2])?, member_place(zset, cx.args[3])?)));
    match places {
        Some((a, b)) => reply_distance(&mut cx.reply, a.distance_m(b) / unit_m),
        None => cx.reply.null(),
    }
    Ok(())
}

/// `GEOHASH key [member [member ...]]`
pub fn geohash(cx: &mut Exec<'_>) -> Result<(), Error> {
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    cx.reply.array(cx.args.len() - 2);
    for member in &cx.args[2..] {
        match zset.and_then(|zset| member_place(zset, member)) {
            Some(place) => cx.reply.bulk(place.geohash()),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

/// `GEOPOS key [member [member ...]]`
pub fn geopos(cx: &mut Exec<'_>) -> Result<(), Error> {
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(1))?;
    cx.reply.array(cx.args.len() - 2);
    for member in &cx.args[2..] {
        match zset.and_then(|zset| member_place(zset, member)) {
            Some(place) => reply_place(&mut cx.reply, place),
            None => cx.reply.null_array(),
        }
    }
    Ok(())
}

/// Which command searches, as each takes its arguments in another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `GEORADIUS`, or the form that only reads.
    Radius { stores: bool },
    /// `GEORADIUSBYMEMBER`, or the form that only reads.
    RadiusByMember { stores: bool },
    /// `GEOSEARCH`.
    Search,
    /// `GEOSEARCHSTORE`.
    SearchStore,
}

impl Form {
    /// Whether middle and shape are options.
    fn is_new(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }

    /// Whether `STORE` and `STOREDIST` with a key are options.
    fn stores(self) -> bool {
        matches!(self, Form::Radius { stores: true } | Form::RadiusByMember { stores: true })
    }

    /// The argument that is the key to be searched.
    fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    /// The argument at which options begin.
    fn options(self) -> usize {
        match self {
            Form::Radius { .. } => 6,
            Form::RadiusByMember { .. } => 5,
            Form::Search => 2,
            Form::SearchStore => 3,
        }
    }
}

/// A shape in the unit of the client.
#[derive(Debug, Clone, Copy)]
struct UnitShape {
    shape: Shape,
    unit_m: f64,
}

impl UnitShape {
    fn circle(radius: &[u8], unit: &[u8]) -> Result<UnitShape, Error> {
        let radius = parse_f64(radius).ok_or(Error::text("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(Error::text("ERR radius cannot be negative"));
        }
        let unit_m = unit_m(unit)?;
        Ok(UnitShape { shape: Shape::Circle { radius_m: radius * unit_m }, unit_m })
    }

    fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<UnitShape, Error> {
        let width = parse_f64(width).ok_or(Error::text("ERR need numeric width"))?;
        let height = parse_f64(height).ok_or(Error::text("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::text("ERR height or width cannot be negative"));
        }
        let unit_m = unit_m(unit)?;
        let shape = Shape::Rectangle { width_m: width * unit_m, height_m: height * unit_m };
        Ok(UnitShape { shape, unit_m })
    }
}

/// Where a search begins. The place of a member is not known if there is no sorted set.
#[derive(Debug, Clone, Copy)]
enum Center {
    Member(Option<Place>),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// The arguments of a search.
#[derive(Debug, Default)]
struct Query {
    center: Option<Center>,
    shape: Option<UnitShape>,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    /// The first so many are enough, whichever these are.
    any: bool,
    order: Option<Order>,
    /// 0 for all.
    count: usize,
    /// The argument that is the key of the result.
    store: Option<usize>,
    store_distance: bool,
}

impl Query {
    fn parse(args: &[&[u8]], form: Form, zset: Option<&Zset>) -> Result<Query, Error> {
        let mut query = Query::default();
        match form {
            Form::Radius { .. } => {
                query.center = Some(Center::Place(place(args[2], args[3])?));
                query.shape = Some(UnitShape::circle(args[4], args[5])?);
            }
            Form::RadiusByMember { .. } => {
                query.center = Some(Query::member(zset, args[2])?);
                if zset.is_some() {
                    query.shape = Some(UnitShape::circle(args[3], args[4])?);
                }
            }
            Form::Search => {}
            Form::SearchStore => query.store = Some(1),
        }
        query.options(args, form, zset)?;
        query.check(args[0], form)?;
        Ok(query)
    }

    fn member(zset: Option<&Zset>, member: &[u8]) -> Result<Center, Error> {
        let place = zset.map(|zset| {
            member_place(zset, member).ok_or(Error::text("ERR could not decode requested zset member"))
        });
        Ok(Center::Member(place.transpose()?))
    }

    fn options(&mut self, args: &[&[u8]], form: Form, zset: Option<&Zset>) -> Result<(), Error> {
        let mut options = &args[form.options()..];
        while let Some((name, rest)) = options.split_first() {
            let at = args.len() - options.len();
            options = match (name.to_ascii_lowercase().as_slice(), rest) {
                (b"withdist", _) => {
                    self.with_distance = true;
                    rest
                }
                (b"withhash", _) => {
                    self.with_score = true;
                    rest
                }
                (b"withcoord", _) => {
                    self.with_place = true;
                    rest
                }
                (b"any", _) => {
                    self.any = true;
                    rest
                }
                (b"asc", _) => {
                    self.order = Some(Order::Ascending);
                    rest
                }
                (b"desc", _) => {
                    self.order = Some(Order::Descending);
                    rest
                }
                (b"count", [count, rest @ ..]) => {
                    let count = usize::try_from(integer(count)?).ok().filter(|count| *count > 0);
                    self.count = count.ok_or(Error::text("ERR COUNT must be > 0"))?;
                    rest
                }
                (keyword @ (b"store" | b"storedist"), [_, rest @ ..])
                    if form.stores() && is_key_of(args, keyword, at + 1, form) =>
                {
                    self.store = Some(at + 1);
                    self.store_distance = keyword == b"storedist";
                    rest
                }
                (b"storedist", _) if form == Form::SearchStore => {
                    self.store_distance = true;
                    rest
                }
                (b"frommember", [member, rest @ ..])
                    if form.is_new() && !matches!(self.center, Some(Center::Place(_))) =>
                {
                    self.center = Some(Query::member(zset, member)?);
                    rest
                }
                (b"fromlonlat", [longitude, latitude, rest @ ..])
                    if form.is_new() && !matches!(self.center, Some(Center::Member(_))) =>
                {
                    self.center = Some(Center::Place(place(longitude, latitude)?));
                    rest
                }
                (b"byradius", [radius, unit, rest @ ..]) if form.is_new() && !self.is_rectangle() => {
                    self.shape = Some(UnitShape::circle(radius, unit)?);
                    rest
                }
                (b"bybox", [width, height, unit, rest @ ..])
                    if form.is_new() && (self.shape.is_none() || self.is_rectangle()) =>
                {
                    self.shape = Some(UnitShape::rectangle(width, height, unit)?);
                    rest
                }
                _ => return Err(Error::Syntax),
            };
        }
        Ok(())
    }

    fn is_rectangle(&self) -> bool {
        self.shape.is_some_and(|shape| matches!(shape.shape, Shape::Rectangle { .. }))
    }

    fn check(&self, name: &[u8], form: Form) -> Result<(), Error> {
        let name = String::from_utf8_lossy(name);
        if self.store.is_some() && (self.with_distance || self.with_score || self.with_place) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )
            .into());
        }
        if form.is_new() && self.center.is_none() {
            return Err(
                format!("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}").into()
            );
        }
        if form.is_new() && self.shape.is_none() {
            return Err(format!("ERR exactly one of BYRADIUS and BYBOX can be specified for {name}").into());
        }
        if self.any && self.count == 0 {
            return Err(Error::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The places within the area, as many and in the order as wanted.
    fn run<'s>(&self, zset: &'s Zset) -> Vec<Found<'s>> {
        let (Some(Center::Member(Some(center)) | Center::Place(center)), Some(UnitShape { shape, unit_m })) =
            (self.center, self.shape)
        else {
            return Vec::new();
        };
        let enough = if self.any { self.count } else { usize::MAX };
        let mut found = Vec::new();
        search_cells(zset, &Area { center, shape }, enough, &mut found);
        // Without an order the nearest are meant, unless any will do.
        let nearest = (self.count > 0 && !self.any).then_some(Order::Ascending);
        match self.order.or(nearest) {
            Some(Order::Ascending) => found.sort_by(|a, b| a.distance.total_cmp(&b.distance)),
            Some(Order::Descending) => found.sort_by(|a, b| b.distance.total_cmp(&a.distance)),
            None => {}
        }
        if self.count > 0 {
            found.truncate(self.count);
        }
        found.iter_mut().for_each(|found| found.distance /= unit_m);
        found
    }

    fn reply(&self, reply: &mut Reply<'_>, found: &[Found<'_>]) {
        let options = [self.with_distance, self.with_score, self.with_place];
        let options = options.into_iter().filter(|with| *with).count();
        reply.array(found.len());
        for found in found {
            if options > 0 {
                reply.array(1 + options);
            }
            reply_member(reply, found.member);
            if self.with_distance {
                reply_distance(reply, found.distance);
            }
            if self.with_score {
                reply.int(found.score as i64);
            }
            if self.with_place {
                reply_place(reply, found.place);
            }
        }
    }
}

/// Whether an argument is the key that the command's key specification finds behind a keyword, its first occurrence: only
/// such a key is sure to be there.
fn is_key_of(args: &[&[u8]], keyword: &[u8], at: usize, form: Form) -> bool {
    let first = args[form.options()..].iter().position(|arg| arg.eq_ignore_ascii_case(keyword));
    first.is_some_and(|first| form.options() + first + 1 == at)
}

/// A place within an area.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    member: Str<'a>,
    score: f64,
    place: Place,
    /// From the middle; in metres first, then in the unit of the client.
    distance: f64,
}

/// Collects what is within an area, and stops when there is enough.
fn search_cells<'s>(zset: &'s Zset, area: &Area, enough: usize, found: &mut Vec<Found<'s>>) {
    let mut last = None;
    for (index, cell) in area.cells().into_iter().enumerate() {
        // In a large area neighbours may be the same. As in Redis a cell is passed over if it is the one just searched, but
        // the middle may come again.
        if last == Some(cell) {
            continue;
        }
        if found.len() >= enough {
            return;
        }
        if index > 0 {
            last = Some(cell);
        }
        let (first, end) = cell.scores();
        let rank = |bound| zset.count_before(|score, _| score < bound);
        let (start, end) = (rank(first), rank(end));
        for (member, score) in zset.iter(start..end.max(start)) {
            let place = Place::of_score(score);
            if let Some(distance) = area.distance_m(place) {
                found.push(Found { member, score, place, distance });
            }
            if found.len() >= enough {
                break;
            }
        }
    }
}

fn search(cx: &mut Exec<'_>, form: Form) -> Result<(), Error> {
    let rules = rules(cx.shard);
    let zset = cx.shard.read::<Zset>(cx.db, &cx.key(form.source()))?;
    let query = Query::parse(cx.args, form, zset)?;
    let found = zset.map_or(Vec::new(), |zset| query.run(zset));
    let Some(at) = query.store else {
        query.reply(&mut cx.reply, &found);
        return Ok(());
    };
    let score = |found: &Found<'_>| if query.store_distance { found.distance } else { found.score };
    let mut entries: Vec<(Str<'_>, f64)> = found.iter().map(|found| (found.member, score(found))).collect();
    sort_entries(&mut entries);
    entries.dedup_by(|a, b| a.0 == b.0);
    let result = Zset::from_sorted(&entries, &rules);
    // Redis counts a change for every member.
    cx.changes += entries.len().saturating_sub(1) as u64;
    store(cx, if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" }, at, result);
    Ok(())
}

/// `GEORADIUS key longitude latitude radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]
/// [STORE key | STOREDIST key]`
pub fn georadius(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { stores: true })
}

/// `GEORADIUS_RO`: as `GEORADIUS` without storing.
pub fn georadius_ro(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::Radius { stores: false })
}

/// `GEORADIUSBYMEMBER key member radius unit` with the options of `GEORADIUS`
pub fn georadiusbymember(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::RadiusByMember { stores: true })
}

/// `GEORADIUSBYMEMBER_RO`: as `GEORADIUSBYMEMBER` without storing.
pub fn georadiusbymember_ro(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::RadiusByMember { stores: false })
}

/// `GEOSEARCH key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius unit | BYBOX width height unit>
/// [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub fn geosearch(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::Search)
}

/// `GEOSEARCHSTORE destination source` with the options of `GEOSEARCH` up to `COUNT`, and `[STOREDIST]`
pub fn geosearchstore(cx: &mut Exec<'_>) -> Result<(), Error> {
    search(cx, Form::SearchStore)
}
