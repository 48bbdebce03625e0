//! FIFO queues.

use crate::story::fifo;

#[test]
fn a_batch_is_filled_from_one_group_and_then_from_the_next() {
    fifo(
        "
        0s  send a1 a2 group=a
        0s  send b1 b2 group=b
        0s  send a3 group=a
        0s  receive max=4   -> a1 count=1, a2 count=1, a3 count=1, b1 count=1
        0s  receive max=4   -> nothing
        ",
    );
}

#[test]
fn a_message_in_flight_blocks_the_later_ones_of_its_group_only() {
    fifo(
        "
        0s  send a1 a2 group=a
        0s  send b1 group=b
        0s  receive          -> a1 count=1
        0s  receive max=10   -> b1 count=1
        1s  delete a1        -> ok
        1s  receive max=10   -> a2 count=1
        ",
    );
}

#[test]
fn an_expired_message_comes_back_first() {
    fifo(
        "
        0s   send a1 a2 a3 group=a
        0s   receive max=2        -> a1 count=1, a2 count=1
        1s   delete a2            -> ok
        1s   receive max=10       -> nothing
        30s  receive max=10       -> a1 count=2, a3 count=1
        ",
    );
}

#[test]
fn deleting_the_first_of_three_does_not_release_the_fourth() {
    fifo(
        "
        0s  send a1 a2 a3 a4 group=a
        0s  receive max=3   -> a1 count=1, a2 count=1, a3 count=1
        1s  delete a1       -> ok
        1s  receive         -> nothing
        1s  delete a2 a3    -> ok
        1s  receive         -> a4 count=1
        ",
    );
}

#[test]
fn an_earlier_message_that_is_visible_again_goes_out_while_a_later_one_is_in_flight() {
    fifo(
        "
        0s   send a1 a2 a3 group=a
        0s   receive max=2          -> a1 count=1, a2 count=1
        1s   change a1 0s           -> ok
        1s   receive max=10         -> a1 count=2
        2s   change a2 0s           -> ok
        2s   receive max=10         -> nothing
        2s   delete a1              -> ok
        2s   receive max=10         -> a2 count=2, a3 count=1
        ",
    );
}

#[test]
fn when_the_first_of_three_in_flight_expires_it_alone_goes_out_also_over_a_restart() {
    fifo(
        "
        0s   send a1 a2 a3 a4 group=a
        0s   receive max=3           -> a1 count=1, a2 count=1, a3 count=1
        10s  change a2 60s           -> ok
        10s  change a3 60s           -> ok
        30s  restart
        30s  receive max=10          -> a1 count=2
        31s  delete a1               -> ok
        70s  receive max=10          -> a2 count=2, a3 count=2, a4 count=1
        ",
    );
}

#[test]
fn only_the_latest_handle_deletes_and_only_while_its_timeout_runs() {
    fifo(
        "
        0s   send a1 group=a
        0s   receive       -> a1 count=1
        30s  delete a1     -> expired
        30s  receive       -> a1 count=2
        31s  delete a1#1   -> expired
        31s  change a1#1 5s -> expired
        31s  delete a1     -> ok
        31s  delete a1     -> ok
        ",
    );
}

#[test]
fn a_second_send_with_the_same_id_within_five_minutes_is_the_first() {
    fifo(
        "
        0s    send a1 group=a dedup=x
        1s    send a2 group=b dedup=x      -> same as a1
        1s    receive max=10               -> a1 count=1
        2s    delete a1                    -> ok
        299s  restart
        299s  send a3 group=a dedup=x      -> same as a1
        300s  send a4 group=a dedup=x      -> ok
        300s  receive max=10               -> a4 count=1
        ",
    );
}

#[test]
fn one_call_may_not_repeat_an_id_either() {
    fifo(
        "
        0s    send a1 a2 group=a dedup=x   -> ok, same as a1
        0s    receive max=10               -> a1 count=1
        ",
    );
}

#[test]
fn deduplication_may_be_scoped_to_the_group_and_a_change_waits_for_the_window() {
    fifo(
        "
        0s    send a1 group=a dedup=x
        1s    set scope=group
        2s    send b1 group=b dedup=x   -> same as a1
        302s  send b2 group=b dedup=x   -> ok
        302s  send c1 group=c dedup=x   -> ok
        302s  send c2 group=c dedup=x   -> same as c1
        ",
    );
}

#[test]
fn the_queues_delay_applies_to_what_still_waits() {
    fifo(
        "
        0s   set delay=10s
        0s   send a1 group=a
        2s   send b1 group=b
        2s   counts           -> 0 available, 0 in flight, 2 delayed
        9s   receive max=10   -> nothing
        10s  receive max=10   -> a1 count=1
        11s  set delay=5s
        11s  receive max=10   -> b1 count=1
        11s  send c1 group=c
        11s  set delay=0s
        11s  receive max=10   -> c1 count=1
        ",
    );
}

#[test]
fn a_delayed_message_does_not_hide_another_group() {
    fifo(
        "
        0s   send a1 group=a
        0s   receive max=10   -> a1 count=1
        0s   set delay=10s
        1s   send a2 group=a
        2s   delete a1        -> ok
        3s   send b1 group=b
        11s  receive max=10   -> a2 count=1
        12s  delete a2        -> ok
        13s  receive max=10   -> b1 count=1
        ",
    );
}

#[test]
fn a_repeated_receive_attempt_gives_the_same_messages_and_hides_them_anew() {
    fifo(
        "
        0s   send a1 a2 group=a
        0s   receive max=2 attempt=t     -> a1 count=1, a2 count=1
        10s  receive max=2 attempt=t     -> a1 count=1, a2 count=1
        35s  receive max=2               -> nothing
        39s  delete a1#1                 -> ok
        39s  receive max=2 attempt=t     -> nothing
        40s  receive max=2 attempt=t     -> a2 count=2
        ",
    );
}

#[test]
fn a_poison_message_departs_and_unlocks_its_group() {
    fifo(
        "
        0s   set redrive=1
        0s   send a1 a2 group=a
        0s   receive               -> a1 count=1
        1s   receive               -> nothing
        30s  receive               -> a2 count=1
        30s  departed              -> a1
        31s  accept a1             -> 
        31s  delete a2             -> ok
        31s  receive               -> a1 count=2
        ",
    );
}

#[test]
fn a_restored_message_goes_out_before_the_rest_of_its_group() {
    fifo(
        "
        0s   set redrive=1
        0s   send a1 a2 group=a
        0s   receive visibility=1s   -> a1 count=1
        1s   receive visibility=1s   -> a2 count=1
        1s   departed                -> a1
        1s   set redrive=10
        1s   restore a1              -> 
        1s   receive                 -> a1 count=2
        5s   receive                 -> nothing
        6s   delete a1               -> ok
        6s   receive                 -> a2 count=2
        ",
    );
}

#[test]
fn expiry_unlocks_groups_and_empties_them() {
    fifo(
        "
        0s   set retention=60s
        0s   send a1 group=a
        0s   send b1 group=b
        0s   receive visibility=12h    -> a1 count=1
        30s  send a2 group=a
        59s  counts                    -> 2 available, 1 in flight, 0 delayed
        60s  counts                    -> 1 available, 0 in flight, 0 delayed
        60s  receive max=10            -> a2 count=1
        90s  counts                    -> 0 available, 0 in flight, 0 delayed
        90s  send b2 group=b
        90s  receive max=10            -> b2 count=1
        ",
    );
}

#[test]
fn groups_take_turns() {
    fifo(
        "
        0s  send a1 a2 group=a
        0s  send b1 b2 group=b
        0s  receive      -> a1 count=1
        0s  delete a1    -> ok
        0s  receive      -> b1 count=1
        0s  delete b1    -> ok
        0s  receive      -> a2 count=1
        0s  receive      -> b2 count=1
        ",
    );
}

#[test]
fn groups_are_sent_off_in_order_and_not_past_what_is_in_flight() {
    fifo(
        "
        0s   send a1 a2 a3 group=a
        0s   send b1 group=b
        0s   receive visibility=5s     -> a1 count=1
        0s   send-off                  -> b1
        5s   send-off max=2            -> a1, a2
        6s   restore a2                ->
        6s   restore a1                ->
        6s   receive max=10            -> a1 count=2, a2 count=1, a3 count=1
        ",
    );
}
