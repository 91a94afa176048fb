//! The tool `barewire`; its code is in `barewire_programs::tool`.

use std::process::ExitCode;

fn main() -> ExitCode {
    barewire_programs::tool::main()
}
