//! How members of inputs and outputs are called in the flattened form of Query. Source: facts
//! sheet, 1.7 and 1.8.

/// A member that is a list or a map, of which Query writes each element by itself.
struct Member {
    /// As in AWS JSON.
    name: &'static str,
    /// What one element is called.
    element: &'static str,
    /// Of a map: what the keys are called.
    key: Option<&'static str>,
}

#[rustfmt::skip]
const MEMBERS: &[Member] = &[
    Member { name: "Attributes",                  element: "Attribute",                  key: Some("Name") },
    Member { name: "MessageAttributes",           element: "MessageAttribute",           key: Some("Name") },
    Member { name: "MessageSystemAttributes",     element: "MessageSystemAttribute",     key: Some("Name") },
    Member { name: "Tags",                        element: "Tag",                        key: Some("Key") },
    Member { name: "TagKeys",                     element: "TagKey",                     key: None },
    Member { name: "AttributeNames",              element: "AttributeName",              key: None },
    Member { name: "MessageSystemAttributeNames", element: "MessageSystemAttributeName", key: None },
    Member { name: "MessageAttributeNames",       element: "MessageAttributeName",       key: None },
    Member { name: "StringListValues",            element: "StringListValue",            key: None },
    Member { name: "BinaryListValues",            element: "BinaryListValue",            key: None },
    Member { name: "AWSAccountIds",               element: "AWSAccountId",               key: None },
    Member { name: "Actions",                     element: "ActionName",                 key: None },
    Member { name: "QueueUrls",                   element: "QueueUrl",                   key: None },
    Member { name: "queueUrls",                   element: "QueueUrl",                   key: None },
    Member { name: "Messages",                    element: "Message",                    key: None },
    Member { name: "Failed",                      element: "BatchResultErrorEntry",      key: None },
];

/// What the member of an input is called that a parameter's first part means.
pub(super) fn of_parameter(part: &str) -> &str {
    match part {
        // The only element that is also a member of its own.
        "QueueUrl" => part,
        _ if part.ends_with("BatchRequestEntry") => "Entries",
        _ => MEMBERS.iter().find(|member| member.element == part).map_or(part, |m| m.name),
    }
}

/// What each element of a list of an action's output is called.
pub(super) fn element(action: &str, member: &str) -> String {
    match MEMBERS.iter().find(|known| known.name == member) {
        Some(known) => known.element.into(),
        // `Successful` of batches, `Results` of listings.
        None => format!("{action}ResultEntry"),
    }
}

/// What the keys of a member are called that is a map; `None` where it is a structure.
pub(super) fn key(member: &str) -> Option<&'static str> {
    MEMBERS.iter().find(|known| known.name == member)?.key
}
