//! The notes of RouteChat by location, from all clients.
//!
//! The store is bounded: each note costs the bytes of its text and [`NOTE_COST`], and beyond the limit the oldest notes
//! are dropped. No client is refused, so a server that runs for a year still responds. The newest note is always kept,
//! so the store holds at most the limit, or one note.
//!
//! The response to a note may be many others. They are read from the store one by one as the client receives them, so
//! that a slow client costs one note and not a copy of all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::messages::{Point, RouteNote};

/// The cost of a note besides its text, in bytes: its place in the store.
pub(super) const NOTE_COST: usize = 256;

/// The latest notes, as many as the limit allows.
#[derive(Debug)]
pub struct Notes {
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    by_location: HashMap<Point, VecDeque<NumberedNote>>,
    /// The locations of all notes, oldest first.
    order: VecDeque<Point>,
    /// The number of the next note.
    next: u64,
    held: usize,
    limit: usize,
}

#[derive(Clone, Debug)]
struct NumberedNote {
    number: u64,
    note: Arc<RouteNote>,
}

impl Notes {
    /// Returns an empty store for the latest notes within `limit` bytes.
    pub fn with_limit(limit: usize) -> Notes {
        let store = Store { by_location: HashMap::new(), order: VecDeque::new(), next: 0, held: 0, limit };
        Notes { store: Mutex::new(store) }
    }

    /// Adds a note, and returns all notes so far at its location, oldest first, itself last. A note without a location
    /// is at (0, 0).
    pub(super) fn leave(&self, mut note: RouteNote) -> SoFar<'_> {
        let location = *note.location.get_or_insert_default();
        let own = self.lock().push(location, note);
        SoFar { notes: self, location, next: 0, own: Some(own) }
    }

    /// Locks the store, even after a panic: no statement that could panic leaves it inconsistent.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Notes {
    /// Returns a store of at most 16 MiB.
    fn default() -> Notes {
        Notes::with_limit(16 << 20)
    }
}

/// The notes at a location up to one of them, oldest first. Notes dropped in the meantime are skipped.
pub(super) struct SoFar<'a> {
    notes: &'a Notes,
    location: Point,
    /// The lowest number that was not returned yet.
    next: u64,
    own: Option<NumberedNote>,
}

impl Iterator for SoFar<'_> {
    type Item = Arc<RouteNote>;

    fn next(&mut self) -> Option<Arc<RouteNote>> {
        let last = self.own.as_ref()?.number;
        if let Some(found) = self.notes.lock().at(self.location, self.next, last) {
            self.next = found.number + 1;
            return Some(found.note);
        }
        self.own.take().map(|own| own.note)
    }
}

impl Store {
    fn push(&mut self, location: Point, note: RouteNote) -> NumberedNote {
        self.held += cost(&note);
        let numbered = NumberedNote { number: self.next, note: Arc::new(note) };
        self.next += 1;
        self.order.push_back(location);
        self.by_location.entry(location).or_default().push_back(numbered.clone());
        while self.held > self.limit && self.order.len() > 1 {
            self.forget_oldest();
        }
        numbered
    }

    fn forget_oldest(&mut self) {
        let Some(location) = self.order.pop_front() else { return };
        let Some(here) = self.by_location.get_mut(&location) else { return };
        if let Some(oldest) = here.pop_front() {
            self.held -= cost(&oldest.note);
        }
        if here.is_empty() {
            self.by_location.remove(&location);
        }
    }

    /// Returns the first note at a location with a number from `from` up to, but not including, `end`.
    fn at(&self, location: Point, from: u64, end: u64) -> Option<NumberedNote> {
        let here = self.by_location.get(&location)?;
        let position = here.partition_point(|numbered| numbered.number < from);
        here.get(position).filter(|numbered| numbered.number < end).cloned()
    }
}

fn cost(note: &RouteNote) -> usize {
    NOTE_COST + note.message.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(longitude: i32, message: &str) -> RouteNote {
        RouteNote { location: Some(Point { latitude: 0, longitude }), message: message.to_owned() }
    }

    fn texts(so_far: SoFar<'_>) -> Vec<String> {
        so_far.map(|note| note.message.clone()).collect()
    }

    #[test]
    fn answer_has_the_notes_at_the_location_ending_with_the_new_one() {
        let notes = Notes::default();
        assert_eq!(texts(notes.leave(note(1, "a"))), ["a"]);
        assert_eq!(texts(notes.leave(note(2, "b"))), ["b"]);
        assert_eq!(texts(notes.leave(note(1, "c"))), ["a", "c"]);
        assert_eq!(texts(notes.leave(note(1, "a"))), ["a", "c", "a"]);
    }

    #[test]
    fn later_notes_are_not_part_of_an_earlier_answer() {
        let notes = Notes::default();
        notes.leave(note(1, "a"));
        let mut answer = notes.leave(note(1, "b"));
        assert_eq!(answer.next().unwrap().message, "a");
        notes.leave(note(1, "c"));
        assert_eq!(texts(answer), ["b"]);
    }

    #[test]
    fn note_without_location_is_stored_at_the_origin() {
        let notes = Notes::default();
        let answer = notes.leave(RouteNote { location: None, message: "lost".to_owned() }).next().unwrap();
        assert_eq!(answer.location, Some(Point::default()));
        assert_eq!(texts(notes.leave(note(0, "found"))), ["lost", "found"]);
    }

    #[test]
    fn oldest_notes_of_all_locations_are_dropped_at_the_limit() {
        let notes = Notes::with_limit(3 * (NOTE_COST + 1));
        for (location, text) in [(1, "a"), (2, "b"), (1, "c")] {
            notes.leave(note(location, text));
        }
        assert_eq!(texts(notes.leave(note(1, "d"))), ["c", "d"], "a is forgotten");
        assert_eq!(texts(notes.leave(note(2, "e"))), ["e"], "b is forgotten");
        let store = notes.lock();
        assert_eq!((store.held, store.order.len()), (3 * (NOTE_COST + 1), 3));
    }

    #[test]
    fn location_without_notes_is_removed() {
        let notes = Notes::with_limit(2 * NOTE_COST);
        for longitude in 0..1000 {
            assert_eq!(texts(notes.leave(note(longitude, ""))).len(), 1);
        }
        assert_eq!(notes.lock().by_location.len(), 2);
    }

    #[test]
    fn note_over_the_limit_is_answered_with_itself() {
        let notes = Notes::with_limit(10);
        assert_eq!(texts(notes.leave(note(1, "much too long"))), ["much too long"]);
        let mut slow = notes.leave(note(1, "second"));
        notes.leave(note(2, "drives it out"));
        assert_eq!(slow.next().unwrap().message, "second");
        assert!(slow.next().is_none());
        assert_eq!(notes.lock().order.len(), 1);
    }
}
