//! The time of day in the format of Go's `log` package. In UTC, because the standard library does not know the local time zone.

use std::time::SystemTime;

const DAY: u64 = 24 * 60 * 60;

/// Formats a time as `2026/11/23 22:30:15`, in UTC. Times before 1970 become the beginning of 1970.
pub fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Converts a number of days since 1970-01-01 to year, month and day of the Gregorian calendar.
///
/// Counts years from March, so that the leap day is the last day of a year. The months from March on then begin after
/// 0, 31, 61, 92 … days, which is (153 m + 2) / 5.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // days in 400 years
    const SINCE_MARCH_OF_YEAR_0: u64 = 719_468; // days to 1970-01-01
    let days = days + SINCE_MARCH_OF_YEAR_0;
    let (era, of_era) = (days / ERA, days % ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (400 * era + year_of_era + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn known_days_have_their_dates() {
        for (seconds, text) in [
            (0, "1970/01/01 00:00:00"),
            (951_782_399, "2000/02/28 23:59:59"),
            (951_782_400, "2000/02/29 00:00:00"),
            (951_868_800, "2000/03/01 00:00:00"),
            (1_000_000_000, "2001/09/09 01:46:40"),
            (1_735_689_599, "2024/12/31 23:59:59"),
            (4_107_542_400, "2100/03/01 00:00:00"),
            (253_402_300_799, "9999/12/31 23:59:59"),
        ] {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn each_day_follows_the_previous_one() {
        let mut last = date(0);
        for days in 1..200_000 {
            let (year, month, day) = date(days);
            let follows = (year, month, day) == (last.0, last.1, last.2 + 1)
                || (year, month, day) == (last.0, last.1 + 1, 1) && last.2 >= 28
                || (year, month, day) == (last.0 + 1, 1, 1) && (last.1, last.2) == (12, 31);
            assert!(follows, "{last:?} {:?}", (year, month, day));
            last = (year, month, day);
        }
    }
}
