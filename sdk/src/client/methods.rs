//! One method for each action. What they take and answer is in [`actions`](crate::actions).

use super::Client;
use crate::actions::*;
use crate::error::Error;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($request:ty);)*) => {
        impl Client { $(
            $(#[$doc])*
            pub async fn $name(
                &self,
                request: $request,
            ) -> Result<<$request as Action>::Reply, Error> {
                self.call(&request).await
            }
        )* }
    };
}

// Of SQS.
methods! {
    /// Creates a queue, or finds it where there is one with the same settings.
    create_queue(queues::CreateQueue);
    /// Deletes a queue and every message in it.
    delete_queue(queues::DeleteQueue);
    /// Asks what a queue is set to, and how many messages it holds.
    get_queue_attributes(queues::GetQueueAttributes);
    /// Finds a queue.
    get_queue_url(queues::GetQueueUrl);
    /// Lists the queues that send their dead letters to this one.
    list_dead_letter_source_queues(queues::ListDeadLetterSourceQueues);
    /// Asks for a queue's tags.
    list_queue_tags(queues::ListQueueTags);
    /// Lists queues.
    list_queues(queues::ListQueues);
    /// Deletes every message in a queue.
    purge_queue(queues::PurgeQueue);
    /// Sets attributes of a queue.
    set_queue_attributes(queues::SetQueueAttributes);
    /// Gives a queue tags.
    tag_queue(queues::TagQueue);
    /// Takes tags from a queue.
    untag_queue(queues::UntagQueue);
    /// Hides a message that was received for another while.
    change_message_visibility(messages::ChangeMessageVisibility);
    /// Deletes a message that was received.
    delete_message(messages::DeleteMessage);
    /// Sends a message; the answer comes when it is stored.
    send_message(messages::SendMessage);
    /// Hides up to 10 messages for another while.
    change_message_visibility_batch(batches::ChangeMessageVisibilityBatch);
    /// Deletes up to 10 messages.
    delete_message_batch(batches::DeleteMessageBatch);
    /// Sends up to 10 messages.
    send_message_batch(batches::SendMessageBatch);
    /// Ends a move task.
    cancel_message_move_task(move_tasks::CancelMessageMoveTask);
    /// Lists the move tasks of a dead-letter queue.
    list_message_move_tasks(move_tasks::ListMessageMoveTasks);
    /// Starts to move the messages of a dead-letter queue.
    start_message_move_task(move_tasks::StartMessageMoveTask);
    /// Lets other accounts do something to a queue.
    add_permission(permissions::AddPermission);
    /// Takes a permission back.
    remove_permission(permissions::RemovePermission);
}

impl Client {
    /// Receives messages, each of which is hidden from others for a while.
    pub async fn receive_message(
        &self,
        mut request: messages::ReceiveMessage,
    ) -> Result<messages::ReceiveMessageReply, Error> {
        // Of this call alone: with the same one the next call would receive the same messages again.
        if request.receive_request_attempt_id.is_none() && request.queue_url.ends_with(".fifo") {
            request.receive_request_attempt_id = Some(uuid::Uuid::new_v4().to_string());
        }
        self.call(&request).await
    }
}

// Of Stanchion's own.
methods! {
    /// Makes an access key for a user; its secret is in the answer and nowhere else.
    create_access_key(own::access::CreateAccessKey);
    /// Deletes an access key.
    delete_access_key(own::access::DeleteAccessKey);
    /// Deletes a user, its policies and its keys.
    delete_user(own::access::DeleteUser);
    /// Takes a policy from a user.
    delete_user_policy(own::access::DeleteUserPolicy);
    /// Lists access keys, without their secrets.
    list_access_keys(own::access::ListAccessKeys);
    /// Lists users and what they may do.
    list_users(own::access::ListUsers);
    /// Gives a user a policy.
    put_user_policy(own::access::PutUserPolicy);
    /// Asks whether somebody may do something to a queue, and why.
    simulate_policy(own::access::SimulatePolicy);
    /// Disables an access key, or enables it again.
    update_access_key(own::access::UpdateAccessKey);
    /// Moves a message that was received to the dead-letter queue at once.
    dead_letter_message(own::messages::DeadLetterMessage);
    /// Deletes the messages that a filter means.
    delete_messages(own::messages::DeleteMessages);
    /// Moves the messages that a filter means to another queue.
    move_messages(own::messages::MoveMessages);
    /// Shows messages as they are, and changes nothing.
    peek_messages(own::messages::PeekMessages);
    /// Shows the message groups that have messages.
    list_message_groups(own::groups::ListMessageGroups);
    /// Deletes every message of a group.
    purge_message_group(own::groups::PurgeMessageGroup);
    /// Deletes the oldest message of a group of a FIFO queue.
    skip_message_group_head(own::groups::SkipMessageGroupHead);
    /// Moves the time of a server with a virtual clock ahead.
    advance_clock(own::server::AdvanceClock);
    /// Copies everything into a folder of the server's.
    checkpoint(own::server::Checkpoint);
    /// Removes a copy.
    delete_checkpoint(own::server::DeleteCheckpoint);
    /// Asks what server this is, and how it is.
    get_server_info(own::server::GetServerInfo);
    /// Lists the copies.
    list_checkpoints(own::server::ListCheckpoints);
    /// Shows many queues at a glance.
    list_queue_stats(own::server::ListQueueStats);
    /// Holds up receives from a queue, or sends to it.
    pause_queue(own::server::PauseQueue);
    /// Deletes every queue of every account.
    reset(own::server::Reset);
    /// Lets go on what was held up.
    resume_queue(own::server::ResumeQueue);
    /// Seals every stored key anew, under the current master key.
    rotate_keys(own::server::RotateKeys);
}
