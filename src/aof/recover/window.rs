//! Reading of files that may be much larger than memory: a part of the file at a time, in order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where the bytes of a file come from.
pub trait Source {
    /// Bytes of the whole file.
    ///
    /// # Errors
    /// What the file system says.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes from an offset on; none at the end.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, room, offset)
    }
}

impl Source for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(room.len());
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// A position in a file and some of the bytes behind it.
#[derive(Debug)]
pub struct Window<S> {
    source: S,
    size: u64,
    at: u64,
    /// Bytes of the file from `start` on.
    bytes: Vec<u8>,
    start: u64,
    room: usize,
}

impl<S: Source> Window<S> {
    /// Begins at the start of a file, with room for so many bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(source: S, room: usize) -> io::Result<Window<S>> {
        let size = source.size()?;
        Ok(Window { source, size, at: 0, bytes: Vec::new(), start: 0, room })
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The position.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes behind the position.
    pub fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// Moves on.
    pub fn skip(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Moves anywhere.
    pub fn go(&mut self, at: u64) {
        self.at = at;
    }

    /// The bytes behind the position: as many as there happen to be, but at least `wanted` unless the file ends before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn ahead(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        let known = if (self.start..=end).contains(&self.at) { (end - self.at) as usize } else { 0 };
        if known < wanted && self.at + (known as u64) < self.size {
            let passed = self.bytes.len() - known;
            self.bytes.drain(..passed);
            self.start = self.at;
            self.fill(wanted)?;
        }
        let from = self.at.saturating_sub(self.start).min(self.bytes.len() as u64) as usize;
        Ok(if self.at < self.start { &[] } else { &self.bytes[from..] })
    }

    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let mut len = self.bytes.len();
        let most = (self.size - self.start).min(self.room.max(wanted) as u64) as usize;
        self.bytes.resize(most, 0);
        while len < wanted.min(most) {
            match self.source.read_at(&mut self.bytes[len..], self.start + len as u64) {
                // The file has become shorter.
                Ok(0) => self.size = self.start + len as u64,
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.start + len as u64 >= self.size {
                break;
            }
        }
        self.bytes.truncate(len);
        Ok(())
    }

    /// Whether nothing but zeroes follows. Moves to the first other byte, or to the end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn skip_zeroes(&mut self) -> io::Result<bool> {
        while self.left() > 0 {
            let bytes = self.ahead(1)?;
            let zeroes = bytes.iter().take_while(|&&byte| byte == 0).count();
            let all = zeroes == bytes.len();
            self.skip(zeroes as u64);
            if !all {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Hands the next `len` bytes to `take`, in pieces, and moves behind them. `false`: the file ends before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn pass(&mut self, len: u64, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            let bytes = self.ahead(1)?;
            let piece = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if piece.is_empty() {
                return Ok(false);
            }
            take(piece);
            let len = piece.len() as u64;
            left -= len;
            self.skip(len);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow device may.
    struct Slow<'a>(&'a [u8]);

    impl Source for Slow<'_> {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }

        fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(&mut room[..1], offset)
        }
    }

    #[test]
    fn everything_is_seen_in_order_whatever_the_room() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for room in [1, 7, 100, 1000, 5000] {
            for wanted in [1, 2, 50, 1200] {
                let mut window = Window::new(Slow(&bytes), room).unwrap();
                for step in (1..40).cycle() {
                    let at = window.at() as usize;
                    let rest = &bytes[at.min(1000)..];
                    let ahead = window.ahead(wanted).unwrap();
                    assert!(rest.starts_with(ahead) && ahead.len() >= wanted.min(rest.len()));
                    if rest.is_empty() {
                        break;
                    }
                    window.skip(step);
                }
                window.go(990);
                let mut seen = Vec::new();
                assert!(window.pass(10, |piece| seen.extend_from_slice(piece)).unwrap());
                assert_eq!(seen, bytes[990..]);
                assert!(!window.pass(1, |_| panic!("behind the end")).unwrap());
            }
        }
    }

    #[test]
    fn zeroes_end_at_the_first_other_byte() {
        let bytes = [&[0u8; 500][..], &[1], &[0; 10]].concat();
        let mut window = Window::new(&bytes[..], 64).unwrap();
        assert!(!window.skip_zeroes().unwrap());
        assert_eq!(window.at(), 500);
        window.skip(1);
        assert!(window.skip_zeroes().unwrap());
        assert_eq!(window.left(), 0);
    }
}
