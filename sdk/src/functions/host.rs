//! What the user of a function host holds.

use std::ffi::OsString;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::builder::{Config, FunctionHostBuilder};
use super::core::{Input, Rules};
use super::driver::{Driver, Order, Queue};
use super::error::InvokeError;
use super::metrics::FunctionMetrics;

/// Runs a function. It is used within tokio's runtime. Dropped, it kills the function's processes; what they were handling comes again
/// when its visibility timeout ends.
#[derive(Debug)]
pub struct FunctionHost {
    orders: mpsc::Sender<Order>,
    metrics: Arc<FunctionMetrics>,
    is_over: watch::Receiver<bool>,
    _driver: AbortOnDropHandle<()>,
}

impl FunctionHost {
    /// How to make one: the function's name (1 to 64 letters, digits, `-` and `_`), and the program
    /// and its arguments.
    pub fn builder<S: Into<OsString>>(
        name: impl Into<String>,
        command: impl IntoIterator<Item = S>,
    ) -> FunctionHostBuilder {
        FunctionHostBuilder::new(name.into(), command.into_iter().map(Into::into).collect())
    }

    pub(crate) fn run(config: Config, rules: Rules, queue: Option<Queue>) -> FunctionHost {
        let metrics = Arc::new(FunctionMetrics::default());
        let (tell, is_over) = watch::channel(false);
        let (orders, take_orders) = mpsc::channel(64);
        let driver = Driver::new(config, rules, queue, metrics.clone());
        let driver = tokio::spawn(async move {
            driver.run(take_orders).await;
            tell.send_replace(true);
        });
        FunctionHost { orders, metrics, is_over, _driver: AbortOnDropHandle::new(driver) }
    }

    /// Invokes the function with an event of at most 6 MiB of JSON and returns its answer. It goes
    /// before messages of the queue, and waits for a process if it must, behind at most
    /// 1,000 others of 64 MiB in all.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> Result<Bytes, InvokeError> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Invoke(event.into(), reply);
        self.orders.send(order).await.map_err(|_| InvokeError::Stopped)?;
        answer.await.unwrap_or(Err(InvokeError::Stopped))
    }

    /// What it has counted.
    pub fn metrics(&self) -> &Arc<FunctionMetrics> {
        &self.metrics
    }

    /// Receives no more, hands back what no process has begun, and lets the processes finish: at most
    /// the function's timeout.
    pub fn stop(&self) {
        self.order(Input::Stop);
    }

    /// Kills all processes. What they were handling comes again when its visibility timeout ends.
    pub fn stop_now(&self) {
        self.order(Input::StopNow);
    }

    /// Returns when everything has ended.
    pub async fn stopped(&self) {
        // It fails when the driver is gone, and then everything has ended too.
        let _ = self.is_over.clone().wait_for(|is_over| *is_over).await;
    }

    fn order(&self, input: Input) {
        let orders = self.orders.clone();
        // There may be no room just now, and who calls does not wait.
        tokio::spawn(async move { orders.send(Order::Note(input)).await });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_host_that_is_dropped_takes_its_processes_with_it() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        // The shell says who its child is, and waits for it.
        let command = ["sh", "-c", "sleep 1000 & echo $! && wait"];
        let host = FunctionHost::builder("f", command).processes(1, 1).on_log(move |line| {
            seen.lock().unwrap().push(line.text);
        });
        let host = host.start().await.unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        let wait = async |is_true: &dyn Fn() -> bool| {
            while !is_true() {
                assert!(Instant::now() < until, "not in time");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        wait(&|| !lines.lock().unwrap().is_empty()).await;
        let child = format!("/proc/{}/stat", lines.lock().unwrap()[0]);
        assert!(Path::new(&child).exists());
        drop(host);
        // One that nobody waits for stays as a zombie.
        wait(&|| std::fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z "))).await;
    }
}
