//! What is known of a call while its frames pass: its method, its encodings, and where each direction is.

use std::borrow::Cow;
use std::sync::Arc;

use super::grpc::MessageReader;
use crate::inspector::model::frame::HeaderField;
use crate::inspector::model::frame::{Direction, Meaning};
use crate::inspector::model::schema::{MethodTypes, Schema};
use crate::inspector::model::text;

/// One stream of HTTP/2 that carries a call.
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
    /// The content-type is not one of gRPC, so that the data are not messages.
    pub(crate) foreign: bool,
    /// Bytes of the direction were lost, so that it is not known where messages begin.
    pub(crate) lost: bool,
    /// END_STREAM was seen.
    pub(crate) ended: bool,
}

impl Call {
    /// A call that begins with a request for `path`.
    pub(crate) fn new(path: &str, schema: &Schema) -> Self {
        let half =
            CallHalf { messages: MessageReader::new(), encoding: None, foreign: false, lost: false, ended: false };
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

    /// The full name of the messages that flow in a direction.
    pub(crate) fn type_name(&self, direction: Direction) -> Option<Arc<str>> {
        self.types.as_ref().map(|types| match direction {
            Direction::ToServer => types.request.clone(),
            Direction::ToClient => types.response.clone(),
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.to_server.ended && self.to_client.ended
    }

    /// The memory that is held for messages that are not complete.
    pub(crate) fn cost(&self) -> usize {
        self.to_server.messages.cost() + self.to_client.messages.cost()
    }
}

impl CallHalf {
    /// Why the data are not read as messages, if they are not.
    pub(crate) fn opaque(&self) -> Option<&'static str> {
        match (self.foreign, self.lost) {
            (true, _) => Some("not messages: the content-type is another"),
            (_, true) => Some("bytes before are lost: where messages begin is not known"),
            (false, false) => None,
        }
    }

    /// Notes what the headers that open a direction say of its messages.
    pub(crate) fn open(&mut self, headers: &[HeaderField]) {
        self.encoding = encoding(headers);
        self.foreign = value(headers, "content-type").is_some_and(|content_type| !is_grpc(&content_type));
    }
}

/// `grpc-encoding`, unless it changes nothing.
pub(crate) fn encoding(headers: &[HeaderField]) -> Option<String> {
    value(headers, "grpc-encoding").filter(|encoding| encoding != "identity").map(Cow::into_owned)
}

/// Whether a header may be there whose value is not known.
fn may_hide(headers: &[HeaderField], name: &str) -> bool {
    headers.iter().any(|field| field.name.is_none() || (field.is(name) && field.value.is_none()))
}

/// Which production of gRPC's grammar a header block is, from its headers alone. Where what decides it is not known, it is
/// no more than headers.
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

/// "application/grpc", alone or continued with "+" or ";".
pub(crate) fn is_grpc(content_type: &str) -> bool {
    let rest = content_type.get(..16).filter(|head| head.eq_ignore_ascii_case("application/grpc"));
    rest.is_some() && content_type.get(16..).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The first value of a header as a text, if it is known.
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
    fn every_production_of_the_grammar() {
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
    fn content_types_of_grpc() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC;charset=utf-8"] {
            assert!(is_grpc(yes), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpcx", "application/json", "", "application/grp"] {
            assert!(!is_grpc(no), "{no}");
        }
    }
}
