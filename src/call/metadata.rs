//! What comes in as header sections on a stream: the first HEADERS of an answer, and trailers. Their metadata is checked against
//! the limits of this side and charged to the connection.
//!
//! PROTOCOL-HTTP2.md, "Responses"; RFC 9113 section 6.5.2 (the size of a list of fields).

use h2::RecvStream;
use http::HeaderMap;

use super::Side;
use super::failure::{ended_over_metadata, is_over_metadata, status_of};
use super::foreign::Foreign;
use super::receive::{Phase, Receiving};
use crate::limits::MAX_METADATA_FIELDS;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::wire::ProtocolError;
use crate::wire::response::{ResponseHead, ResponseHeaders, Trailers};
use crate::wire::section::{Section, SectionLimits, field_size};

impl Receiving {
    /// The limits of metadata on this connection.
    pub(crate) fn section_limits(&self) -> SectionLimits {
        SectionLimits { size: self.blocks.max_metadata_size(), fields: MAX_METADATA_FIELDS }
    }

    /// The first HEADERS have come.
    ///
    /// When the connection is lost right behind Trailers-Only, h2 does not say any more that they had END_STREAM. A status may
    /// stand in headers with END_STREAM only, so one that is followed by nothing but the loss is taken for what it is.
    pub(super) fn begin(&mut self, head: Result<http::Response<RecvStream>, h2::Error>) {
        let (parts, stream) = match head {
            Ok(response) => response.into_parts(),
            Err(error) => return self.fail(self.status_of(&error)),
        };
        let end_stream = stream.is_end_stream();
        let section = if end_stream { Section::Trailing } else { Section::Initial };
        if let Err(error) = self.check(section, field_size(":status", 3), &parts.headers) {
            return self.fail(error.into_status());
        }
        let phase = match ResponseHead::parse(parts.status, parts.headers, end_stream, self.compressors.encodings()) {
            Ok(ResponseHead::Headers(ResponseHeaders { encoding, metadata, has_status, .. })) => {
                self.claimed = has_status.then(|| Box::new(Trailers::parse(metadata.received().clone())));
                self.compressor = self.compressors.get(encoding).cloned();
                match self.budget.charge_answer(metadata.memory()) {
                    Ok(charge) => self.metadata_charge[0] = charge,
                    Err(status) => return self.fail(status),
                }
                self.metadata = Some(Box::new((metadata, Metadata::new())));
                Phase::Messages
            }
            Ok(ResponseHead::TrailersOnly(trailers)) => {
                // Trailers-Only: its metadata is trailing, and there is none before.
                match self.budget.charge_answer(trailers.metadata.memory()) {
                    Ok(charge) => self.metadata_charge[1] = charge,
                    Err(status) => return self.fail(status),
                }
                self.metadata = Some(Box::new((Metadata::new(), trailers.metadata)));
                Phase::Ended(trailers.status)
            }
            Ok(ResponseHead::NotGrpc { status, content_type }) if end_stream => {
                Phase::Ended(Err(Foreign::new(status, content_type).into_status(self.code_of_http_status)))
            }
            Ok(ResponseHead::NotGrpc { status, content_type }) => {
                Phase::Foreign(Box::new(Foreign::new(status, content_type)))
            }
            Err(error) => return self.fail(error.into_status()),
        };
        match phase {
            Phase::Ended(end) => self.over(end),
            phase => self.phase = phase,
        }
        self.stream = Some(stream);
    }

    /// Checks a list of fields that h2 delivered, and whether that is all of it.
    fn check(&self, section: Section, pseudo: usize, fields: &HeaderMap) -> Result<(), ProtocolError> {
        let limits = self.section_limits();
        limits.check(section, pseudo, fields)?;
        if self.has_long_block() { Err(limits.too_large(section)) } else { Ok(()) }
    }

    fn has_long_block(&self) -> bool {
        self.blocks.is_long(|| match (&self.phase, &self.stream) {
            (Phase::Head(response), _) => response.stream_id().into(),
            (_, Some(stream)) => stream.stream_id().into(),
            _ => 0,
        })
    }

    /// See [`status_of`]. Where h2 gave up over metadata, its error blames the peer, and the limit is ours.
    pub(super) fn status_of(&self, error: &h2::Error) -> Status {
        let section = match (&self.phase, self.side) {
            (Phase::Head(_), _) => Section::Initial,
            (_, Side::Client) => Section::Trailing,
            (_, Side::Server) => Section::RequestTrailers,
        };
        let ended = is_over_metadata(error);
        let reset = matches!(self.phase, Phase::Head(_)) && error.is_reset() && error.is_library();
        if (ended || reset) && self.has_long_block() {
            return self.section_limits().too_large(section).into_status();
        }
        match ended {
            true => ended_over_metadata(error, self.side, self.blocks.max_metadata_size()),
            false => status_of(error, self.side),
        }
    }

    /// What the trailers, or their absence, make of the call. A status in them wins over what the HTTP status would mean
    /// (http-grpc-status-mapping.md), but for a success whose messages, not being gRPC's, were read by nobody.
    pub(super) fn end(&mut self, trailers: HeaderMap) -> Result<(), Status> {
        if self.side == Side::Server {
            // gRPC has no use for trailers of a request: they are taken out of h2 and dropped.
            return Ok(self.check(Section::RequestTrailers, 0, &trailers)?);
        }
        self.check(Section::Trailing, 0, &trailers)?;
        if let Phase::Foreign(foreign) = &mut self.phase
            && !foreign.is_ended_by(&trailers)
        {
            return Err(foreign.take().into_status(self.code_of_http_status));
        }
        let trailers = Trailers::parse(trailers);
        self.metadata_charge[1] = self.budget.charge_answer(trailers.metadata.memory())?;
        self.metadata.get_or_insert_default().1 = trailers.metadata;
        trailers.status
    }
}
