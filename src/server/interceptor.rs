//! [`Interceptor`]: sees each call of a server before its handler, and may answer it.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;

use super::arrival::Refused;
use crate::call::watch::{Watch, panicked};
use crate::call::{CallEnd, CallObserver, Context};
use crate::status::Status;

/// Sees each call of a server when it begins: also calls of unknown methods and requests that the server refuses. It may
/// answer the call, attach values for the handler, and attach an observer that sees the call to its end.
///
/// Interceptors run in the order in which they were added, before the request's messages are read. The first one that returns
/// an error answers the call with it, and the later ones do not see that call. One that panics fails the call with INTERNAL.
///
/// Every function `Fn(&mut CallStart<'_>) -> Result<(), Status>` is an interceptor; [`Server::intercept`](super::Server::intercept)
/// takes a closure without naming the type of its argument.
///
/// ```
/// use barewire::call::{CallEnd, CallObserver};
/// use barewire::server::{CallStart, Interceptor};
/// use barewire::{Router, Server, Status};
///
/// /// Prints one line for each call.
/// struct Log;
///
/// /// The state of one call.
/// struct Line(String);
///
/// impl Interceptor for Log {
///     fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status> {
///         call.observe(Line(format!("{} from {}", call.path(), call.peer().address)));
///         Ok(())
///     }
/// }
///
/// impl CallObserver for Line {
///     fn end(&mut self, end: &CallEnd<'_>) {
///         println!("{}: {} after {:?} ({:?})", self.0, end.code(), end.elapsed(), end.reason());
///     }
/// }
///
/// let server = Server::new(Router::new(())).interceptor(Log).intercept(|call| match call.metadata().get("authorization") {
///     Some("Bearer sesame") => Ok(()),
///     _ => Err(Status::unauthenticated("a Bearer token is required")),
/// });
/// ```
pub trait Interceptor: Send + Sync + 'static {
    /// Sees a call that begins. It runs on the connection's task and must not block: [`CallStart::wait_for`] waits.
    ///
    /// # Errors
    ///
    /// The status with which the call is answered.
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status>;
}

impl<F: Fn(&mut CallStart<'_>) -> Result<(), Status> + Send + Sync + 'static> Interceptor for F {
    fn begin(&self, call: &mut CallStart<'_>) -> Result<(), Status> {
        self(call)
    }
}

/// A call that begins, as an [`Interceptor`] sees it. Dereferences to its [`Context`]: path, metadata, peer, deadline,
/// extensions. [`Interceptor`] has an example.
pub struct CallStart<'a> {
    context: &'a mut Context,
    refusal: Option<&'a Status>,
    watch: &'a mut Watch,
    progress: &'a mut Progress,
}

/// Attaches the value that a decision found to the call.
type Attach = Box<dyn FnOnce(&mut Extensions) + Send>;

/// A decision that has to wait.
type Decision = Pin<Box<dyn Future<Output = Result<Attach, Status>> + Send>>;

impl CallStart<'_> {
    /// Returns the attributes of the call for changes.
    pub fn context_mut(&mut self) -> &mut Context {
        self.context
    }

    /// Returns the values attached to this call for changes; the handler sees them in
    /// [`Request::extensions`](crate::Request::extensions).
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.context.extensions_mut()
    }

    /// Returns the status with which the server is about to refuse this call; `None` if it has a handler that is about to run.
    /// The code is UNIMPLEMENTED for an unknown method. The server sends this status unless an interceptor returns another
    /// error; a request that is not gRPC gets an HTTP status in any case. The values of refused requests are unchecked.
    pub fn refusal(&self) -> Option<&Status> {
        self.refusal
    }

    /// Attaches an observer, which sees this call to its end.
    pub fn observe(&mut self, observer: impl CallObserver) {
        self.watch.watchers.add(observer);
    }

    /// Calls a function when this call has ended, after the observers. The function that was given last is called first.
    ///
    /// ```
    /// # use barewire::{Router, Server};
    /// let server = Server::new(Router::new(())).intercept(|call| {
    ///     let path = call.path().to_owned();
    ///     call.on_end(move |end| println!("{path}: {}", end.code()));
    ///     Ok(())
    /// });
    /// ```
    pub fn on_end(&mut self, report: impl FnOnce(&CallEnd<'_>) + Send + 'static) {
        self.watch.add_report(report);
    }

    /// Limits the time of the call, from now. An earlier deadline of the client stays as it is.
    pub fn limit_time(&mut self, time: Duration) {
        if let Some(limit) = Instant::now().checked_add(time) {
            self.context.deadline = Some(self.context.deadline.map_or(limit, |deadline| deadline.min(limit)));
            self.progress.limits_time = true;
        }
    }

    /// Lets the call wait until `decision` is ready, before the next interceptor sees it. The value is attached to the call's
    /// extensions; an error answers the call. The deadline of the call, its cancellation and the shutdown of the server end the
    /// wait. Meanwhile the request's messages are buffered as its window allows.
    ///
    /// ```
    /// # use barewire::{Router, Server, Status};
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// async fn user_of(token: String) -> Result<User, Status> {
    ///     // Asks another service.
    /// #   Ok(User(token))
    /// }
    ///
    /// let server = Server::new(Router::new(())).intercept(|call| {
    ///     let token = call.metadata().get("authorization").unwrap_or_default().to_owned();
    ///     call.wait_for(user_of(token));
    ///     Ok(())
    /// });
    /// ```
    pub fn wait_for<T: Clone + Send + Sync + 'static>(
        &mut self,
        decision: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) {
        let earlier = self.progress.decision.take();
        self.progress.decision = Some(Box::pin(async move {
            let attach_earlier = match earlier {
                Some(earlier) => Some(earlier.await?),
                None => None,
            };
            let value = decision.await?;
            let attach: Attach = Box::new(move |extensions| {
                if let Some(attach) = attach_earlier {
                    attach(extensions);
                }
                extensions.insert(value);
            });
            Ok(attach)
        }));
    }
}

impl Deref for CallStart<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.context
    }
}

impl fmt::Debug for CallStart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStart").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The interceptors of a server, in the order in which they were added.
#[derive(Default)]
pub(super) struct Interceptors(Vec<Box<dyn Interceptor>>);

impl Interceptors {
    pub(super) fn add(&mut self, interceptor: impl Interceptor) {
        self.0.push(Box::new(interceptor));
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The way of a call through the interceptors.
pub(super) struct Interception {
    /// The number of interceptors that have seen the call.
    seen: usize,
    progress: Progress,
    /// The status of a call that gets no handler.
    refusal: Option<Status>,
}

/// The changes that interceptors ask for.
#[derive(Default)]
struct Progress {
    decision: Option<Decision>,
    /// True if the deadline was changed.
    limits_time: bool,
}

impl Interception {
    pub(super) fn new(refused: Option<&Refused>) -> Interception {
        Interception { seen: 0, progress: Progress::default(), refusal: refused.map(Refused::status) }
    }

    /// Returns true if an interceptor changed the deadline.
    pub(super) fn limits_time(&self) -> bool {
        self.progress.limits_time
    }

    /// Ready when all interceptors have seen the call, or one has answered it.
    ///
    /// # Errors
    ///
    /// The status of the answer; INTERNAL if an interceptor panics.
    pub(super) fn poll(
        &mut self,
        cx: &mut std::task::Context<'_>,
        context: &mut Context,
        watch: &mut Watch,
        interceptors: &Interceptors,
    ) -> Poll<Result<(), Status>> {
        loop {
            if let Some(decision) = &mut self.progress.decision {
                let decided = catch_unwind(AssertUnwindSafe(|| decision.as_mut().poll(cx)));
                match decided {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(attach)) => attach?(&mut context.extensions),
                    Err(_) => return Poll::Ready(Err(panicked())),
                }
                self.progress.decision = None;
            }
            let Some(interceptor) = interceptors.0.get(self.seen) else { return Poll::Ready(Ok(())) };
            self.seen += 1;
            let (refusal, progress) = (self.refusal.as_ref(), &mut self.progress);
            let mut start = CallStart { context, refusal, watch, progress };
            catch_unwind(AssertUnwindSafe(|| interceptor.begin(&mut start))).unwrap_or_else(|_| Err(panicked()))?;
        }
    }
}
