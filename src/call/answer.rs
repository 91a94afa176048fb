//! Reads the response to a client's call: its headers, its messages (a [`Body`]), and the trailers that end the call.
//!
//! ```text
//!   Head ── Response-Headers ──────▶ Messages ── trailers ──▶ the body has ended
//!        ── not gRPC's, more comes ▶ Foreign  ── trailers, or enough of the body ──▶ the body has failed
//!        ── Trailers-Only ──────────────────────────────────▶ the body has ended
//! ```
//!
//! PROTOCOL-HTTP2.md, "Responses"; http-grpc-status-mapping.md.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use http::HeaderMap;

use super::body::{Body, Next, Receive};
use super::budget::Charge;
use super::compress::Compressors;
use super::envelope::CallMetadata;
use super::failure::{check_section, status_of_stream};
use super::foreign::Foreign;
use super::link::Link;
use crate::limits::MAX_INFORMATIONAL;
use crate::metadata::Metadata;
use crate::status::{Code, Status};
use crate::wire::ProtocolError;
use crate::wire::response::{ResponseHead, ResponseHeaders, Trailers};
use crate::wire::section::{Section, field_size};

/// The receiving half of a client's call.
pub(crate) struct Answer {
    body: Body,
    stage: Stage,
    /// The number of informational responses (1xx) so far.
    informational: u32,
    /// The compressors that decompress the response's messages.
    compressors: Compressors,
    /// Maps the HTTP status of a response that is not gRPC to a code.
    code_of_http_status: fn(u16) -> Code,
    /// Trailers that came in headers whose END_STREAM h2 has not reported, see [`Answer::begin`].
    claimed: Option<Box<Trailers>>,
    /// The initial and the trailing metadata, each once it has arrived.
    metadata: Option<Box<CallMetadata>>,
    /// The charges for the initial and the trailing metadata.
    charges: [Charge; 2],
    /// Counts this call as open, if keepalive counts calls.
    _counted: Option<Arc<()>>,
}

/// The part of the response that is read next.
enum Stage {
    /// The first HEADERS have not arrived.
    Head(ResponseFuture),
    /// Messages and trailers follow.
    Messages,
    /// DATA and trailers follow, but the response is not gRPC.
    Foreign(Box<Foreign>),
}

impl Answer {
    /// Creates the response to a request. Its messages have at most `limit` bytes each and may be compressed by one of
    /// `compressors`.
    pub(crate) fn new(
        response: ResponseFuture,
        limit: usize,
        compressors: Compressors,
        code_of_http_status: fn(u16) -> Code,
        link: Arc<Link>,
        counted: Option<Arc<()>>,
    ) -> Answer {
        Answer {
            body: Body::new(None, limit, link),
            stage: Stage::Head(response),
            informational: 0,
            compressors,
            code_of_http_status,
            claimed: None,
            metadata: None,
            charges: Default::default(),
            _counted: counted,
        }
    }

    /// Returns the initial metadata, once it has arrived.
    pub(crate) fn initial_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_deref().map(|metadata| &metadata.initial)
    }

    /// Returns the trailing metadata, once it has arrived.
    pub(crate) fn trailing_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_deref().map(|metadata| &metadata.trailing)
    }

    /// Takes the metadata of a response that has ended.
    pub(crate) fn take_metadata(&mut self) -> Option<Box<CallMetadata>> {
        self.metadata.take()
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Stage::Head(response) = &mut self.stage else { return Poll::Ready(()) };
        if self.body.link().blocks.has_informational() {
            // Read here because h2 drops them uncounted when it is polled for the response.
            while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                self.informational += 1;
                if self.informational > MAX_INFORMATIONAL {
                    let error = ProtocolError::TooManyInformational { limit: MAX_INFORMATIONAL };
                    self.fail(error.into_status());
                    return Poll::Ready(());
                }
            }
        }
        let stream = response.stream_id().into();
        let head = ready!(Pin::new(response).poll(cx));
        if let Err(status) = self.begin(head, stream) {
            self.fail(status);
        }
        Poll::Ready(())
    }

    /// Reads the first HEADERS.
    ///
    /// If the connection is lost right after a Trailers-Only response, h2 does not report its END_STREAM. Only headers with
    /// END_STREAM may carry a status. So headers that carry one and are followed only by the loss are read as Trailers-Only.
    ///
    /// # Errors
    ///
    /// Returns the status to fail the call with if the response is refused.
    fn begin(&mut self, head: Result<http::Response<RecvStream>, h2::Error>, id: u32) -> Result<(), Status> {
        let link = self.body.link();
        let head = head.map_err(|error| status_of_stream(&error, link, Section::Initial, id))?;
        let (parts, stream) = head.into_parts();
        let end_stream = stream.is_end_stream();
        let section = if end_stream { Section::Trailing } else { Section::Initial };
        check_section(link, section, field_size(":status", 3), &parts.headers, id)?;
        match ResponseHead::parse(parts.status, parts.headers, end_stream, self.compressors.encodings())? {
            ResponseHead::Headers(ResponseHeaders { encoding, mut metadata, has_status, .. }) => {
                self.claimed = has_status.then(|| Box::new(Trailers::parse(metadata.received().clone())));
                self.charges[0] = link.budget.charge_answer(metadata.memory())?;
                self.body.watchers.initial_received(&mut metadata)?;
                self.body.set_compressor(self.compressors.get(encoding).cloned());
                self.metadata.get_or_insert_default().initial = metadata;
                self.stage = Stage::Messages;
            }
            ResponseHead::TrailersOnly(trailers) => self.end_with(trailers)?,
            ResponseHead::NotGrpc { status, content_type } => {
                let foreign = Foreign::new(status, content_type);
                if end_stream {
                    self.body.end_with(Err(foreign.into_status(self.code_of_http_status)));
                } else {
                    self.stage = Stage::Foreign(Box::new(foreign));
                }
            }
        }
        self.body.set_stream(stream);
        Ok(())
    }

    /// Ends the call with the status in its trailers.
    ///
    /// # Errors
    ///
    /// RESOURCE_EXHAUSTED if the connection has no memory left for their metadata.
    fn end_with(&mut self, trailers: Trailers) -> Result<(), Status> {
        self.charges[1] = self.body.link().budget.charge_answer(trailers.metadata.memory())?;
        self.metadata.get_or_insert_default().trailing = trailers.metadata;
        self.body.end_with(trailers.status);
        Ok(())
    }

    /// Ends the call after its last DATA. A status in the trailers takes precedence over the HTTP status
    /// (http-grpc-status-mapping.md). The exception is OK after a body that was not gRPC: nothing read its messages.
    fn end(&mut self, trailers: HeaderMap) {
        let ended = match self.body.check(Section::Trailing, &trailers) {
            Err(status) => Err(status),
            Ok(()) => match &mut self.stage {
                Stage::Foreign(foreign) if !foreign.is_ended_by(&trailers) => {
                    Err(foreign.take().into_status(self.code_of_http_status))
                }
                _ => self.end_with(Trailers::parse(trailers)),
            },
        };
        if let Err(status) = ended {
            self.body.end_with(Err(status));
        }
    }

    fn push(&mut self, data: Bytes) {
        self.claimed = None;
        let Stage::Foreign(foreign) = &mut self.stage else { return self.body.push(data) };
        self.body.drop_data(&data);
        if foreign.push(&data) {
            self.body.fail(foreign.take().into_status(self.code_of_http_status));
        }
    }

    fn lose(&mut self, error: &h2::Error) {
        let lost = match self.claimed.take() {
            Some(trailers) if !error.is_reset() => {
                self.metadata = None;
                self.end_with(*trailers)
            }
            _ => Err(self.body.status_of(error, Section::Trailing)),
        };
        if let Err(status) = lost {
            self.body.end_with(Err(status));
        }
    }
}

impl Receive for Answer {
    fn body(&mut self) -> &mut Body {
        &mut self.body
    }

    fn abandon(&mut self) {
        // Drops the response future, which would keep the stream open.
        self.stage = Stage::Messages;
        self.body.abandon();
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.stage, Stage::Head(_)) {
            return self.poll_head(cx);
        }
        match ready!(self.body.poll_stream(cx)) {
            Next::Data(data) => self.push(data),
            Next::End(trailers) => self.end(trailers),
            Next::Failed(error) => self.lose(&error),
        }
        Poll::Ready(())
    }
}
