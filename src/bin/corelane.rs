//! The server's program: `corelane [file] [--name value ...]`.

use std::ffi::OsString;
use std::process::ExitCode;

use corelane::config::{args, args::Invocation, file, system_check};
use corelane::runtime::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args::parse(&arguments) {
        Invocation::Serve(sources) => match file::load(&sources, &mut std::io::stdin()) {
            Ok(loaded) => corelane::server::run(loaded.config, &loaded.warnings),
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Invocation::Version => {
            println!("{}", args::version_line());
            ExitCode::SUCCESS
        }
        Invocation::Help => {
            eprintln!("{}", args::HELP);
            ExitCode::FAILURE
        }
        Invocation::CheckSystem => {
            let (report, fine) = system_check::check_system();
            print!("{report}");
            if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Invocation::Refused(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
