//! Writes to stderr on a thread of its own, so that a program keeps serving when nothing reads its log.
//!
//! | function | waits | used for |
//! |---|---|---|
//! | [`say`], [`say_text`] | until its text is written | the output that the user asked for |
//! | [`announce`] | the same, but not if stderr accepts nothing for [`PATIENCE`] | the first and the last line of a program |
//! | [`log`], [`log_text`] | never | events while a program serves |
//!
//! The log is a queue of [`ROOM`] bytes; [`log`] also accepts at most [`LINES_A_SECOND`]. Lines beyond either limit are dropped
//! and counted. One line reports the count as soon as the limits allow.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plain::plain;

/// Capacity of the queue, in bytes.
const ROOM: usize = 4 << 20;
/// Maximum number of lines logged per second.
pub const LINES_A_SECOND: u32 = 100;
/// The period of [`LINES_A_SECOND`].
const SECOND: Duration = Duration::from_secs(1);
/// Time for which a program waits, at its start and its end, for a stderr that accepts nothing.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Maximum size of one write, in bytes: a pipe accepts this much completely or not at all.
const PIECE: usize = 4 << 10;

/// The printer of the process, which has one stderr.
static PRINTER: LazyLock<Printer> = LazyLock::new(Printer::default);

/// Writes one line to stderr and waits until it is written, after everything logged before. If stderr is closed, the line is
/// lost and the program continues.
pub fn say(line: impl Display) {
    say_text(line_of(line));
}

/// Like [`say`], for text with its own line breaks.
pub fn say_text(text: String) {
    let printer = printer();
    let end = printer.queue().push(text);
    printer.wait(end, None);
}

/// Like [`say`], but gives up if stderr accepts nothing for [`PATIENCE`]. The line stays in the queue.
pub fn announce(line: impl Display) {
    let printer = printer();
    let end = printer.queue().push(line_of(line));
    printer.wait(end, Some(PATIENCE));
}

/// Queues one line for stderr and returns at once. If the queue is full, or [`LINES_A_SECOND`] is exceeded, drops and counts
/// the line.
pub fn log(line: impl Display) {
    let printer = printer();
    // A dropped line is not even formatted.
    if printer.queue().admits(Instant::now()) {
        printer.queue().offer(line_of(line));
    }
    printer.filled.notify_one();
}

/// Like [`log`], for text of any number of lines with its own line breaks. Only the size of the queue limits it.
pub fn log_text(text: String) {
    let printer = printer();
    printer.queue().offer(text);
    printer.filled.notify_one();
}

/// Waits until the log is written, including the count of dropped lines, or until stderr has accepted nothing for [`PATIENCE`].
pub(super) fn finish() {
    let printer = printer();
    let end = {
        let mut queue = printer.queue();
        queue.report();
        queue.accepted
    };
    printer.wait(end, Some(PATIENCE));
}

/// Removes line breaks and other control characters, which may come from a file or a peer.
fn line_of(line: impl Display) -> String {
    plain(&line.to_string()) + "\n"
}

/// Returns the printer, and starts its thread at the first call.
fn printer() -> &'static Printer {
    static STARTED: LazyLock<()> = LazyLock::new(|| {
        let thread = std::thread::Builder::new().name("stderr".to_owned());
        let started = thread.spawn(|| PRINTER.write_to(std::io::stderr()));
        // If the thread can't be started, callers that wait for a text write it themselves.
        PRINTER.queue().writes = started.is_ok();
    });
    *STARTED;
    &PRINTER
}

#[derive(Default)]
struct Printer {
    queue: Mutex<Queue>,
    /// Notified when a text is queued.
    filled: Condvar,
    /// Notified when bytes have been written.
    written: Condvar,
}

impl Printer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent even if another thread panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes queued texts, forever.
    fn write_to(&self, mut stderr: impl Write) {
        loop {
            let text = self.next();
            for piece in text.as_bytes().chunks(PIECE) {
                // If nothing reads stderr any more, the text is lost.
                let _: std::io::Result<()> = stderr.write_all(piece);
                self.queue().written += piece.len() as u64;
                self.written.notify_all();
            }
        }
    }

    /// Waits for the next text, and returns it.
    fn next(&self) -> String {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            if let Some(text) = queue.take(now) {
                return text;
            }
            queue = match queue.report_due(now) {
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let waited = self.filled.wait_timeout(queue, due.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits until `end` bytes in total are written. With `patience`, gives up after that time without progress.
    fn wait(&self, end: u64, patience: Option<Duration>) {
        self.filled.notify_one();
        let mut queue = self.queue();
        while !queue.writes {
            let Some(text) = queue.take(Instant::now()) else { return };
            let _: std::io::Result<()> = std::io::stderr().write_all(text.as_bytes());
        }
        while queue.written < end {
            let before = queue.written;
            queue = match patience {
                None => self.written.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.written.wait_timeout(queue, patience);
                    let (queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && queue.written == before {
                        return;
                    }
                    queue
                }
            };
        }
    }
}

#[derive(Default)]
struct Queue {
    texts: VecDeque<String>,
    /// Size of `texts` in bytes.
    held: usize,
    /// Bytes queued so far in total, and bytes written so far.
    accepted: u64,
    written: u64,
    /// True if a thread writes.
    writes: bool,
    /// Start of the current second of logging, and its number of lines.
    second: Option<(Instant, u32)>,
    /// Dropped lines that have not been reported yet.
    dropped: u64,
}

impl Queue {
    /// Returns true if one more line may be logged in this second; otherwise counts it as dropped.
    fn admits(&mut self, now: Instant) -> bool {
        let (_, lines) = match &mut self.second {
            Some(second) if now.saturating_duration_since(second.0) < SECOND => second,
            second => second.insert((now, 0)),
        };
        let admitted = *lines < LINES_A_SECOND;
        *lines = lines.saturating_add(1);
        self.dropped += u64::from(!admitted);
        admitted
    }

    /// Queues a text if it fits; otherwise counts its lines as dropped.
    fn offer(&mut self, text: String) {
        if self.held + text.len() <= ROOM {
            self.push(text);
        } else {
            self.dropped += text.lines().count() as u64;
        }
    }

    /// Queues a text. Returns the total number of bytes that have to be written until it is.
    fn push(&mut self, text: String) -> u64 {
        self.held += text.len();
        self.accepted += text.len() as u64;
        self.texts.push_back(text);
        self.accepted
    }

    /// Takes the next text from the queue. If it is empty and the count of dropped lines is due, returns that count.
    fn take(&mut self, now: Instant) -> Option<String> {
        if self.texts.is_empty() && self.report_due(now).is_some_and(|due| due <= now) {
            self.report();
        }
        let text = self.texts.pop_front()?;
        self.held -= text.len();
        Some(text)
    }

    /// Returns when the count of dropped lines is due: at the end of the second, so once per second at most.
    fn report_due(&self, now: Instant) -> Option<Instant> {
        let end = self.second.map_or(now, |(began, _)| began + SECOND);
        (self.dropped > 0).then_some(end)
    }

    /// Queues a line with the count of dropped lines, if any.
    fn report(&mut self) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            1 => drop(self.push("1 line dropped\n".to_owned())),
            count => drop(self.push(format!("{} lines dropped\n", grouped(count)))),
        }
    }
}

/// Formats a number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands_separators() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    /// Logs `count` lines at the same moment.
    fn log_lines(queue: &mut Queue, count: u32, now: Instant) {
        for number in 0..count {
            if queue.admits(now) {
                queue.offer(format!("line {number}\n"));
            }
        }
    }

    fn all(queue: &mut Queue, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| queue.take(now)).collect()
    }

    #[test]
    fn lines_beyond_the_rate_are_dropped_and_their_count_is_reported_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        log_lines(&mut queue, LINES_A_SECOND + 1_234, now);
        let lines = all(&mut queue, now);
        assert_eq!(lines.len(), LINES_A_SECOND as usize, "the second is not over");
        assert_eq!(lines.last().map(String::as_str), Some("line 99\n"));
        assert_eq!(queue.report_due(now), Some(now + SECOND));
        assert_eq!(all(&mut queue, now + SECOND), ["1,234 lines dropped\n"]);
        assert_eq!(queue.report_due(now), None);
        log_lines(&mut queue, 1, now + SECOND);
        assert_eq!(all(&mut queue, now + SECOND), ["line 0\n"]);
    }

    #[test]
    fn full_queue_drops_whole_texts_and_counts_their_lines() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.offer("x".repeat(ROOM - 1) + "\n");
        queue.offer("a\nb\n".to_owned());
        queue.push("said\n".to_owned());
        queue.offer("c\n".to_owned());
        let texts = all(&mut queue, now);
        assert_eq!(texts[1..], ["said\n", "3 lines dropped\n"]);
        assert_eq!((queue.held, queue.accepted), (0, ROOM as u64 + 5 + 16));
        queue.offer("d\n".to_owned());
        assert_eq!(all(&mut queue, now), ["d\n"], "there is room again");
    }

    /// A stderr that accepts a write each time the test allows it.
    struct BlockedStderr(std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for BlockedStderr {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.recv().map_err(std::io::Error::other)?;
            self.1.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn waiting_caller_has_its_text_written_or_times_out() {
        let printer: &'static Printer = Box::leak(Box::default());
        let ((go, going), (took, taken)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        printer.queue().writes = true;
        std::thread::spawn(|| printer.write_to(BlockedStderr(going, took)));
        let end = printer.queue().push("line\n".to_owned());
        // Stderr accepts nothing, and this returns.
        printer.wait(end, Some(Duration::from_millis(1)));
        assert_eq!(printer.queue().written, 0);
        go.send(()).unwrap();
        printer.wait(end, None);
        assert_eq!((printer.queue().written, taken.recv().unwrap()), (5, b"line\n".to_vec()));
    }
}
