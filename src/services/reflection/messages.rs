//! The messages of `grpc/reflection/v1/reflection.proto`, which are also those of `v1alpha`.
//!
//! They are written by hand, because generated ones would be twice the same types. A test compares them with
//! `proto/grpc/reflection/`.

use bytes::Bytes;

/// One question about the server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ServerReflectionRequest {
    /// The host that the question is about, for servers that stand for several hosts.
    #[prost(string, tag = "1")]
    pub host: String,
    /// The question.
    #[prost(oneof = "MessageRequest", tags = "3, 4, 5, 6, 7")]
    pub message_request: Option<MessageRequest>,
}

/// A question.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum MessageRequest {
    /// Asks for the file of this name, as imports write it.
    #[prost(string, tag = "3")]
    FileByFilename(String),
    /// Asks for the file that declares this service, method, message, field, enum, value or extension, by its full name.
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    /// Asks for the file that declares an extension.
    #[prost(message, tag = "5")]
    FileContainingExtension(ExtensionRequest),
    /// Asks for the numbers of all extensions of a message, by its full name.
    #[prost(string, tag = "6")]
    AllExtensionNumbersOfType(String),
    /// Asks for the full names of all services; the text has no meaning.
    #[prost(string, tag = "7")]
    ListServices(String),
}

/// An extension, by the message that it extends and its number.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ExtensionRequest {
    /// The full name of the extended message.
    #[prost(string, tag = "1")]
    pub containing_type: String,
    /// The field number of the extension.
    #[prost(int32, tag = "2")]
    pub extension_number: i32,
}

/// The response to a question.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ServerReflectionResponse {
    /// The host of the question.
    #[prost(string, tag = "1")]
    pub valid_host: String,
    /// The question.
    #[prost(message, optional, tag = "2")]
    pub original_request: Option<ServerReflectionRequest>,
    /// The answer, or the reason why the question has none.
    #[prost(oneof = "MessageResponse", tags = "4, 5, 6, 7")]
    pub message_response: Option<MessageResponse>,
}

/// An answer, or the reason why a question has none.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum MessageResponse {
    /// The file, and the files that it imports.
    #[prost(message, tag = "4")]
    FileDescriptorResponse(FileDescriptorResponse),
    /// The numbers of the extensions.
    #[prost(message, tag = "5")]
    AllExtensionNumbersResponse(ExtensionNumberResponse),
    /// The names of the services.
    #[prost(message, tag = "6")]
    ListServicesResponse(ListServiceResponse),
    /// The reason why the question has no answer.
    #[prost(message, tag = "7")]
    ErrorResponse(ErrorResponse),
}

/// Descriptors of files.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FileDescriptorResponse {
    /// Serialized `google.protobuf.FileDescriptorProto`s: the file that the question asked for is the first.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub file_descriptor_proto: Vec<Bytes>,
}

/// The extensions of a message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ExtensionNumberResponse {
    /// The full name of the message.
    #[prost(string, tag = "1")]
    pub base_type_name: String,
    /// The field numbers of its extensions.
    #[prost(int32, repeated, tag = "2")]
    pub extension_number: Vec<i32>,
}

/// The services of the server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListServiceResponse {
    /// One entry for each service.
    #[prost(message, repeated, tag = "1")]
    pub service: Vec<ServiceResponse>,
}

/// A service.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ServiceResponse {
    /// The full name of the service.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The reason why a question has no answer. It does not end the stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ErrorResponse {
    /// The number of a [`Code`](crate::Code).
    #[prost(int32, tag = "1")]
    pub error_code: i32,
    /// The message for people.
    #[prost(string, tag = "2")]
    pub error_message: String,
}
