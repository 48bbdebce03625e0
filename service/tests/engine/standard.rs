//! Standard queues.

use crate::story::standard;

#[test]
fn a_message_is_received_once_and_returns_when_its_visibility_timeout_ends() {
    standard(
        "
        0s     send m1
        0s     receive                        -> m1 count=1
        29s    receive                        -> nothing
        29999ms receive                       -> nothing
        30s    receive                        -> m1 count=2
        30s    counts                         -> 0 available, 1 in flight, 0 delayed
        ",
    );
}

#[test]
fn a_receive_fills_the_batch_in_the_order_of_arrival() {
    standard(
        "
        0s  send m1 m2 m3
        0s  send m4
        0s  receive max=10   -> m1 count=1, m2 count=1, m3 count=1, m4 count=1
        0s  receive max=10   -> nothing
        ",
    );
}

#[test]
fn a_deleted_message_is_gone_and_deleting_it_again_succeeds() {
    standard(
        "
        0s   send m1
        0s   receive     -> m1 count=1
        1s   delete m1   -> ok
        1s   delete m1   -> ok
        1s   counts      -> 0 available, 0 in flight, 0 delayed
        60s  receive     -> nothing
        ",
    );
}

#[test]
fn any_handle_ever_issued_deletes() {
    standard(
        "
        0s   send m1 m2
        0s   receive max=2      -> m1 count=1, m2 count=1
        31s  receive max=1      -> m1 count=2
        32s  delete m1#1        -> ok
        33s  delete m2          -> ok
        90s  receive            -> nothing
        ",
    );
}

#[test]
fn zero_visibility_gives_a_message_back_at_once() {
    standard(
        "
        0s  send m1
        0s  receive visibility=0s    -> m1 count=1
        0s  receive                  -> m1 count=2
        1s  change m1 0s             -> ok
        1s  receive                  -> m1 count=3
        ",
    );
}

#[test]
fn a_change_of_visibility_counts_from_now_and_may_be_made_by_an_older_handle() {
    standard(
        "
        0s   send m1
        0s   receive            -> m1 count=1
        20s  change m1 30s      -> ok
        49s  receive            -> nothing
        50s  receive            -> m1 count=2
        51s  change m1#1 0s     -> ok
        51s  receive            -> m1 count=3
        ",
    );
}

#[test]
fn a_change_after_the_timeout_succeeds_without_effect_and_of_a_deleted_message_fails() {
    standard(
        "
        0s   send m1
        0s   receive            -> m1 count=1
        31s  change m1 30s      -> ok
        31s  receive            -> m1 count=2
        31s  delete m1          -> ok
        31s  change m1 30s      -> gone
        ",
    );
}

#[test]
fn nothing_stays_in_flight_for_more_than_twelve_hours() {
    standard(
        "
        0s   send m1
        0s   receive               -> m1 count=1
        5s   change m1 43195s      -> ok
        5s   change m1 43196s      -> limit
        12h  receive               -> m1 count=2
        ",
    );
}

#[test]
fn a_delayed_message_is_received_when_it_is_due_and_not_before() {
    standard(
        "
        0s  send m1 delay=5s
        0s  send m2 delay=3s
        0s  send m3
        0s  counts                -> 1 available, 0 in flight, 2 delayed
        0s  receive max=10        -> m3 count=1
        3s  receive max=10        -> m2 count=1
        4s  receive max=10        -> nothing
        5s  counts                -> 1 available, 2 in flight, 0 delayed
        5s  receive max=10        -> m1 count=1
        5s  delete m1             -> ok
        5s  delete m2             -> ok
        ",
    );
}

#[test]
fn the_queues_delay_holds_for_messages_sent_under_it_and_their_own_delay_wins() {
    standard(
        "
        0s   set delay=10s
        0s   send m1
        0s   send m2 delay=0s
        0s   receive max=10     -> m2 count=1
        1s   set delay=0s
        1s   send m3
        1s   receive max=10     -> m3 count=1
        9s   receive max=10     -> nothing
        10s  receive max=10     -> m1 count=1
        ",
    );
}

#[test]
fn due_and_fresh_messages_come_in_the_order_they_became_available() {
    standard(
        "
        0s  send a delay=2s
        1s  send b
        3s  send c
        4s  receive max=10   -> b count=1, a count=1, c count=1
        ",
    );
}

#[test]
fn a_message_that_always_comes_back_does_not_starve_the_rest() {
    standard(
        "
        0s  send p1 p2
        0s  receive max=2 visibility=1s     -> p1 count=1, p2 count=1
        1s  send m1 m2 m3
        2s  receive visibility=0s           -> p1 count=2
        2s  receive visibility=100s         -> m1 count=1
        2s  receive visibility=0s           -> p2 count=2
        2s  receive visibility=100s         -> m2 count=1
        ",
    );
}

#[test]
fn a_message_is_gone_when_its_retention_ends_whatever_its_state() {
    standard(
        "
        0s   set retention=60s
        0s   send m1
        0s   receive visibility=12h          -> m1 count=1
        0s   send m2
        0s   send m3 delay=15m
        30s  send m4
        59s  counts                          -> 2 available, 1 in flight, 1 delayed
        60s  counts                          -> 1 available, 0 in flight, 0 delayed
        60s  receive max=10                  -> m4 count=1
        90s  counts                          -> 0 available, 0 in flight, 0 delayed
        ",
    );
}

#[test]
fn the_retention_of_a_message_with_a_long_delay_counts_from_its_end() {
    standard(
        "
        0s        set retention=60s
        0s        send late delay=86400s
        0s        send soon delay=30s
        86399s    counts                  -> 0 available, 0 in flight, 1 delayed
        86400s    receive visibility=10s  -> late count=1
        86459s    receive                 -> late count=2
        86460s    counts                  -> 0 available, 0 in flight, 0 delayed
        ",
    );
}

#[test]
fn a_shorter_retention_applies_to_what_is_there() {
    standard(
        "
        0s    send m1
        100s  send m2
        120s  set retention=60s
        120s  counts              -> 1 available, 0 in flight, 0 delayed
        120s  receive max=10      -> m2 count=1
        ",
    );
}

#[test]
fn a_message_that_was_delivered_often_enough_departs_at_the_next_receive() {
    standard(
        "
        0s   set redrive=2
        0s   send m1 m2
        0s   receive max=1 visibility=1s    -> m1 count=1
        0s   receive max=1 visibility=12h   -> m2 count=1
        1s   receive visibility=1s          -> m1 count=2
        2s   counts                         -> 1 available, 1 in flight, 0 delayed
        2s   receive                        -> nothing
        2s   departed                       -> m1
        2s   counts                         -> 0 available, 1 in flight, 0 delayed
        ",
    );
}

#[test]
fn a_message_whose_dead_letter_queue_is_gone_stays() {
    standard(
        "
        0s   set redrive=1 target=gone
        0s   send m1
        0s   receive visibility=1s     -> m1 count=1
        1s   receive visibility=1s     -> m1 count=2
        2s   set target=there
        2s   receive visibility=1s     -> nothing
        2s   departed                  -> m1
        ",
    );
}

#[test]
fn a_departed_message_is_accepted_with_its_count_or_restored_where_it_was() {
    standard(
        "
        0s   set redrive=1
        0s   send m1 m2
        0s   receive max=2 visibility=1s   -> m1 count=1, m2 count=1
        1s   receive max=2                 -> nothing
        1s   departed                      -> m1, m2
        1s   set redrive=5
        1s   accept m1                     -> 
        1s   restore m2                    -> 
        1s   counts                        -> 2 available, 0 in flight, 0 delayed
        1s   receive max=2                 -> m2 count=2, m1 count=2
        2s   delete m1 m2                  -> ok
        ",
    );
}

#[test]
fn too_many_in_flight_is_an_error_for_a_short_poll_and_nothing_for_a_long_one() {
    standard(
        "
        0s   set max_in_flight=2
        0s   send m1 m2 m3
        0s   receive max=10            -> m1 count=1, m2 count=1
        0s   receive max=10            -> over limit
        0s   receive max=10 patient    -> nothing
        1s   delete m1                 -> ok
        1s   receive max=10            -> m3 count=1
        ",
    );
}

#[test]
fn beyond_the_bound_on_what_is_held_only_returned_messages_are_served() {
    standard(
        "
        0s   set max_in_flight=2
        0s   send m1 m2 m3
        0s   receive max=10 visibility=1s    -> m1 count=1, m2 count=1
        2s   receive max=10 visibility=1s    -> m1 count=2, m2 count=2
        3s   delete m1                       -> ok
        3s   receive max=10                  -> m3 count=1, m2 count=3
        ",
    );
}

#[test]
fn a_restart_keeps_messages_counts_delays_and_timeouts() {
    standard(
        "
        0s   send m1 m2 m3
        0s   send m4 delay=20s
        0s   receive max=2 visibility=30s   -> m1 count=1, m2 count=1
        1s   delete m2                      -> ok
        2s   restart
        2s   counts                         -> 1 available, 1 in flight, 1 delayed
        2s   send m5
        2s   receive max=10                 -> m3 count=1, m5 count=1
        20s  restart
        20s  receive max=10                 -> m4 count=1
        30s  receive max=10                 -> m1 count=2
        31s  delete m1                      -> ok
        ",
    );
}

#[test]
fn reading_ahead_may_stop_at_any_point() {
    standard(
        "
        0s  send m1 m2 m3 m4
        0s  receive        -> m1 count=1
        0s  forget
        0s  receive max=2  -> m2 count=1, m3 count=1
        0s  send m5
        0s  forget
        0s  receive max=2  -> m4 count=1, m5 count=1
        ",
    );
}

#[test]
fn a_receive_whose_reply_was_lost_gives_its_messages_back() {
    standard(
        "
        0s  send m1
        0s  receive       -> m1 count=1
        1s  release m1    -> 
        1s  receive       -> m1 count=2
        1s  release m1#1  -> 
        1s  receive       -> nothing
        ",
    );
}

#[test]
fn what_is_available_is_sent_off_and_is_new_where_it_arrives() {
    standard(
        "
        0s   set retention=60s
        0s   send m1 m2 m3
        0s   receive visibility=20s    -> m1 count=1
        0s   send m4 delay=5s
        0s   send-off max=1            -> m2
        0s   send-off                  -> m3
        0s   send-off                  -> nothing
        0s   counts                    -> 0 available, 1 in flight, 1 delayed
        20s  send-off                  -> m1, m4
        50s  accept m1                 ->
        50s  receive visibility=1s     -> m1 count=1
        109s counts                    -> 1 available, 0 in flight, 0 delayed
        110s counts                    -> 0 available, 0 in flight, 0 delayed
        ",
    );
}

#[test]
fn a_message_that_comes_back_without_having_been_received_is_received_for_the_first_time() {
    standard(
        "
        0s   send m1
        0s   send-off                  -> m1
        1s   restore m1                ->
        1s   counts                    -> 1 available, 0 in flight, 0 delayed
        1s   restart                   ->
        1s   receive                   -> m1 count=1
        ",
    );
}

#[test]
fn rows_of_deleted_messages_go_together() {
    standard(
        "
        0s   send m1 m2 m3 m4
        0s   receive max=3      -> m1 count=1, m2 count=1, m3 count=1
        1s   delete m1          -> ok
        1s   delete m2          -> ok
        1s   rows               -> 4
        1s   delete m3          -> ok
        1s   counts             -> 1 available, 0 in flight, 0 delayed
        2s   clear
        2s   rows               -> 1
        60s  receive max=10     -> m4 count=1
        ",
    );
}

#[test]
fn a_row_that_is_left_of_a_deleted_message_is_no_message() {
    standard(
        "
        0s   send m1 m2 m3
        0s   receive max=2      -> m1 count=1, m2 count=1
        1s   delete m1          -> ok
        1s   rows               -> 3
        1s   change m1 10s      -> gone
        1s   delete m1          -> ok
        2s   restart
        2s   counts             -> 1 available, 1 in flight, 0 delayed
        2s   send-off max=10    -> m3
        60s  receive max=10     -> m2 count=2
        61s  restart
        61s  receive max=10     -> nothing
        ",
    );
}

#[test]
fn clearing_leaves_what_is_in_flight_and_what_lies_among_it() {
    standard(
        "
        0s   send m1 m2 m3 m4 m5 m6 m7 m8
        0s   receive max=8      -> m1 count=1, m2 count=1, m3 count=1, m4 count=1, m5 count=1, \
                                   m6 count=1, m7 count=1, m8 count=1
        1s   delete m2 m3 m5 m6 m8
        1s   clear
        1s   rows               -> 7
        1s   delete m1          -> ok
        1s   rows               -> 6
        1s   restart
        1s   clear
        1s   rows               -> 2
        1s   delete m7          -> ok
        1s   rows               -> 1
        60s  receive max=10     -> m4 count=2
        ",
    );
}

#[test]
fn a_message_that_stays_at_the_head_does_not_keep_the_rows_behind_it() {
    let sent: Vec<String> = (1..=2_500).map(|number| format!("n{number}")).collect();
    let mut story = String::from("0s send old\n0s receive -> old count=1\n");
    for names in sent.chunks(10) {
        let given: Vec<String> = names.iter().map(|name| format!("{name} count=1")).collect();
        let (names, given) = (names.join(" "), given.join(", "));
        story += &format!("0s send {names}\n0s receive max=10 -> {given}\n0s delete {names}\n");
    }
    // Two of them lie where another one might still be in flight.
    story += "1s rows -> 2501\n1s clear\n1s rows -> 3\n60s receive max=10 -> old count=2";
    standard(&story);
}

#[test]
fn readers_come_by_what_is_left_only_behind_a_living_message() {
    standard(
        "
        0s   send m1 m2 m3 m4 m5 m6
        0s   receive max=5      -> m1 count=1, m2 count=1, m3 count=1, m4 count=1, m5 count=1
        0s   remains            -> 0
        0s   delete m3 m4
        0s   remains            -> 2
        0s   delete m1 m2
        0s   remains            -> 0
        0s   delete m5          -> ok
        0s   remains            -> 0
        ",
    );
}
