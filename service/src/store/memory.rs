//! A store in memory, with injectable faults.
