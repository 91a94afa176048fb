//! Flags in the style of Go's `flag` package: `-port 50051`, `-port=50051`, `--port 50051`; `-tls` or `-tls=false`. If a flag
//! is repeated, the last one wins. clap does the parsing.

use std::ffi::OsString;

use clap::error::ErrorKind;

use super::stop::Stop;

/// Parses flags from a command line, which begins with the name of the program.
///
/// # Errors
///
/// [`Stop::Help`] for `-h`, [`Stop::Usage`] for unknown flags and invalid values.
pub fn parse<F: clap::Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<F, Stop> {
    let command = F::command().args_override_self(true).after_help("A flag may have one dash or two.");
    let mut literal = false;
    // Flags that were typed with one dash.
    let mut single = Vec::new();
    let arguments: Vec<OsString> = arguments
        .into_iter()
        .map(|argument| {
            literal |= argument == "--";
            if literal { argument } else { two_dashes(argument, &mut single) }
        })
        .collect();
    let matches = command.try_get_matches_from(arguments).map_err(|error| stop(&error, &single))?;
    F::from_arg_matches(&matches).map_err(|error| stop(&error, &single))
}

/// Turns `-name` into `--name`. Keeps a single letter (`-h`) and a number (`-1`).
fn two_dashes(argument: OsString, single: &mut Vec<String>) -> OsString {
    match argument.as_encoded_bytes() {
        [b'-', first, _, ..] if first.is_ascii_alphabetic() => {
            let mut two = OsString::from("-");
            two.push(argument);
            single.extend(two.to_string_lossy().split('=').next().map(str::to_owned));
            two
        }
        _ => argument,
    }
}

fn stop(error: &clap::Error, single: &[String]) -> Stop {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Stop::Help(text);
    }
    // The first paragraph names the mistake; the rest is the usage, which -h shows.
    let reason = text.split("\n\n").next().unwrap_or_default();
    let mut reason = reason.strip_prefix("error: ").unwrap_or(reason).to_owned();
    // Name flags as the user typed them.
    for name in single {
        for behind in ['\'', ' ', '='] {
            reason = reason
                .replace(&format!("'{name}{behind}"), &format!("'{}{behind}", name.strip_prefix('-').unwrap_or(name)));
        }
    }
    Stop::Usage(format!("{}; -h lists the flags", reason.trim_end()))
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, Parser};

    use super::*;

    #[derive(Debug, PartialEq, Parser)]
    #[command(name = "example", rename_all = "snake_case")]
    struct Flags {
        /// A number
        #[arg(long, default_value_t = 5)]
        some_number: u16,
        /// A switch
        #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false,
              default_missing_value = "true")]
        tls: bool,
    }

    fn flags(line: &str) -> Result<(u16, bool), Stop> {
        let words = std::iter::once("example").chain(line.split_whitespace()).map(OsString::from);
        parse::<Flags>(words).map(|flags| (flags.some_number, flags.tls))
    }

    fn usage(line: &str) -> String {
        match flags(line) {
            Err(Stop::Usage(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_take_one_dash_or_two() {
        for (line, expected) in [
            ("", (5, false)),
            ("-some_number 7", (7, false)),
            ("--some_number 7 --tls", (7, true)),
            ("-some_number=7 -tls", (7, true)),
            ("-tls -some_number=7", (7, true)),
            ("-tls=false --some_number=7", (7, false)),
            ("-tls=true", (5, true)),
            ("-some_number=7 -some_number 8", (8, false)),
        ] {
            assert_eq!(flags(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn errors_name_the_flag_and_the_remedy() {
        assert_eq!(usage("-zork"), "unexpected argument '-zork' found; -h lists the flags");
        assert_eq!(usage("--zork=1"), "unexpected argument '--zork' found; -h lists the flags");
        assert_eq!(usage("word"), "unexpected argument 'word' found; -h lists the flags");
        assert_eq!(usage("-- -tls"), "unexpected argument '-tls' found; -h lists the flags");
        assert!(usage("-some_number many").starts_with("invalid value 'many' for '-some_number"));
        assert!(usage("--some_number many -tls").starts_with("invalid value 'many' for '--some_number"));
        assert!(usage("-some_number 65536").starts_with("invalid value '65536' for '-some_number"));
        assert!(usage("-some_number -1").contains("-1"));
        assert!(usage("-some_number").contains("'-some_number"));
        assert!(usage("-tls=perhaps").contains("'perhaps'"));
    }

    #[test]
    fn help_is_not_an_error() {
        for line in ["-h", "-help", "--help"] {
            let Err(Stop::Help(text)) = flags(line) else { panic!("{line} gives no help") };
            assert!(text.contains("--some_number") && text.contains("one dash or two"), "{text}");
        }
    }
}
