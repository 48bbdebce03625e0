//! The one place that knows how an error looks on the wire. Source: facts sheet, 1.5 and 1.6.

use std::borrow::Cow;

use crate::error::Error;

/// How an error looks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The namespace of the shape.
    pub namespace: &'static str,
    /// The shape's name, from which SDKs take the exception's class.
    pub shape: &'static str,
    /// The code of the Query protocol, which SDKs show to their users.
    pub query_code: &'static str,
    /// The HTTP status.
    pub status: u16,
}

impl Row {
    const fn new(
        namespace: &'static str,
        shape: &'static str,
        query_code: &'static str,
        status: u16,
    ) -> Row {
        Row { namespace, shape, query_code, status }
    }

    /// Whose fault it is, as Query says it. Follows from the status.
    pub fn fault(&self) -> &'static str {
        if self.is_sender_fault() { "Sender" } else { "Receiver" }
    }

    /// The client could have known better; a retry will not help.
    pub fn is_sender_fault(&self) -> bool {
        self.status < 500
    }

    /// The code of a failed batch entry: the Query code without its prefix (facts sheet, 9).
    pub fn entry_code(&self) -> &'static str {
        match self.query_code {
            "InternalFailure" => "InternalError",
            code => code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code),
        }
    }
}

/// Errors of the SQS model.
const SQS: &str = "com.amazonaws.sqs";
/// Errors common to all AWS services.
const COMMON: &str = "com.amazon.coral.service";
/// Errors of the STS model, which no JSON shows.
pub const STS: &str = "com.amazonaws.sts";

/// Makes the function and the list of one table.
macro_rules! table {
    (match error {
        $($errors:pat => row($namespace:ident, $shape:literal, $query_code:literal, $status:literal),)*
    }) => {
        /// The row of an error.
        pub fn row(error: &Error) -> Row {
            use Error::*;
            match error {
                $($errors => Row::new($namespace, $shape, $query_code, $status),)*
            }
        }

        /// Every row; one that several errors share is there several times.
        pub const ROWS: &[Row] = &[$(Row::new($namespace, $shape, $query_code, $status),)*];
    };
}

table! {
    match error {
        //                                      namespace shape                          Query code                                             HTTP
        QueueDoesNotExist                => row(SQS, "QueueDoesNotExist",                "AWS.SimpleQueueService.NonExistentQueue",             400),
        QueueOutOfReach                  => row(SQS, "QueueDoesNotExist",                "AWS.SimpleQueueService.NonExistentQueue",             400),
        QueueNameExists { .. }           => row(SQS, "QueueNameExists",                  "QueueAlreadyExists",                                  400),
        QueueDeletedRecently             => row(SQS, "QueueDeletedRecently",             "AWS.SimpleQueueService.QueueDeletedRecently",         400),
        PurgeQueueInProgress { .. }      => row(SQS, "PurgeQueueInProgress",             "AWS.SimpleQueueService.PurgeQueueInProgress",         403),
        InvalidAttributeName(_)          => row(SQS, "InvalidAttributeName",             "InvalidAttributeName",                                400),
        InvalidAttributeValue(_)         => row(SQS, "InvalidAttributeValue",            "InvalidAttributeValue",                               400),
        InvalidMessageContents           => row(SQS, "InvalidMessageContents",           "InvalidMessageContents",                              400),
        ReceiptHandleIsInvalid(_)        => row(SQS, "ReceiptHandleIsInvalid",           "ReceiptHandleIsInvalid",                              404),
        ReceiptHandleOfAnotherQueue(_)   => row(SQS, "ReceiptHandleIsInvalid",           "ReceiptHandleIsInvalid",                              404),
        OverLimit(_)                     => row(SQS, "OverLimit",                        "OverLimit",                                           403),
        KmsNotFound(_)                   => row(SQS, "KmsNotFound",                      "KMS.NotFoundException",                               400),
        KmsDisabled(_)                   => row(SQS, "KmsDisabled",                      "KMS.DisabledException",                               400),
        QueuePaused                      => row(SQS, "RequestThrottled",                 "RequestThrottled",                                    403),
        RequestThrottled(_)              => row(SQS, "RequestThrottled",                 "RequestThrottled",                                    403),
        EmptyBatchRequest(_)             => row(SQS, "EmptyBatchRequest",                "AWS.SimpleQueueService.EmptyBatchRequest",            400),
        TooManyEntriesInBatchRequest(_)  => row(SQS, "TooManyEntriesInBatchRequest",     "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", 400),
        InvalidBatchEntryId              => row(SQS, "InvalidBatchEntryId",              "AWS.SimpleQueueService.InvalidBatchEntryId",          400),
        BatchEntryIdsNotDistinct(_)      => row(SQS, "BatchEntryIdsNotDistinct",         "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",     400),
        BatchRequestTooLong { .. }       => row(SQS, "BatchRequestTooLong",              "AWS.SimpleQueueService.BatchRequestTooLong",          400),
        UnsupportedOperation(_)          => row(SQS, "UnsupportedOperation",             "AWS.SimpleQueueService.UnsupportedOperation",         400),
        ResourceNotFound(_)              => row(SQS, "ResourceNotFoundException",        "ResourceNotFoundException",                           404),
        MoveTaskDoesNotExist             => row(SQS, "ResourceNotFoundException",        "ResourceNotFoundException",                           404),
        MoveTaskIsOver                   => row(SQS, "UnsupportedOperation",             "AWS.SimpleQueueService.UnsupportedOperation",         400),
        InvalidAddress(_)                => row(SQS, "InvalidAddress",                   "InvalidAddress",                                      404),
        InvalidSecurity                  => row(SQS, "InvalidSecurity",                  "InvalidSecurity",                                     403),
        MoveTaskIsRunning                => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        InvalidQueueName                 => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        InvalidFifoQueueName             => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        InvalidParameterValue { .. }     => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        InvalidParameter(_)              => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        ReceiptHandleExpired(_)          => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        MessageNotAvailable(_)           => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        VisibilityBeyondLimit(_)         => row(COMMON, "InvalidParameterValueException",       "InvalidParameterValue",       400),
        MissingParameter { .. }          => row(COMMON, "MissingRequiredParameterException",    "MissingParameter",            400),
        InvalidParameterCombination(_)   => row(COMMON, "InvalidParameterCombinationException", "InvalidParameterCombination", 400),
        UnknownAction(_)                 => row(COMMON, "UnknownOperationException",            "InvalidAction",               400),
        MissingAction                    => row(COMMON, "UnknownOperationException",            "MissingAction",               404),
        MalformedQueryString(_)          => row(COMMON, "MalformedQueryStringException",        "MalformedQueryString",        404),
        MalformedInput(_)                => row(COMMON, "SerializationException",               "MalformedInput",              400),
        AccessDenied(_)                  => row(COMMON, "AccessDeniedException",                "AccessDenied",                403),
        MissingAuthenticationToken       => row(COMMON, "MissingAuthenticationTokenException",  "MissingAuthenticationToken",  403),
        IncompleteSignature(_)           => row(COMMON, "IncompleteSignatureException",         "IncompleteSignature",         400),
        InvalidClientTokenId             => row(COMMON, "UnrecognizedClientException",          "InvalidClientTokenId",        403),
        SignatureDoesNotMatch(_)         => row(COMMON, "InvalidSignatureException",            "SignatureDoesNotMatch",       403),
        SignatureExpired { .. }          => row(COMMON, "InvalidSignatureException",            "SignatureDoesNotMatch",       403),
        SignatureNotYetCurrent { .. }    => row(COMMON, "InvalidSignatureException",            "SignatureDoesNotMatch",       403),
        SignatureNotAcceptable(_)        => row(COMMON, "InvalidSignatureException",            "SignatureDoesNotMatch",       403),
        RequestExpired                   => row(COMMON, "RequestExpired",                       "RequestExpired",              400),
        ExpiredToken                     => row(COMMON, "ExpiredTokenException",                "ExpiredToken",                403),
        ValidationError(_)               => row(STS, "ValidationError",              "ValidationError",            400),
        IdentityTokenExpired { .. }      => row(STS, "ExpiredTokenException",        "ExpiredTokenException",      400),
        InvalidIdentityToken(_)          => row(STS, "InvalidIdentityToken",         "InvalidIdentityToken",       400),
        IdpCommunicationError            => row(STS, "IDPCommunicationError",        "IDPCommunicationError",      400),
        MalformedPolicyDocument(_)       => row(STS, "MalformedPolicyDocument",      "MalformedPolicyDocument",    400),
        PackedPolicyTooLarge(_)          => row(STS, "PackedPolicyTooLarge",         "PackedPolicyTooLarge",       400),
        RequestTimeout(_)                => row(COMMON, "RequestTimeoutException",              "RequestTimeout",              408),
        RequestTooLarge(_)               => row(COMMON, "RequestEntityTooLargeException",       "RequestEntityTooLarge",       413),
        Internal(_)                      => row(COMMON, "InternalFailure",                      "InternalFailure",             500),
        ServiceUnavailable(_)            => row(COMMON, "ServiceUnavailable",                   "ServiceUnavailable",          503),
    }
}

/// What the caller is told. A fault of ours is for the log; the caller has the request id.
pub fn public_text(error: &Error) -> Cow<'static, str> {
    match error {
        Error::Internal(_) => "We encountered an internal error. Please try again.".into(),
        Error::SignatureDoesNotMatch(unmatched) => format!(
            "{error}\n\nThe Canonical String for this request should have been\n'{}'\n\n\
             The String-to-Sign should have been\n'{}'\n",
            unmatched.canonical, unmatched.to_sign
        )
        .into(),
        error => error.to_string().into(),
    }
}

/// What the caller is told over Query, where one text is an older one.
pub fn query_text(error: &Error) -> Cow<'static, str> {
    match error {
        Error::QueueDoesNotExist => {
            "The specified queue does not exist for this wsdl version.".into()
        }
        error => public_text(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_entry_has_the_code_without_its_prefix() {
        #[rustfmt::skip]
        let cases = [
            (Error::ReceiptHandleIsInvalid("x".into()), "ReceiptHandleIsInvalid", true),
            (Error::QueueDoesNotExist,                  "NonExistentQueue",       true),
            (Error::missing("MessageBody"),             "MissingParameter",       true),
            (Error::InvalidMessageContents,             "InvalidMessageContents", true),
            (Error::Internal("disk".into()),            "InternalError",          false),
        ];
        for (error, code, sender) in cases {
            let row = row(&error);
            assert_eq!((row.entry_code(), row.is_sender_fault()), (code, sender));
        }
    }

    #[test]
    fn a_fault_of_ours_keeps_its_cause_to_itself() {
        let error = Error::Internal("/var/lib/stanchion: read-only file system".into());
        assert!(!public_text(&error).contains("read-only"));
        assert_eq!(row(&error).fault(), "Receiver");
    }
}
