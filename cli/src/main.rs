//! `stanchion`: the command line.

fn main() {}
