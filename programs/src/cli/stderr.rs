//! Stderr with a thread of its own: a program goes on serving when nobody reads what it logs.
//!
//! | function | waits | for |
//! |---|---|---|
//! | [`say`], [`say_text`] | until its text is written | what a program is run for |
//! | [`announce`] | until its text is written, or stderr has taken nothing for [`PATIENCE`] | the first and the last line of a program |
//! | [`log`], [`log_text`] | never | what happens while a program serves |
//!
//! What is logged waits in a queue of [`ROOM`] bytes and, line by line, is limited to [`LINES_A_SECOND`]. Lines beyond either limit
//! are dropped and counted, and a line tells the count as soon as there is room for it.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Write;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How much text may wait to be written, in bytes.
const ROOM: usize = 4 << 20;
/// How many lines are logged within a second.
pub const LINES_A_SECOND: u32 = 100;
/// The second that [`LINES_A_SECOND`] counts in.
const SECOND: Duration = Duration::from_secs(1);
/// How long a program waits at its beginning and its end for a stderr that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// What is written at once, in bytes: what a pipe takes whole or not at all.
const PIECE: usize = 4 << 10;

/// The process has one stderr.
static PRINTER: LazyLock<Printer> = LazyLock::new(Printer::default);

/// Writes one line to stderr and waits until it is written, in its turn behind what was logged. A line is lost where stderr has
/// been closed, and the program goes on.
pub fn say(line: impl Display) {
    say_text(line_of(line));
}

/// As [`say`], for text that ends its lines itself.
pub fn say_text(text: String) {
    let printer = printer();
    let end = printer.queue().push(text);
    printer.wait(end, None);
}

/// As [`say`], but gives up on a stderr that takes nothing for [`PATIENCE`]. The line stays queued.
pub fn announce(line: impl Display) {
    let printer = printer();
    let end = printer.queue().push(line_of(line));
    printer.wait(end, Some(PATIENCE));
}

/// Queues one line for stderr and returns at once. Beyond [`LINES_A_SECOND`], or where the queue is full, the line is dropped and
/// counted.
pub fn log(line: impl Display) {
    let printer = printer();
    // What is dropped is not even made.
    if printer.queue().admits(Instant::now()) {
        printer.queue().offer(line_of(line));
    }
    printer.filled.notify_one();
}

/// As [`log`], for text that ends its lines itself and comes in any number of lines: only the queue's size limits it.
pub fn log_text(text: String) {
    let printer = printer();
    printer.queue().offer(text);
    printer.filled.notify_one();
}

/// Waits until all that was logged is written, the count of dropped lines too, or stderr has taken nothing for [`PATIENCE`].
pub(super) fn finish() {
    let printer = printer();
    let end = {
        let mut queue = printer.queue();
        queue.report();
        queue.accepted
    };
    printer.wait(end, Some(PATIENCE));
}

/// A text without line breaks and other control characters, whatever a file or a peer has put into it.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control()).map(str::trim).filter(|words| !words.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn line_of(line: impl Display) -> String {
    one_line(&line.to_string()) + "\n"
}

/// The printer, whose thread runs.
fn printer() -> &'static Printer {
    static STARTED: LazyLock<()> = LazyLock::new(|| {
        let thread = std::thread::Builder::new().name("stderr".to_owned());
        let started = thread.spawn(|| PRINTER.write_to(std::io::stderr()));
        // Without a thread, who waits for a text writes it.
        PRINTER.queue().writes = started.is_ok();
    });
    *STARTED;
    &PRINTER
}

#[derive(Default)]
struct Printer {
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    written: Condvar,
}

impl Printer {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A panic elsewhere leaves whole texts.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is queued, and what will be.
    fn write_to(&self, mut stderr: impl Write) {
        loop {
            let text = self.next();
            for piece in text.as_bytes().chunks(PIECE) {
                // Where nobody reads it any more it is lost.
                let _: std::io::Result<()> = stderr.write_all(piece);
                self.queue().written += piece.len() as u64;
                self.written.notify_all();
            }
        }
    }

    /// Waits for the next text.
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

    /// Waits until so many bytes of all are written; with patience, no longer than that without one of them.
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
    /// Bytes of `texts`.
    held: usize,
    /// Bytes that were ever queued, and those of them that were written.
    accepted: u64,
    written: u64,
    /// Whether a thread writes.
    writes: bool,
    /// When the current second of logging began, and its lines.
    second: Option<(Instant, u32)>,
    /// Lines that were not queued, and of which no line has told.
    dropped: u64,
}

impl Queue {
    /// Whether one more line may be logged in this second; one that may not is counted.
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

    /// Queues a text if there is room; otherwise its lines are counted.
    fn offer(&mut self, text: String) {
        if self.held + text.len() <= ROOM {
            self.push(text);
        } else {
            self.dropped += text.lines().count() as u64;
        }
    }

    /// Queues a text, and returns how many bytes have to be written until it is.
    fn push(&mut self, text: String) -> u64 {
        self.held += text.len();
        self.accepted += text.len() as u64;
        self.texts.push_back(text);
        self.accepted
    }

    /// Takes the next text out; behind the last of them the count of dropped lines, when it is due.
    fn take(&mut self, now: Instant) -> Option<String> {
        if self.texts.is_empty() && self.report_due(now).is_some_and(|due| due <= now) {
            self.report();
        }
        let text = self.texts.pop_front()?;
        self.held -= text.len();
        Some(text)
    }

    /// When the count of dropped lines is to be told: at the end of the second, so that it is told once in it.
    fn report_due(&self, now: Instant) -> Option<Instant> {
        let end = self.second.map_or(now, |(began, _)| began + SECOND);
        (self.dropped > 0).then_some(end)
    }

    /// Queues a line with the count of dropped lines, if there are any.
    fn report(&mut self) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            1 => drop(self.push("1 line dropped\n".to_owned())),
            count => drop(self.push(format!("{} lines dropped\n", grouped(count)))),
        }
    }
}

/// A number with a comma before each three of its digits.
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
    fn a_line_is_one_line() {
        assert_eq!(one_line("a \n\t b\r\nc\u{1b}[2J\n"), "a b c [2J");
    }

    #[test]
    fn digits_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    /// Logs so many lines at one moment.
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
    fn lines_beyond_the_rate_are_dropped_and_their_count_told_once() {
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
    fn a_full_queue_drops_whole_texts_and_counts_their_lines() {
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

    /// A stderr that takes what it is given when it is told to.
    struct Stuck(std::sync::mpsc::Receiver<()>, std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for Stuck {
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
    fn who_waits_has_its_text_written_or_gives_up() {
        let printer: &'static Printer = Box::leak(Box::default());
        let ((go, going), (took, taken)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        printer.queue().writes = true;
        std::thread::spawn(|| printer.write_to(Stuck(going, took)));
        let end = printer.queue().push("line\n".to_owned());
        // Nothing is taken, and this returns.
        printer.wait(end, Some(Duration::from_millis(1)));
        assert_eq!(printer.queue().written, 0);
        go.send(()).unwrap();
        printer.wait(end, None);
        assert_eq!((printer.queue().written, taken.recv().unwrap()), (5, b"line\n".to_vec()));
    }
}
