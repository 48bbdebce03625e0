//! GetQueueUrl.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::model::queue::{AccountId, QueueKey, QueueName};

/// Finds a queue by its name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueUrl {
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

/// The URL of one queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueUrlOutput {
    /// As the client of this request can use it.
    pub queue_url: String,
}

impl Action for GetQueueUrl {
    const NAME: &'static str = "GetQueueUrl";
    const PERMISSION: Permission = Permission::sqs("GetQueueUrl");
    type Output = QueueUrlOutput;

    async fn run(self, call: &Call<'_>) -> Result<QueueUrlOutput, Error> {
        // A name that no queue can have, or an owner that is no account, is a queue that does not
        // exist.
        let name = required_name(self.queue_name)?;
        let name = QueueName::parse(&name).map_err(|_| Error::QueueDoesNotExist)?;
        let account = match self.owner.filter(|owner| !owner.is_empty()) {
            Some(owner) => AccountId::parse(&owner).ok_or(Error::QueueDoesNotExist)?,
            None => call.account.clone(),
        };
        let key = QueueKey { account, region: call.region.clone(), name };
        let queue = call.find(call.permission, &key)?;
        Ok(QueueUrlOutput { queue_url: call.queue_url(&queue.key) })
    }
}

/// A `QueueName` that is missing is an invalid value rather than a missing one (facts sheet, 2.1).
pub fn required_name(name: Option<String>) -> Result<String, Error> {
    name.filter(|name| !name.is_empty()).ok_or(Error::InvalidParameter(
        "Value for parameter QueueName is invalid. Reason: Must specify a queue name.".into(),
    ))
}
