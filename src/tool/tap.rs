//! `barewire tap`: a proxy that forwards bytes unchanged and shows what they mean.

use clap::Args;

use super::names::Names;
use super::show::Show;
use crate::cli::Stop;

/// The flags of `barewire tap`.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Where clients connect to: host:port, port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: String,
    /// The server, host:port
    #[arg(long, value_name = "ADDR")]
    to: String,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    show: Show,
}

pub(super) async fn run(flags: Flags, _color: bool) -> Result<(), Stop> {
    let _ = (flags.listen, flags.to, flags.show, flags.names.schema()?);
    Err(Stop::Failed("not yet".to_owned()))
}
