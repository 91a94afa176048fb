//! The three code tables: HTTP status → [`Code`], HTTP/2 error → [`Code`], [`Code`] → HTTP/2 error.
//!
//! Sources: http-grpc-status-mapping.md; PROTOCOL-HTTP2.md, "Errors". A server never maps a code to an HTTP status: a gRPC
//! response has HTTP status 200, whatever its code.

use super::http2::Http2Error;
use crate::code::Code;

/// Returns the code of a response without `grpc-status` from its HTTP status (http-grpc-status-mapping.md).
///
/// If `grpc-status` is present, that is the code and this table is not used.
pub fn code_of_http_status(status: u16) -> Code {
    match status {
        400 | 431 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Returns the code of a stream that the peer reset with this error (PROTOCOL-HTTP2.md, "Errors").
///
/// The document has no mapping for STREAM_CLOSED, because it can't be reported to an open stream; here it is INTERNAL, as in
/// grpc-go. HTTP_1_1_REQUIRED and numbers without a name are UNKNOWN.
pub fn code_of_http2_error(error: Http2Error) -> Code {
    match error {
        Http2Error::NO_ERROR
        | Http2Error::PROTOCOL_ERROR
        | Http2Error::INTERNAL_ERROR
        | Http2Error::FLOW_CONTROL_ERROR
        | Http2Error::SETTINGS_TIMEOUT
        | Http2Error::STREAM_CLOSED
        | Http2Error::FRAME_SIZE_ERROR
        | Http2Error::COMPRESSION_ERROR
        | Http2Error::CONNECT_ERROR => Code::Internal,
        Http2Error::REFUSED_STREAM => Code::Unavailable,
        Http2Error::CANCEL => Code::Cancelled,
        Http2Error::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
        Http2Error::INADEQUATE_SECURITY => Code::PermissionDenied,
        _ => Code::Unknown,
    }
}

/// Returns the error for RST_STREAM when a call must end with this code and trailers can't be sent: the error that
/// [`code_of_http2_error`] maps back to the code if one does, CANCEL for an expired deadline, INTERNAL_ERROR otherwise.
pub fn http2_error_of_code(code: Code) -> Http2Error {
    match code {
        Code::Ok => Http2Error::NO_ERROR,
        Code::Cancelled | Code::DeadlineExceeded => Http2Error::CANCEL,
        Code::Unavailable => Http2Error::REFUSED_STREAM,
        Code::ResourceExhausted => Http2Error::ENHANCE_YOUR_CALM,
        Code::PermissionDenied => Http2Error::INADEQUATE_SECURITY,
        _ => Http2Error::INTERNAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_errors_map_to_the_published_codes() {
        let expected = [
            Code::Internal,          // NO_ERROR
            Code::Internal,          // PROTOCOL_ERROR
            Code::Internal,          // INTERNAL_ERROR
            Code::Internal,          // FLOW_CONTROL_ERROR
            Code::Internal,          // SETTINGS_TIMEOUT
            Code::Internal,          // STREAM_CLOSED
            Code::Internal,          // FRAME_SIZE_ERROR
            Code::Unavailable,       // REFUSED_STREAM
            Code::Cancelled,         // CANCEL
            Code::Internal,          // COMPRESSION_ERROR
            Code::Internal,          // CONNECT_ERROR
            Code::ResourceExhausted, // ENHANCE_YOUR_CALM
            Code::PermissionDenied,  // INADEQUATE_SECURITY
            Code::Unknown,           // HTTP_1_1_REQUIRED
            Code::Unknown,           // 0xe: no such error
        ];
        for (number, code) in (0..).zip(expected) {
            assert_eq!(code_of_http2_error(Http2Error(number)), code, "{}", Http2Error(number));
        }
    }

    #[test]
    fn code_survives_a_reset_where_the_table_allows_it() {
        for code in Code::all().filter(|code| *code != Code::Ok) {
            let back = code_of_http2_error(http2_error_of_code(code));
            match code {
                Code::Cancelled | Code::Unavailable | Code::ResourceExhausted | Code::PermissionDenied => {
                    assert_eq!(back, code)
                }
                Code::DeadlineExceeded => assert_eq!(back, Code::Cancelled),
                _ => assert_eq!(back, Code::Internal),
            }
        }
    }
}
