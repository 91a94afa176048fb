//! A buffer of the newest lines, limited in bytes, for any number of readers at their own pace.
//!
//! The writer never waits. A slow reader misses lines and learns how many.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Lines, numbered from 0.
#[derive(Debug)]
pub(super) struct Ring {
    kept: Mutex<RingState>,
    news: Notify,
    limit: usize,
}

#[derive(Debug, Default)]
struct RingState {
    lines: VecDeque<Arc<str>>,
    /// The number of the first line in `lines`.
    first: u64,
    bytes: usize,
    ended: bool,
}

/// Lines for a reader.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Number of lines that were dropped before the reader asked for them.
    pub(super) missed: u64,
    pub(super) lines: Vec<Arc<str>>,
    /// The number of the line after these.
    pub(super) next: u64,
    /// True if no line will follow.
    pub(super) ended: bool,
}

/// Approximate memory use of a line without its text.
const LINE: usize = 32;

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), news: Notify::new(), limit }
    }

    /// Adds a line, and drops the oldest ones above the limit. Keeps the newest one, whatever its length.
    pub(super) fn push(&self, line: &str) {
        let mut kept = self.lock();
        kept.bytes += line.len() + LINE;
        kept.lines.push_back(line.into());
        while kept.bytes > self.limit && kept.lines.len() > 1 {
            let oldest = kept.lines.pop_front().map_or(0, |line| line.len() + LINE);
            kept.bytes -= oldest;
            kept.first += 1;
        }
        drop(kept);
        self.news.notify_waiters();
    }

    /// Marks the end of the lines.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.news.notify_waiters();
    }

    /// Returns the lines from number `at` on, about `most` bytes of them. Waits until there is a line or the end.
    pub(super) async fn read(&self, at: u64, most: usize) -> News {
        loop {
            let mut notified = pin!(self.news.notified());
            notified.as_mut().enable();
            let news = self.news(at, most);
            if news.ended || news.missed > 0 || !news.lines.is_empty() {
                return news;
            }
            notified.await;
        }
    }

    fn news(&self, at: u64, most: usize) -> News {
        let kept = self.lock();
        let missed = kept.first.saturating_sub(at);
        let from = usize::try_from(at.max(kept.first) - kept.first).unwrap_or(usize::MAX).min(kept.lines.len());
        let mut bytes = 0;
        let fits = |line: &&Arc<str>| {
            let first = bytes == 0;
            bytes += line.len();
            first || bytes <= most
        };
        let lines: Vec<_> = kept.lines.range(from..).take_while(fits).cloned().collect();
        let to = from + lines.len();
        News { missed, next: kept.first + to as u64, ended: kept.ended && to == kept.lines.len(), lines }
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        // The lines are consistent even if another thread panicked.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(news: &News) -> Vec<&str> {
        news.lines.iter().map(|line| &**line).collect()
    }

    #[tokio::test]
    async fn readers_wait_catch_up_and_get_the_number_of_missed_lines() {
        let ring = Arc::new(Ring::new(3 * (LINE + 1)));
        let waiting = tokio::spawn({
            let ring = ring.clone();
            async move { ring.read(0, 100).await }
        });
        tokio::task::yield_now().await;
        ring.push("a");
        assert_eq!(texts(&waiting.await.unwrap()), ["a"]);
        ["b", "c", "d", "e"].iter().for_each(|line| ring.push(line));
        let late = ring.read(1, 100).await;
        assert_eq!((late.missed, texts(&late), late.next), (1, vec!["c", "d", "e"], 5));
        let few = ring.read(2, 2).await;
        assert_eq!((few.missed, texts(&few), few.next), (0, vec!["c", "d"], 4));
        ring.push(&"long".repeat(100));
        let long = ring.read(5, 2).await;
        assert_eq!((long.lines.len(), long.ended), (1, false), "a line is returned, however long");
        ring.end();
        assert!(ring.read(6, 100).await.ended);
        assert!(ring.read(5, 100).await.ended);
    }
}
