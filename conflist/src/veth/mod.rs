//! The main plugin that is built in.

/// The `type` of the plugin, and the name the binary must be called by to be it.
pub const NAME: &str = "veth";

/// Runs the plugin.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
