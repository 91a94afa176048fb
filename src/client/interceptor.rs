//! [`Interceptor`]: sees each call of a client before it is sent.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::options::CallOptions;
use crate::call::watch::{Watch, panicked};
use crate::call::{CallEnd, CallObserver};
use crate::metadata::Metadata;
use crate::status::Status;

/// Sees each call of a client when it begins. It may refuse the call, add metadata, and attach an observer that sees the call to
/// its end.
///
/// Interceptors run in the order in which they were added, before the call is sent and within its deadline. If one returns an
/// error, the call fails with it without being sent, and the later ones do not see the call. One that panics fails the call with
/// INTERNAL.
///
/// Every function `Fn(&mut CallStart<'_>) -> Result<(), Status>` is an interceptor; [`Client::intercept`](super::Client::intercept)
/// takes a closure without naming the type of its argument.
///
/// ```
/// # async fn example(client: barewire::Client) {
/// let client = client.intercept(|call| {
///     call.metadata_mut().insert("authorization", "Bearer sesame")?;
///     let path = call.path().to_owned();
///     call.on_end(move |end| println!("{path}: {} after {:?}", end.code(), end.elapsed()));
///     Ok(())
/// });
/// # }
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Sees a call that begins. It must not block: [`CallStart::wait_for`] waits.
    ///
    /// # Errors
    ///
    /// The status with which the call fails.
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status>;
}

impl<F: Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static> Interceptor for F {
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status> {
        self(call)
    }
}

/// A call that begins, as an [`Interceptor`] sees it. [`Interceptor`] has an example.
pub struct CallStart<'a> {
    path: &'a str,
    options: &'a mut CallOptions,
    watch: &'a mut Watch,
    /// Metadata that has to be waited for.
    awaited: &'a mut Vec<Awaited>,
}

/// Metadata that an interceptor waits for.
type Awaited = Pin<Box<dyn Future<Output = Result<Metadata, Status>> + Send>>;

impl CallStart<'_> {
    /// Returns the path of the method, `/package.Service/Method`.
    pub fn path(&self) -> &str {
        self.path
    }

    /// Returns the time limit of the call, from its beginning; `None` without one.
    pub fn timeout(&self) -> Option<Duration> {
        self.options.timeout
    }

    /// Returns the initial metadata of the call so far.
    pub fn metadata(&self) -> &Metadata {
        self.options.set_metadata().unwrap_or(Metadata::none())
    }

    /// Returns the initial metadata of the call for changes.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        self.options.metadata_mut()
    }

    /// Attaches an observer, which sees this call to its end.
    pub fn observe(&mut self, observer: impl CallObserver) {
        self.watch.watchers.add(observer);
    }

    /// Calls a function when this call has ended, after the observers. The function that was given last is called first.
    pub fn on_end(&mut self, report: impl FnOnce(&CallEnd<'_>) + Send + 'static) {
        self.watch.add_report(report);
    }

    /// Lets the call wait for metadata, a token from another service for example, before the next interceptor sees it. The
    /// metadata replaces the values that the call has for the same keys; an error fails the call. The call's deadline ends the
    /// wait.
    ///
    /// ```
    /// # use barewire::{Metadata, Status};
    /// async fn token() -> Result<Metadata, Status> {
    ///     // Asks another service.
    ///     let mut metadata = Metadata::new();
    ///     metadata.insert("authorization", "Bearer sesame")?;
    ///     Ok(metadata)
    /// }
    ///
    /// # async fn example(client: barewire::Client) {
    /// let client = client.intercept(|call| {
    ///     call.wait_for(token());
    ///     Ok(())
    /// });
    /// # }
    /// ```
    pub fn wait_for(&mut self, metadata: impl Future<Output = Result<Metadata, Status>> + Send + 'static) {
        self.awaited.push(Box::pin(metadata));
    }
}

impl fmt::Debug for CallStart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStart").field("path", &self.path).field("options", &self.options).finish_non_exhaustive()
    }
}

/// The interceptors of a client, in the order in which they were added.
#[derive(Clone, Default)]
pub(super) struct Interceptors(Arc<Vec<Arc<dyn Interceptor>>>);

impl Interceptors {
    pub(super) fn add(&mut self, interceptor: impl Interceptor) {
        Arc::make_mut(&mut self.0).push(Arc::new(interceptor));
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins to pass a call to the interceptors; [`Interception::begin`] goes on.
    pub(super) fn pass(&self, path: Cow<'static, str>, options: CallOptions) -> Interception<'_> {
        Interception { interceptors: self, seen: 0, path, options, awaited: Vec::new() }
    }
}

/// The way of a call through the interceptors.
pub(super) struct Interception<'a> {
    interceptors: &'a Interceptors,
    /// The number of interceptors that have seen the call.
    seen: usize,
    path: Cow<'static, str>,
    options: CallOptions,
    awaited: Vec<Awaited>,
}

impl Interception<'_> {
    /// Goes on until all interceptors have seen the call or one waits. Adds the observers that they attach to `watch`. Returns
    /// true if one waits: [`Interception::wait`] goes on.
    ///
    /// # Errors
    ///
    /// The status with which an interceptor refuses the call; INTERNAL if one panics.
    pub(super) fn begin(&mut self, watch: &mut Watch) -> Result<bool, Status> {
        while self.awaited.is_empty() {
            let Some(interceptor) = self.interceptors.0.get(self.seen) else { return Ok(false) };
            self.seen += 1;
            let (options, awaited) = (&mut self.options, &mut self.awaited);
            let mut start = CallStart { path: &self.path, options, watch, awaited };
            catch_unwind(AssertUnwindSafe(|| interceptor.begin(&mut start))).unwrap_or_else(|_| Err(panicked()))?;
        }
        Ok(true)
    }

    /// Waits for an interceptor, and goes on until all have seen the call. Errors as [`Interception::begin`].
    pub(super) async fn wait(mut self, watch: &mut Watch) -> Result<CallOptions, Status> {
        loop {
            for awaited in std::mem::take(&mut self.awaited) {
                let metadata = awaited.await?;
                self.options.metadata_mut().replace_by(&metadata);
            }
            if !self.begin(watch)? {
                return Ok(self.options);
            }
        }
    }

    /// Returns the options of a call that all interceptors have seen.
    pub(super) fn into_options(self) -> CallOptions {
        self.options
    }
}
