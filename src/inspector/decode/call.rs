//! The state of a call: its method, its encodings, and the position of each direction.

use std::borrow::Cow;
use std::sync::Arc;

use super::grpc::MessageReader;
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Meaning};
use crate::inspector::model::schema::{MethodTypes, Schema};
use crate::inspector::model::text;

/// An HTTP/2 stream that carries a call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    types: Option<MethodTypes>,
    to_server: CallHalf,
    to_client: CallHalf,
}

/// One direction of a call.
#[derive(Clone, Debug)]
pub(super) struct CallHalf {
    pub(super) messages: MessageReader,
    /// `grpc-encoding`.
    pub(crate) encoding: Option<String>,
    /// True if the content-type is not gRPC, so that the data contain no messages.
    pub(crate) foreign: bool,
    /// True if bytes of the direction were lost, so that message boundaries are unknown.
    pub(crate) lost: bool,
    /// True if END_STREAM was seen, or RST_STREAM.
    pub(crate) ended: bool,
    /// True if its sender has sent RST_STREAM.
    pub(super) reset: bool,
}

impl Call {
    /// Returns a call that begins with a request for `path`.
    pub(crate) fn new(path: &str, schema: &Schema) -> Self {
        let half = CallHalf {
            messages: MessageReader::new(),
            encoding: None,
            foreign: false,
            lost: false,
            ended: false,
            reset: false,
        };
        Self { types: schema.method(path).cloned(), to_server: half.clone(), to_client: half }
    }

    pub(crate) fn half(&self, direction: Direction) -> &CallHalf {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    pub(super) fn half_mut(&mut self, direction: Direction) -> &mut CallHalf {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// Returns the full name of the messages in a direction.
    pub(crate) fn type_name(&self, direction: Direction) -> Option<Arc<str>> {
        self.types.as_ref().map(|types| match direction {
            Direction::ToServer => types.request.clone(),
            Direction::ToClient => types.response.clone(),
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.to_server.ended && self.to_client.ended
    }

    /// Returns the approximate memory used for incomplete messages.
    pub(crate) fn cost(&self) -> usize {
        self.to_server.messages.cost() + self.to_client.messages.cost()
    }
}

impl CallHalf {
    /// Returns the reason why the data are not read as messages, if there is one.
    pub(crate) fn opaque(&self) -> Option<&'static str> {
        match (self.foreign, self.lost, self.reset) {
            (true, ..) => Some("not messages: the content-type is not gRPC"),
            (_, true, _) => Some("message boundaries unknown: earlier bytes were lost"),
            (.., true) => Some("sent after RST_STREAM of the same side"),
            (false, false, false) => None,
        }
    }

    /// Records the properties that the first headers of a direction set for its messages.
    pub(crate) fn open(&mut self, headers: &[HeaderField]) {
        self.encoding = encoding(headers);
        self.foreign = value(headers, "content-type").is_some_and(|content_type| !is_grpc(&content_type));
    }
}

/// Returns `grpc-encoding`, or `None` for identity.
pub(crate) fn encoding(headers: &[HeaderField]) -> Option<String> {
    value(headers, "grpc-encoding").filter(|encoding| encoding != "identity").map(Cow::into_owned)
}

/// Returns true if the block may contain this header with an unknown value.
fn may_hide(headers: &[HeaderField], name: &str) -> bool {
    headers.iter().any(|field| field.name.is_none() || (field.is(name) && field.value.is_none()))
}

/// Classifies a header block in gRPC's grammar, from its headers alone. If a deciding header is unknown, the result is
/// [`Meaning::Headers`].
pub(super) fn classify(headers: &[HeaderField], ends_stream: bool) -> Meaning {
    let grpc_status = value(headers, "grpc-status").map(Cow::into_owned);
    if headers.iter().any(|field| field.is(":method")) {
        return Meaning::RequestHeaders { path: value(headers, ":path").unwrap_or_default().into_owned() };
    }
    match (value(headers, ":status"), grpc_status) {
        (Some(status), _) if status.len() == 3 && status.starts_with('1') => Meaning::Informational,
        (Some(_), Some(status)) if ends_stream => Meaning::TrailersOnly { status },
        (Some(status), _) => match value(headers, "content-type") {
            Some(content_type) if is_grpc(&content_type) && !ends_stream => Meaning::ResponseHeaders,
            None if may_hide(headers, "content-type") => Meaning::Headers,
            _ => Meaning::HttpResponse { status: status.into_owned() },
        },
        (None, None) if may_hide(headers, "grpc-status") => Meaning::Headers,
        (None, status) => Meaning::Trailers { status },
    }
}

/// Returns true for "application/grpc", alone or followed by "+" or ";".
pub(crate) fn is_grpc(content_type: &str) -> bool {
    let rest = content_type.get(..16).filter(|head| head.eq_ignore_ascii_case("application/grpc"));
    rest.is_some() && content_type.get(16..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// Returns the first value of a header as text, if it is known.
pub(crate) fn value<'a>(headers: &'a [HeaderField], name: &str) -> Option<Cow<'a, str>> {
    let field = headers.iter().find(|field| field.is(name))?;
    field.value.as_deref().map(text::plain_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Vec<HeaderField> {
        let field = |(name, value): &(&str, &str)| HeaderField {
            name: Some(name.as_bytes().into()),
            value: Some(value.as_bytes().into()),
            never_indexed: false,
        };
        list.iter().map(field).collect()
    }

    #[test]
    fn every_production_of_the_grammar_is_recognised() {
        let ok = ("grpc-status", "0");
        let grpc = ("content-type", "application/grpc+proto");
        for (list, ends_stream, expected) in [
            (vec![(":method", "POST"), (":path", "/a.B/C")], false, Meaning::RequestHeaders { path: "/a.B/C".into() }),
            (vec![(":status", "103")], false, Meaning::Informational),
            (vec![(":status", "200"), grpc], false, Meaning::ResponseHeaders),
            (vec![(":status", "200"), grpc, ok], true, Meaning::TrailersOnly { status: "0".into() }),
            (vec![(":status", "415")], true, Meaning::HttpResponse { status: "415".into() }),
            (
                vec![(":status", "200"), ("content-type", "text/html")],
                false,
                Meaning::HttpResponse { status: "200".into() },
            ),
            (vec![ok], true, Meaning::Trailers { status: Some("0".into()) }),
            (vec![("a", "b")], true, Meaning::Trailers { status: None }),
        ] {
            assert_eq!(classify(&headers(&list), ends_stream), expected, "{list:?}");
        }
        let unknown = HeaderField { name: None, value: None, never_indexed: false };
        assert_eq!(classify(std::slice::from_ref(&unknown), true), Meaning::Headers);
        let named = |name: &str| HeaderField { name: Some(name.as_bytes().into()), ..unknown.clone() };
        assert_eq!(classify(&[named("grpc-status")], true), Meaning::Headers);
        let status = || headers(&[(":status", "200")]).remove(0);
        assert_eq!(classify(&[status(), unknown.clone()], false), Meaning::Headers);
        assert_eq!(classify(&[status(), named("content-type")], false), Meaning::Headers);
        let foreign = [headers(&[(":status", "200"), ("content-type", "text/html")]), vec![unknown]].concat();
        assert_eq!(classify(&foreign, false), Meaning::HttpResponse { status: "200".into() });
    }

    #[test]
    fn grpc_content_types_are_recognised() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC;charset=utf-8"] {
            assert!(is_grpc(yes), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpcx", "application/json", "", "application/grp"] {
            assert!(!is_grpc(no), "{no}");
        }
    }
}
