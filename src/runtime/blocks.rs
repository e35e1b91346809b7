//! Memory for direct I/O: whole blocks that begin at a multiple of the block size.
//!
//! Representation: a vector with room for one block more, whose first bytes up to the next multiple are left out. It never
//! grows beyond the room it was made with, so the place of its blocks stays.

/// Bytes of a block: what every disk and file system of today takes as a unit.
pub const BLOCK_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub struct Blocks {
    bytes: Vec<u8>,
    start: usize,
    room: usize,
}

impl Blocks {
    /// Empty, with room for so many bytes.
    pub fn with_room(room: usize) -> Blocks {
        let mut bytes: Vec<u8> = Vec::with_capacity(room + BLOCK_BYTES);
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
        bytes.resize(start, 0);
        Blocks { bytes, start, room }
    }

    /// How many more bytes there is room for.
    pub fn room_left(&self) -> usize {
        self.room - self.len()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn extend(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room_left(), "{} bytes for {}", bytes.len(), self.room_left());
        self.bytes.extend_from_slice(bytes);
    }

    /// Fills the room that is left with zeroes.
    pub fn fill(&mut self) {
        self.bytes.resize(self.start + self.room, 0);
    }

    /// The bytes, from a multiple of [`BLOCK_BYTES`] on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Removes all bytes and keeps the room.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_stay_where_they_are() {
        for room in [BLOCK_BYTES, 3 * BLOCK_BYTES, 1 << 20] {
            let mut blocks = Blocks::with_room(room);
            let place = blocks.bytes().as_ptr();
            assert_eq!(place.align_offset(BLOCK_BYTES), 0);
            blocks.extend(&vec![7; room]);
            assert_eq!((blocks.room_left(), blocks.len()), (0, room));
            assert_eq!(blocks.bytes().as_ptr(), place);
            blocks.clear();
            assert!(blocks.is_empty());
        }
    }
}
