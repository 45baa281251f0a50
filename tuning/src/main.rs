//! The program `tuning`: see the library of the same name.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: common::Allocator = common::Allocator;

fn main() -> ExitCode {
    tuning::main()
}
