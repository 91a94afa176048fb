//! Message boundaries in the DATA of one direction of a stream, with the places of the prefixes.

use std::ops::Range;

/// The position of a direction's DATA in its Length-Prefixed-Messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Borders {
    bytes: [u8; 5],
    /// Bytes of the prefix that were seen, and bytes of the message that are still to come.
    have: usize,
    left: u64,
    /// The prefix of the last message that began, and the one before it.
    last: Option<Prefix>,
    before: Option<Prefix>,
    /// True after a prefix with a reserved flag: what follows may be debris.
    doubtful: bool,
}

/// The place of a message's prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Counts the messages of the direction, from 1.
    pub(crate) message: u64,
    /// The number of the frame in which the prefix begins.
    pub(crate) frame: u64,
    /// The bytes of the prefix in that frame; fewer than five if it continues in a later one.
    pub(crate) range: Range<usize>,
    /// Compressed-Flag, and Message-Length; `None` if the prefix is not complete.
    pub(crate) flag: u8,
    pub(crate) length: Option<u32>,
}

impl Borders {
    /// Takes DATA that begins at `start` of a frame. Calls `begun` with the prefix of each message that begins in it, and
    /// with the prefix before that one unless the boundaries are in doubt.
    pub(crate) fn push(
        &mut self,
        frame: u64,
        start: usize,
        data: &[u8],
        mut begun: impl FnMut(&Prefix, Option<&Prefix>),
    ) {
        let mut at = 0;
        while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                self.left -= skipped as u64;
                at += skipped;
                continue;
            }
            if self.have == 0 {
                self.before = self.last.take();
                let message = self.before.as_ref().map_or(0, |before| before.message) + 1;
                self.last = Some(Prefix { message, frame, range: start + at..start + at, flag: 0, length: None });
            }
            let taken = rest.len().min(self.bytes.len() - self.have);
            if let Some((to, from)) = self.bytes.get_mut(self.have..self.have + taken).zip(rest.get(..taken)) {
                to.copy_from_slice(from);
            }
            (self.have, at) = (self.have + taken, at + taken);
            let Some(last) = &mut self.last else { return };
            if last.frame == frame {
                last.range.end = start + at;
            }
            if self.have == self.bytes.len() {
                let [flag, length @ ..] = self.bytes;
                let length = u32::from_be_bytes(length);
                (self.have, self.left) = (0, length.into());
                (last.flag, last.length) = (flag, Some(length));
                begun(last, self.before.as_ref().filter(|_| !self.doubtful));
                self.doubtful |= flag > 1;
            }
        }
    }

    /// Returns true after the first byte of a message and before its last.
    pub(crate) fn is_inside(&self) -> bool {
        self.have > 0 || self.left > 0
    }

    /// Returns the bytes that are missing of the current message; `None` inside its prefix.
    pub(crate) fn left(&self) -> Option<u64> {
        (self.have == 0).then_some(self.left)
    }

    /// Returns the prefix of the last message that began, and the one before it unless the boundaries are in doubt.
    pub(crate) fn prefixes(&self) -> (Option<&Prefix>, Option<&Prefix>) {
        (self.last.as_ref(), self.before.as_ref().filter(|_| !self.doubtful))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_places_however_the_data_are_cut() {
        let data = [&[0, 0, 0, 0, 2, 8, 1][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 0, 9, 7]].concat();
        for size in 1..=data.len() {
            let (mut borders, mut seen) = (Borders::default(), Vec::new());
            for (number, piece) in data.chunks(size).enumerate() {
                borders.push(number as u64, 9, piece, |prefix, before| {
                    seen.push((prefix.message, prefix.length, before.map(|before| before.message)));
                });
            }
            assert_eq!(seen, [(1, Some(2), None), (2, Some(0), Some(1)), (3, Some(9), Some(2))], "{size}");
            assert!(borders.is_inside() && borders.left() == Some(8), "{size}");
            let place = borders.prefixes().0.unwrap();
            assert_eq!((place.frame as usize, place.range.start), (12 / size, 9 + 12 % size), "{size}");
            assert_eq!(place.range.len(), 5.min(size - 12 % size).min(data.len() - 12), "{size}");
        }
    }
}
