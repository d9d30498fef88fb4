//! The `lfctl` program: everything is in the library.

fn main() -> std::process::ExitCode {
    lfctl::cli::main()
}
