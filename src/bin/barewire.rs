//! The tool; what it does stands in `barewire::tool`.

use std::process::ExitCode;

fn main() -> ExitCode {
    barewire::tool::main()
}
