//! Compares the messages that are written by hand with the descriptors of `proto/`, as reflection serves them.

use std::collections::BTreeMap;

use barewire::error_details as rpc;
use barewire::services::health::messages as health;
use barewire::services::reflection::Reflection;
use barewire::services::reflection::messages as reflection;
use barewire::{Router, Status};
use prost::Message;
use prost::encoding::{WireType, decode_key, skip_field};
use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

use super::reflection::Questions;
use super::server::Running;

/// Returns the numbers and wire types of the fields of an encoded message.
fn fields_on_the_wire(messages: &[Vec<u8>]) -> BTreeMap<u32, WireType> {
    let mut fields = BTreeMap::new();
    for message in messages {
        let mut rest = &message[..];
        while !rest.is_empty() {
            let (number, wire_type) = decode_key(&mut rest).expect("a key");
            skip_field(wire_type, number, &mut rest, Default::default()).expect("a value");
            fields.insert(number, wire_type);
        }
    }
    fields
}

/// Returns the messages of a file by their names within its package, those for the entries of maps left out.
fn declared(prefix: &str, messages: &[DescriptorProto]) -> BTreeMap<String, BTreeMap<u32, WireType>> {
    let mut all = BTreeMap::new();
    for message in
        messages.iter().filter(|message| !message.options.as_ref().is_some_and(|options| options.map_entry()))
    {
        let name = format!("{prefix}{}", message.name());
        all.extend(declared(&format!("{name}."), &message.nested_type));
        let fields = message.field.iter().map(|field| {
            let is_number = !matches!(field.r#type(), Type::String | Type::Bytes | Type::Message);
            // Repeated numbers are packed.
            let is_varint = is_number && field.label() != Label::Repeated;
            (field.number() as u32, if is_varint { WireType::Varint } else { WireType::LengthDelimited })
        });
        all.insert(name, fields.collect());
    }
    all
}

fn bytes(messages: impl IntoIterator<Item = impl Message>) -> Vec<Vec<u8>> {
    messages.into_iter().map(|message| message.encode_to_vec()).collect()
}

fn text() -> String {
    "x".to_owned()
}

/// Every message with all its fields set, by name; a message with a oneof comes several times.
fn all(package: &str) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    use reflection::{MessageRequest as Question, MessageResponse as Answer};
    if package == "grpc.health.v1" {
        let response = health::HealthCheckResponse::from(health::ServingStatus::Serving);
        return vec![
            ("HealthCheckRequest", bytes([health::HealthCheckRequest { service: text() }])),
            ("HealthCheckResponse", bytes([response])),
            ("HealthListRequest", bytes([health::HealthListRequest {}])),
            ("HealthListResponse", bytes([health::HealthListResponse { statuses: [(text(), response)].into() }])),
        ];
    }
    if package == "google.rpc" {
        return all_details();
    }
    let extension = reflection::ExtensionRequest { containing_type: text(), extension_number: 1 };
    let files = reflection::FileDescriptorResponse { file_descriptor_proto: vec!["x".into()] };
    let numbers = reflection::ExtensionNumberResponse { base_type_name: text(), extension_number: vec![1] };
    let service = reflection::ServiceResponse { name: text() };
    let services = reflection::ListServiceResponse { service: vec![service.clone()] };
    let error = reflection::ErrorResponse { error_code: 1, error_message: text() };
    let questions = [
        Question::FileByFilename(text()),
        Question::FileContainingSymbol(text()),
        Question::FileContainingExtension(extension.clone()),
        Question::AllExtensionNumbersOfType(text()),
        Question::ListServices(text()),
    ];
    let questions =
        questions.map(|question| reflection::ServerReflectionRequest { host: text(), message_request: Some(question) });
    let answers = [
        Answer::FileDescriptorResponse(files.clone()),
        Answer::AllExtensionNumbersResponse(numbers.clone()),
        Answer::ListServicesResponse(services.clone()),
        Answer::ErrorResponse(error.clone()),
    ];
    let answers = answers.map(|answer| reflection::ServerReflectionResponse {
        valid_host: text(),
        original_request: Some(questions[0].clone()),
        message_response: Some(answer),
    });
    vec![
        ("ServerReflectionRequest", bytes(questions)),
        ("ExtensionRequest", bytes([extension])),
        ("ServerReflectionResponse", bytes(answers)),
        ("FileDescriptorResponse", bytes([files])),
        ("ExtensionNumberResponse", bytes([numbers])),
        ("ListServiceResponse", bytes([services])),
        ("ServiceResponse", bytes([service])),
        ("ErrorResponse", bytes([error])),
    ]
}

fn all_details() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let any = rpc::Any { type_url: text(), value: vec![1] };
    let localized = rpc::LocalizedMessage { locale: text(), message: text() };
    let quota = rpc::QuotaViolation {
        subject: text(),
        description: text(),
        api_service: text(),
        quota_metric: text(),
        quota_id: text(),
        quota_dimensions: [(text(), text())].into(),
        quota_value: 1,
        future_quota_value: Some(0),
    };
    let precondition = rpc::PreconditionViolation { r#type: text(), subject: text(), description: text() };
    let field = rpc::FieldViolation {
        field: text(),
        description: text(),
        reason: text(),
        localized_message: Some(localized.clone()),
    };
    let resource =
        rpc::ResourceInfo { resource_type: text(), resource_name: text(), owner: text(), description: text() };
    vec![
        ("Status", bytes([rpc::RpcStatus { code: 1, message: text(), details: vec![any] }])),
        ("ErrorInfo", bytes([rpc::ErrorInfo::new("x", "x").entry("x", "x")])),
        ("RetryInfo", bytes([rpc::RetryInfo::after(std::time::Duration::from_secs(1))])),
        ("DebugInfo", bytes([rpc::DebugInfo { stack_entries: vec![text()], detail: text() }])),
        ("QuotaFailure", bytes([rpc::QuotaFailure::new().violation("x", "x")])),
        ("QuotaFailure.Violation", bytes([quota])),
        ("PreconditionFailure", bytes([rpc::PreconditionFailure::new().violation("x", "x", "x")])),
        ("PreconditionFailure.Violation", bytes([precondition])),
        ("BadRequest", bytes([rpc::BadRequest::new().violation("x", "x")])),
        ("BadRequest.FieldViolation", bytes([field])),
        ("RequestInfo", bytes([rpc::RequestInfo { request_id: text(), serving_data: text() }])),
        ("ResourceInfo", bytes([resource])),
        ("Help", bytes([rpc::Help::new().link("x", "x")])),
        ("Help.Link", bytes([rpc::Link { description: text(), url: text() }])),
        ("LocalizedMessage", bytes([localized])),
    ]
}

#[tokio::test(start_paused = true)]
async fn handwritten_messages_have_the_fields_of_the_proto_files() -> Result<(), Status> {
    let server = Running::start(Reflection::new().attach(Router::new(())));
    let client = server.client().await;
    for (package, symbols) in [
        ("grpc.health.v1", &["grpc.health.v1.Health"][..]),
        ("grpc.reflection.v1", &["grpc.reflection.v1.ServerReflection"]),
        ("grpc.reflection.v1alpha", &["grpc.reflection.v1alpha.ServerReflection"]),
        ("google.rpc", &["google.rpc.Status", "google.rpc.BadRequest"]),
    ] {
        let mut in_files = BTreeMap::new();
        for symbol in symbols {
            let file = Questions::begin(&client).await.declaring(symbol).await;
            assert_eq!(file.package(), package);
            in_files.extend(declared("", &file.message_type));
            for value in file.message_type.iter().flat_map(|message| &message.enum_type).flat_map(|kind| &kind.value) {
                let status = health::ServingStatus::try_from(value.number()).expect("a known status");
                assert_eq!(format!("{status:?}").to_uppercase(), value.name().replace('_', ""));
            }
        }
        let written = all(package).into_iter().map(|(name, messages)| (name.to_owned(), fields_on_the_wire(&messages)));
        assert_eq!(written.collect::<BTreeMap<_, _>>(), in_files);
    }
    Ok(())
}
