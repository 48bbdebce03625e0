//! Fair queues: groups on a standard queue.

use crate::story::standard;

#[test]
fn groups_neither_order_nor_lock() {
    standard(
        "
        0s  send a1 a2 group=a
        0s  send n1
        0s  send b1 group=b
        0s  receive max=1    -> a1 count=1
        0s  receive max=10   -> a2 count=1, n1 count=1, b1 count=1
        ",
    );
}

/// Forty messages of `a`, by names `a<from>` on.
fn noisy(from: usize, count: usize) -> String {
    (from..from + count).map(|n| format!("a{n} ")).collect()
}

#[test]
fn quiet_tenants_come_before_a_noisy_one_which_gets_what_is_left() {
    let (first, rest) = (noisy(100, 40), noisy(200, 40));
    let batch = |names: &str| {
        let counts = names.split_whitespace().map(|name| format!("{name} count=1"));
        counts.collect::<Vec<_>>().join(", ")
    };
    standard(&format!(
        "
        0s  send q0
        0s  send {first} group=a
        0s  send {rest} group=a
        0s  receive max=1    -> q0 count=1
        0s  receive max=30   -> {}
        1s  send b1 b2 group=b
        1s  send q1
        1s  receive max=2    -> b1 count=1, b2 count=1
        1s  receive max=3    -> q1 count=1, a130 count=1, a131 count=1
        ",
        batch(&noisy(100, 30)),
    ));
}

#[test]
fn a_noisy_group_is_quiet_again_after_five_minutes_with_nothing_in_flight() {
    let (sent, given) = (noisy(100, 40), noisy(100, 40));
    let given: Vec<_> = given.split_whitespace().map(|name| format!("{name} count=1")).collect();
    standard(&format!(
        "
        0s    send {sent} group=a
        0s    receive max=40 visibility=1s   -> {}
        0s    send b1 group=b
        2s    receive max=1 visibility=500s  -> b1 count=1
        2s    send b2 group=b
        300s  receive max=1                  -> a100 count=2
        ",
        given.join(", "),
    ));
}
