//! Places on the globe as the scores of a sorted set, and which scores to look at for places in an area.
//!
//! A [`Cell`] is a geohash: the globe (longitudes from -180 to 180 degrees, latitudes up to about 85 degrees, the limits of
//! the Web Mercator projection) is halved in both directions `step` times, and the bits of these choices are interleaved,
//! longitude first. The score of a place is its cell of [`STEP_MAX`] steps, 52 bits, so that places in one coarse cell have
//! scores in one range. Distances are those on a sphere, by the haversine formula.
//!
//! Clients see the digits of all this, so every calculation follows Redis's in its order (redis.io/docs, GEOADD).

/// Steps of the cell that is stored for a place: a few decimetres.
pub const STEP_MAX: u32 = 26;

const LONGITUDES: Extent = Extent { min: -180.0, max: 180.0 };
const LATITUDES: Extent = Extent { min: -85.05112878, max: 85.05112878 };
/// Latitudes of the standard geohash.
const ALL_LATITUDES: Extent = Extent { min: -90.0, max: 90.0 };

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;
const EARTH_RADIUS_M: f64 = 6372797.560856;
/// Half of the length of the equator on the map, in metres.
const MERCATOR_MAX_M: f64 = 20037726.37;

/// Bits of the longitude in a cell's number.
const LONGITUDE_BITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;
/// Bits of the latitude in a cell's number.
const LATITUDE_BITS: u64 = 0x5555_5555_5555_5555;

/// A range of degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Extent {
    min: f64,
    max: f64,
}

impl Extent {
    fn contains(self, degrees: f64) -> bool {
        (self.min..=self.max).contains(&degrees)
    }

    /// Which of the `2^step` parts some degrees are in.
    fn part(self, degrees: f64, step: u32) -> u32 {
        ((degrees - self.min) / (self.max - self.min) * (1u64 << step) as f64) as u32
    }

    /// Where one of the parts begins and ends.
    fn of_part(self, part: u32, step: u32) -> Extent {
        let (parts, scale) = ((1u64 << step) as f64, self.max - self.min);
        Extent {
            min: self.min + f64::from(part) / parts * scale,
            max: self.min + f64::from(part.wrapping_add(1)) / parts * scale,
        }
    }

    fn middle(self) -> f64 {
        (self.min + self.max) / 2.0
    }
}

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// East of Greenwich.
    pub longitude: f64,
    /// North of the equator.
    pub latitude: f64,
}

impl Place {
    /// The place, if it is within the limits.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let valid = LONGITUDES.contains(longitude) && LATITUDES.contains(latitude);
        valid.then_some(Place { longitude, latitude })
    }

    /// The place that a score stands for.
    pub fn of_score(score: f64) -> Place {
        /// From here on doubles are beyond signed integers.
        const SIGNED_END: f64 = (1u64 << 63) as f64;
        let bits = if score < SIGNED_END { score as i64 as u64 } else { score as u64 };
        let (longitudes, latitudes) = Cell { bits, step: STEP_MAX }.area();
        Place {
            longitude: longitudes.middle().clamp(LONGITUDES.min, LONGITUDES.max),
            latitude: latitudes.middle().clamp(LATITUDES.min, LATITUDES.max),
        }
    }

    /// The score that stands for it.
    pub fn score(self) -> f64 {
        Cell::of(self, STEP_MAX).bits as f64
    }

    /// The standard geohash, 11 characters. The last one always is `0`, because 52 bits are two more than ten characters.
    pub fn geohash(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let longitude = LONGITUDES.part(self.longitude, STEP_MAX);
        let bits = interleave(ALL_LATITUDES.part(self.latitude, STEP_MAX), longitude);
        std::array::from_fn(|i| match i {
            10 => b'0',
            i => ALPHABET[(bits >> (52 - 5 * (i + 1)) & 31) as usize],
        })
    }

    /// Metres to another place.
    pub fn distance_m(self, other: Place) -> f64 {
        let east = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if east == 0.0 {
            return latitude_distance_m(self.latitude, other.latitude);
        }
        let (latitude, other_latitude) = (radians(self.latitude), radians(other.latitude));
        let north = ((other_latitude - latitude) / 2.0).sin();
        let a = north * north + latitude.cos() * other_latitude.cos() * east * east;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }
}

fn latitude_distance_m(a: f64, b: f64) -> f64 {
    EARTH_RADIUS_M * (radians(b) - radians(a)).abs()
}

fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_PER_DEGREE
}

fn degrees(radians: f64) -> f64 {
    radians / RADIANS_PER_DEGREE
}

/// Spreads the bits of a number over the even places.
fn spread(number: u32) -> u64 {
    let mut bits = u64::from(number);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, LATITUDE_BITS),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Gathers the bits at even places.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & LATITUDE_BITS;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

fn interleave(latitude: u32, longitude: u32) -> u64 {
    spread(latitude) | spread(longitude) << 1
}

/// A part of the globe. See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    bits: u64,
    step: u32,
}

impl Cell {
    fn of(place: Place, step: u32) -> Cell {
        let bits = interleave(LATITUDES.part(place.latitude, step), LONGITUDES.part(place.longitude, step));
        Cell { bits, step }
    }

    /// Its longitudes and latitudes.
    fn area(self) -> (Extent, Extent) {
        let longitudes = LONGITUDES.of_part(gather(self.bits >> 1), self.step);
        (longitudes, LATITUDES.of_part(gather(self.bits), self.step))
    }

    /// The scores of all places in it: from the first to before the second.
    pub fn scores(self) -> (f64, f64) {
        let shift = 2 * (STEP_MAX - self.step);
        ((self.bits << shift) as f64, (self.bits.wrapping_add(1) << shift) as f64)
    }

    /// The cell that is so many cells (at most one) further east and north; at the edges it is on the other side.
    fn beside(self, east: i32, north: i32) -> Cell {
        let longitude = moved(self.bits, LONGITUDE_BITS, self.step, east);
        let latitude = moved(self.bits, LATITUDE_BITS, self.step, north);
        Cell { bits: longitude | latitude, step: self.step }
    }
}

/// The bits of one direction after a step in it.
fn moved(bits: u64, direction: u64, step: u32, by: i32) -> u64 {
    let unused = 64 - 2 * step;
    // Ones in the bits of the other direction carry across them.
    let others = !direction >> unused;
    let own = bits & direction;
    let moved = match by {
        0 => return own,
        1.. => own.wrapping_add(others.wrapping_add(1)),
        _ => (own | others).wrapping_sub(others.wrapping_add(1)),
    };
    moved & direction >> unused
}

/// What is searched for places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// A circle with a radius.
    Circle {
        /// In metres.
        radius_m: f64,
    },
    /// A rectangle along the axes.
    Rectangle {
        /// From west to east, in metres.
        width_m: f64,
        /// From south to north, in metres.
        height_m: f64,
    },
}

/// A shape around a place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Its middle.
    pub center: Place,
    /// Its shape.
    pub shape: Shape,
}

impl Area {
    /// How far a place is from the middle, in metres, if it is within.
    pub fn distance_m(&self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius_m } => {
                Some(self.center.distance_m(place)).filter(|distance| *distance <= radius_m)
            }
            Shape::Rectangle { width_m, height_m } => {
                let north = latitude_distance_m(place.latitude, self.center.latitude);
                if north > height_m / 2.0 {
                    return None;
                }
                let abeam = Place { longitude: self.center.longitude, ..place };
                let inside = place.distance_m(abeam) <= width_m / 2.0;
                inside.then(|| self.center.distance_m(place))
            }
        }
    }

    /// The radius of a circle around it, in metres.
    fn outer_radius_m(&self) -> f64 {
        match self.shape {
            Shape::Circle { radius_m } => radius_m,
            Shape::Rectangle { width_m, height_m } => {
                ((width_m / 2.0) * (width_m / 2.0) + (height_m / 2.0) * (height_m / 2.0)).sqrt()
            }
        }
    }

    /// Longitudes and latitudes that it extends over, about.
    fn bounds(&self) -> (Extent, Extent) {
        let (half_width_m, half_height_m) = match self.shape {
            Shape::Circle { radius_m } => (radius_m, radius_m),
            Shape::Rectangle { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
        };
        let Place { longitude, latitude } = self.center;
        let north = degrees(half_height_m / EARTH_RADIUS_M);
        // The side that is nearer to the pole is taken as Redis takes it.
        let side = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = degrees(half_width_m / EARTH_RADIUS_M / radians(side).cos());
        (
            Extent { min: longitude - east, max: longitude + east },
            Extent { min: latitude - north, max: latitude + north },
        )
    }

    /// Steps of cells that are about as large as the area.
    fn step(&self) -> u32 {
        let (mut size_m, latitude) = (self.outer_radius_m(), self.center.latitude.abs());
        if size_m == 0.0 {
            return STEP_MAX;
        }
        let mut step = 1i32;
        while size_m < MERCATOR_MAX_M {
            size_m *= 2.0;
            step += 1;
        }
        // Cells get narrower towards the poles.
        step -= 2 + i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, STEP_MAX as i32) as u32
    }

    /// The cells that places within may have, in the order in which Redis searches them: the middle, then its neighbours
    /// in the north, south, east and west, then those at its corners. At the edges of the globe some may be the same.
    pub fn cells(&self) -> Vec<Cell> {
        const NEIGHBOURS: [(i32, i32); 9] =
            [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let (longitudes, latitudes) = self.bounds();
        let mut middle = Cell::of(self.center, self.step());
        let area = |east, north| middle.beside(east, north).area();
        let too_small = area(0, 1).1.max < latitudes.max
            || area(0, -1).1.min > latitudes.min
            || area(1, 0).0.max < longitudes.max
            || area(-1, 0).0.min > longitudes.min;
        if middle.step > 1 && too_small {
            middle = Cell::of(self.center, middle.step - 1);
        }
        let (own_longitudes, own_latitudes) = middle.area();
        let needed = |&(east, north): &(i32, i32)| {
            middle.step < 2
                || !((north < 0 && own_latitudes.min < latitudes.min)
                    || (north > 0 && own_latitudes.max > latitudes.max)
                    || (east < 0 && own_longitudes.min < longitudes.min)
                    || (east > 0 && own_longitudes.max > longitudes.max))
        };
        NEIGHBOURS.into_iter().filter(needed).map(|(east, north)| middle.beside(east, north)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(longitude: f64, latitude: f64) -> Place {
        Place::new(longitude, latitude).unwrap()
    }

    #[test]
    fn numbers_are_those_of_redis() {
        // From the documentation of GEOADD, GEODIST, GEOHASH and GEOPOS.
        let (palermo, catania) = (place(13.361389, 38.115556), place(15.087269, 37.502669));
        assert_eq!(palermo.score(), 3479099956230698.0);
        assert_eq!(catania.score(), 3479447370796909.0);
        let stored = (Place::of_score(palermo.score()), Place::of_score(catania.score()));
        assert_eq!(format!("{:.4}", stored.0.distance_m(stored.1)), "166274.1516");
        assert_eq!(&stored.0.geohash(), b"sqc8b49rny0");
        assert_eq!(&stored.1.geohash(), b"sqdtr74hyu0");
        assert_eq!(stored.0, Place { longitude: 13.361389338970184, latitude: 38.1155563954963 });
    }

    #[test]
    fn places_beyond_the_limits_are_refused() {
        assert_eq!(Place::new(180.1, 0.0), None);
        assert_eq!(Place::new(0.0, 85.06), None);
        assert!(Place::new(-180.0, -85.05112878).is_some());
    }

    #[test]
    fn a_step_over_the_edge_comes_back_on_the_other_side() {
        let west = Cell::of(place(-179.9, 10.0), 5);
        assert_eq!(west.beside(-1, 0), Cell::of(place(179.9, 10.0), 5));
        assert_eq!(west.beside(-1, 0).beside(1, 0), west);
        assert_eq!(west.beside(0, 1).beside(0, -1), west);
    }

    fn places() -> impl Strategy<Value = Place> {
        (-180.0..180.0, -85.0..85.0).prop_map(|(longitude, latitude)| place(longitude, latitude))
    }

    proptest! {
        #[test]
        fn a_score_stands_for_nearly_the_place(place in places()) {
            prop_assert!(Place::of_score(place.score()).distance_m(place) < 0.7);
        }

        #[test]
        fn bits_are_spread_and_gathered(latitude: u32, longitude: u32) {
            let bits = interleave(latitude, longitude);
            prop_assert_eq!((gather(bits), gather(bits >> 1)), (latitude, longitude));
        }

        #[test]
        fn what_is_within_is_in_one_of_the_cells(
            center in places().prop_filter("far from edges", |p| p.latitude.abs() < 60.0 && p.longitude.abs() < 150.0),
            size_m in 1.0..1_000_000.0,
            ratio in 0.1..1.0,
            (x, y) in (-1.0..1.0, -1.0..1.0),
            round in any::<bool>(),
        ) {
            let (width_m, height_m) = (size_m, size_m * ratio);
            let shape = if round { Shape::Circle { radius_m: size_m } } else { Shape::Rectangle { width_m, height_m } };
            let area = Area { center, shape };
            let reach = degrees(size_m / EARTH_RADIUS_M);
            let other = Place::new(center.longitude + 2.0 * x * reach, center.latitude + y * reach);
            let other = other.filter(|other| area.distance_m(*other).is_some());
            prop_assume!(other.is_some());
            let score = other.map_or(0.0, Place::score);
            let found = area.cells().into_iter().any(|cell| (cell.scores().0..cell.scores().1).contains(&score));
            prop_assert!(found);
        }
    }
}
